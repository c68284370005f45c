//! Errors of the JWS stages, and of building a verifier.

use super::{CompactJwsError, HeaderError, NoUsableKey};
use crate::alg::{RegistryError, SignatureError, Unavailable};
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
    /// The signature; [`SignatureError::Unavailable`] is no rejection.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

crate::code::coded!(JwsError);

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

    /// Returns what was not available if the token could not be judged and may be good.
    ///
    /// ```
    /// use claimgate::jws::JwsError;
    ///
    /// fn is_forgery(error: &JwsError) -> bool {
    ///     error.unavailable().is_none() && error.code() == "signature.invalid"
    /// }
    /// ```
    #[must_use]
    pub fn unavailable(&self) -> Option<&Unavailable> {
        match self {
            JwsError::Signature(SignatureError::Unavailable(reason)) => Some(reason),
            _ => None,
        }
    }
}

/// The token's algorithm is not one that the verifier allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token's algorithm is not allowed")]
pub struct AlgorithmError;

crate::code::coded!(AlgorithmError);

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
    /// No key could ever verify a token.
    #[error(transparent)]
    Keys(#[from] NoUsableKey),
    /// The policy names no issuer, or an empty one, so that every issuer's tokens would be accepted (RFC 8725 §3.8).
    #[error("the policy names no issuer; name the one whose keys these are")]
    NoIssuer,
    /// The policy names no audience, or an empty one, so that tokens for every recipient would be accepted (RFC 7519 §4.1.3).
    #[error("the policy names no audience; name the one that the tokens must be for")]
    NoAudience,
    /// The leeway of the policy is longer than [`Policy::MAX_LEEWAY`](crate::claims::Policy::MAX_LEEWAY).
    #[error(
        "the leeway of {seconds} s is longer than 5 minutes, for which an expired token would be accepted; \
         set the clocks"
    )]
    Leeway {
        /// The leeway, in seconds.
        seconds: u64,
    },
    /// Two verifiers name the same issuer.
    #[error("two verifiers name the issuer `{issuer}`")]
    SharedIssuer {
        /// The issuer.
        issuer: String,
    },
    /// Verifiers of two issuers share their keys, so that each issuer could sign for the other (RFC 8725 §3.8).
    #[error(
        "the verifier of the issuer `{issuer}` has the keys of another issuer's; build one by its own keys"
    )]
    SharedKeys {
        /// The second of the issuers.
        issuer: String,
    },
    /// The registry could not be built.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

crate::code::coded!(BuildError);

impl BuildError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            BuildError::UnknownAlgorithm { .. } => "build.unknown_algorithm",
            BuildError::NoAlgorithm => "build.no_algorithm",
            BuildError::Keys(error) => error.code(),
            BuildError::NoIssuer => "build.no_issuer",
            BuildError::NoAudience => "build.no_audience",
            BuildError::Leeway { .. } => "build.leeway",
            BuildError::SharedIssuer { .. } => "build.shared_issuer",
            BuildError::SharedKeys { .. } => "build.shared_keys",
            BuildError::Registry(error) => error.code(),
        }
    }
}
