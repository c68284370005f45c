//! What a request to an application is sent by: a browser with a session, or a program with a bearer token.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::app::App;
use super::presented::{self, Purpose};
use super::problem::Problem;
use crate::store::Revocation;
use claimgate::access::{Application, Caller};
use claimgate::claims::AnyKind;
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::session::LiveSession;
use claimgate::oidc::user::User;
use claimgate::verifier::ValidatedToken;

/// What a request is sent by: a browser with a session, or a program with a bearer token; neither is known by default.
#[derive(Default)]
pub(crate) struct Sender {
    /// The user of the session, or the one that the token's subject is linked to.
    pub(crate) user: Option<User>,
    /// What the session keeps of its sign-in.
    facts: SessionFacts,
    /// The bearer token in place of a session.
    pub(crate) token: Option<ValidatedToken<AnyKind>>,
}

impl Sender {
    /// Returns the caller that a rule judges; `None` for a stranger.
    pub(crate) fn caller(&self) -> Option<Caller<'_>> {
        match (&self.token, &self.user) {
            (Some(token), user) => Some(Caller::of_token(user.as_ref(), token.claims())),
            (None, Some(user)) => Some(Caller::of_session(user, &self.facts)),
            (None, None) => None,
        }
    }

    /// Returns the sender of a session; a stranger without one.
    pub(crate) fn of_session(session: Option<LiveSession>) -> Self {
        match session {
            Some(LiveSession { user, facts }) => Self { user: Some(user), facts, token: None },
            None => Self::default(),
        }
    }
}

/// Returns what a request to an application is sent by. A bearer token decides alone where the application accepts
/// them: a session beside it counts for nothing.
///
/// # Errors
/// [`Problem::BearerToken`]; a [`Problem`] if the token or the session cannot be judged now.
pub(crate) async fn of(app: &App, headers: &HeaderMap, application: &Application) -> Result<Sender, Problem> {
    let Some(token) = bearer_token(headers).filter(|_| !application.bearer_audience().is_empty()) else {
        return Ok(Sender::of_session(app.session(headers).await?));
    };
    let judgement = presented::judge(app, token?, Purpose::Application(application)).await?;
    let (provider, token) = judgement.map_err(Problem::BearerToken)?;
    let user = match token.claims().subject() {
        Some(subject) => {
            let issuer = provider.config.issuer_named(token.claims().issuer());
            app.store.user_of_subject(issuer, subject).await?
        }
        None => None,
    };
    // Switched off since the token was judged.
    if user.as_ref().is_some_and(|user| !user.active) {
        return Err(Problem::BearerToken(Revocation::Inactive.code()));
    }
    Ok(Sender { user, facts: SessionFacts::default(), token: Some(token) })
}

/// Returns the bearer token of a request (RFC 6750 §2.1); `None` without `Authorization`, and with one of another
/// scheme.
///
/// # Errors
/// [`Problem::BearerToken`] of two `Authorization` headers: an application could take the other one.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<Result<&str, Problem>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(Err(Problem::BearerToken("request.malformed")));
    }
    let value = value.to_str().ok()?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| Ok(token.trim_start_matches(' ')))
}
