//! The issuer of an unverified token, which selects the provider whose keys verify it.

use crate::Error;
use crate::jws::{CompactJws, JwsError};
use crate::limits::Limits;

/// Why no provider can be selected for a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The token is not a compact JWS.
    #[error(transparent)]
    Token(#[from] Error),
    /// The token has no `iss` that is a string.
    #[error("the token names no issuer")]
    Missing,
    /// The token's `iss` is not the issuer of a configured provider.
    #[error("the token's issuer is not a configured provider")]
    Unknown,
}

impl IssuerError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            IssuerError::Token(error) => error.code(),
            IssuerError::Missing => "issuer.missing",
            IssuerError::Unknown => "issuer.unknown",
        }
    }
}

/// Returns the `iss` of an **unverified** token. It may select the keys to verify the token with, and
/// serves no other purpose.
///
/// # Errors
/// [`IssuerError::Token`] or [`IssuerError::Missing`].
pub fn unverified_issuer(token: &str) -> Result<String, IssuerError> {
    /// The one member of interest; the verification checks the rest.
    #[derive(serde::Deserialize)]
    struct Issued {
        iss: String,
    }
    let jws =
        CompactJws::parse(token, &Limits::DEFAULT).map_err(|error| Error::from(JwsError::from(error)))?;
    let issued = serde_json::from_slice::<Issued>(&jws.unverified_payload());
    issued.map(|issued| issued.iss).map_err(|_| IssuerError::Missing)
}
