//! RS256/384/512 and PS256/384/512 (RFC 7518 §3.3, §3.5), by ring; the former, on CPUs with AVX-512
//! IFMA and for the usual keys, by a kernel of our own whose rejections ring confirms.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(target_arch = "x86_64")]
mod kernel;
#[cfg(target_arch = "x86_64")]
mod number;
#[cfg(target_arch = "x86_64")]
mod plain;

use std::sync::Arc;
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

use ring::signature::{self, RsaParameters, RsaPublicKeyComponents};

use super::{Algorithm, InvalidSignature, PreparedKey};
use crate::key::{KeyError, KeyMaterial, VerificationKey};
#[cfg(target_arch = "x86_64")]
use {
    self::kernel::Kernel,
    super::{BatchItem, Signed},
    std::any::Any,
};

/// RFC 7518 §3.3: "a key of size 2048 bits or larger MUST be used".
const MIN_BITS: usize = 2048;
/// The smallest modulus that [`VerificationKey::danger_allow_weak`] lets through.
const MIN_WEAK_BITS: usize = 1024;
/// ring's own bound; a larger modulus makes each verification a cost worth attacking.
const MAX_BITS: usize = 8192;
/// ring's own bound on the exponent: below 2^33.
const MAX_EXPONENT_BITS: usize = 33;

/// One algorithm of the RSA family.
#[derive(Clone, Copy)]
pub struct Rsa {
    name: &'static str,
    parameters: &'static RsaParameters,
    /// For moduli under 2048 bits, where ring has them.
    weak_parameters: Option<&'static RsaParameters>,
    #[cfg(target_arch = "x86_64")]
    kernel: Option<kernel::Hash>,
    #[cfg(feature = "aws-lc")]
    is_by_aws_lc: bool,
}

impl Rsa {
    /// The same algorithm by ring alone, on every CPU; register it in the built-in one's place
    /// ([`Registry::builtin_by_ring`](super::Registry::builtin_by_ring) does so for all).
    #[must_use]
    pub fn by_ring(self) -> Rsa {
        Rsa {
            #[cfg(target_arch = "x86_64")]
            kernel: None,
            #[cfg(feature = "aws-lc")]
            is_by_aws_lc: false,
            ..self
        }
    }

    /// The same algorithm by aws-lc-rs: where the kernel does not serve, it takes three quarters of
    /// ring's time (raw signatures in `docs/generated/benchmarks/peers.md`, an AMD Zen 4).
    #[cfg(feature = "aws-lc")]
    #[must_use]
    pub fn by_aws_lc(self) -> Rsa {
        Rsa { is_by_aws_lc: true, ..self.by_ring() }
    }

