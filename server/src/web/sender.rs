//! What a request to an application is sent by: a browser with a session, or a program with a bearer token.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::app::App;
use super::presented::{self, Purpose};
use super::problem::Problem;
use crate::store::Revocation;
use claimgate::access::{Application, Caller};
use claimgate::oidc::user::User;

/// What a request is sent by: a browser with a session, or a program with a bearer token; neither is known by default.
#[derive(Default)]
pub(crate) struct Sender {
    pub(crate) user: Option<User>,
    pub(crate) client: Option<String>,
    pub(crate) is_bearer: bool,
}

impl Sender {
    pub(crate) fn caller(&self) -> Option<Caller<'_>> {
        let caller = Caller { user: self.user.as_ref(), client: self.client.as_deref() };
        (self.is_bearer || caller.user.is_some()).then_some(caller)
    }
}

/// Returns what a request to an application is sent by. A bearer token decides alone where the application accepts
/// them: a session beside it counts for nothing.
///
/// # Errors
/// [`Problem::BearerToken`]; a [`Problem`] if the token or the session cannot be judged now.
pub(crate) async fn of(app: &App, headers: &HeaderMap, application: &Application) -> Result<Sender, Problem> {
    let audiences = application.bearer_audience();
    let Some(token) = bearer_token(headers).filter(|_| !audiences.is_empty()) else {
        return Ok(Sender { user: app.user(headers).await?, ..Sender::default() });
    };
    let judgement = presented::judge(app, token?, Purpose::Application(audiences)).await?;
    let (provider, token) = judgement.map_err(Problem::BearerToken)?;
    let claims = token.claims();
    let client = ["client_id", "azp"].iter().find_map(|name| claims.get(name)?.as_str()).map(str::to_owned);
    let user = match claims.subject() {
        Some(subject) => app.store.user_of_subject(&provider.config.issuer, subject).await?,
        None => None,
    };
    // Switched off since the token was judged.
    if user.as_ref().is_some_and(|user| !user.active) {
        return Err(Problem::BearerToken(Revocation::Inactive.code()));
    }
    Ok(Sender { user, client, is_bearer: true })
}

/// Returns the bearer token of a request (RFC 6750 §2.1); `None` without `Authorization`, and with one of another
/// scheme.
///
/// # Errors
/// [`Problem::BearerToken`] of two `Authorization` headers: an application could take the other one.
fn bearer_token(headers: &HeaderMap) -> Option<Result<&str, Problem>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(Err(Problem::BearerToken("request.malformed")));
    }
    let value = value.to_str().ok()?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| Ok(token.trim_start_matches(' ')))
}
