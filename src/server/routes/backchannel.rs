//! `POST /api/v1/backchannelLogout`: Back-Channel Logout 1.0 §2.5 to §2.8.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use tracing::info;

use crate::oidc::backchannel::{self, LogoutError};
use crate::server::respond::Problem;
use crate::server::{App, Server, clock, respond, token_log};

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
    match result {
        Ok(ended) => {
            info!(ended, "back-channel logout");
            respond::done()
        }
        Err(problem) => problem.json(),
    }
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
    let leeway = provider.config.leeway;
    let validate = || backchannel::validate(&provider.logout_tokens, &token, leeway, clock::now_ms());
    let validated = provider
        .verify(validate, |error| match error {
            LogoutError::Token(error) => Some(error),
            _ => None,
        })
        .await;
    let counted = validated.as_ref().map(|logout| logout.token().header().algorithm());
    app.metrics().verified(counted.map_err(LogoutError::code));
    let logout = match validated {
        Ok(logout) => logout,
        // Not the token's fault: the provider is to try again.
        Err(_) if !provider.has_keys() => return Err(Problem::NoKeys),
        Err(error) => {
            token_log::refused("logout token", &token, error.code());
            return Err(error.into());
        }
    };
    token_log::accepted("logout token", logout.token().header(), logout.token().claims());
    Ok(app.store.transact(move |records| backchannel::apply(records, &logout)).await?)
}
