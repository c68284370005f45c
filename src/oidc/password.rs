//! Sign-in with a password, as typed steps without hashing:
//!
//! ```text
//! look_up → Candidate       the stored hash, which the caller compares with the password
//!   → Candidate::decide     Authenticated, or one refusal for every reason
//!   → Authenticated::open   the session
//! ```
//!
//! ```
//! use std::time::Duration;
//!
//! use claimgate::oidc::facts::KeptClaims;
//! use claimgate::oidc::password::{self, Candidate, Credentials, PasswordPolicy, PasswordSignInError};
//! use claimgate::oidc::records::Records;
//! use claimgate::oidc::session::NewSession;
//! use claimgate::time::UnixTime;
//!
//! const POLICY: PasswordPolicy = PasswordPolicy { fallback: true, regular_users: false };
//!
//! /// Compares a password with a hash; without one, it takes as long and returns false.
//! fn matches(password: &str, hash: Option<&str>) -> bool {
//!     false
//! }
//!
//! fn sign_in(
//!     records: &mut dyn Records,
//!     (username, password): (&str, &str),
//!     session: NewSession,
//!     now: UnixTime,
//! ) -> Result<(), PasswordSignInError> {
//!     let candidate = password::look_up(records, username)?;
//!     let matches = matches(password, candidate.hash());
//!     let authenticated = candidate.decide(matches, POLICY)?.keep(KeptClaims::of_nothing(&[]));
//!     authenticated.open(records, session, Duration::from_secs(12 * 60 * 60), now)
//! }
//!
//! /// The same for an asynchronous store, which reads the credentials and opens the session itself.
//! fn decide(before: Option<Credentials>, held: &Credentials, now: UnixTime) -> Result<(), PasswordSignInError> {
//!     let candidate = Candidate::new(before);
//!     println!("{:?} signs in", candidate.username());
//!     let matches = matches("a password", candidate.hash());
//!     let authenticated = candidate.decide(matches, POLICY)?;
//!     assert!(POLICY.admits(authenticated.user()));
//!     // Within the transaction that opens the session: the user is as it was at `version`.
//!     println!("{:?} {:?}", authenticated.version(), authenticated.facts(now));
//!     authenticated.confirm(held)
//! }
//! ```

use std::time::Duration;

use super::accounts::user_named;
use super::facts::{KeptClaims, SessionFacts};
use super::records::{PasswordRecords, PlannedSession, StoreError, Version};
use super::session::{NewSession, Origin};
use super::user::{User, UserKind};
use crate::time::UnixTime;

/// Who may sign in with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Whether passwords are accepted at all: for admins, so that a broken provider does not lock them out.
    pub fallback: bool,
    /// Whether regular users may sign in with a password too.
    pub regular_users: bool,
}

impl PasswordPolicy {
    /// Reports whether this user may sign in with a password. Existing sessions are not affected.
    #[must_use]
    pub fn admits(self, user: &User) -> bool {
        let kind = match user.kind {
            UserKind::Admin | UserKind::SuperAdmin => self.fallback,
            UserKind::Regular => self.fallback && self.regular_users,
            UserKind::Portal | UserKind::Api | UserKind::System => false,
        };
        kind && user.active
    }
}

/// Why a sign-in with a password is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordSignInError {
    /// The user does not exist, has no password, has another one, or may not sign in with it. One
    /// error for all of these: an attacker must not learn which usernames exist.
    #[error("the username or the password is wrong, or this user may not sign in with a password")]
    Refused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

crate::code::coded!(PasswordSignInError);

impl PasswordSignInError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PasswordSignInError::Refused => "password.wrong",
            PasswordSignInError::Store(error) => error.code(),
        }
    }
}

/// A user and the password hash, as the store holds them.
pub struct Credentials {
    /// The user.
    pub user: User,
    /// The user's version.
    pub version: Version,
    /// The hash of the password; `None` for a user without one.
    pub hash: Option<String>,
}

crate::text::redacted_debug!(Credentials, user);

