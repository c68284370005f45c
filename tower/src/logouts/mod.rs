//! Back-channel logouts (OpenID Connect Back-Channel Logout 1.0): the port to a service's own storage, the endpoint
//! that records them, and the check of tokens by the same records.

mod endpoint;
mod memory;
mod queue;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use claimgate::claims::LogoutToken;
use claimgate::oidc::backchannel;
use claimgate::oidc::records::LogoutTarget;
use claimgate::time::UnixTime;
use claimgate::verifier::ValidatedToken;
use claimgate_remote::RemoteIssuers;

use crate::principal::Principal;
use crate::refusal::Refusal;

pub use endpoint::LogoutEndpoint;
pub use memory::MemoryLogouts;

/// The error of a store, of any type.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Seconds by which the clocks of the parts of a provider may differ, and those of a provider and a service.
const LEEWAY: u64 = 60;
/// How long a record is kept beyond the lifetime of the tokens: many times the longest leeway of a policy.
const KEPT_LONGER: Duration = Duration::from_secs(60 * 60);
/// Longest time that a store is waited for.
const STORE_TIME: Duration = Duration::from_secs(5);

/// A logout that a provider announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logout {
    /// The provider's issuer.
    pub issuer: String,
    /// The session at the provider; `None` for every session of the subject.
    pub sid: Option<String>,
    /// The subject. If there is no `sid`, there is a subject.
    pub subject: Option<String>,
    /// The logout token's `iat`, by the provider's clock.
    pub issued_at: UnixTime,
    /// When it was received, by the service's clock.
    pub received_at: UnixTime,
    /// When the record may be deleted: no token that it names can be valid any longer.
    pub keep_until: UnixTime,
}

impl Logout {
    /// Seconds by which a token of the session may be newer than the logout.
    pub const LEEWAY: u64 = LEEWAY;

    fn of(token: ValidatedToken<LogoutToken>, received_at: UnixTime, kept_for: Duration) -> Self {
        let logout = backchannel::read(token, Duration::from_secs(LEEWAY), received_at).kept_for(kept_for);
        let record = logout.record();
        let (sid, subject) = match record.target.clone() {
            LogoutTarget::Session { sid, subject } => (Some(sid), subject),
            LogoutTarget::Subject(subject) => (None, Some(subject)),
        };
        let (issuer, issued_at, keep_until) = (record.issuer.clone(), record.issued_at, record.until);
        Self { issuer, sid, subject, issued_at, received_at, keep_until }
    }

    /// Reports whether the logout ends a token. The rule that every [`LogoutStore`] must follow: the issuers are
    /// equal, and
    ///
    /// - the token has the `sid` of the logout, and is not newer (`iat`) by more than [`LEEWAY`](Self::LEEWAY); or
    /// - the token has the subject of the logout and is not newer, and the logout or the token has no `sid`.
    ///
    /// ```
    /// use claimgate_tower::claimgate::time::UnixTime;
    /// use claimgate_tower::{Logout, TokenSession};
    ///
    /// let at = |seconds: i64| UnixTime(1_800_000_000 + seconds);
    /// let logout = Logout {
    ///     issuer: "https://idp.example.com".to_owned(),
    ///     sid: None,
    ///     subject: Some("ada".to_owned()),
    ///     issued_at: at(10),
    ///     received_at: at(11),
    ///     keep_until: at(7200),
    /// };
    /// let token = |issued_at| TokenSession { issuer: "https://idp.example.com", sid: None, subject: Some("ada"), issued_at };
    /// assert!(logout.ends(&token(at(0))) && !logout.ends(&token(at(20))));
    /// ```
    #[must_use]
    pub fn ends(&self, token: &TokenSession<'_>) -> bool {
        let by_sid = self.sid.is_some()
            && self.sid.as_deref() == token.sid
            && token.issued_at <= self.issued_at.saturating_add(LEEWAY);
        let by_subject = self.subject.is_some()
            && self.subject.as_deref() == token.subject
            && token.issued_at <= self.issued_at
            && (self.sid.is_none() || token.sid.is_none());
        self.issuer == token.issuer && (by_sid || by_subject)
    }
}

/// The session that a token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSession<'t> {
    /// `iss`.
    pub issuer: &'t str,
    /// `sid`, if the token has one. Many access tokens do not.
    pub sid: Option<&'t str>,
    /// `sub`, if the token has one.
    pub subject: Option<&'t str>,
    /// `iat`.
    pub issued_at: UnixTime,
}

