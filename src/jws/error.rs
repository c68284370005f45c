//! Errors of the JWS stages, and of building a verifier.

use super::{CompactJwsError, HeaderError};
use crate::alg::{InvalidSignature, RegistryError};
use crate::key::KeyError;

/// The reason that a JWS is rejected: the error of the first stage that rejects it. The stages are in the
/// order of the variants.
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

/// The token's algorithm is not one that the verifier allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token's algorithm is not allowed")]
pub struct AlgorithmError;

impl AlgorithmError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            AlgorithmError => "algorithm.not_allowed",
        }
    }
}

/// The reason that a verifier cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An allowed algorithm is not in the registry.
    #[error("the algorithm `{name}` is not registered")]
    UnknownAlgorithm {
        /// The requested name.
        name: String,
    },
    /// No algorithm is allowed, so no token could verify.
    #[error("no algorithm is allowed; name at least one")]
    NoAlgorithm,
    /// The registry could not be built.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl BuildError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            BuildError::UnknownAlgorithm { .. } => "build.unknown_algorithm",
            BuildError::NoAlgorithm => "build.no_algorithm",
            BuildError::Registry(error) => error.code(),
        }
    }
}
