//! JWS algorithms (RFC 7518 §3): the trait, the registry, and the built-in algorithms.
//!
//! The built-in algorithms implement the same public trait as a caller's own; see
//! `examples/custom_algorithm.rs`, and `examples/remote_device.rs` for one that waits for a device.

#[cfg(feature = "ec")]
mod ecdsa;
#[cfg(feature = "eddsa")]
mod eddsa;
mod error;
mod hmac;
mod registry;
mod rsa;

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::key::{KeyError, KeyMaterial, VerificationKey};

#[cfg(feature = "ec")]
pub use self::ecdsa::Ecdsa;
#[cfg(feature = "eddsa")]
pub use self::eddsa::EdDsa;
pub use self::error::{SignatureError, Unavailable};
pub use self::hmac::Hmac;
pub use self::registry::{Registry, RegistryBuilder, RegistryError};
pub use self::rsa::Rsa;

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

    /// Checks that the key is of this algorithm's family and strong enough, and does all work that is needed once per
    /// key. Called only for a key that [`accepts`](Self::accepts) and [`VerificationKey::permits`] (`use`, `key_ops`,
    /// `alg`) allow. It should not ask a device or a service that may be down: the key would then be unusable until
    /// the next key set is loaded.
    ///
    /// # Errors
    /// [`KeyError::WrongFamily`] for a key of another family, which is ignored without a report; any
    /// other [`KeyError`] for an unusable key of this family, which is reported.
    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError>;

    /// Verifies many signatures, each by a key that this algorithm prepared, and writes the results to
    /// `results`, which is as long as `items`. Override it where a batch costs less than single
    /// verifications.
    fn verify_batch(&self, items: &[BatchItem<'_>], results: &mut [Result<(), SignatureError>]) {
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
    /// [`SignatureError::Invalid`] for a signature that is not this key's, for any reason. MACs must be compared in
    /// constant time. [`SignatureError::Unavailable`] if the signature cannot be judged now, such as when a device is
    /// down.
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError>;

    /// Returns a future of the same result, for a key that waits for something beyond this process, such as a device
    /// or a key service. `None`, the default, means that [`verify`](Self::verify) does not wait. It is called in
    /// place of `verify` by [`JwsVerifier::verify_async`](crate::jws::JwsVerifier::verify_async), so that no thread
    /// is blocked. The future must bound its own time. Dropping it ends the verification.
    ///
    /// A key that can only be awaited returns [`SignatureError::Unavailable`] from `verify`.
    fn verify_async<'k>(&'k self, _signing_input: &'k [u8], _signature: &'k [u8]) -> Option<Verifying<'k>> {
        None
    }
}

/// The future of a verification by a [`PreparedKey`].
pub type Verifying<'k> = Pin<Box<dyn Future<Output = Result<(), SignatureError>> + Send + 'k>>;

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

impl fmt::Debug for BatchItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchItem").field("signed", &self.signed).finish_non_exhaustive()
    }
}

impl BatchItem<'_> {
    /// Verifies this signature alone.
    ///
    /// ```
    /// use claimgate::alg::{BatchItem, SignatureError};
    ///
    /// /// Verifies one by one, as an algorithm without a faster way does.
    /// fn verify_batch(items: &[BatchItem<'_>], results: &mut [Result<(), SignatureError>]) {
    ///     items.iter().zip(results).for_each(|(item, result)| *result = item.verify());
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`PreparedKey::verify`].
    pub fn verify(&self) -> Result<(), SignatureError> {
        self.key.verify(self.signed.signing_input, self.signed.signature)
    }
}
