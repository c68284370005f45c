//! `GET /callback/{provider}`: the provider's authorization response.

use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::extract::{ClientAddress, Current, Path};
use crate::web::page::View;
use crate::web::problem::Problem;
use crate::web::texts::Language;
use crate::web::{events, request_log, respond, sign_in};
use claimgate::oidc::authorization::{CallbackError, CallbackParameters};
use claimgate::oidc::token::TokenError;

pub(super) async fn get(
    Current(app): Current,
    ClientAddress(address): ClientAddress,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    language: Language,
    headers: HeaderMap,
) -> Response {
    request_log::note_provider(&name);
    let parameters = CallbackParameters::parse(query.as_deref().unwrap_or_default());
    let pending = sign_in::pending(&app, &parameters, &headers);
    // The back button, or a tab that finished later than another: the person is signed in.
    if pending.is_err() {
        match app.user(&headers).await {
            Ok(Some(_)) => return respond::see_other(&app.path("/")),
            Ok(None) => {}
            Err(unsure) => return Problem::from(unsure).page(&View::new(&app, language)),
        }
    }
    let return_to = pending.as_ref().map_or_else(|_| String::new(), |pending| pending.return_to().to_owned());
    let result = match (app.provider(&name), pending.map_err(Problem::from)) {
        (Ok(_), Ok(_)) if !app.process.limiter.may_send_code(address) => Err(Problem::TooManyCodes),
        (Ok(provider), Ok(pending)) => {
            let result = sign_in::complete(&app, provider, pending, &parameters, &headers).await;
            if !matches!(result, Err(Problem::Token(TokenError::Refused { .. }))) {
                app.process.limiter.code_not_refused(address);
            }
            result
        }
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    };
    app.metrics().signed_in(result.as_ref().err().map_or("ok", |problem| problem.code()));
    if let (Err(Problem::Callback(error)), Some(unverified)) = (&result, parameters.error())
        && !matches!(error, CallbackError::Provider { .. })
    {
        request_log::note_unverified_error(unverified);
    }
    if let Err(problem) = &result {
        events::refused(&app, problem);
    }
    match result {
        Ok(completed) => respond::with_cookies(respond::see_other(&completed.return_to), completed.cookies),
        Err(problem) => problem.page_returning(&View::new(&app, language), &return_to),
    }
}
