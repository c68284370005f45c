//! The sessions of a service that signs people in, in memory: they end with the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use claimgate_tower::LogoutStore;
use claimgate_tower::claimgate::oidc::authorization::SIGN_IN_LIFETIME;
use claimgate_tower::claimgate::oidc::client::Secret;
use claimgate_tower::claimgate::oidc::session::SessionId;
use claimgate_tower::claimgate::oidc::userinfo::SignInClaims;
use claimgate_tower::claimgate::time::UnixTime;
use claimgate_tower::logouts::{Logout, StoreError, TokenSession};

/// The lifetime of a session.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The session of a person.
#[derive(Clone, Debug)]
pub struct Session {
    /// The issuer of the ID token that opened the session.
    pub issuer: String,
    /// The person, at the issuer.
    pub subject: String,
    /// The session at the issuer.
    pub sid: Option<String>,
    /// When the ID token was issued.
    pub issued_at: UnixTime,
    /// The person's name.
    pub name: Option<String>,
    /// The scope of the access token.
    pub scope: Option<String>,
    /// For calls to other services in the person's name.
    pub access_token: Option<Secret>,
    /// The ID token, for the sign-out at the provider.
    pub id_token: Secret,
    /// When the session ends.
    pub expires: UnixTime,
}

impl Session {
    /// Makes the session of a sign-in.
    #[must_use]
    pub fn new(claims: &SignInClaims, now: UnixTime) -> Self {
        let (id_token, tokens) = (claims.id_token().token(), claims.id_token().tokens());
        Self {
            issuer: id_token.issuer().to_owned(),
            subject: id_token.subject().to_owned(),
            sid: id_token.claims().session_id().filter(|sid| !sid.is_empty()).map(str::to_owned),
            issued_at: id_token.issued_at().seconds(),
            name: claims.as_value()["name"].as_str().map(str::to_owned),
            scope: tokens.scope().map(str::to_owned),
            access_token: tokens.access_token().cloned(),
            id_token: Secret::new(claims.id_token().encoded().to_owned()),
            expires: now.saturating_add(SESSION_LIFETIME.as_secs()),
        }
    }

    fn token(&self) -> TokenSession<'_> {
        TokenSession {
            issuer: &self.issuer,
            sid: self.sid.as_deref(),
            subject: Some(&self.subject),
            issued_at: self.issued_at,
        }
    }
}

/// The sessions, the logouts that may overtake a sign-in, and the sign-ins that were finished.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    open: HashMap<SessionId, Session>,
    logouts: Vec<Logout>,
    used_states: HashMap<String, UnixTime>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the `state` of a sign-in as used. Returns `false` if it was used before.
    pub fn use_state(&self, state: &str, now: UnixTime) -> bool {
        let mut inner = self.lock();
        inner.used_states.retain(|_, at| at.saturating_add(SIGN_IN_LIFETIME.as_secs()) >= now);
        inner.used_states.insert(state.to_owned(), now).is_none()
    }

    /// Opens a session. Returns `false` if the provider has logged it out already.
    pub fn open(&self, id: SessionId, session: Session, now: UnixTime) -> bool {
        let mut inner = self.lock();
        if inner.logouts.iter().any(|logout| logout.ends(&session.token())) {
            return false;
        }
        inner.open.retain(|_, session| session.expires > now);
        inner.open.insert(id, session);
        true
    }

    /// Returns a live session.
    pub fn get(&self, id: SessionId, now: UnixTime) -> Option<Session> {
        self.lock().open.get(&id).filter(|session| session.expires > now).cloned()
    }

    /// Ends a session, and returns it.
    pub fn end(&self, id: SessionId) -> Option<Session> {
        self.lock().open.remove(&id)
    }
}

impl LogoutStore for Sessions {
    async fn record(&self, logouts: &[Logout]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        inner.open.retain(|_, session| !logouts.iter().any(|logout| logout.ends(&session.token())));
        if let Some(now) = logouts.iter().map(|logout| logout.received_at).max() {
            inner.logouts.retain(|logout| logout.keep_until >= now);
        }
        inner.logouts.extend_from_slice(logouts);
        Ok(())
    }

    async fn is_logged_out(&self, token: &TokenSession<'_>) -> Result<bool, StoreError> {
        Ok(self.lock().logouts.iter().any(|logout| logout.ends(token)))
    }
}
