//! The one table from what went wrong to what is answered. Nowhere else is a status chosen.
//!
//! People are told what they can act on, programs a code; strangers learn no more than that it was
//! refused. The log has all of it, under the reference that the answer shows.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;
use tracing::{error, info, warn};

use super::fetch::FetchError;
use super::password::PasswordError;
use super::provider::ProviderError;
use super::{App, page};
use crate::system;
use claimgate::oidc::authorization::CallbackError;
use claimgate::oidc::backchannel::LogoutError;
use claimgate::oidc::id_token::IdTokenError;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::sign_in::SignInError;
use claimgate::oidc::token::TokenError;
use claimgate::oidc::userinfo::UserInfoError;

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Callback(#[from] CallbackError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    #[error(transparent)]
    UserInfo(#[from] UserInfoError),
    #[error(transparent)]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Logout(#[from] LogoutError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("more is waiting here than can be done soon")]
    Busy,
    #[error("the provider's keys could not be fetched yet")]
    NoKeys,
    #[error("the user name or the password is not right, or this door is not for this user")]
    WrongPassword,
    #[error("too many attempts; wait a moment")]
    TooMany,
    #[error("the request comes from another site")]
    CrossSite,
    #[error("nobody is signed in")]
    SignedOut,
    #[error("this is for others")]
    Forbidden,
    #[error("there is no such thing")]
    NotFound,
    #[error("this address does not take this method")]
    Method,
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("that name is taken")]
    Taken,
    #[error("the request's body is too large")]
    TooLarge,
    #[error("the request's body did not come in time")]
    SlowBody,
}

struct Answer {
    status: StatusCode,
    /// What people read; where it is none, the error's own text.
    message: Option<&'static str>,
    title: &'static str,
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
            _ => Problem::SlowBody,
        }
    }
}

impl Problem {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Problem::Provider(error) => error.code(),
            Problem::Fetch(error) => error.code(),
            Problem::Callback(error) => error.code(),
            Problem::Token(error) => error.code(),
            Problem::IdToken(error) => error.code(),
            Problem::UserInfo(error) => error.code(),
            Problem::SignIn(error) => error.code(),
            Problem::Logout(error) => error.code(),
            Problem::Store(error) => error.code(),
            Problem::Password(error) => error.code(),
            Problem::Busy => "request.busy",
            Problem::NoKeys => "provider.no_keys",
            Problem::WrongPassword => "password.wrong",
            Problem::TooMany => "password.too_many",
            Problem::CrossSite => "request.cross_site",
            Problem::SignedOut => "request.signed_out",
            Problem::Forbidden => "request.forbidden",
            Problem::NotFound => "request.not_found",
            Problem::Method => "request.method",
            Problem::BadRequest(_) => "request.malformed",
            Problem::Taken => "request.taken",
            Problem::TooLarge => "request.too_large",
            Problem::SlowBody => "request.slow_body",
        }
    }

    /// The code that is shown: which check a token failed is for the log.
    fn shown_code(&self) -> &'static str {
        match self {
            Problem::IdToken(_) => "sign_in.token",
            _ => self.code(),
        }
    }

    fn answer(&self) -> Answer {
        let own = |status, title| Answer { status, title, message: None };
        let told = |status, title, message| Answer { status, title, message: Some(message) };
        let refused = "Sign-in refused";
        let store = || {
            told(
                StatusCode::SERVICE_UNAVAILABLE,
                "Try again",
                "The server cannot save this now. Try again soon.",
            )
        };
        match self {
            Problem::Provider(_) | Problem::Fetch(_) | Problem::NoKeys => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "Provider unavailable",
                "The sign-in provider cannot be reached, or does not answer as it should. Try again soon.",
            ),
            Problem::Busy => {
                told(StatusCode::SERVICE_UNAVAILABLE, "Try again", "The server is busy. Try again soon.")
            }
            Problem::Callback(CallbackError::Provider { .. }) => own(StatusCode::FORBIDDEN, refused),
            Problem::Callback(_) => own(StatusCode::BAD_REQUEST, "Sign-in failed"),
            Problem::Token(_) => own(StatusCode::BAD_GATEWAY, "Sign-in failed"),
            Problem::IdToken(_) => {
                told(StatusCode::FORBIDDEN, refused, "The provider's token is not acceptable here.")
            }
            Problem::UserInfo(_) => own(StatusCode::BAD_GATEWAY, "Sign-in failed"),
            Problem::SignIn(SignInError::Store(_)) => store(),
            Problem::SignIn(_) => own(StatusCode::FORBIDDEN, refused),
            Problem::Logout(LogoutError::Store(_)) | Problem::Store(_) => store(),
            Problem::Logout(_) => {
                told(StatusCode::BAD_REQUEST, "Refused", "The logout token is not acceptable.")
            }
            Problem::Password(_) | Problem::BadRequest(_) => own(StatusCode::BAD_REQUEST, "Bad request"),
            Problem::WrongPassword => own(StatusCode::FORBIDDEN, refused),
            Problem::TooMany => own(StatusCode::TOO_MANY_REQUESTS, refused),
            Problem::CrossSite | Problem::Forbidden => own(StatusCode::FORBIDDEN, "Refused"),
            Problem::SignedOut => own(StatusCode::UNAUTHORIZED, "Signed out"),
            Problem::NotFound => own(StatusCode::NOT_FOUND, "Not found"),
            Problem::Method => own(StatusCode::METHOD_NOT_ALLOWED, "Not here"),
            Problem::Taken => own(StatusCode::CONFLICT, "Taken"),
            Problem::TooLarge => own(StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
            Problem::SlowBody => own(StatusCode::REQUEST_TIMEOUT, "Too slow"),
        }
    }

    fn log(&self, reference: &str, status: StatusCode) {
        let code = self.code();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            error!(code, reference, error = %self, "request failed");
        } else if matches!(self, Problem::SignedOut | Problem::NotFound | Problem::Method) {
            tracing::debug!(code, reference, "request refused");
        } else if matches!(self, Problem::Callback(CallbackError::Provider { .. }) | Problem::WrongPassword) {
            info!(code, reference, error = %self, "request refused");
        } else {
            warn!(code, reference, error = %self, "request refused");
        }
    }

    /// The answer for people.
    pub(crate) fn page(&self, app: &App) -> Response {
        self.page_with_way_back(app, "")
    }

    /// The same for people on their way to somewhere: signing in again leads there.
    pub(crate) fn page_with_way_back(&self, app: &App, return_to: &str) -> Response {
        self.show(|title, notice| page::problem(app, title, notice, return_to))
    }

    /// The same with the doors, to try again at once. What was typed does not come back: a password
    /// stands in the field of the name now and then.
    pub(crate) fn doors(&self, app: &App, return_to: &str) -> Response {
        self.show(|_, notice| page::sign_in(app, return_to, Some(notice)))
    }

    fn show(&self, page: impl FnOnce(&str, &page::Notice<'_>) -> maud::Markup) -> Response {
        let answer = self.answer();
        let reference = reference();
        self.log(&reference, answer.status);
        let own = sentence(&self.to_string());
        let message = answer.message.unwrap_or(&own);
        let notice = page::Notice { message, code: self.shown_code(), reference: &reference };
        finish((answer.status, Html(page(answer.title, &notice).into_string())).into_response())
    }

    /// The answer for programs.
    pub(crate) fn json(&self) -> Response {
        let answer = self.answer();
        let reference = reference();
        self.log(&reference, answer.status);
        // RFC 6749 §5.2's form, as Back-Channel Logout §2.8 wants it.
        let body = match self {
            Problem::Logout(_) if answer.status == StatusCode::BAD_REQUEST => json!({
                "error": "invalid_request",
                "error_description": answer.message,
                "reference": reference,
            }),
            _ => json!({
                "error": self.shown_code(),
                "error_description": answer.message.map_or_else(|| self.to_string(), str::to_owned),
                "reference": reference,
            }),
        };
        finish((answer.status, Json(body)).into_response())
    }
}

