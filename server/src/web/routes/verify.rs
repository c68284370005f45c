//! `POST /api/v1/verify`: the claims of a presented token, in the form of RFC 7662 §2.2.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::web::app::{App, Server};
use crate::web::extract::{Body, Current, Form};
use crate::web::presented::{self, Purpose};
use crate::web::problem::Problem;
use crate::web::respond;

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
/// reason (RFC 7662 §2.2).
///
/// # Errors
/// [`Problem`]: the token cannot be judged now.
async fn verify(app: &App, token: &str) -> Result<Value, Problem> {
    let (provider, token) = match presented::judge(app, token, Purpose::Service).await? {
        Ok(accepted) => accepted,
        Err(_) => return Ok(json!({"active": false})),
    };
    let mut answer = token.claims().as_object().clone();
    answer.insert("active".to_owned(), Value::Bool(true));
    // These two members come from the mapping; a claim of the same name must not pass for them.
    answer.remove("username");
    answer.remove("teams");
    if let Ok(identity) = provider.config.mapping.identify(token.claims().as_value()) {
        answer.insert("username".to_owned(), identity.username.into());
        answer.insert("teams".to_owned(), identity.teams.into());
    }
    Ok(Value::Object(answer))
}