/// The result of looking a username up.
#[derive(Debug)]
pub struct Candidate(Option<Credentials>);

/// Looks a username up.
///
/// # Errors
/// [`PasswordSignInError::Store`].
pub fn look_up(records: &mut dyn PasswordRecords, username: &str) -> Result<Candidate, PasswordSignInError> {
    let Some(user) = user_named(records, username)? else { return Ok(Candidate(None)) };
    Ok(Candidate(Some(credentials(records, user)?)))
}

/// Reads the credentials of a user within a transaction that keeps them from changing.
fn credentials(records: &mut dyn PasswordRecords, user: User) -> Result<Credentials, StoreError> {
    let hash = records.password(user.id)?;
    Ok(Credentials { user, version: Version::LOCKED, hash })
}

impl Candidate {
    /// Builds a candidate from what the store holds under a username.
    #[must_use]
    pub fn new(found: Option<Credentials>) -> Self {
        Self(found)
    }

    /// Returns the user's name; `None` if there is no such user.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.0.as_ref().map(|found| found.user.username.as_str())
    }

    /// Returns the hash to compare the password with. For `None` the caller compares it with the hash of
    /// a password that no user has: both cases must take equally long.
    #[must_use]
    pub fn hash(&self) -> Option<&str> {
        self.0.as_ref().and_then(|found| found.hash.as_deref())
    }

    /// Decides, given whether the password matched the hash.
    ///
    /// # Errors
    /// [`PasswordSignInError::Refused`].
    pub fn decide(self, matches: bool, policy: PasswordPolicy) -> Result<Authenticated, PasswordSignInError> {
        match self.0 {
            Some(Credentials { user, version, hash: Some(hash) }) if matches && policy.admits(&user) => {
                Ok(Authenticated { user, version, hash, policy, claims: KeptClaims::default() })
            }
            _ => Err(PasswordSignInError::Refused),
        }
    }
}

/// A user who proved a password. Only [`Candidate::decide`] makes one.
pub struct Authenticated {
    user: User,
    version: Version,
    /// The hash that the password matched.
    hash: String,
    policy: PasswordPolicy,
    claims: KeptClaims,
}

crate::text::redacted_debug!(Authenticated, user);

impl Authenticated {
    /// Returns the user, as it was looked up.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Returns the version of the user as it was looked up: while it is the same, so is the decision.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Has the session keep what rules of access look at; see [`KeptClaims::of_nothing`].
    #[must_use]
    pub fn keep(mut self, claims: KeptClaims) -> Self {
        self.claims = claims;
        self
    }

    /// Returns what the session keeps of a sign-in now.
    #[must_use]
    pub fn facts(&self, now: UnixTime) -> SessionFacts {
        SessionFacts { authenticated: Some(now), claims: self.claims.clone() }
    }

    /// Decides again, by what the store holds now: the user may have been changed while the password was compared.
    ///
    /// # Errors
    /// [`PasswordSignInError::Refused`] if the user may no longer sign in, or has another password or kind now.
    pub fn confirm(&self, held: &Credentials) -> Result<(), PasswordSignInError> {
        let is_same = held.user.id == self.user.id && held.user.kind == self.user.kind;
        if is_same && self.policy.admits(&held.user) && held.hash.as_ref() == Some(&self.hash) {
            Ok(())
        } else {
            Err(PasswordSignInError::Refused)
        }
    }

    /// Opens the session, for `lifetime` in whole seconds, if [`confirm`](Self::confirm) agrees.
    ///
    /// # Errors
    /// [`PasswordSignInError`]. Nothing of the transaction may then be kept.
    pub fn open(
        &self,
        records: &mut dyn PasswordRecords,
        session: NewSession,
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<(), PasswordSignInError> {
        let user = records.user(self.user.id)?.ok_or(PasswordSignInError::Refused)?;
        self.confirm(&credentials(records, user)?)?;
        let facts = self.facts(now);
        let session = PlannedSession { session, origin: Origin::Password, facts, lifetime };
        Ok(session.open(records, self.user.id, now)?)
    }
}
