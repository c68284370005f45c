//! RS256/384/512 and PS256/384/512 (RFC 7518 §3.3, §3.5) by ring. RS signatures of supported keys are
//! verified by `claimgate-kernel` first; ring confirms each rejection.

#[cfg(feature = "aws-lc")]
mod aws_lc;

use std::any::Any;
use std::sync::{Arc, OnceLock};

use claimgate_kernel as kernel;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents};

use super::{Algorithm, BatchItem, PreparedKey, SignatureError};
use crate::key::{KeyError, KeyMaterial, VerificationKey};

/// RFC 7518 §3.3: "a key of size 2048 bits or larger MUST be used".
const MIN_BITS: usize = 2048;
/// The smallest modulus that [`VerificationKey::danger_allow_weak`] allows.
const MIN_WEAK_BITS: usize = 1024;
/// ring's own bound: with larger moduli an attacker could make verification expensive.
const MAX_BITS: usize = 8192;
/// ring's own bound on the exponent: below 2^33.
const MAX_EXPONENT_BITS: usize = 33;

/// One algorithm of the RSA family.
#[derive(Clone, Copy)]
pub struct Rsa {
    name: &'static str,
    parameters: &'static RsaParameters,
    /// Parameters for moduli under 2048 bits, where ring has them.
    weak_parameters: Option<&'static RsaParameters>,
    /// The hash of the signatures that the kernel verifies; `None` for ring alone.
    kernel_hash: Option<kernel::Hash>,
    #[cfg(feature = "aws-lc")]
    is_by_aws_lc: bool,
}

crate::text::redacted_debug!(Rsa, name);

