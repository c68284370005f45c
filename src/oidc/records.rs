//! The port to storage: what the rules read, and the operations of one transaction.
//!
//! The store commits a transaction durably before its result is acknowledged, or discards all of it. Each step has
//! the trait of what it needs: a program whose sessions end by back-channel logout implements [`LogoutRecords`] alone,
//! one that signs people in [`SignInRecords`] with the two below it, and a store with all the rules [`Records`].
//!
//! A sign-in is view → decision → write: the store reads a [`View`], [`sign_in::decide`](super::sign_in::decide)
//! makes a plan of it without the store, and the store writes the plan if the view still holds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::facts::SessionFacts;
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

crate::code::coded!(StoreError);

impl StoreError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "store.failed"
    }
}

/// A position in the order of what happens at the relying party: of two events the later has the greater. By it a
/// sign-in began before or after a logout was received.
///
/// It is the relying party's clock, in milliseconds since 1970, or a number that the store counts.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use claimgate::oidc::records::Position;
/// use claimgate::time::UnixTime;
///
/// let position = Position::from(UNIX_EPOCH + Duration::from_millis(1_999));
/// assert_eq!((position, position.unix_time()), (Position(1_999), UnixTime(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub i64);

impl Position {
    /// Returns the time, rounded down to whole seconds, of a position that is one of the clock.
    #[must_use]
    pub fn unix_time(self) -> UnixTime {
        UnixTime(self.0.div_euclid(1000))
    }
}

impl From<SystemTime> for Position {
    /// Returns the time, rounded down to whole milliseconds.
    fn from(time: SystemTime) -> Self {
        let milliseconds = |since: Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => milliseconds(since),
            Err(before) => -milliseconds(before.duration() + Duration::from_nanos(999_999)),
        })
    }
}

impl From<UnixTime> for Position {
    /// Returns the beginning of the second.
    fn from(time: UnixTime) -> Self {
        Self(time.0.saturating_mul(1000))
    }
}

/// The version of a user in the store: another one after each change of the user, of its password or of its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub i64);

impl Version {
    /// The version of a user that the transaction at hand has locked. It is not compared: until the transaction
    /// ends, nothing else changes the user.
    pub const LOCKED: Self = Self(0);
}

/// The names under which the store may know a person who signs in.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'p> {
    /// The provider's issuer.
    pub issuer: &'p str,
    /// The subject.
    pub subject: &'p str,
    /// The provider's session, if the ID token names it.
    pub sid: Option<&'p str>,
    /// The username that the claims map to.
    pub username: &'p str,
}

/// What the store holds about a person who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The user that the subject is linked to.
    pub by_link: Option<(User, Version)>,
    /// The user with the person's username. It decides only where `by_link` is `None`, and may be left out elsewhere.
    pub by_name: Option<NamedUser>,
    /// The newest `iat` and the newest position of the logouts recorded for the session or the subject.
    pub newest_logout: Option<(UnixTime, Position)>,
}

/// A user found by username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedUser {
    /// The user.
    pub user: User,
    /// The user's version.
    pub version: Version,
    /// Whether a subject of any provider is linked to the user.
    pub is_linked: bool,
}

