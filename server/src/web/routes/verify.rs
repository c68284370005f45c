//! `POST /api/v1/verify`: a token in, what is known about it out, in the form of RFC 7662 §2.2.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tracing::debug;

use crate::system;
use crate::web::respond::Problem;
use crate::web::{App, Server, respond, token_log};
use claimgate::oidc::backchannel;
use claimgate::{Error, verifier::ValidatedToken};

#[derive(Deserialize)]
pub(super) struct Parameters {
    token: String,
}

pub(super) async fn post(
    State(server): State<Server>,
    headers: HeaderMap,
    form: Result<Form<Parameters>, FormRejection>,
) -> Response {
    let app = server.app();
    if !may_ask(&app, &headers) {
        return Problem::SignedOut.json();
    }
    match form {
        Ok(Form(form)) => respond::document(verify(&app, &form.token).await),
        Err(FormRejection::BytesRejection(rejection)) => Problem::from(rejection).json(),
        Err(_) => Problem::BadRequest("send `token=` as a form").json(),
    }
}

fn may_ask(app: &App, headers: &HeaderMap) -> bool {
    let Some(secret) = &app.server.verify_secret else { return true };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    given
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|given| bool::from(given.as_bytes().ct_eq(secret.expose().as_bytes())))
}

/// `{"active": false}` and no reason for whatever is not accepted (RFC 7662 §2.2); the log has it.
async fn verify(app: &App, token: &str) -> Value {
    let Some(provider) =
        backchannel::unverified_issuer(token).ok().and_then(|issuer| app.provider_of_issuer(&issuer))
    else {
        app.metrics().verified(Err("backchannel.issuer"));
        return json!({"active": false});
    };
    let result: Result<ValidatedToken, Error> =
        provider.verify(|| provider.presented.verify(token, system::now()), |error| Some(error)).await;
    app.metrics().verified(result.as_ref().map(|token| token.header().algorithm()).map_err(Error::code));
    match result {
        Ok(token) => {
            token_log::accepted("presented token", token.header(), token.claims());
            let mut answer = token.claims().as_object().clone();
            answer.insert("active".to_owned(), Value::Bool(true));
            // These two are the mapping's, or nobody's: a claim of the same name is not it.
            answer.remove("username");
            answer.remove("teams");
            if let Ok(identity) = provider.config.mapping.identify(token.claims().as_value()) {
                answer.insert("username".to_owned(), identity.username.into());
                answer.insert("teams".to_owned(), identity.teams.into());
            }
            Value::Object(answer)
        }
        Err(error) => {
            debug!(code = error.code(), %error, "a presented token was refused");
            token_log::refused("presented token", token, error.code());
            json!({"active": false})
        }
    }
}