/// An error's text as people write: with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(characters).collect();
    if !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

fn finish(mut response: Response) -> Response {
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// What joins an answer to its line in the log.
fn reference() -> String {
    let mut bytes = [0; 6];
    system::random(&mut bytes);
    claimgate::base64url::encode(&bytes)
}

/// A page.
pub(crate) fn html(page: maud::Markup) -> Response {
    finish(Html(page.into_string()).into_response())
}

/// A JSON document.
pub(crate) fn document(body: serde_json::Value) -> Response {
    finish(Json(body).into_response())
}

/// Something was made.
pub(crate) fn created(body: serde_json::Value) -> Response {
    finish((StatusCode::CREATED, Json(body)).into_response())
}

/// Done, and nothing to say.
pub(crate) fn done() -> Response {
    finish(StatusCode::OK.into_response())
}

/// Go there with a GET.
pub(crate) fn go(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => {
            finish((StatusCode::SEE_OTHER, [(axum::http::header::LOCATION, address)]).into_response())
        }
        Err(_) => Problem::BadRequest("the address cannot be sent").json(),
    }
}

/// Who is signed in, for a proxy.
pub(crate) fn identity(headers: [(HeaderName, HeaderValue); 4]) -> Response {
    finish((StatusCode::OK, headers).into_response())
}

/// Text in a format of its own.
pub(crate) fn text(content_type: &'static str, text: impl Into<String>) -> Response {
    let content_type = [(axum::http::header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (StatusCode::OK, content_type, text.into()).into_response()
}

/// A file of our own, good for an hour.
pub(crate) fn asset(content_type: &'static str, text: &'static str) -> Response {
    let mut response = self::text(content_type, text);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// Ready or not.
pub(crate) fn readiness(ready: bool, body: serde_json::Value) -> Response {
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    finish((status, Json(body)).into_response())
}

/// Adds cookies to an answer.
pub(crate) fn with_cookies(
    mut response: Response,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
