//! Why a signature is not accepted.

use super::{AlgorithmError, CompactJwsError, HeaderError};
use crate::alg::InvalidSignature;
use crate::key::KeyError;

/// Why a JWS is refused: the first stage that refused it, in the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwsError {
    /// Size and shape of the compact serialization.
    #[error(transparent)]
    Compact(#[from] CompactJwsError),
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
}

impl JwsError {
    /// Returns the stable code, such as `jws.shape`; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            JwsError::Compact(error) => error.code(),
            JwsError::Header(error) => error.code(),
            JwsError::Algorithm(error) => error.code(),
            JwsError::Key(error) => error.code(),
            JwsError::Signature(error) => error.code(),
        }
    }
}
