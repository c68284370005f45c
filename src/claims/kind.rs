//! The kinds of token, as a value chosen at run time and as types that carry it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registered::Known;
use super::{Claims, NumericDate};
use crate::jws::Header;

/// The kind of a token. Written `jwt`, `id_token`, `logout_token`, `access_token` or `security_event` in
/// configuration files, on the command line and in JSON.
///
/// ```
/// use claimgate::claims::TokenKind;
///
/// assert_eq!("id_token".parse(), Ok(TokenKind::IdToken));
/// assert_eq!(TokenKind::SecurityEvent.name(), "security_event");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenKind {
    /// A plain JWT: only the claims that the policy names are checked, and a token that has an `aud` is refused
    /// unless the policy names it or allows any. Any `typ` but `logout+jwt` and `secevent+jwt`, and no logout event: a
    /// token that ends sessions grants nothing.
    Jwt,
    /// An OpenID Connect ID token. Requires iss, sub, aud, exp, iat; `typ` absent or `JWT`; no
    /// security event of any kind; every audience must be accepted or trusted, and so must `azp`, if present.
    IdToken,
    /// A back-channel logout token. Requires iss, aud, iat, jti, the logout event, sub or sid, no
    /// nonce; `typ` absent, `JWT` or `logout+jwt`; every audience must be accepted or trusted.
    LogoutToken,
    /// An OAuth 2.0 access token (RFC 9068). Requires `typ` `at+jwt`, unless
    /// [`allow_untyped`](super::Policy::allow_untyped) is called, and iss, sub, aud, exp; no security event of any
    /// kind.
    AccessToken,
    /// A security event token (RFC 8417). Requires `typ` `secevent+jwt`, iss, aud, iat, jti and `events`, each of which
    /// is an object and none the logout event; no `exp`, so that the age since `iat` is limited.
    SecurityEvent,
}

/// A text names no kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a kind of token; the kinds are `jwt`, `id_token`, `logout_token`, `access_token` and `security_event`"
)]
pub struct UnknownTokenKind;

impl TokenKind {
    /// All kinds.
    pub const ALL: &[TokenKind] = &[
        TokenKind::Jwt,
        TokenKind::IdToken,
        TokenKind::LogoutToken,
        TokenKind::AccessToken,
        TokenKind::SecurityEvent,
    ];

    /// Returns the kind's written form, such as `id_token`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TokenKind::Jwt => "jwt",
            TokenKind::IdToken => "id_token",
            TokenKind::LogoutToken => "logout_token",
            TokenKind::AccessToken => "access_token",
            TokenKind::SecurityEvent => "security_event",
        }
    }

    /// Returns the claims that every token of this kind has.
    pub(super) fn required(self) -> &'static [Known] {
        match self {
            TokenKind::Jwt => &[],
            TokenKind::IdToken => IdToken::REQUIRED,
            TokenKind::LogoutToken => LogoutToken::REQUIRED,
            TokenKind::AccessToken => AccessToken::REQUIRED,
            TokenKind::SecurityEvent => SecurityEvent::REQUIRED,
        }
    }

    /// Reports whether a token of this kind may have the header's `typ`.
    pub(super) fn accepts_type(self, header: &Header) -> bool {
        match self {
            TokenKind::Jwt => !header.typ_is("logout+jwt") && !header.typ_is("secevent+jwt"),
            TokenKind::IdToken => is_untyped(header),
            TokenKind::LogoutToken => is_untyped(header) || header.typ_is("logout+jwt"),
            TokenKind::AccessToken => header.typ_is("at+jwt"),
            TokenKind::SecurityEvent => header.typ_is("secevent+jwt"),
        }
    }
}

