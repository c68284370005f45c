//! Responses, and the one table from a problem to a status. No other file chooses a status.
//!
//! `wording` has the texts. The log has the whole error, under the reference that the response shows.

use axum::Json;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    RETRY_AFTER, SET_COOKIE, VARY, WWW_AUTHENTICATE, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::limiter::Refusal;
use super::page::{self, View};
use super::password_check;
use super::problem::{AdminError, Problem};
use super::request_log::{self, Fields};
use super::sign_in_link::SignInLink;
use claimgate::access::Authentication;
use claimgate::oidc::authorization::CallbackError;
use claimgate::oidc::backchannel::LogoutError;
use claimgate::oidc::security_events::SecurityEventError;
use claimgate::oidc::sign_in::SignInError;
use claimgate::oidc::userinfo::UserInfoError;
use claimgate::text::{for_display, is_unsafe};
use claimgate_remote::RemoteError;

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
    fn status(&self) -> StatusCode {
        match self {
            Problem::UserInfo(UserInfoError::Token(error)) if error.unavailable().is_some() => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Problem::Token(error) if error.unavailable().is_some() => StatusCode::SERVICE_UNAVAILABLE,
            Problem::Provider(_)
            | Problem::Fetch(_)
            | Problem::Busy
            | Problem::LogoutsDropped(_)
            | Problem::Unsure(_)
            | Problem::Store(_)
            | Problem::SignIn(SignInError::Store(_))
            | Problem::Logout(LogoutError::Store(_))
            | Problem::SecurityEvent(SecurityEventError::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Problem::Token(_) | Problem::UserInfo(_) => StatusCode::BAD_GATEWAY,
            Problem::SignedOut
            | Problem::NoToken
            | Problem::BearerToken(_)
            | Problem::VerifySecret
            | Problem::Admin(AdminError::Session) => StatusCode::UNAUTHORIZED,
            Problem::Access(refusal) if refusal.reason.authentication().is_some() => StatusCode::UNAUTHORIZED,
            Problem::Callback(CallbackError::Provider { .. })
            | Problem::IdToken(_)
            | Problem::SignIn(_)
            | Problem::Demand(_)
            | Problem::WrongPassword
            | Problem::CrossSite
            | Problem::Forbidden
            | Problem::Admin(_)
            | Problem::AdminClient(_)
            | Problem::Access(_) => StatusCode::FORBIDDEN,
            Problem::Callback(_)
            | Problem::Logout(_)
            | Problem::SecurityEvent(_)
            | Problem::FrontChannel(_)
            | Problem::Password(_)
            | Problem::BadRequest(_)
            | Problem::Member { .. }
            | Problem::Username(_)
            | Problem::Text(_)
            | Problem::Parameter(_) => StatusCode::BAD_REQUEST,
            Problem::TooManyRequests
            | Problem::TooManyPasswords
            | Problem::TooManyCodes
            | Problem::TooManyLogouts => StatusCode::TOO_MANY_REQUESTS,
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::Method => StatusCode::METHOD_NOT_ALLOWED,
            Problem::Taken | Problem::LastSuperAdmin => StatusCode::CONFLICT,
            Problem::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Problem::SlowBody => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Writes the line of this problem. Returns the reference that the response shows.
    fn log(&self, status: StatusCode) -> String {
        let Fields { client, host, user, provider, unverified_error, found } = request_log::fields();
        let reference = request_log::reference();
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

    /// Returns the parts of the line that a refusal by forward-auth has, and one of a program. `user`: that of another problem.
    fn access_fields(&self, user: Option<String>) -> AccessFields {
        let refusal = match self {
            Problem::Access(refusal) => refusal,
            Problem::AdminClient(client) => {
                return AccessFields {
                    user,
                    token_client: Some(for_display(client)),
                    ..AccessFields::default()
                };
            }
            _ => return AccessFields { user, ..AccessFields::default() },
        };
        let teams = refusal.reason.teams();
        AccessFields {
            user: refusal.user.clone().or(user),
            teams: teams.map(|teams| for_display(&teams.names().join(", "))),
            application: Some(for_display(&refusal.application)),
            rule: refusal.rule.clone(),
            token_client: refusal.token_client.as_deref().map(for_display),
        }
    }

    /// Returns the page for people.
    pub(crate) fn page(&self, view: &View<'_>) -> Response {
        self.page_returning(view, "")
    }

    /// Returns the page for people; its link to sign in again leads to `return_to`.
    pub(crate) fn page_returning(&self, view: &View<'_>, return_to: &str) -> Response {
        self.render(view, |title, notice| page::problem(view, title, notice, return_to))
    }

    /// Returns the page for a person whom an application before a proxy refuses. `address` is the
    /// application's.
    pub(crate) fn application_page(&self, view: &View<'_>, address: &str) -> Response {
        match self {
            Problem::Access(refusal) => self.render(view, |title, notice| {
                let refused = page::Refused { user: refusal.user.as_deref(), rule: refusal.rule.as_deref() };
                page::no_access(view, title, notice, &refused, address)
            }),
            _ => self.page(view),
        }
    }

    /// Returns the page for a person whose request an application would admit after a sign-in, and whose body is lost.
    pub(crate) fn sign_in_again_page(&self, view: &View<'_>, link: &SignInLink) -> Response {
        match self {
            Problem::Access(_) => {
                self.render(view, |title, notice| page::form_lost(view, title, notice, link))
            }
            _ => Problem::SignedOut
                .render(view, |_, notice| page::form_lost(view, view.texts().session_over, notice, link)),
        }
    }

    /// Returns the sign-in page with this problem on it, and the username that was entered unless it may be a password.
    pub(crate) fn sign_in_page(&self, view: &View<'_>, return_to: &str, username: &str) -> Response {
        let is_wrong = matches!(self, Problem::WrongPassword);
        let username = if password_check::may_repeat(username) { username } else { "" };
        let form = page::PasswordForm { is_open: true, username, is_wrong };
        self.render(view, |title, notice| {
            page::sign_in(view, &SignInLink::returning_to(return_to), &form, Some((title, notice)))
        })
    }

    /// Returns a page with this problem on it, which is given its title.
    pub(crate) fn render(
        &self,
        view: &View<'_>,
        page: impl FnOnce(&str, &page::Notice<'_>) -> maud::Markup,
    ) -> Response {
        let status = self.status();
        let reference = self.log(status);
        let message = self.message(view.texts());
        let notice = page::Notice { message: &message, code: self.shown_code(), reference: &reference };
        let page = page(self.title(view.texts()), &notice);
        self.challenge(in_language(view, (status, shown(page)).into_response()))
    }

    /// Returns the JSON document for programs.
    pub(crate) fn json(&self) -> Response {
        let status = self.status();
        let reference = self.log(status);
        if let (Problem::SecurityEvent(error), StatusCode::BAD_REQUEST) = (self, status) {
            return event_refusal(error, &format!("{} Reference: {reference}", self.description()));
        }
        let error = match self {
            // RFC 6749 §5.2's form, as Back-Channel Logout §2.8 wants it.
            Problem::Logout(_) if status == StatusCode::BAD_REQUEST => "invalid_request",
            _ => self.shown_code(),
        };
        let body = json!({ "error": error, "error_description": self.description(), "reference": reference });
        self.challenge(finish((status, Json(body)).into_response()))
    }

    /// Adds the challenge that a 401 must have (RFC 9110 §15.5.2), and the one of a refused bearer token (RFC 6750 §3).
    /// Browsers know no scheme `Cookie`, and show no dialog of their own for it.
    fn challenge(&self, mut response: Response) -> Response {
        if let Problem::Access(refusal) = self
            && let Some(wanted) = refusal.reason.authentication()
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, step_up(wanted));
            return response;
        }
        let challenge = match self {
            Problem::Access(refusal) if refusal.is_bearer => {
                "Bearer realm=\"claimgate\", error=\"insufficient_scope\""
            }
            Problem::AdminClient(_) => "Bearer realm=\"claimgate\", error=\"insufficient_scope\"",
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

/// Returns the challenge of a request that another authentication is needed for (RFC 9470 §3).
fn step_up(wanted: &Authentication) -> HeaderValue {
    let mut challenge = "Bearer realm=\"claimgate\", error=\"insufficient_user_authentication\"".to_owned();
    if !wanted.acr.is_empty() {
        challenge.push_str(&format!(", acr_values=\"{}\"", wanted.acr.join(" ")));
    }
    if let Some(max_age) = wanted.max_age {
        challenge.push_str(&format!(", max_age=\"{}\"", max_age.as_secs()));
    }
    HeaderValue::try_from(challenge).expect("classes are visible ASCII")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.json()
    }
}

/// Returns the refusal of a security event token (RFC 8935 §2.3).
fn event_refusal(error: &SecurityEventError, description: &str) -> Response {
    let body = json!({ "err": error.err(), "description": description });
    let language = [(CONTENT_LANGUAGE, HeaderValue::from_static("en"))];
    finish((StatusCode::BAD_REQUEST, language, Json(body)).into_response())
}

/// Returns the acknowledgement of a security event token (RFC 8935 §2.2).
pub(crate) fn accepted() -> Response {
    finish(StatusCode::ACCEPTED.into_response())
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

/// Returns the text of a page. Characters that are invisible or reorder the text around them stand as JSON and claim paths
/// escape them, wherever on the page they come from.
fn shown(page: maud::Markup) -> Html<String> {
    let is_shown = |character: char| matches!(character, '\n' | '\r' | '\t') || !is_unsafe(character);
    let text = page.into_string();
    if text.chars().all(is_shown) {
        return Html(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match is_shown(character) {
            true => escaped.push(character),
            false => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    Html(escaped)
}

/// Returns a page.
pub(crate) fn html(view: &View<'_>, page: maud::Markup) -> Response {
    in_language(view, shown(page).into_response())
}

/// Completes the response of a page, and says that another language would give another one.
fn in_language(view: &View<'_>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(view.language.tag()));
    headers.insert(VARY, HeaderValue::from_name(ACCEPT_LANGUAGE));
    finish(response)
}

/// Returns an answer with the status of a server under load.
pub(crate) fn busy(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    finish(response)
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
pub(crate) fn identity(headers: HeaderMap) -> Response {
    finish((StatusCode::OK, headers).into_response())
}

/// Returns a text of a content type.
pub(crate) fn text(content_type: &'static str, text: impl Into<String>) -> Response {
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (StatusCode::OK, content_type, text.into()).into_response()
}

/// Returns a file that changes with the configuration alone, cached for an hour.
pub(crate) fn asset(content_type: &'static str, content: impl Into<Body>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    (StatusCode::OK, headers, content.into()).into_response()
}

/// Returns a picture, cached for an hour. An SVG file that a browser is led to is a document: its scripts do not run
/// and it loads nothing, but it may have styles of its own.
pub(crate) fn picture(content_type: &'static str, content: impl Into<Body>) -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";
    let mut response = asset(content_type, content);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// Returns an empty page of success, for a frame in a page of these origins.
pub(crate) fn framed(ancestors: &str) -> Response {
    let policy = format!("default-src 'none'; frame-ancestors {ancestors}");
    let mut response =
        finish(Html("<!DOCTYPE html><html lang=\"en\"><title>Signed out</title>").into_response());
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Returns a static file whose address changes with its content.
pub(crate) fn immutable_asset(content_type: &'static str, text: &'static str) -> Response {
    let mut response = self::text(content_type, text);
    let value = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, value);
    response
}

/// Returns the page that leads into the administration.
pub(crate) fn way_in(page: maud::Markup) -> Response {
    let challenge = HeaderValue::from_static("Cookie realm=\"claimgate administration\"");
    finish((StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)], shown(page)).into_response())
}

/// Gives a response a `Content-Security-Policy` of its own.
pub(crate) fn with_policy(mut response: Response, policy: &HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use maud::html;

    #[test]
    fn a_page_shows_what_is_invisible() {
        let Html(text) = shown(html! { p title="a\u{202e}" { "b\u{2028}\u{e0001}<\0>\n\u{202f}é" } });
        assert_eq!(text, "<p title=\"a\\u202e\">b\\u2028\\udb40\\udc01&lt;\\u0000&gt;\n\u{202f}é</p>");
    }
}