/// The storage of a service for logouts. Its own sessions, if it has any, end in [`record`](Self::record) too.
///
/// In SQL, with a row for each logout:
///
/// ```sql
/// SELECT EXISTS (SELECT 1 FROM logouts WHERE issuer = :issuer AND (
///     (sid = :sid AND issued_at + 60 >= :issued_at)
///  OR (subject = :subject AND issued_at >= :issued_at AND (sid IS NULL OR :sid IS NULL))))
/// ```
///
/// For a store that can be searched from within the program, [`Logout::ends`] is that rule:
///
/// ```
/// use std::sync::{Mutex, PoisonError};
///
/// use claimgate_tower::{Logout, LogoutStore, StoreError, TokenSession};
///
/// #[derive(Default)]
/// struct List(Mutex<Vec<Logout>>);
///
/// impl LogoutStore for List {
///     async fn record(&self, logouts: &[Logout]) -> Result<(), StoreError> {
///         let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let now = logouts.iter().map(|logout| logout.received_at).max();
///         list.retain(|known| Some(known.keep_until) >= now);
///         list.extend_from_slice(logouts);
///         Ok(())
///     }
///
///     async fn is_logged_out(&self, token: &TokenSession<'_>) -> Result<bool, StoreError> {
///         let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         Ok(list.iter().any(|logout| logout.ends(token)))
///     }
/// }
/// ```
pub trait LogoutStore: Send + Sync + 'static {
    /// Records logouts: all of them, durably, before it returns, or none. A logout may be recorded twice, if the
    /// provider sends it again, and then has no further effect.
    ///
    /// # Errors
    /// Any error: the provider is answered 503, and may try again.
    fn record(&self, logouts: &[Logout]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reports whether a recorded logout [ends](Logout::ends) a token.
    ///
    /// # Errors
    /// Any error: the request with the token is answered 503.
    fn is_logged_out(
        &self,
        token: &TokenSession<'_>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

impl<S: LogoutStore> LogoutStore for Arc<S> {
    async fn record(&self, logouts: &[Logout]) -> Result<(), StoreError> {
        S::record(self, logouts).await
    }

    async fn is_logged_out(&self, token: &TokenSession<'_>) -> Result<bool, StoreError> {
        S::is_logged_out(self, token).await
    }
}

/// The logouts of a service: [`endpoint`](Self::endpoint) records them,
/// [`BearerLayer::logouts`](crate::BearerLayer::logouts) refuses the tokens that they end. A clone shares the store.
///
/// ```no_run
/// use std::time::Duration;
/// use axum::Router;
/// use claimgate_tower::claimgate::claims::Policy;
/// use claimgate_tower::{BearerLayer, Issuer, Logouts, MemoryLogouts};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let issuer = "https://idp.example.com/realms/acme";
/// let tokens = Issuer::discover(issuer).algorithms(["RS256"]).policy(Policy::access_token(issuer, "crm")).spawn()?;
/// let logouts = Logouts::new(MemoryLogouts::new(100_000), Duration::from_secs(3600));
/// let endpoint = logouts.endpoint(tokens.with_policy(Policy::logout_token(issuer, "crm"))?);
/// let app: Router = Router::new() // its routes
///     .layer(BearerLayer::new(tokens).logouts(&logouts))
///     .route_service("/backchannel-logout", endpoint);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Logouts<S> {
    store: Arc<S>,
    longest_token: Duration,
}

impl<S> Clone for Logouts<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), longest_token: self.longest_token }
    }
}

impl<S: LogoutStore> Logouts<S> {
    /// Makes the logouts of a store. `longest_token` is the longest lifetime of an access token, from `iat` to `exp`:
    /// logouts are kept for an hour longer, and the layer refuses tokens that live longer. A policy with a
    /// [`danger_leeway`](claimgate::claims::Policy::danger_leeway) of an hour or more accepts tokens for longer than that: add it.
    #[must_use]
    pub fn new(store: S, longest_token: Duration) -> Self {
        Self { store: Arc::new(store), longest_token }
    }

    /// Builds the endpoint for the logout tokens of one or several issuers, and spawns the task that verifies and
    /// records them in batches. The task ends with the last clone of the endpoint.
    ///
    /// A verifier of another kind of token is no argument:
    ///
    /// ```compile_fail,E0277
    /// # use claimgate_tower::{LogoutEndpoint, Logouts, MemoryLogouts, RemoteVerifier};
    /// # use claimgate_tower::claimgate::claims::AccessToken;
    /// fn endpoint(logouts: &Logouts<MemoryLogouts>, tokens: RemoteVerifier<AccessToken>) -> LogoutEndpoint {
    ///     logouts.endpoint(tokens)
    /// }
    /// ```
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn endpoint(&self, tokens: impl Into<RemoteIssuers<LogoutToken>>) -> LogoutEndpoint {
        let kept_for = self.longest_token.saturating_add(KEPT_LONGER);
        LogoutEndpoint::new(Arc::new(tokens.into()), Arc::clone(&self.store), kept_for)
    }

