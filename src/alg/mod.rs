//! JWS algorithms as values (RFC 7518 §3): the trait, the registry, and the built-in ones.
//!
//! The built-in algorithms use the same public trait as anybody's own; see
//! `examples/custom_algorithm.rs` for one from outside.

mod ecdsa;
mod eddsa;
mod hmac;
mod registry;
mod rsa;

use std::any::Any;
use std::sync::Arc;

use crate::key::{KeyError, VerificationKey};

pub use self::ecdsa::Ecdsa;
pub use self::eddsa::EdDsa;
pub use self::hmac::Hmac;
pub use self::registry::{Registry, RegistryBuilder, RegistryError};
pub use self::rsa::Rsa;

/// The signature does not verify. A unit on purpose: why it fails is of use to a forger alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct InvalidSignature;

impl InvalidSignature {
    /// The stable code of this error; see `docs/reference/errors.md`.
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
    /// The JWS `alg` value, case-sensitive (RFC 7515 §4.1.1).
    fn name(&self) -> &str;

    /// Checks that the key is of this algorithm's family and strong enough, and does all work that
    /// can be done once per key. The engine has compared `use`, `key_ops` and `alg` already.
    ///
    /// # Errors
    /// [`KeyError::WrongFamily`] for a key of another family (the key is then passed over in
    /// silence), any other [`KeyError`] for a key that should have fitted (it is reported).
    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError>;

    /// Verifies many at once into `results`, which is as long as `items`; each by a key that this
    /// algorithm prepared. Override it where many together cost less than one by one.
    fn verify_batch(&self, items: &[BatchItem<'_>], results: &mut [Result<(), InvalidSignature>]) {
        for (item, result) in items.iter().zip(results) {
            *result = item.verify();
        }
    }
}

/// A key made ready by the one algorithm that will use it. That algorithm may find its own type
/// again through [`Any`].
pub trait PreparedKey: Any + Send + Sync {
    /// Verifies one signature over one signing input (RFC 7515 §5.2).
    ///
    /// # Errors
    /// [`InvalidSignature`], whatever is wrong. MACs must be compared in constant time.
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), InvalidSignature>;
}

/// One signing input with the signature it came with.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `BASE64URL(header) || '.' || BASE64URL(payload)` (RFC 7515 §2).
    pub signing_input: &'a [u8],
    /// The decoded signature.
    pub signature: &'a [u8],
}

/// One of many signatures to verify at once.
#[derive(Clone, Copy)]
pub struct BatchItem<'a> {
    /// The key to verify with.
    pub key: &'a dyn PreparedKey,
    /// What was signed, and the signature.
    pub signed: Signed<'a>,
}

impl BatchItem<'_> {
    /// Verifies this one by itself.
    ///
    /// # Errors
    /// As [`PreparedKey::verify`].
    pub fn verify(&self) -> Result<(), InvalidSignature> {
        self.key.verify(self.signed.signing_input, self.signed.signature)
    }
}
