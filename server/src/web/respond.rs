//! Responses, and the one table from a problem to a status and a text. No other file chooses a status.
//!
//! A page has a sentence that its reader can act on, a JSON document a code; neither says which check a token
//! failed. The log has the whole error, under the reference that the response shows.

use std::borrow::Cow;

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::app::App;
use super::limiter::Refusal;
use super::page;
use super::problem::{AccessReason, AdminError, Problem};
use super::request_log::{self, Fields};
use super::sign_in_link::SignInLink;
use claimgate::identity::IdentityError;
use claimgate::oidc::authorization::CallbackError;
use claimgate::oidc::backchannel::LogoutError;
use claimgate::oidc::sign_in::SignInError;
use claimgate::oidc::token::TokenError;
use claimgate::oidc::userinfo::UserInfoError;
use claimgate::text::for_display;
use claimgate_remote::RemoteError;

/// The response to a problem.
struct Answer {
    status: StatusCode,
    title: &'static str,
    /// The text for people; `None`: the text of the error.
    message: Option<Cow<'static, str>>,
}

/// The parts of a line about a refusal by forward-auth.
#[derive(Default)]
struct AccessFields {
    user: Option<String>,
    teams: Option<String>,
    application: Option<String>,
    rule: Option<String>,
    token_client: Option<String>,
}

impl Problem {
    fn answer(&self) -> Answer {
        let (status, title) = self.status_and_title();
        Answer { status, title, message: self.message() }
    }

