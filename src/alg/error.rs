//! Why a signature is not accepted.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The reason that a key does not accept a signature.
///
/// ```
/// use claimgate::alg::{SignatureError, Unavailable};
///
/// let error = SignatureError::unavailable("the device does not answer");
/// assert_eq!(error.code(), "signature.unavailable");
/// assert_eq!(Unavailable::new("no connection").reason().to_string(), "no connection");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signature is not one of the key over the signing input. There are no details: only an attacker could use
    /// them.
    #[error("the signature does not verify")]
    Invalid,
    /// The signature could not be judged: whatever verifies it, such as a device or a key service, is not available
    /// now. The token may be good.
    #[error("the signature cannot be verified now: {0}")]
    Unavailable(Unavailable),
}

crate::code::coded!(SignatureError);

impl SignatureError {
    /// Makes the error for a signature that cannot be judged now, with the reason.
    pub fn unavailable(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(Unavailable::new(reason))
    }

    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SignatureError::Invalid => "signature.invalid",
            SignatureError::Unavailable(_) => "signature.unavailable",
        }
    }
}

/// Something that an algorithm or a signer of the caller needs is not available now. The reason is for the log. Two
/// are equal if their reasons have the same text.
///
/// ```
/// use claimgate::alg::Unavailable;
/// let down = Unavailable::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
/// assert_eq!(down.to_string(), "connection refused");
/// assert!(down.reason().is::<std::io::Error>());
/// ```
#[derive(Clone, Debug)]
pub struct Unavailable(Arc<dyn Error + Send + Sync>);

impl Unavailable {
    /// Takes the reason: an error, or a text.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into().into())
    }

    /// Returns the reason as it was given.
    #[must_use]
    pub fn reason(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Unavailable {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Unavailable {}
