//! A token whose signature and claims were accepted.

use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::{Map, Value};

#[cfg(feature = "oidc")]
use crate::claims::AnyKind;
use crate::claims::{AccessToken, Claims, IdToken, Kind, LogoutToken, NumericDate, SecurityEvent, TokenKind};
use crate::jws::Header;

/// A token of kind `K` whose signature was verified and whose claims satisfy a [`Policy`](crate::claims::Policy). Only a
/// [`Verifier`](crate::Verifier) of that kind makes one. A clone shares the contents.
///
/// ```
/// use claimgate::claims::{AccessToken, IdToken, LogoutToken, SecurityEvent, TokenKind};
/// use claimgate::verifier::ValidatedToken;
///
/// fn id_token(token: &ValidatedToken<IdToken>) -> bool {
///     println!("{} of {} by {}", token.subject(), token.issuer(), token.header().algorithm());
///     token.expires_at() > token.issued_at()
/// }
///
/// fn logout(token: &ValidatedToken<LogoutToken>) -> (&str, Option<&str>) {
///     (token.token_id(), token.claims().session_id())
/// }
///
/// fn access_token(token: &ValidatedToken<AccessToken>) -> bool {
///     assert_eq!(token.kind(), TokenKind::AccessToken);
///     token.claims().audience().any(|name| name == "crm")
/// }
///
/// fn event(token: &ValidatedToken<SecurityEvent>) -> Vec<&String> {
///     token.events().keys().collect()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ValidatedToken<K: Kind> {
    contents: Arc<Contents>,
    kind: PhantomData<K>,
}

#[derive(Debug)]
struct Contents {
    kind: TokenKind,
    header: Header,
    claims: Claims,
}

impl<K: Kind> ValidatedToken<K> {
    /// Makes a token. To be called once the policy of the kind has accepted the claims.
    pub(super) fn new(kind: TokenKind, header: Header, claims: Claims) -> Self {
        Self { contents: Arc::new(Contents { kind, header, claims }), kind: PhantomData }
    }

    /// Returns the kind of token.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.contents.kind
    }

    /// Returns the JOSE header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.contents.header
    }

    /// Returns the claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.contents.claims
    }

    /// Returns the token without its kind as a type; [`kind`](Self::kind) still returns it.
    #[cfg(feature = "oidc")]
    pub(crate) fn of_any_kind(self) -> ValidatedToken<AnyKind> {
        ValidatedToken { contents: self.contents, kind: PhantomData }
    }
}

impl ValidatedToken<IdToken> {
    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        IdToken::issuer(self.claims())
    }

    /// Returns `sub`, which is not empty.
    #[must_use]
    pub fn subject(&self) -> &str {
        IdToken::subject(self.claims())
    }

    /// Returns `exp`.
    #[must_use]
    pub fn expires_at(&self) -> NumericDate {
        IdToken::expires_at(self.claims())
    }

    /// Returns `iat`.
    #[must_use]
    pub fn issued_at(&self) -> NumericDate {
        IdToken::issued_at(self.claims())
    }
}

impl ValidatedToken<LogoutToken> {
    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        LogoutToken::issuer(self.claims())
    }

    /// Returns `iat`.
    #[must_use]
    pub fn issued_at(&self) -> NumericDate {
        LogoutToken::issued_at(self.claims())
    }

    /// Returns `jti`, which is not empty.
    #[must_use]
    pub fn token_id(&self) -> &str {
        LogoutToken::token_id(self.claims())
    }
}

impl ValidatedToken<AccessToken> {
    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        AccessToken::issuer(self.claims())
    }

    /// Returns `sub`, which is not empty.
    #[must_use]
    pub fn subject(&self) -> &str {
        AccessToken::subject(self.claims())
    }

    /// Returns `exp`.
    #[must_use]
    pub fn expires_at(&self) -> NumericDate {
        AccessToken::expires_at(self.claims())
    }
}

impl ValidatedToken<SecurityEvent> {
    /// Returns `iss`, the transmitter.
    #[must_use]
    pub fn issuer(&self) -> &str {
        SecurityEvent::issuer(self.claims())
    }

    /// Returns `iat`.
    #[must_use]
    pub fn issued_at(&self) -> NumericDate {
        SecurityEvent::issued_at(self.claims())
    }

    /// Returns `jti`, which is not empty.
    #[must_use]
    pub fn token_id(&self) -> &str {
        SecurityEvent::token_id(self.claims())
    }

    /// Returns the events by their URIs: at least one, each an object.
    #[must_use]
    pub fn events(&self) -> &Map<String, Value> {
        SecurityEvent::events(self.claims())
    }
}
