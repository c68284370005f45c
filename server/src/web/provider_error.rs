//! Why a provider of the configuration cannot be used.

use claimgate::jws::BuildError;
use claimgate_remote::FetchError;

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
