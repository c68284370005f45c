//! Sessions: who is signed in, and by what.

use ring::digest::{SHA256, digest};

use super::user::UserId;
use crate::time::UnixTime;

/// Identifies a session: the first 128 bits of the SHA-256 of the secret in the cookie. What is
/// stored, listed and logged is this; it opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// The identifier of the session that a cookie's secret opens.
    #[must_use]
    pub fn of_secret(secret: &str) -> Self {
        let hash = digest(&SHA256, secret.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_ref()[..16]);
        Self(id)
    }

    /// The identifier from its hexadecimal text.
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
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Identifies it.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// By what it was opened.
    pub origin: Origin,
    /// When it was opened.
    pub created: UnixTime,
    /// When it ends by itself.
    pub expires: UnixTime,
}

/// By what a session was opened.
#[derive(Clone, PartialEq, Eq)]
pub enum Origin {
    /// The password door.
    Password,
    /// A provider.
    Oidc(OidcOrigin),
}

/// What is kept of the ID token that opened a session.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcOrigin {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `sid`, where the provider gave one.
    pub sid: Option<String>,
    /// `iat`: the provider's clock.
    pub issued_at: UnixTime,
    /// The token itself, as the hint for RP-initiated logout.
    pub id_token: String,
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