/// Reads the view of a person within a transaction that keeps it from changing.
///
/// # Errors
/// [`StoreError`].
pub fn view(records: &mut dyn SignInRecords, person: &Lookup<'_>) -> Result<View, StoreError> {
    let newest_logout = records.newest_logout(person.issuer, person.sid, person.subject)?;
    let by_link = records.user_by_link(person.issuer, person.subject)?.map(|user| (user, Version::LOCKED));
    let found = if by_link.is_none() { records.user_by_name(person.username)? } else { None };
    let by_name = match found {
        Some(user) => {
            let is_linked = records.is_linked(user.id)?;
            Some(NamedUser { user, version: Version::LOCKED, is_linked })
        }
        None => None,
    };
    Ok(View { by_link, by_name, newest_logout })
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
    /// When it was received.
    pub received: Position,
    /// The end of the logout token's validity: its `jti` need not be known any longer.
    pub token_until: UnixTime,
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

/// Users: what every sign-in looks up. Every operation fails with a [`StoreError`].
pub trait UserRecords {
    /// Returns the user with an identifier.
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Returns the user with a username.
    fn user_by_name(&mut self, username: &str) -> Result<Option<User>, StoreError>;
}

/// Sessions: what every sign-in opens and replaces, within one transaction.
pub trait SessionRecords {
    /// Opens a session of a user that exists.
    fn open_session(&mut self, session: &Session) -> Result<(), StoreError>;

    /// Ends a session. Returns its origin, or `None` if it does not exist.
    fn end_session(&mut self, id: SessionId) -> Result<Option<Origin>, StoreError>;

    /// Ends the oldest sessions of a user, so that `most` are left. Returns the number of sessions ended.
    fn end_oldest_sessions(&mut self, user: UserId, most: u32) -> Result<usize, StoreError>;
}

/// What a sign-in through a provider reads and writes, within one transaction: [`view`],
/// [`sign_in::complete`](super::sign_in::complete) and [`Plan::write`](super::sign_in::Plan::write).
pub trait SignInRecords: UserRecords + SessionRecords {
    /// Returns the user that a provider's subject is linked to.
    fn user_by_link(&mut self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;

    /// Reports whether a subject of any provider is linked to a user.
    fn is_linked(&mut self, user: UserId) -> Result<bool, StoreError>;

    /// Links a provider's subject to a user.
    fn link(&mut self, issuer: &str, subject: &str, user: UserId) -> Result<(), StoreError>;

    /// Creates an active user without teams, profile or password. The username must be free.
    fn create_user(&mut self, username: &str, kind: UserKind, now: UnixTime) -> Result<User, StoreError>;

    /// Updates a user's username, which must be free, and its kind, activity, profile and teams.
    fn update_user(&mut self, user: &User, now: UnixTime) -> Result<(), StoreError>;

    /// Returns the newest `iat` and the newest position of the logouts recorded for a session or a subject.
    fn newest_logout(
        &mut self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Result<Option<(UnixTime, Position)>, StoreError>;
}

/// What a sign-in with a password reads and writes, within one transaction: [`password`](super::password).
pub trait PasswordRecords: UserRecords + SessionRecords {
    /// Returns the password hash of a user.
    fn password(&mut self, user: UserId) -> Result<Option<String>, StoreError>;
}

/// What a back-channel logout writes, within one transaction of
/// [`backchannel::apply_all`](super::backchannel::apply_all).
///
/// ```
/// use std::collections::HashSet;
/// use claimgate::oidc::backchannel::{self, LogoutError, ValidatedLogout};
/// use claimgate::oidc::records::{LogoutRecord, LogoutRecords, LogoutTarget, StoreError};
/// use claimgate::time::UnixTime;
///
/// /// The sessions at one provider, by `sid`, and the `jti` of each logout.
/// struct Sessions {
///     open: HashSet<String>,
///     logouts: HashSet<String>,
/// }
///
/// impl LogoutRecords for Sessions {
///     fn record_logout(&mut self, jti: &str, _: &LogoutRecord) -> Result<bool, StoreError> {
///         Ok(self.logouts.insert(jti.to_owned()))
///     }
///
///     fn end_logged_out(&mut self, _: &str, target: &LogoutTarget, _: UnixTime) -> Result<usize, StoreError> {
///         match target {
///             LogoutTarget::Session { sid, .. } => Ok(usize::from(self.open.remove(sid))),
///             LogoutTarget::Subject(_) => Err(StoreError { reason: "every logout names a sid".to_owned() }),
///         }
///     }
/// }
///
/// fn log_out(sessions: &mut Sessions, logout: ValidatedLogout) -> Result<usize, LogoutError> {
///     let mut results = backchannel::apply_all(sessions, &[logout])?;
///     Ok(results.remove(0)?.sessions)
/// }
/// ```
pub trait LogoutRecords {
    /// Records a logout and its `jti`. Returns `false`, and changes nothing, if the issuer's `jti` was
    /// recorded before.
    fn record_logout(&mut self, jti: &str, logout: &LogoutRecord) -> Result<bool, StoreError>;

    /// Records a logout that may be applied twice without harm, and its `jti`, as
    /// [`record_logout`](Self::record_logout) does. A storage that drops records early, and whose `record_logout`
    /// therefore returns `false` for a `jti` that may have been recorded, returns `false` here only for one that was.
    fn record_repeatable_logout(&mut self, jti: &str, logout: &LogoutRecord) -> Result<bool, StoreError> {
        self.record_logout(jti, logout)
    }

    /// Ends the sessions that a logout names. By `sid`, the session ends whatever the time of its ID token; by
    /// subject, if the token was issued at or before `issued_until`, by the provider's clock. A session without a
    /// `sid` is included if its subject is named. Returns the number of sessions ended.
    fn end_logged_out(
        &mut self,
        issuer: &str,
        target: &LogoutTarget,
        issued_until: UnixTime,
    ) -> Result<usize, StoreError>;
}

/// What the rules of [`accounts`](super::accounts) read and write, within one transaction: everything.
pub trait Records: SignInRecords + PasswordRecords + LogoutRecords {
    /// Returns the user of a session.
    fn session_owner(&mut self, id: SessionId) -> Result<Option<User>, StoreError>;

    /// Ends the sessions of a user. Returns the number of sessions ended.
    fn end_sessions_of(&mut self, user: UserId) -> Result<usize, StoreError>;

    /// Reports whether there is a super-admin other than the user who is active and has a password.
    fn has_other_super_admin(&mut self, user: UserId) -> Result<bool, StoreError>;

    /// Sets the password hash of a user.
    fn set_password(&mut self, user: UserId, hash: &str, now: UnixTime) -> Result<(), StoreError>;

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
}

/// Most sessions of one user; a further sign-in ends the oldest. Limits what one account can store, and how long
/// a forgotten browser stays signed in beside many newer ones.
pub const MAX_SESSIONS_OF_USER: u32 = 100;

/// A session that a sign-in opens, in place of the one that the browser had. If the user has more than
/// [`MAX_SESSIONS_OF_USER`] then, the oldest end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSession {
    /// The identifiers of the new session and of the one that it replaces.
    pub session: NewSession,
    /// How the user signed in.
    pub origin: Origin,
    /// What is kept of the sign-in.
    pub facts: SessionFacts,
    /// The lifetime, in whole seconds.
    pub lifetime: Duration,
}

impl PlannedSession {
    /// Opens the session of a user within a transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        self,
        records: &mut dyn SessionRecords,
        user: UserId,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let Self { session, origin, facts, lifetime } = self;
        if let Some(old) = session.replaces {
            records.end_session(old)?;
        }
        let expires = now.saturating_add(lifetime.as_secs());
        records.open_session(&Session { id: session.id, user, origin, facts, created: now, expires })?;
        records.end_oldest_sessions(user, MAX_SESSIONS_OF_USER)?;
        Ok(())
    }
}