    fn status_and_title(&self) -> (StatusCode, &'static str) {
        let (refused, failed) = ("Sign-in refused", "Sign-in failed");
        match self {
            Problem::Provider(RemoteError::Signature(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "Verification unavailable")
            }
            Problem::UserInfo(UserInfoError::Token(error)) if error.unavailable().is_some() => {
                (StatusCode::SERVICE_UNAVAILABLE, "Verification unavailable")
            }
            Problem::Provider(_) | Problem::Fetch(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "Provider unavailable")
            }
            Problem::Busy | Problem::LogoutsDropped(_) => (StatusCode::SERVICE_UNAVAILABLE, "Server busy"),
            Problem::Unsure(_) => (StatusCode::SERVICE_UNAVAILABLE, "Try again"),
            Problem::Store(_)
            | Problem::SignIn(SignInError::Store(_))
            | Problem::Logout(LogoutError::Store(_)) => (StatusCode::SERVICE_UNAVAILABLE, "Not saved"),
            Problem::Callback(CallbackError::Provider { .. })
            | Problem::IdToken(_)
            | Problem::SignIn(_)
            | Problem::Demand(_)
            | Problem::WrongPassword => (StatusCode::FORBIDDEN, refused),
            Problem::Callback(_) => (StatusCode::BAD_REQUEST, failed),
            Problem::Token(_) | Problem::UserInfo(_) => (StatusCode::BAD_GATEWAY, failed),
            Problem::Logout(_) => (StatusCode::BAD_REQUEST, "Logout refused"),
            Problem::Password(_)
            | Problem::BadRequest(_)
            | Problem::Member { .. }
            | Problem::Username(_)
            | Problem::Parameter(_) => (StatusCode::BAD_REQUEST, "Bad request"),
            Problem::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Problem::TooManyPasswords | Problem::TooManyCodes => {
                (StatusCode::TOO_MANY_REQUESTS, "Too many attempts")
            }
            Problem::SignedOut
            | Problem::NoToken
            | Problem::BearerToken(_)
            | Problem::VerifySecret
            | Problem::Admin(AdminError::Session) => (StatusCode::UNAUTHORIZED, "Not signed in"),
            Problem::CrossSite | Problem::Forbidden | Problem::Admin(_) => {
                (StatusCode::FORBIDDEN, "Not allowed")
            }
            Problem::Access(_) => (StatusCode::FORBIDDEN, "No access to this application"),
            Problem::NotFound => (StatusCode::NOT_FOUND, "Not found"),
            Problem::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Problem::Taken => (StatusCode::CONFLICT, "Username taken"),
            Problem::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request too large"),
            Problem::TooManyFields => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request too large"),
            Problem::SlowBody => (StatusCode::REQUEST_TIMEOUT, "Request too slow"),
        }
    }

    /// Returns the text for people; `None`: the text of the error.
    fn message(&self) -> Option<Cow<'static, str>> {
        let text = match self {
            Problem::Provider(RemoteError::Signature(_)) => {
                "Signatures cannot be verified now. Try again in a minute."
            }
            Problem::Provider(_) | Problem::Fetch(_) => {
                "The sign-in provider cannot be reached, or does not answer as it should. Try again in a minute."
            }
            Problem::Busy => "The server is busy. Try again in a minute.",
            Problem::Unsure(_) => {
                "The server cannot tell at the moment whether you are signed in. Try again in a minute."
            }
            Problem::Store(_)
            | Problem::SignIn(SignInError::Store(_))
            | Problem::Logout(LogoutError::Store(_)) => {
                "The server cannot save this now. Try again in a minute."
            }
            Problem::Callback(CallbackError::Provider { error, description }) => {
                return Some(provider_refusal(error, description.as_deref()).into());
            }
            Problem::Token(TokenError::Refused { .. }) => return None,
            Problem::Token(_) | Problem::UserInfo(_) => {
                "The sign-in provider sent an answer that cannot be used. Try again; if it fails again, tell your administrator the reference below."
            }
            Problem::IdToken(_) => {
                "The sign-in provider's token is not accepted here. Try again; if it fails again, tell your administrator the reference below."
            }
            Problem::Demand(_) => {
                "Your account at the sign-in provider is not one of those that may sign in here. Ask your administrator, and give the reference below."
            }
            Problem::SignIn(refusal) => return sign_in_refusal(refusal).map(Into::into),
            Problem::Logout(_) => "The logout token is not accepted.",
            Problem::BearerToken(_) => "The bearer token is not accepted.",
            Problem::Access(refusal) => return Some(access_refusal(&refusal.reason).into()),
            _ => return None,
        };
        Some(text.into())
    }

    /// Writes the line of this problem. Returns the reference that the response shows.
    fn log(&self, status: StatusCode) -> String {
        let Fields { client, host, user, provider, unverified_error, found, reference } =
            request_log::fields();
        let (code, error) = (self.code(), self.to_string());
        let AccessFields { user, teams, application, rule, token_client } = self.access_fields(user);
        // The client's address comes first: no text of a client stands before it.
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    code,
                    client,
                    reference,
                    user,
                    provider,
                    host,
                    teams,
                    application,
                    rule,
                    token_client,
                    unverified_error,
                    error,
                    found,
                    $message
                )
            };
        }
        let kind = match self {
            Problem::WrongPassword | Problem::TooManyPasswords => Refusal::Password,
            _ => Refusal::Other,
        };
        match self {
            Problem::SignedOut
            | Problem::NoToken
            | Problem::BearerToken(_)
            | Problem::NotFound
            | Problem::Method => line!(debug, "request refused"),
            _ if !request_log::may_report(kind) => {}
            // Strangers can cause these.
            Problem::Provider(
                RemoteError::NoKeys { .. } | RemoteError::Busy | RemoteError::JustFailed { .. },
            ) => line!(warn, "request refused"),
            // The reason has an error line of its own, once.
            Problem::Unsure(_) => line!(warn, "request failed"),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => line!(error, "request failed"),
            Problem::Callback(CallbackError::Provider { .. }) | Problem::WrongPassword => {
                line!(info, "request refused");
            }
            Problem::Access(refusal) if !refusal.is_page => line!(info, "request refused"),
            _ => line!(warn, "request refused"),
        }
        reference
    }

    /// Returns the parts of the line that a refusal by forward-auth has. `user`: that of another problem.
    fn access_fields(&self, user: Option<String>) -> AccessFields {
        let Problem::Access(refusal) = self else { return AccessFields { user, ..AccessFields::default() } };
        let teams = refusal.reason.teams();
        AccessFields {
            user: refusal.user.clone().or(user),
            teams: (!teams.is_empty()).then(|| for_display(&teams.join(", "))),
            application: Some(for_display(&refusal.application)),
            rule: refusal.rule.clone(),
            token_client: refusal.token_client.as_deref().map(for_display),
        }
    }

    /// Returns the page for people.
    pub(crate) fn page(&self, app: &App) -> Response {
        self.page_returning(app, "")
    }

    /// Returns the page for people; its link to sign in again leads to `return_to`.
    pub(crate) fn page_returning(&self, app: &App, return_to: &str) -> Response {
        self.render(|title, notice| page::problem(app, title, notice, return_to))
    }

    /// Returns the page for a person whom an application before a proxy refuses. `address` is the
    /// application's.
    pub(crate) fn application_page(&self, app: &App, address: &str) -> Response {
        match self {
            Problem::Access(refusal) => self.render(|title, notice| {
                page::no_access(app, title, notice, refusal.user.as_deref(), address)
            }),
            Problem::SignedOut => self.render(|_, notice| page::session_ended(app, notice, address)),
            _ => self.page(app),
        }
    }

    /// Returns the sign-in page with this problem on it. The form comes back empty: people sometimes
    /// type a password into the field of the username.
    pub(crate) fn sign_in_page(&self, app: &App, return_to: &str) -> Response {
        self.render(|_, notice| page::sign_in(app, &SignInLink::returning_to(return_to), true, Some(notice)))
    }

    fn render(&self, page: impl FnOnce(&str, &page::Notice<'_>) -> maud::Markup) -> Response {
        let answer = self.answer();
        let reference = self.log(answer.status);
        let own = sentence(&self.to_string());
        let message = answer.message.as_deref().unwrap_or(&own);
        let notice = page::Notice { message, code: self.shown_code(), reference: &reference };
        let page = Html(page(answer.title, &notice).into_string());
        self.challenge(finish((answer.status, page).into_response()))
    }

    /// Returns the JSON document for programs.
    pub(crate) fn json(&self) -> Response {
        let answer = self.answer();
        let reference = self.log(answer.status);
        // RFC 6749 §5.2's form, as Back-Channel Logout §2.8 wants it.
        let body = match self {
            Problem::Logout(_) if answer.status == StatusCode::BAD_REQUEST => json!({
                "error": "invalid_request",
                "error_description": answer.message,
                "reference": reference,
            }),
            _ => json!({
                "error": self.shown_code(),
                "error_description": answer.message.unwrap_or_else(|| self.to_string().into()),
                "reference": reference,
            }),
        };
        self.challenge(finish((answer.status, Json(body)).into_response()))
    }

    /// Adds the challenge that a 401 must have (RFC 9110 §15.5.2), and the one of a refused bearer token (RFC 6750 §3).
    /// Browsers know no scheme `Cookie`, and show no dialog of their own for it.
    fn challenge(&self, mut response: Response) -> Response {
        let challenge = match self {
            Problem::Access(refusal) if refusal.is_bearer => {
                "Bearer realm=\"claimgate\", error=\"insufficient_scope\""
            }
            _ if response.status() != StatusCode::UNAUTHORIZED => return response,
            Problem::BearerToken(_) => "Bearer realm=\"claimgate\", error=\"invalid_token\"",
            Problem::VerifySecret | Problem::NoToken => "Bearer realm=\"claimgate\"",
            Problem::Admin(_) => "Cookie realm=\"claimgate administration\"",
            _ => "Cookie realm=\"claimgate\"",
        };
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }
}