    async fn check_principal(&self, principal: &Principal) -> Result<(), Refusal> {
        let claims = principal.claims();
        let lifetime = |(issued, expires): (i64, i64)| {
            u64::try_from(expires.saturating_sub(issued))
                .is_ok_and(|lives| lives <= self.longest_token.as_secs())
        };
        let issued_at = claims.issued_at().map(|at| at.seconds()).ok_or(Refusal::Lifetime)?;
        let expires_at = claims.expires_at().map(|at| at.seconds()).ok_or(Refusal::Lifetime)?;
        if !lifetime((issued_at.0, expires_at.0)) {
            return Err(Refusal::Lifetime);
        }
        let session = TokenSession {
            issuer: claims.issuer().unwrap_or_default(),
            sid: claims.session_id().filter(|sid| !sid.is_empty()),
            subject: claims.subject(),
            issued_at,
        };
        match tokio::time::timeout(STORE_TIME, self.store.is_logged_out(&session)).await {
            Ok(Ok(false)) => Ok(()),
            Ok(Ok(true)) => Err(Refusal::LoggedOut),
            Ok(Err(error)) => Err(Refusal::Store { reason: error.to_string() }),
            Err(_) => Err(Refusal::Store { reason: "it took too long".to_owned() }),
        }
    }
}

/// The check of a token by the records, whatever their store.
pub(crate) trait Revocation: Send + Sync {
    /// Decides on an accepted token.
    fn check<'r>(
        &'r self,
        principal: &'r Principal,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'r>>;
}

impl<S: LogoutStore> Revocation for Logouts<S> {
    fn check<'r>(
        &'r self,
        principal: &'r Principal,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'r>> {
        Box::pin(self.check_principal(principal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn logout(sid: Option<&str>, subject: Option<&str>, issued_at: i64) -> Logout {
        Logout {
            issuer: "a".to_owned(),
            sid: sid.map(str::to_owned),
            subject: subject.map(str::to_owned),
            issued_at: UnixTime(issued_at),
            received_at: UnixTime(issued_at),
            keep_until: UnixTime(issued_at + 1000),
        }
    }

    pub(super) fn session<'t>(sid: Option<&'t str>, subject: &'t str, issued_at: i64) -> TokenSession<'t> {
        TokenSession { issuer: "a", sid, subject: Some(subject), issued_at: UnixTime(issued_at) }
    }

    /// Logouts and tokens, and whether the one ends the other.
    pub(super) fn rule() -> Vec<(Logout, TokenSession<'static>, bool)> {
        let other_issuer = TokenSession { issuer: "b", ..session(Some("s"), "ada", 0) };
        let anonymous = TokenSession { subject: None, ..session(None, "", 0) };
        vec![
            (logout(Some("s"), None, 100), session(Some("s"), "ada", 160), true),
            (logout(Some("s"), None, 100), session(Some("s"), "ada", 161), false),
            (logout(Some("s"), None, 100), session(Some("t"), "ada", 0), false),
            (logout(Some("s"), None, 100), session(None, "ada", 0), false),
            (logout(Some("s"), None, 100), other_issuer, false),
            (logout(Some("s"), Some("ada"), 100), session(None, "ada", 100), true),
            (logout(Some("s"), Some("ada"), 100), session(None, "ada", 101), false),
            (logout(Some("s"), Some("ada"), 100), session(Some("t"), "ada", 0), false),
            (logout(Some("s"), Some("ada"), 100), session(None, "grace", 0), false),
            (logout(None, Some("ada"), 100), session(Some("t"), "ada", 100), true),
            (logout(None, Some("ada"), 100), session(Some("t"), "ada", 101), false),
            (logout(None, Some("ada"), 100), session(None, "ada", 100), true),
            (logout(None, Some("ada"), 100), anonymous, false),
        ]
    }

    #[test]
    fn a_logout_ends_the_tokens_that_it_names() {
        for (logout, token, ends) in rule() {
            assert_eq!(logout.ends(&token), ends, "{logout:?} {token:?}");
        }
    }
}
