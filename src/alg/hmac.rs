//! HS256/384/512 (RFC 7518 §3.2), by the RustCrypto hmac and sha2 crates.

use std::sync::Arc;

use hmac::{Hmac as Mac, KeyInit, Mac as _};
use sha2::{Sha256, Sha384, Sha512};

use super::{Algorithm, PreparedKey, SignatureError};
use crate::key::{KeyError, KeyMaterial, VerificationKey};

/// One algorithm of the HMAC family.
#[derive(Clone, Copy)]
pub struct Hmac {
    name: &'static str,
    /// The hash's length in bytes, which is also the shortest key (RFC 7518 §3.2).
    hash_bytes: usize,
    prepare: fn(&[u8]) -> Arc<dyn PreparedKey>,
}

crate::text::redacted_debug!(Hmac, name);

impl Hmac {
    /// HMAC using SHA-256.
    pub const HS256: Hmac = Hmac { name: "HS256", hash_bytes: 32, prepare: prepare_sha256 };
    /// HMAC using SHA-384.
    pub const HS384: Hmac = Hmac { name: "HS384", hash_bytes: 48, prepare: prepare_sha384 };
    /// HMAC using SHA-512.
    pub const HS512: Hmac = Hmac { name: "HS512", hash_bytes: 64, prepare: prepare_sha512 };
}

impl Algorithm for Hmac {
    fn name(&self) -> &str {
        self.name
    }

    fn accepts(&self, key: &KeyMaterial) -> bool {
        matches!(key, KeyMaterial::Secret(_))
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        let KeyMaterial::Secret(secret) = key.material() else {
            return Err(KeyError::WrongFamily);
        };
        if secret.is_empty() || (secret.len() < self.hash_bytes && !key.weak_allowed()) {
            return Err(KeyError::Weak);
        }
        if is_public_key(secret) {
            return Err(KeyError::invalid("the text of a public key given as a secret"));
        }
        Ok((self.prepare)(secret))
    }
}

/// Reports whether a secret is the text of a public key. An attacker who has that PEM or JWK could sign with it
/// (RFC 8725 §2.1).
fn is_public_key(secret: &[u8]) -> bool {
    let text = secret.trim_ascii_start();
    text.starts_with(b"-----BEGIN ")
        || (text.starts_with(b"{") && text.windows(5).any(|word| word == b"\"kty\""))
}

macro_rules! prepared {
    ($prepare:ident, $hash:ty) => {
        fn $prepare(secret: &[u8]) -> Arc<dyn PreparedKey> {
            Arc::new(Prepared::<$hash>(
                KeyInit::new_from_slice(secret).expect("HMAC takes keys of any length"),
            ))
        }

        impl PreparedKey for Prepared<$hash> {
            fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
                // `verify_slice` compares in constant time.
                let mac = self.0.clone().chain_update(signing_input);
                mac.verify_slice(signature).map_err(|_| SignatureError::Invalid)
            }
        }
    };
}

/// The MAC's state after the key block, zeroized when dropped.
struct Prepared<D: hmac::EagerHash>(Mac<D>);

prepared!(prepare_sha256, Sha256);
prepared!(prepare_sha384, Sha384);
prepared!(prepare_sha512, Sha512);