/// Returns what a person reads whose sign-in is refused; `None` for a refusal whose own text says it.
fn sign_in_refusal(refusal: &SignInError) -> Option<String> {
    let happened = match refusal {
        SignInError::NotLinked(_) | SignInError::UsernameTaken => {
            "A user of your name exists here already, and it is not certain that it is you."
        }
        SignInError::Unknown => "You have no account here yet.",
        SignInError::Inactive => "Your account here is switched off.",
        SignInError::Identity(IdentityError::NoUsername) => {
            "The sign-in provider did not say what your username is."
        }
        SignInError::Identity(IdentityError::NoTeam) => {
            "Your account is in none of the groups that may sign in here."
        }
        _ => return None,
    };
    Some(format!("{happened} Ask your administrator, and give the reference below."))
}

/// Returns what a person reads when the provider answered a sign-in with an `error`.
fn provider_refusal(error: &str, description: Option<&str>) -> String {
    let mut text = match error {
        "access_denied" => "The sign-in was declined at the sign-in provider.",
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            "The sign-in provider needs to ask you something first."
        }
        "temporarily_unavailable" | "server_error" => "The sign-in provider has a problem at the moment.",
        _ => "The sign-in provider refused the sign-in.",
    }
    .to_owned();
    if let Some(description) = description.map(str::trim).filter(|description| !description.is_empty()) {
        text.push_str(&format!(" It says: “{description}”"));
    }
    text.push_str(" Try again; if it fails again, tell your administrator the reference below.");
    text
}

