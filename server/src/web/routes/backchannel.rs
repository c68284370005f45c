//! `POST /api/v1/backchannelLogout`: Back-Channel Logout 1.0 §2.5 to §2.8.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use tracing::info;

use crate::store::LoggedOut;
use crate::system;
use crate::web::admission::Permit;
use crate::web::app::App;
use crate::web::extract::{Current, is_form};
use crate::web::logout_queue::QueuedToken;
use crate::web::problem::Problem;
use crate::web::provider::Provider;
use crate::web::request_log::{self, Fields};
use crate::web::{events, respond, token_log};
use claimgate::oidc::backchannel::{self, Ended, LogoutError};
use claimgate::verifier::unverified_issuer;
use claimgate_remote::keys::may_lack_key;

pub(super) async fn post(
    Current(app): Current,
    Extension(permit): Extension<Permit>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let result = match body {
        Ok(body) => log_out_and_report(&app, permit, &headers, &body).await,
        Err(rejection) => Err(rejection.into()),
    };
    app.metrics().logged_out(result.as_ref().err().map_or("ok", |problem| problem.code()));
    result.map_or_else(|problem| problem.json(), |_| respond::empty())
}

/// Applies the logout token in a request, and logs whose sessions ended.
async fn log_out_and_report(
    app: &App,
    permit: Permit,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
    let token = token_of_request(headers, body)?;
    let result = log_out(app, permit, &token).await;
    if let Err(Problem::Logout(LogoutError::Token(error))) = &result {
        token_log::refused("logout token", &token, error.code(), Some(error));
    }
    result
}

/// Notes a logout, and logs whose sessions ended. The issuer is that of the verified token.
fn report(app: &App, (provider, issuer): (&Provider, &str), logout: &LoggedOut) {
    events::logged_out(app, (provider, issuer), ("back_channel", ""), logout);
    let Ended { sessions: ended, target: Some(target) } = &logout.ended else { return };
    let Fields { client, host, provider, .. } = request_log::fields();
    let (subject, sid) = events::names_of(target);
    info!(client, provider, subject, sid, ended, host, "back-channel logout");
}

/// Returns the logout token of a form.
fn token_of_request(headers: &HeaderMap, body: &[u8]) -> Result<String, Problem> {
    if !is_form(headers) {
        return Err(LogoutError::Request.into());
    }
    Ok(backchannel::token_of_form(body)?)
}

/// Applies a logout token, and reports what it has ended.
async fn log_out(app: &App, permit: Permit, token: &str) -> Result<(), Problem> {
    // The issuer only chooses the provider whose keys verify the token.
    let issuer = unverified_issuer(token).map_err(LogoutError::from)?;
    let provider = app.provider_of_issuer(&issuer).ok_or_else(|| {
        request_log::note_found(&format!("iss: {issuer}"));
        LogoutError::Issuer
    })?;
    request_log::note_provider(&provider.config.id);
    let mut renewal = provider.remote.renewal();
    loop {
        let result = verify_and_log_out(app, provider, permit.clone(), token).await;
        let Err(Problem::Logout(LogoutError::Token(error))) = &result else {
            return result.map(|logout| report(app, (provider, &issuer), &logout));
        };
        if !renewal.renew(token, error).await? {
            if may_lack_key(error) {
                app.metrics().verified(Err(error.code()));
            }
            return result.map(|_| ());
        }
    }
}

/// Verifies a logout token and ends the sessions that it names. If its key can only be awaited, the queue cannot
/// verify it: then it is verified here.
async fn verify_and_log_out(
    app: &App,
    provider: &Arc<Provider>,
    permit: Permit,
    token: &str,
) -> Result<LoggedOut, Problem> {
    let logouts = &app.process.logouts;
    let result = logouts.log_out(provider, QueuedToken::Presented(token.to_owned()), permit.clone()).await;
    match result {
        Err(Problem::Logout(LogoutError::Token(error))) if error.unavailable().is_some() => {
            let verified = provider.logout_tokens.verify_async(token, system::now()).await;
            let verified = verified.map_err(LogoutError::from)?;
            logouts.log_out(provider, QueuedToken::Verified(verified), permit).await
        }
        result => result,
    }
}
