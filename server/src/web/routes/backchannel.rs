//! `POST /api/v1/backchannelLogout`: Back-Channel Logout 1.0 §2.5 to §2.8.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use crate::system;
use crate::web::provider::{Provider, lacks_key};
use crate::web::respond::Problem;
use crate::web::{App, Server, respond, token_log};
use claimgate::oidc::backchannel::{self, LogoutError};

pub(super) async fn post(
    State(server): State<Server>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let app = server.app();
    let result = match body {
        Ok(body) => log_out(&app, &headers, &body).await,
        Err(rejection) => Err(rejection.into()),
    };
    app.metrics().logged_out(result.as_ref().err().map_or("ok", |problem| problem.code()));
    result.map_or_else(|problem| problem.json(), |_| respond::done())
}

async fn log_out(app: &Arc<App>, headers: &HeaderMap, body: &[u8]) -> Result<usize, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(LogoutError::Request.into());
    }
    let token = backchannel::token_of_form(body)?;
    // Chooses whose keys to verify with; that provider's alone are then tried.
    let issuer = backchannel::unverified_issuer(&token)?;
    let provider = app.provider_of_issuer(&issuer).ok_or(LogoutError::Issuer)?;
    match app.lasting.logouts.log_out(app, provider, token.clone()).await {
        // It may be a new key: fetched once, by whoever comes first.
        Err(Problem::Logout(LogoutError::Token(error))) if lacks_key(&error) => {
            log_out_with_new_key(app, provider, token).await
        }
        // Not the token's fault: the provider is to try again.
        Err(Problem::Logout(LogoutError::Token(_))) if !provider.has_keys() => Err(Problem::NoKeys),
        result => result,
    }
}

async fn log_out_with_new_key(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    token: String,
) -> Result<usize, Problem> {
    let leeway = provider.config.leeway;
    let validate = || backchannel::validate(&provider.logout_tokens, &token, leeway, system::now_ms());
    let validated = provider
        .verify(validate, |error| match error {
            LogoutError::Token(error) => Some(error),
            _ => None,
        })
        .await;
    match validated {
        Ok(_) => app.lasting.logouts.log_out(app, provider, token).await,
        // Not the token's fault: the provider is to try again.
        Err(_) if !provider.has_keys() => Err(Problem::NoKeys),
        Err(error) => {
            app.metrics().verified(Err(error.code()));
            token_log::refused("logout token", &token, error.code());
            Err(error.into())
        }
    }
}