/// Returns what a person reads whose request is not admitted to an application.
fn access_refusal(reason: &AccessReason) -> String {
    match (reason, reason.teams()) {
        (AccessReason::Team(_) | AccessReason::Rule { .. }, [team]) => {
            format!("This application is for members of the team {team}.")
        }
        (AccessReason::Team(_), teams) => {
            format!("This application is for members of one of the teams {}.", teams.join(", "))
        }
        (AccessReason::Rule { .. }, _) => {
            "This part of the application is not open to your account. If you need it, ask your administrator, and give the reference below."
                .to_owned()
        }
        (AccessReason::NoApplication | AccessReason::NoRule, _) => {
            "This address is not open to anyone. If it should be, tell your administrator the reference below."
                .to_owned()
        }
        (AccessReason::Ambiguous(_), _) => {
            "This address can be read in more than one way. Open the application at its start, and follow its links from there."
                .to_owned()
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.json()
    }
}

/// Returns an error's text as a sentence, with a capital letter and a full stop.
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

/// Returns a page.
pub(crate) fn html(page: maud::Markup) -> Response {
    finish(Html(page.into_string()).into_response())
}

/// Returns a JSON document.
pub(crate) fn document(body: serde_json::Value) -> Response {
    finish(Json(body).into_response())
}

/// Returns the JSON document of a new resource.
pub(crate) fn created(body: serde_json::Value) -> Response {
    finish((StatusCode::CREATED, Json(body)).into_response())
}

/// Returns an empty response of success.
pub(crate) fn empty() -> Response {
    finish(StatusCode::OK.into_response())
}

/// Redirects to an address, to be requested with GET.
pub(crate) fn see_other(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => finish((StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response()),
        Err(_) => Problem::BadRequest("the address to go to cannot be sent").json(),
    }
}

/// Returns the identity of the signed-in user, for a proxy.
pub(crate) fn identity(headers: [(&'static str, String); 4]) -> Response {
    let headers = headers.map(|(name, value)| {
        let value = HeaderValue::try_from(value).expect("encoded values are visible ASCII");
        (HeaderName::from_static(name), value)
    });
    finish((StatusCode::OK, headers).into_response())
}

/// Returns a text of a content type.
pub(crate) fn text(content_type: &'static str, text: impl Into<String>) -> Response {
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (StatusCode::OK, content_type, text.into()).into_response()
}

/// Returns a static file, cached for an hour.
pub(crate) fn asset(content_type: &'static str, text: &'static str) -> Response {
    let mut response = self::text(content_type, text);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// Returns the readiness report.
pub(crate) fn readiness(ready: bool, body: serde_json::Value) -> Response {
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    finish((status, Json(body)).into_response())
}

/// Adds cookies to a response.
pub(crate) fn with_cookies(
    mut response: Response,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
