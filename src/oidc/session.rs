//! Sessions and their origins.

use super::facts::SessionFacts;
use super::fingerprint::Fingerprint;
use super::user::{User, UserId};
use crate::time::UnixTime;

/// The identifier of a session: the [`Fingerprint`] of the secret in the cookie. It is stored, listed and
/// logged, and opens nothing.
///
/// ```
/// use claimgate::oidc::session::SessionId;
///
/// let id = SessionId::of_secret("the secret of the cookie");
/// assert_eq!(SessionId::from_hex(&id.to_string()), Some(id));
/// assert_eq!(SessionId::from_hex("no identifier"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// Returns the identifier of the session that a cookie's secret opens.
    #[must_use]
    pub fn of_secret(secret: &str) -> Self {
        Self(Fingerprint::of(secret).0)
    }

    /// Parses an identifier from its hexadecimal text.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The identifier.
    pub id: SessionId,
    /// The user.
    pub user: UserId,
    /// How the user signed in.
    pub origin: Origin,
    /// What is kept of the sign-in.
    pub facts: SessionFacts,
    /// When it was opened.
    pub created: UnixTime,
    /// When it expires.
    pub expires: UnixTime,
}

/// A session that is open, with its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// The user.
    pub user: User,
    /// What is kept of the sign-in.
    pub facts: SessionFacts,
}

/// A session to open in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// The identifier of the new session.
    pub id: SessionId,
    /// The session that the browser had, which ends: no session may outlive a change of user.
    pub replaces: Option<SessionId>,
}

/// How the user of a session signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// With a password.
    Password,
    /// Through a provider.
    Oidc(OidcOrigin),
}

/// The parts of an ID token that are kept with the session it opened.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcOrigin {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `sid`, if the token has one.
    pub sid: Option<String>,
    /// `iat`: the provider's clock.
    pub issued_at: UnixTime,
    /// The encoded token, as the hint for RP-Initiated Logout; `None` if it is longer than a hint may be, or if
    /// the store can no longer read it.
    pub id_token: Option<String>,
}

impl std::fmt::Debug for OidcOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OidcOrigin")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("sid", &self.sid)
            .field("issued_at", &self.issued_at)
            .finish_non_exhaustive()
    }
}
