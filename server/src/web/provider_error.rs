//! Why a provider cannot be used.

use super::fetch::FetchError;
use claimgate::jws::{BuildError, NoUsableKey};
use claimgate::oidc::discovery::DiscoveryError;
use claimgate::oidc::jwks::JwksError;

/// Why a provider's metadata or keys cannot be fetched now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The call got no response.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The discovery document is not usable.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The keys are not usable.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// The provider's key set holds no usable key.
    #[error(transparent)]
    NoUsableKey(#[from] NoUsableKey),
    /// No known key verifies the token, and newer keys are not to be had just now: the token may be good.
    #[error("the token cannot be judged now: {token} [{code}]; {keys}")]
    NoKeys {
        /// The error of the verification with the known keys.
        token: String,
        /// The stable code of that error.
        code: &'static str,
        /// Why there are no newer keys.
        keys: String,
    },
    /// As many requests wait for the provider as may.
    #[error("too many requests wait for the provider")]
    Busy,
    /// An attempt has just failed.
    #[error("the provider was asked just now and did not answer as it should: {reason}")]
    JustFailed {
        /// The error of that attempt.
        reason: String,
    },
}

impl ProviderError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ProviderError::Fetch(error) => error.code(),
            ProviderError::Discovery(error) => error.code(),
            ProviderError::Jwks(error) => error.code(),
            ProviderError::NoUsableKey(error) => error.code(),
            ProviderError::NoKeys { .. } => "provider.no_keys",
            ProviderError::Busy => "provider.busy",
            ProviderError::JustFailed { .. } => "provider.just_failed",
        }
    }
}

/// Why a provider of the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderSetupError {
    /// The TLS client.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The verifier.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The key file.
    #[error("{file}: {reason}")]
    Keys {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}
