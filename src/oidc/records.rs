//! The port to storage: one transaction, in which the rules read and write. Either all of it is
//! durable before anybody is told, or none of it happened.

use super::session::{Origin, Session, SessionId};
use super::user::{User, UserId, UserKind};
use crate::time::UnixTime;

/// The store did not do it. Whoever asked is told to try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store failed: {reason}")]
pub struct StoreError {
    /// What the store said, for the log.
    pub reason: String,
}

impl StoreError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "store.failed"
    }
}

/// A logout that the provider announced, kept for the sign-ins that it overtakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutRecord {
    /// The provider.
    pub issuer: String,
    /// Which sign-ins it is about.
    pub target: LogoutTarget,
    /// The logout token's `iat`: the provider's clock.
    pub issued_at: UnixTime,
    /// When it arrived, in milliseconds since 1970: our clock.
    pub received_ms: i64,
    /// Until when it is kept.
    pub until: UnixTime,
}

/// What a logout is about (Back-Channel Logout §2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogoutTarget {
    /// One session of the provider; its subject where it was named.
    Session {
        /// `sid`
        sid: String,
        /// `sub`
        subject: Option<String>,
    },
    /// Every session of a subject.
    Subject(String),
}

/// A transaction on users, links, sessions, logout marks and `jti`s.
pub trait Records {
    /// The user of an identifier.
    ///
    /// # Errors
    /// [`StoreError`], as everywhere here.
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The user of a name.
    fn user_by_name(&mut self, username: &str) -> Result<Option<User>, StoreError>;

    /// The user that a provider's subject is linked to.
    fn user_by_link(&mut self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;

    /// Whether any subject of any provider is linked to a user.
    fn is_linked(&mut self, user: UserId) -> Result<bool, StoreError>;

    /// Links a provider's subject to a user.
    fn link(&mut self, issuer: &str, subject: &str, user: UserId) -> Result<(), StoreError>;

    /// Makes an active user without teams, profile or usable password.
    fn create_user(&mut self, username: &str, kind: UserKind, now: UnixTime) -> Result<User, StoreError>;

    /// Writes a user's kind, activity, profile and teams.
    fn update_user(&mut self, user: &User, now: UnixTime) -> Result<(), StoreError>;

    /// The stored password hash of a user.
    fn password(&mut self, user: UserId) -> Result<Option<String>, StoreError>;

    /// Stores a password hash.
    fn set_password(&mut self, user: UserId, hash: &str, now: UnixTime) -> Result<(), StoreError>;

    /// Opens a session.
    fn open_session(&mut self, session: &Session) -> Result<(), StoreError>;

    /// Ends a session and says by what it had been opened.
    fn end_session(&mut self, id: SessionId) -> Result<Option<Origin>, StoreError>;

    /// Ends the sessions of a user; how many there were.
    fn end_sessions_of(&mut self, user: UserId) -> Result<usize, StoreError>;

    /// Ends the sessions a logout is about whose ID token was issued at or before a moment of the
    /// provider's clock; how many there were. A session that has no `sid` counts as meant when its
    /// subject is named.
    fn end_logged_out(
        &mut self,
        issuer: &str,
        target: &LogoutTarget,
        issued_until: UnixTime,
    ) -> Result<usize, StoreError>;

    /// Remembers a logout: its `jti`, and its mark. False where the issuer's `jti` was known; then
    /// nothing is written.
    fn remember_logout(&mut self, jti: &str, mark: &LogoutRecord) -> Result<bool, StoreError>;

    /// The newest `iat` and arrival (in milliseconds) of the marks about a session or a subject.
    fn newest_logout(
        &mut self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Result<Option<(UnixTime, i64)>, StoreError>;
}
