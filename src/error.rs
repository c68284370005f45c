//! One error for the whole pipeline, with a stable code for logs and programs.
//!
//! Answer callers outside the trust boundary coarsely ("the token is not acceptable") and log the
//! code: which check failed helps an attacker as well.

use crate::alg::Unavailable;
use crate::claims::ClaimsError;
use crate::jws::{AlgorithmError, CompactJwsError, HeaderError, JwsError};
use crate::key::KeyError;

/// Why a token is refused: the first stage that refused it, in the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shape, header, algorithm, key or signature.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The claims and the policy on them.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

crate::code::coded!(Error);

impl Error {
    /// Returns the stable code, such as `claims.expired`; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::Jws(error) => error.code(),
            Error::Claims(error) => error.code(),
        }
    }

    /// Returns what was not available if the token could not be judged and may be good: an answer over HTTP is 503,
    /// not 401. `None` for a token that is refused. Only algorithms of the caller can be unavailable.
    ///
    /// ```
    /// use claimgate::Error;
    ///
    /// fn status(error: &Error) -> u16 {
    ///     if error.unavailable().is_some() { 503 } else { 401 }
    /// }
    /// ```
    #[must_use]
    pub fn unavailable(&self) -> Option<&Unavailable> {
        match self {
            Error::Jws(error) => error.unavailable(),
            Error::Claims(_) => None,
        }
    }
}

impl From<CompactJwsError> for Error {
    fn from(error: CompactJwsError) -> Self {
        Error::Jws(error.into())
    }
}

impl From<HeaderError> for Error {
    fn from(error: HeaderError) -> Self {
        Error::Jws(error.into())
    }
}

impl From<AlgorithmError> for Error {
    fn from(error: AlgorithmError) -> Self {
        Error::Jws(error.into())
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Error::Jws(error.into())
    }
}