/// Reports whether the header does not say what kind of token it is of: `typ` is absent or `JWT`.
pub(super) fn is_untyped(header: &Header) -> bool {
    header.typ().is_none() || header.typ_is("JWT")
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TokenKind {
    type Err = UnknownTokenKind;

    fn from_str(name: &str) -> Result<Self, UnknownTokenKind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or(UnknownTokenKind)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// The kind of a token as a type: what a [`Policy`](super::Policy) demands, and what a
/// [`ValidatedToken`](crate::verifier::ValidatedToken) was found to be. Only this module has
/// implementations.
pub trait Kind: sealed::Sealed + Copy + fmt::Debug + Send + Sync + 'static {}

/// A kind whose policy is made without issuer and audience, which [`Policy::issuer`](super::Policy::issuer) and
/// [`Policy::audience`](super::Policy::audience) add.
pub trait UnboundKind: Kind {}

impl UnboundKind for Jwt {}
impl UnboundKind for AnyKind {}

/// A kind that may be that of an access token; see [`Policy::allow_untyped`](super::Policy::allow_untyped).
pub trait AccessKind: Kind {}

impl AccessKind for AccessToken {}
impl AccessKind for AnyKind {}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $kind(());

        impl sealed::Sealed for $kind {}
        impl Kind for $kind {}
    )*};
}

kinds! {
    /// Marks a plain JWT: [`TokenKind::Jwt`].
    Jwt;
    /// Marks an ID token: [`TokenKind::IdToken`].
    IdToken;
    /// Marks a logout token: [`TokenKind::LogoutToken`].
    LogoutToken;
    /// Marks an access token: [`TokenKind::AccessToken`].
    AccessToken;
    /// Marks a security event token: [`TokenKind::SecurityEvent`].
    SecurityEvent;
    /// Marks a token whose kind was chosen at run time.
    AnyKind;
}

// The claims that a kind requires, and their accessors for validated tokens of the kind: what is
// listed is present, and `Claims` has checked its type.

const PRESENT: &str = "the policy of this kind requires the claim";

impl IdToken {
    const REQUIRED: &[Known] =
        &[Known::Issuer, Known::Subject, Known::Audience, Known::ExpiresAt, Known::IssuedAt];

    pub(crate) fn issuer(claims: &Claims) -> &str {
        claims.issuer().expect(PRESENT)
    }

    pub(crate) fn subject(claims: &Claims) -> &str {
        claims.subject().expect(PRESENT)
    }

    pub(crate) fn expires_at(claims: &Claims) -> NumericDate {
        claims.expires_at().expect(PRESENT)
    }

    pub(crate) fn issued_at(claims: &Claims) -> NumericDate {
        claims.issued_at().expect(PRESENT)
    }
}

impl LogoutToken {
    const REQUIRED: &[Known] = &[Known::Issuer, Known::Audience, Known::IssuedAt, Known::TokenId];

    pub(crate) fn issuer(claims: &Claims) -> &str {
        claims.issuer().expect(PRESENT)
    }

    pub(crate) fn issued_at(claims: &Claims) -> NumericDate {
        claims.issued_at().expect(PRESENT)
    }

    pub(crate) fn token_id(claims: &Claims) -> &str {
        claims.token_id().expect(PRESENT)
    }
}

impl AccessToken {
    const REQUIRED: &[Known] = &[Known::Issuer, Known::Subject, Known::Audience, Known::ExpiresAt];

    pub(crate) fn issuer(claims: &Claims) -> &str {
        claims.issuer().expect(PRESENT)
    }

    pub(crate) fn subject(claims: &Claims) -> &str {
        claims.subject().expect(PRESENT)
    }

    pub(crate) fn expires_at(claims: &Claims) -> NumericDate {
        claims.expires_at().expect(PRESENT)
    }
}

impl SecurityEvent {
    const REQUIRED: &[Known] = &[Known::Issuer, Known::Audience, Known::IssuedAt, Known::TokenId];

    pub(crate) fn issuer(claims: &Claims) -> &str {
        claims.issuer().expect(PRESENT)
    }

    pub(crate) fn issued_at(claims: &Claims) -> NumericDate {
        claims.issued_at().expect(PRESENT)
    }

    pub(crate) fn token_id(claims: &Claims) -> &str {
        claims.token_id().expect(PRESENT)
    }

    pub(crate) fn events(claims: &Claims) -> &Map<String, Value> {
        claims.get("events").and_then(Value::as_object).expect(PRESENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_spelling() {
        for &kind in TokenKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            let json = serde_json::to_value(kind).expect("a string");
            assert_eq!(json, kind.name());
            assert_eq!(serde_json::from_value::<TokenKind>(json).ok(), Some(kind));
        }
        for name in ["", "JWT", "id-token", "id_token "] {
            assert_eq!(name.parse::<TokenKind>(), Err(UnknownTokenKind));
        }
    }
}