    /// RSASSA-PKCS1-v1_5 using SHA-256.
    pub const RS256: Rsa = Rsa {
        name: "RS256",
        parameters: &signature::RSA_PKCS1_2048_8192_SHA256,
        weak_parameters: Some(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        #[cfg(target_arch = "x86_64")]
        kernel: Some(kernel::Hash::SHA256),
        #[cfg(feature = "aws-lc")]
        is_by_aws_lc: false,
    };
    /// RSASSA-PKCS1-v1_5 using SHA-384.
    pub const RS384: Rsa = Rsa {
        name: "RS384",
        parameters: &signature::RSA_PKCS1_2048_8192_SHA384,
        weak_parameters: None,
        #[cfg(target_arch = "x86_64")]
        kernel: Some(kernel::Hash::SHA384),
        #[cfg(feature = "aws-lc")]
        is_by_aws_lc: false,
    };
    /// RSASSA-PKCS1-v1_5 using SHA-512.
    pub const RS512: Rsa = Rsa {
        name: "RS512",
        parameters: &signature::RSA_PKCS1_2048_8192_SHA512,
        weak_parameters: Some(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        #[cfg(target_arch = "x86_64")]
        kernel: Some(kernel::Hash::SHA512),
        #[cfg(feature = "aws-lc")]
        is_by_aws_lc: false,
    };
    /// RSASSA-PSS using SHA-256 and MGF1 with SHA-256, salt as long as the hash.
    pub const PS256: Rsa = Rsa {
        name: "PS256",
        parameters: &signature::RSA_PSS_2048_8192_SHA256,
        weak_parameters: None,
        #[cfg(target_arch = "x86_64")]
        kernel: None,
        #[cfg(feature = "aws-lc")]
        is_by_aws_lc: false,
    };
    /// RSASSA-PSS using SHA-384 and MGF1 with SHA-384, salt as long as the hash.
    pub const PS384: Rsa = Rsa {
        name: "PS384",
        parameters: &signature::RSA_PSS_2048_8192_SHA384,
        weak_parameters: None,
        #[cfg(target_arch = "x86_64")]
        kernel: None,
        #[cfg(feature = "aws-lc")]
        is_by_aws_lc: false,
    };
    /// RSASSA-PSS using SHA-512 and MGF1 with SHA-512, salt as long as the hash.
    pub const PS512: Rsa = Rsa {
        name: "PS512",
        parameters: &signature::RSA_PSS_2048_8192_SHA512,
        weak_parameters: None,
        #[cfg(target_arch = "x86_64")]
        kernel: None,
        #[cfg(feature = "aws-lc")]
        is_by_aws_lc: false,
    };
}

impl Algorithm for Rsa {
    fn name(&self) -> &str {
        self.name
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
            return Err(KeyError::Invalid { reason: "an RSA modulus of over 8192 bits" });
        }
        if !is_odd(n) {
            return Err(KeyError::Invalid { reason: "an even RSA modulus" });
        }
        if !is_odd(e) || e == &[1] || bit_length(e) > MAX_EXPONENT_BITS {
            return Err(KeyError::Invalid { reason: "an RSA exponent that is even, 1 or over 33 bits" });
        }
        #[cfg(feature = "aws-lc")]
        if self.is_by_aws_lc {
            return Ok(Arc::new(aws_lc::ByAwsLc::prepare(self, n, e, bits < MIN_BITS)?));
        }
        let by_ring =
            ByRing { components: RsaPublicKeyComponents { n: n.clone(), e: e.clone() }, parameters };
        #[cfg(target_arch = "x86_64")]
        if let Some(hash) = self.kernel.filter(|_| Kernel::is_for(n, e)) {
            return Ok(Arc::new(ByKernel { kernel: OnceLock::new(), hash, by_ring }));
        }
        Ok(Arc::new(by_ring))
    }

    #[cfg(target_arch = "x86_64")]
    fn verify_batch(&self, items: &[BatchItem<'_>], results: &mut [Result<(), InvalidSignature>]) {
        // Asked once: a key may be made ready meanwhile.
        let keys: Vec<Option<(&ByKernel, &Kernel)>> =
            items.iter().map(|item| ByKernel::ready_of(item.key)).collect();
        let by_kernel: Vec<(&Kernel, Signed<'_>)> =
            items.iter().zip(&keys).filter_map(|(item, key)| Some(((*key)?.1, item.signed))).collect();
        let mut accepted = vec![false; by_kernel.len()];
        kernel::accept_many(&by_kernel, &mut accepted);
        let mut accepted = accepted.into_iter();
        for ((item, key), result) in items.iter().zip(keys).zip(results) {
            *result = match key {
                Some(_) if accepted.next() == Some(true) => Ok(()),
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
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.components.verify(self.parameters, signing_input, signature).map_err(|_| InvalidSignature)
    }
}

/// The kernel accepts by itself; what it does not accept, ring judges.
#[cfg(target_arch = "x86_64")]
struct ByKernel {
    /// Made ready, and tried, once ring has accepted a signature: keys that nobody uses cost nothing, and
    /// nobody without a right signature can ask for it.
    kernel: OnceLock<Option<Kernel>>,
    hash: kernel::Hash,
    by_ring: ByRing,
}

#[cfg(target_arch = "x86_64")]
impl ByKernel {
    /// A key that has its kernel ready, with that.
    fn ready_of(key: &dyn PreparedKey) -> Option<(&Self, &Kernel)> {
        let key: &Self = (key as &dyn Any).downcast_ref()?;
        Some((key, key.ready()?))
    }

    /// None before there is one, and where it gave a wrong answer for this key.
    fn ready(&self) -> Option<&Kernel> {
        self.kernel.get()?.as_ref()
    }
}

#[cfg(target_arch = "x86_64")]
impl PreparedKey for ByKernel {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        if self.ready().is_some_and(|kernel| kernel.accepts(Signed { signing_input, signature })) {
            return Ok(());
        }
        self.by_ring.verify(signing_input, signature)?;
        self.kernel.get_or_init(|| Kernel::prepare(&self.by_ring.components.n, self.hash));
        Ok(())
    }
}

/// The length in bits of a big-endian number without leading zero bytes.
fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last & 1 == 1)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::key::KeySet;
    use crate::limits::Limits;

    /// Making a kernel ready takes a millisecond and more: nobody gets that for a signature that is wrong.
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
        let mut results = [Ok(()); 9];
        Rsa::RS256.verify_batch(&[BatchItem { key: &*key, signed }; 9], &mut results);
        assert_eq!(results, [Err(InvalidSignature); 9]);
        assert!(ByKernel::ready_of(&*key).is_none());
        assert_eq!(key.verify(input.as_bytes(), &signature), Ok(()));
        assert!(ByKernel::ready_of(&*key).is_some());
    }
}
