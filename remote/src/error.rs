//! Why a provider's documents cannot be had, and why a token is not accepted.

use claimgate::alg::Unavailable;
use claimgate::jws::{BuildError, NoUsableKey};
use claimgate::oidc::discovery::DiscoveryError;
use claimgate::oidc::endpoint::EndpointError;
use claimgate::oidc::jwks::JwksError;
use claimgate::{Code, Error};

use crate::fetch::FetchError;

/// Why a provider's metadata or keys cannot be fetched now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The call got no response.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The discovery document is not usable.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The JWK set is not usable.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// No key of the JWK set is usable with an allowed algorithm. The last good keys stay in use.
    #[error(transparent)]
    NoUsableKey(#[from] NoUsableKey),
    /// The provider's metadata is not known: the address of its JWK set alone was given.
    #[error("the provider's metadata is not known: only the address of its JWK set is")]
    NoMetadata,
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
    /// The algorithm of the program that verifies the token is not available now, such as a device that is down.
    #[error("the signature cannot be verified now: {0}")]
    Signature(Unavailable),
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

impl RemoteError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            RemoteError::Fetch(error) => error.code(),
            RemoteError::Discovery(error) => error.code(),
            RemoteError::Jwks(error) => error.code(),
            RemoteError::NoUsableKey(error) => error.code(),
            RemoteError::NoMetadata => "provider.no_metadata",
            RemoteError::NoKeys { .. } => "provider.no_keys",
            RemoteError::Signature(_) => "signature.unavailable",
            RemoteError::Busy => "provider.busy",
            RemoteError::JustFailed { .. } => "provider.just_failed",
        }
    }
}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is refused: 401 to its sender.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The token cannot be judged now, and may be good: 503 to its sender.
    #[error(transparent)]
    Unavailable(#[from] RemoteError),
}

impl Code for RemoteError {
    fn code(&self) -> &'static str {
        RemoteError::code(self)
    }
}

impl VerifyError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            VerifyError::Refused(error) => error.code(),
            VerifyError::Unavailable(error) => error.code(),
        }
    }
}

impl Code for VerifyError {
    fn code(&self) -> &'static str {
        VerifyError::code(self)
    }
}

/// Why the verifier of an issuer cannot be built. None of it depends on the provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The address of the issuer or of its JWK set must not be called.
    #[error("{address} is refused: {reason}")]
    Address {
        /// The address.
        address: String,
        /// The reason.
        reason: EndpointError,
    },
    /// The policy names another issuer than the one whose keys are fetched, or none.
    #[error("the policy does not demand the issuer {issuer}, whose keys are fetched")]
    OtherIssuer {
        /// The issuer whose keys are fetched.
        issuer: String,
    },
    /// The verifier.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] FetchError),
    /// There is no HTTP client: the feature `reqwest` is off, and no other was given.
    #[error("there is no HTTP client: give one, or use the feature `reqwest`")]
    NoClient,
}

impl SetupError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SetupError::Address { .. } => "build.address",
            SetupError::OtherIssuer { .. } => "build.other_issuer",
            SetupError::Build(error) => error.code(),
            SetupError::Client(error) => error.code(),
            SetupError::NoClient => "build.no_client",
        }
    }
}

impl Code for SetupError {
    fn code(&self) -> &'static str {
        SetupError::code(self)
    }
}
