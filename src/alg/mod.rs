//! JWS algorithms (RFC 7518 §3): the trait, the registry, and the built-in algorithms.
//!
//! The built-in algorithms implement the same public trait as a caller's own; see
//! `examples/custom_algorithm.rs`.

#[cfg(feature = "ec")]
mod ecdsa;
#[cfg(feature = "eddsa")]
mod eddsa;
mod hmac;
mod registry;
mod rsa;

use std::any::Any;
use std::sync::Arc;

use crate::key::{KeyError, KeyMaterial, VerificationKey};

#[cfg(feature = "ec")]
pub use self::ecdsa::Ecdsa;
#[cfg(feature = "eddsa")]
pub use self::eddsa::EdDsa;
pub use self::hmac::Hmac;
pub use self::registry::{Registry, RegistryBuilder, RegistryError};
pub use self::rsa::Rsa;

/// The signature does not verify. The error has no details: only an attacker could use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct InvalidSignature;

impl InvalidSignature {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            InvalidSignature => "signature.invalid",
        }
    }
}

/// A signature algorithm under its JWS name.
///
/// `Any` lets [`Registry::by_ring`] find the built-in RSA algorithms of a registry.
pub trait Algorithm: Any + Send + Sync {
    /// Returns the JWS `alg` value, case-sensitive (RFC 7515 §4.1.1).
    fn name(&self) -> &str;

    /// Reports whether the key is of this algorithm's family, by `kty` and curve alone. Keys of other
    /// families are ignored without a report. The default accepts every key, and
    /// [`prepare`](Self::prepare) decides.
    fn accepts(&self, _key: &KeyMaterial) -> bool {
        true
    }

    /// Checks that the key is of this algorithm's family and strong enough, and does all work that is
    /// needed once per key. Called only for a key that [`accepts`](Self::accepts) and
    /// [`VerificationKey::permits`] (`use`, `key_ops`, `alg`) allow.
    ///
    /// # Errors
    /// [`KeyError::WrongFamily`] for a key of another family, which is ignored without a report; any
    /// other [`KeyError`] for an unusable key of this family, which is reported.
    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError>;

    /// Verifies many signatures, each by a key that this algorithm prepared, and writes the results to
    /// `results`, which is as long as `items`. Override it where a batch costs less than single
    /// verifications.
    fn verify_batch(&self, items: &[BatchItem<'_>], results: &mut [Result<(), InvalidSignature>]) {
        for (item, result) in items.iter().zip(results) {
            *result = item.verify();
        }
    }
}

/// A key prepared by the algorithm that will use it. That algorithm may recover its own type through
/// [`Any`].
pub trait PreparedKey: Any + Send + Sync {
    /// Verifies one signature over one signing input (RFC 7515 §5.2).
    ///
    /// # Errors
    /// [`InvalidSignature`] for any reason. MACs must be compared in constant time.
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), InvalidSignature>;
}

/// A signing input with its signature.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `BASE64URL(header) || '.' || BASE64URL(payload)` (RFC 7515 §2).
    pub signing_input: &'a [u8],
    /// The decoded signature.
    pub signature: &'a [u8],
}

/// One signature of a batch.
#[derive(Clone, Copy)]
pub struct BatchItem<'a> {
    /// The key to verify with.
    pub key: &'a dyn PreparedKey,
    /// The signing input and the signature.
    pub signed: Signed<'a>,
}

impl BatchItem<'_> {
    /// Verifies this signature alone.
    ///
    /// # Errors
    /// As [`PreparedKey::verify`].
    pub fn verify(&self) -> Result<(), InvalidSignature> {
        self.key.verify(self.signed.signing_input, self.signed.signature)
    }
}
