//! `GET` and `POST /callback/{provider}`: the provider's authorization response.
//!
//! A posted response (`response_mode=form_post`) comes from the provider's site, and browsers keep `SameSite=Lax` cookies
//! back from it. It is sealed into the address of a redirect to the same callback: the `GET` that follows has the cookies,
//! and is the only one that completes a sign-in.

use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::system;
use crate::web::app::App;
use crate::web::extract::{ClientAddress, Current, Path, is_form};
use crate::web::page::View;
use crate::web::problem::Problem;
use crate::web::texts::Language;
use crate::web::{cross_site, events, request_log, respond, sign_in};
use claimgate::oidc::authorization::{CallbackError, CallbackParameters, MAX_POSTED, ResponseMode};
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
    let parameters = parameters(&app, query.as_deref().unwrap_or_default());
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
        (Ok(provider), Ok(pending)) => match app.process.limiter.send_code(address) {
            Some(sent) => {
                let result = sign_in::complete(&app, provider, pending, &parameters, &headers).await;
                if !matches!(result, Err(Problem::Token(TokenError::Refused { .. }))) {
                    app.process.limiter.code_not_refused(&sent);
                }
                result
            }
            None => Err(Problem::TooManyCodes),
        },
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    };
    app.metrics().signed_in(known(&app, &name), result.as_ref().err().map_or("ok", |problem| problem.code()));
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

/// Returns the name of a provider that the configuration has: a stranger's would be one more series of the metrics.
fn known<'n>(app: &App, name: &'n str) -> Option<&'n str> {
    app.provider(name).is_ok().then_some(name)
}

/// The name of the parameter that holds a sealed posted response.
const ANSWER: &str = "answer";

/// Returns the parameters of a response: those of the query, or those that were posted and that the query holds sealed.
fn parameters(app: &App, query: &str) -> CallbackParameters {
    match query.strip_prefix(ANSWER).and_then(|rest| rest.strip_prefix('=')) {
        Some(sealed) => CallbackParameters::open(app.store.key().sealer(), sealed)
            .unwrap_or_else(|| CallbackParameters::parse("")),
        None => CallbackParameters::parse(query),
    }
}

/// Takes a posted response, and redirects to the callback with it. Nothing changes here but the address in the browser, so
/// that the request may come from another site.
pub(super) async fn post(
    Current(app): Current,
    Path(name): Path<String>,
    language: Language,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    request_log::note_provider(&name);
    let sealed = body.map_err(Problem::from).and_then(|body| seal(&app, &name, &headers, &body));
    match sealed {
        Ok(sealed) => respond::see_other(&app.path(&format!("/callback/{name}?{ANSWER}={sealed}"))),
        Err(problem) => {
            app.metrics().signed_in(known(&app, &name), problem.code());
            problem.page(&View::new(&app, language))
        }
    }
}

/// Seals the parameters of a form that a browser posts as a page.
fn seal(app: &App, name: &str, headers: &HeaderMap, body: &[u8]) -> Result<String, Problem> {
    if app.provider(name)?.config.authorization.response_mode != ResponseMode::FormPost {
        return Err(Problem::Method);
    }
    if !cross_site::is_for_page(headers) || cross_site::is_in_frame(headers) {
        return Err(Problem::CrossSite);
    }
    let body = is_form(headers).then(|| std::str::from_utf8(body).ok()).flatten();
    let body = body.ok_or(Problem::BadRequest("the provider's answer is no form"))?;
    let parameters = CallbackParameters::parse(body);
    parameters.seal(app.store.key().sealer(), &mut system::random).ok_or_else(|| {
        request_log::note_found(&format!("parameters of more than {MAX_POSTED} bytes"));
        CallbackError::Parameter { parameter: "code" }.into()
    })
}