impl Rsa {
    /// RSASSA-PKCS1-v1_5 using SHA-256.
    pub const RS256: Rsa = Rsa {
        weak_parameters: Some(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        ..Rsa::pkcs1v15("RS256", &signature::RSA_PKCS1_2048_8192_SHA256, kernel::Hash::Sha256)
    };
    /// RSASSA-PKCS1-v1_5 using SHA-384.
    pub const RS384: Rsa =
        Rsa::pkcs1v15("RS384", &signature::RSA_PKCS1_2048_8192_SHA384, kernel::Hash::Sha384);
    /// RSASSA-PKCS1-v1_5 using SHA-512.
    pub const RS512: Rsa = Rsa {
        weak_parameters: Some(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        ..Rsa::pkcs1v15("RS512", &signature::RSA_PKCS1_2048_8192_SHA512, kernel::Hash::Sha512)
    };
    /// RSASSA-PSS using SHA-256 and MGF1 with SHA-256, salt as long as the hash.
    pub const PS256: Rsa = Rsa::ring("PS256", &signature::RSA_PSS_2048_8192_SHA256);
    /// RSASSA-PSS using SHA-384 and MGF1 with SHA-384, salt as long as the hash.
    pub const PS384: Rsa = Rsa::ring("PS384", &signature::RSA_PSS_2048_8192_SHA384);
    /// RSASSA-PSS using SHA-512 and MGF1 with SHA-512, salt as long as the hash.
    pub const PS512: Rsa = Rsa::ring("PS512", &signature::RSA_PSS_2048_8192_SHA512);

    const fn pkcs1v15(name: &'static str, parameters: &'static RsaParameters, hash: kernel::Hash) -> Rsa {
        Rsa { kernel_hash: Some(hash), ..Rsa::ring(name, parameters) }
    }

    const fn ring(name: &'static str, parameters: &'static RsaParameters) -> Rsa {
        Rsa {
            name,
            parameters,
            weak_parameters: None,
            kernel_hash: None,
            #[cfg(feature = "aws-lc")]
            is_by_aws_lc: false,
        }
    }

    /// Returns the same algorithm by ring alone, on every CPU. Register it in place of the built-in one;
    /// [`Registry::by_ring`](super::Registry::by_ring) does so for all.
    ///
    /// ```
    /// use claimgate::alg::{Algorithm, Rsa};
    ///
    /// assert_eq!(Rsa::RS256.by_ring().name(), "RS256");
    /// ```
    #[must_use]
    pub fn by_ring(self) -> Rsa {
        Rsa {
            kernel_hash: None,
            #[cfg(feature = "aws-lc")]
            is_by_aws_lc: false,
            ..self
        }
    }

    /// Reports whether the kernel verifies signatures of this algorithm on CPUs that have AVX-512 IFMA.
    pub(super) fn uses_kernel(&self) -> bool {
        self.kernel_hash.is_some()
    }

    /// Returns the same algorithm by aws-lc-rs. Where the kernel is not available, it takes three quarters
    /// of ring's time (raw signatures in `docs/generated/benchmarks/peers.md`, an AMD Zen 4).
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use claimgate::alg::{Registry, Rsa};
    ///
    /// let registry = Registry::builder().builtin().replace(Arc::new(Rsa::RS256.by_aws_lc())).build()?;
    /// # Ok::<(), claimgate::alg::RegistryError>(())
    /// ```
    #[cfg(feature = "aws-lc")]
    #[must_use]
    pub fn by_aws_lc(self) -> Rsa {
        Rsa { is_by_aws_lc: true, ..self.by_ring() }
    }
}

impl Algorithm for Rsa {
    fn name(&self) -> &str {
        self.name
    }

    fn accepts(&self, key: &KeyMaterial) -> bool {
        matches!(key, KeyMaterial::Rsa { .. })
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        let KeyMaterial::Rsa { n, e } = key.material() else {
            return Err(KeyError::WrongFamily);
        };
        let bits = bit_length(n);
        let parameters = if bits >= MIN_BITS {
            self.parameters
        } else if key.weak_allowed() && bits >= MIN_WEAK_BITS {
            self.weak_parameters.ok_or(KeyError::Weak)?
        } else {
            return Err(KeyError::Weak);
        };
        if bits > MAX_BITS {
            return Err(KeyError::invalid("an RSA modulus of over 8192 bits"));
        }
        if !is_odd(n) {
            return Err(KeyError::invalid("an even RSA modulus"));
        }
        if !is_odd(e) || e == &[1] || bit_length(e) > MAX_EXPONENT_BITS {
            return Err(KeyError::invalid("an RSA exponent that is even, 1 or over 33 bits"));
        }
        #[cfg(feature = "aws-lc")]
        if self.is_by_aws_lc {
            return Ok(Arc::new(aws_lc::ByAwsLc::prepare(self, n, e, bits < MIN_BITS)?));
        }
        let by_ring =
            ByRing { components: RsaPublicKeyComponents { n: n.clone(), e: e.clone() }, parameters };
        if let Some(hash) = self.kernel_hash.filter(|_| kernel::Key::is_supported(n, e)) {
            return Ok(Arc::new(ByKernel { kernel: OnceLock::new(), hash, by_ring }));
        }
        Ok(Arc::new(by_ring))
    }

    fn verify_batch(&self, items: &[BatchItem<'_>], results: &mut [Result<(), SignatureError>]) {
        // Looked up once per item: another thread may prepare a kernel key meanwhile.
        let keys: Vec<Option<(&ByKernel, &kernel::Key)>> =
            items.iter().map(|item| ByKernel::find_prepared(item.key)).collect();
        let by_kernel: Vec<kernel::Item<'_>> = items
            .iter()
            .zip(&keys)
            .filter_map(|(BatchItem { signed, .. }, key)| {
                let (_, key) = (*key)?;
                Some(kernel::Item { key, message: signed.signing_input, signature: signed.signature })
            })
            .collect();
        let mut verified = vec![false; by_kernel.len()];
        kernel::verify_batch(&by_kernel, &mut verified);
        let mut verified = verified.into_iter();
        for ((item, key), result) in items.iter().zip(keys).zip(results) {
            *result = match key {
                Some(_) if verified.next() == Some(true) => Ok(()),
                Some((key, _)) => key.by_ring.verify(item.signed.signing_input, item.signed.signature),
                None => item.verify(),
            };
        }
    }
}

struct ByRing {
    components: RsaPublicKeyComponents<Vec<u8>>,
    parameters: &'static RsaParameters,
}

impl PreparedKey for ByRing {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.components.verify(self.parameters, signing_input, signature).map_err(|_| SignatureError::Invalid)
    }
}

/// A key whose signatures the kernel verifies. Ring confirms each rejection.
struct ByKernel {
    /// The kernel's key, prepared once ring has accepted a signature: a key that is never used costs
    /// nothing, and a client without a valid signature cannot cause the preparation. `None` inside if the
    /// kernel gave a wrong answer for this key.
    kernel: OnceLock<Option<kernel::Key>>,
    hash: kernel::Hash,
    by_ring: ByRing,
}

impl ByKernel {
    /// Returns the key and its kernel key, if that has been prepared.
    fn find_prepared(key: &dyn PreparedKey) -> Option<(&Self, &kernel::Key)> {
        let key: &Self = (key as &dyn Any).downcast_ref()?;
        Some((key, key.prepared()?))
    }

    /// Returns `None` until prepared, or if the known answers failed for this key.
    fn prepared(&self) -> Option<&kernel::Key> {
        self.kernel.get()?.as_ref()
    }
}

impl PreparedKey for ByKernel {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if self.prepared().is_some_and(|kernel| kernel.verify(signing_input, signature)) {
            return Ok(());
        }
        self.by_ring.verify(signing_input, signature)?;
        let RsaPublicKeyComponents { n, e } = &self.by_ring.components;
        self.kernel.get_or_init(|| kernel::Key::prepare(n, e, self.hash));
        Ok(())
    }
}

/// Returns the length in bits of a big-endian number without leading zero bytes.
fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alg::Signed;
    use crate::key::KeySet;
    use crate::limits::Limits;

    /// Preparing a kernel key takes a millisecond and more: an invalid signature must not cause it.
    #[test]
    fn a_kernel_is_made_for_a_right_signature_alone() {
        let keys = KeySet::from_jwks(include_bytes!("../../../vectors/demo/jwks.json"), &Limits::DEFAULT);
        let token = include_str!("../../../vectors/demo/token.txt").trim();
        let (input, signature) = token.rsplit_once('.').expect("a token");
        let signature = crate::base64url::decode(signature.as_bytes()).expect("base64url");
        let key = Rsa::RS256.prepare(&keys.expect("keys").keys()[0]).expect("an RSA key");
        if !(&*key as &dyn Any).is::<ByKernel>() {
            eprintln!("not run: this CPU has no AVX-512 IFMA");
            return;
        }
        let signed = Signed { signing_input: b"another message", signature: &signature };
        let mut results = [const { Ok(()) }; 9];
        Rsa::RS256.verify_batch(&[BatchItem { key: &*key, signed }; 9], &mut results);
        assert_eq!(results, [const { Err(SignatureError::Invalid) }; 9]);
        assert!(ByKernel::find_prepared(&*key).is_none());
        assert_eq!(key.verify(input.as_bytes(), &signature), Ok(()));
        assert!(ByKernel::find_prepared(&*key).is_some());
    }
}
