//! `POST /api/v1/verify`: the claims of a presented token, in the form of RFC 7662 §2.2.

use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tracing::{debug, info};

use crate::store::{PresentedToken, Revocation, RevocationError};
use crate::system;
use crate::web::app::{App, Server};
use crate::web::extract::{Body, Current, Form};
use crate::web::problem::Problem;
use crate::web::provider::Provider;
use crate::web::{respond, token_log};
use claimgate::claims::{Claims, NumericDate};
use claimgate::time::UnixTime;
use claimgate::verifier::{IssuerError, unverified_issuer};

#[derive(Deserialize)]
pub(super) struct Parameters {
    token: String,
}

impl Body for Parameters {
    const EXPECTED: &'static str = "send `token=` as a form";
}

/// Proof that the client knows `verify_secret`. Without that setting no client does.
///
/// Rejection: [`Problem::VerifySecret`].
pub(super) struct Authorized;

impl FromRequestParts<Server> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let Ok(Current(app)) = Current::from_request_parts(parts, server).await;
        let secret = app.server.verify_secret.as_ref().ok_or(Problem::VerifySecret)?;
        let given = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        given
            .and_then(|value| value.strip_prefix("Bearer "))
            .filter(|given| bool::from(given.as_bytes().ct_eq(secret.expose().as_bytes())))
            .map(|_| Self)
            .ok_or(Problem::VerifySecret)
    }
}

pub(super) async fn post(Current(app): Current, _: Authorized, Form(form): Form<Parameters>) -> Response {
    match verify(&app, &form.token).await {
        Ok(answer) => respond::document(answer),
        Err(problem) => problem.json(),
    }
}

/// Verifies a token. For a token that is not accepted the result is `{"active": false}` without a
/// reason (RFC 7662 §2.2); the reason is counted in the log and the metrics, and logged for each token at debug.
///
/// # Errors
/// [`Problem`]: the token cannot be judged now.
async fn verify(app: &App, token: &str) -> Result<Value, Problem> {
    let provider = unverified_issuer(token)
        .and_then(|issuer| app.provider_of_issuer(&issuer).ok_or(IssuerError::Unknown));
    let provider = match provider {
        Ok(provider) => provider,
        Err(error) => {
            note_inactive(app, error.code());
            token_log::refused("presented token", token, error.code(), None);
            return Ok(json!({"active": false}));
        }
    };
    let result = provider
        .remote
        .verify(token, || provider.presented.verify_async(token, system::now()), |error| Some(error))
        .await?;
    let revocation = match &result {
        Ok(token) => revocation(app, provider, token.claims()).await?,
        Err(_) => None,
    };
    match (&result, revocation) {
        (Ok(_), Some(reason)) => note_inactive(app, reason.code()),
        (Err(error), _) => note_inactive(app, error.code()),
        (Ok(token), None) => app.metrics().verified(Ok(token.header().algorithm())),
    }
    Ok(match (result, revocation) {
        (Ok(_), Some(reason)) => {
            debug!(code = reason.code(), "a presented token is revoked");
            json!({"active": false})
        }
        (Ok(token), None) => {
            token_log::accepted("presented token", token.header(), token.claims());
            let mut answer = token.claims().as_object().clone();
            answer.insert("active".to_owned(), Value::Bool(true));
            // These two members come from the mapping; a claim of the same name must not pass for them.
            answer.remove("username");
            answer.remove("teams");
            if let Ok(identity) = provider.config.mapping.identify(token.claims().as_value()) {
                answer.insert("username".to_owned(), identity.username.into());
                answer.insert("teams".to_owned(), identity.teams.into());
            }
            Value::Object(answer)
        }
        (Err(error), _) => {
            token_log::refused("presented token", token, error.code(), Some(&error));
            json!({"active": false})
        }
    })
}

/// Counts an inactive token in the metrics and in the log.
fn note_inactive(app: &App, code: &'static str) {
    app.metrics().verified(Err(code));
    if let Some(tokens) = app.process.inactive_tokens.count(code, Instant::now()) {
        info!(code, tokens, "presented tokens were inactive");
    }
}

/// Returns why a verified token is not accepted any more. It is asked each time, also for cached tokens.
///
/// # Errors
/// A [`RevocationError`].
async fn revocation(
    app: &App,
    provider: &Provider,
    claims: &Claims,
) -> Result<Option<Revocation>, RevocationError> {
    let token = PresentedToken {
        issuer: &provider.config.issuer,
        subject: claims.subject(),
        sid: claims.session_id().filter(|sid| !sid.is_empty()),
        // The policy requires it. Without one, the oldest time: every logout ends the token.
        issued_at: claims.issued_at().map_or(UnixTime(i64::MIN), NumericDate::seconds),
    };
    app.store.revocation(&token, provider.config.leeway).await
}
