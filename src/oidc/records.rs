//! The port to storage: the operations of one transaction.
//!
//! The store commits a transaction durably before its result is acknowledged, or discards all of it.

use super::session::{NewSession, Origin, Session, SessionId};
use super::user::{User, UserId, UserKind};
use crate::time::UnixTime;

/// A failure of the store. The client is asked to try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store failed: {reason}")]
pub struct StoreError {
    /// The store's message, for the log.
    pub reason: String,
}

impl StoreError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "store.failed"
    }
}

/// A logout that a provider announced, kept to refuse the sign-ins that it overtakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutRecord {
    /// The provider's issuer.
    pub issuer: String,
    /// The sessions logged out.
    pub target: LogoutTarget,
    /// The logout token's `iat`, by the provider's clock.
    pub issued_at: UnixTime,
    /// When it arrived, in milliseconds since 1970, by the relying party's clock.
    pub received_ms: i64,
    /// When the record may be deleted.
    pub until: UnixTime,
}

/// The sessions that a logout token names (Back-Channel Logout §2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogoutTarget {
    /// One session of the provider.
    Session {
        /// `sid`
        sid: String,
        /// `sub`, if the token has one.
        subject: Option<String>,
    },
    /// Every session of a subject.
    Subject(String),
}

/// The records that a change of an issuer's name concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenamedIssuer {
    /// The number of links.
    pub links: usize,
    /// The number of sessions.
    pub sessions: usize,
    /// The number of logout records.
    pub logouts: usize,
}

/// A transaction on users, links, sessions and logout records.
pub trait Records {
    /// Returns the user with an identifier.
    ///
    /// # Errors
    /// [`StoreError`], as for every operation.
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Returns the user with a username.
    fn user_by_name(&mut self, username: &str) -> Result<Option<User>, StoreError>;

    /// Returns the user that a provider's subject is linked to.
    fn user_by_link(&mut self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;

    /// Reports whether a subject of any provider is linked to a user.
    fn is_linked(&mut self, user: UserId) -> Result<bool, StoreError>;

    /// Links a provider's subject to a user.
    fn link(&mut self, issuer: &str, subject: &str, user: UserId) -> Result<(), StoreError>;

    /// Returns the subjects that are linked to a user, each as issuer and subject: those of one issuer or all.
    fn subjects_of(
        &mut self,
        user: UserId,
        issuer: Option<&str>,
    ) -> Result<Vec<(String, String)>, StoreError>;

    /// Deletes the links of a user, to one issuer or to all. Returns the number of links deleted.
    fn unlink(&mut self, user: UserId, issuer: Option<&str>) -> Result<usize, StoreError>;

    /// Deletes all links to an issuer and ends its sessions. Returns the number of links and of sessions.
    fn unlink_issuer(&mut self, issuer: &str) -> Result<(usize, usize), StoreError>;

    /// Returns the users whose subject at the issuer `old` is linked to another user at the issuer `new`.
    fn users_linked_apart(&mut self, old: &str, new: &str) -> Result<Vec<UserId>, StoreError>;

    /// Gives the links, sessions and logout records of one issuer to another. Two links of one user to one subject
    /// become one.
    fn rename_issuer(&mut self, old: &str, new: &str) -> Result<RenamedIssuer, StoreError>;

    /// Deletes a user with its links and sessions.
    fn remove_user(&mut self, id: UserId) -> Result<(), StoreError>;

    /// Creates an active user without teams, profile or password. The username must be free.
    fn create_user(&mut self, username: &str, kind: UserKind, now: UnixTime) -> Result<User, StoreError>;

    /// Updates a user's username, which must be free, and its kind, activity, profile and teams.
    fn update_user(&mut self, user: &User, now: UnixTime) -> Result<(), StoreError>;

    /// Returns the password hash of a user.
    fn password(&mut self, user: UserId) -> Result<Option<String>, StoreError>;

    /// Sets the password hash of a user.
    fn set_password(&mut self, user: UserId, hash: &str, now: UnixTime) -> Result<(), StoreError>;

    /// Opens a session of a user that exists.
    fn open_session(&mut self, session: &Session) -> Result<(), StoreError>;

    /// Returns the user of a session.
    fn session_owner(&mut self, id: SessionId) -> Result<Option<User>, StoreError>;

    /// Ends a session. Returns its origin, or `None` if it does not exist.
    fn end_session(&mut self, id: SessionId) -> Result<Option<Origin>, StoreError>;

    /// Ends the oldest sessions of a user, so that `most` are left. Returns the number of sessions ended.
    fn end_oldest_sessions(&mut self, user: UserId, most: u32) -> Result<usize, StoreError>;

    /// Ends the sessions of a user. Returns the number of sessions ended.
    fn end_sessions_of(&mut self, user: UserId) -> Result<usize, StoreError>;

    /// Ends the sessions that a logout names. By `sid`, the session ends whatever the time of its ID token; by
    /// subject, if the token was issued at or before `issued_until`, by the provider's clock. A session without a
    /// `sid` is included if its subject is named. Returns the number of sessions ended.
    fn end_logged_out(
        &mut self,
        issuer: &str,
        target: &LogoutTarget,
        issued_until: UnixTime,
    ) -> Result<usize, StoreError>;

    /// Records a logout and its `jti`. Returns `false`, and changes nothing, if the issuer's `jti` was
    /// recorded before.
    fn record_logout(&mut self, jti: &str, logout: &LogoutRecord) -> Result<bool, StoreError>;

    /// Returns the newest `iat` and arrival (in milliseconds) of the logouts recorded for a session or a
    /// subject.
    fn newest_logout(
        &mut self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Result<Option<(UnixTime, i64)>, StoreError>;
}

/// Most sessions of one user; a further sign-in ends the oldest. Limits what one account can store, and how long
/// a forgotten browser stays signed in beside many newer ones.
pub(super) const MAX_SESSIONS_OF_USER: u32 = 100;

/// Opens a session for `lifetime` seconds in place of the one that the browser had, and ends the user's oldest
/// if there are too many.
pub(super) fn replace_session(
    records: &mut dyn Records,
    session: NewSession,
    user: UserId,
    origin: Origin,
    lifetime: u64,
    now: UnixTime,
) -> Result<(), StoreError> {
    if let Some(old) = session.replaces {
        records.end_session(old)?;
    }
    let expires = now.saturating_add(lifetime);
    records.open_session(&Session { id: session.id, user, origin, created: now, expires })?;
    records.end_oldest_sessions(user, MAX_SESSIONS_OF_USER)?;
    Ok(())
}
