//! One error for the whole pipeline: a variant per stage, a stable code for logs and machines.
//!
//! Answer strangers coarsely ("the token is not acceptable") and log the code: which check failed
//! is of use to an attacker too.

use crate::alg::InvalidSignature;
use crate::claims::ClaimsError;
use crate::jws::{AlgorithmError, HeaderError, JwsError};
use crate::key::KeyError;

/// Why a token was refused: the first stage that did, in the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Size and shape.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The JOSE header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The allow-list.
    #[error(transparent)]
    Algorithm(#[from] AlgorithmError),
    /// Key selection.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature.
    #[error(transparent)]
    Signature(#[from] InvalidSignature),
    /// The claims and the policy on them.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

impl Error {
    /// The stable code, such as `claims.expired`; see `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::Jws(error) => error.code(),
            Error::Header(error) => error.code(),
            Error::Algorithm(error) => error.code(),
            Error::Key(error) => error.code(),
            Error::Signature(error) => error.code(),
            Error::Claims(error) => error.code(),
        }
    }
}
