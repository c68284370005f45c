//! ES256, ES384 (by ring) and ES512 (by the RustCrypto p521 crate); RFC 7518 §3.4.
//!
//! Signatures are the fixed-length concatenation of r and s; DER is rejected.

use std::sync::Arc;

use p521::ecdsa::signature::Verifier;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, UnparsedPublicKey, VerificationAlgorithm,
};

use super::{Algorithm, PreparedKey, SignatureError};
use crate::key::{KeyError, KeyMaterial, VerificationKey};

/// One algorithm of the ECDSA family; each uses one curve.
#[derive(Clone, Copy)]
pub struct Ecdsa {
    name: &'static str,
    curve: &'static str,
    coordinate_bytes: usize,
    prepare: fn(Vec<u8>) -> Option<Arc<dyn PreparedKey>>,
}

crate::text::redacted_debug!(Ecdsa, name);

impl Ecdsa {
    /// ECDSA using P-256 and SHA-256.
    pub const ES256: Ecdsa =
        Ecdsa { name: "ES256", curve: "P-256", coordinate_bytes: 32, prepare: prepare_p256 };
    /// ECDSA using P-384 and SHA-384.
    pub const ES384: Ecdsa =
        Ecdsa { name: "ES384", curve: "P-384", coordinate_bytes: 48, prepare: prepare_p384 };
    /// ECDSA using P-521 and SHA-512.
    pub const ES512: Ecdsa =
        Ecdsa { name: "ES512", curve: "P-521", coordinate_bytes: 66, prepare: prepare_p521 };
}

impl Algorithm for Ecdsa {
    fn name(&self) -> &str {
        self.name
    }

    fn accepts(&self, key: &KeyMaterial) -> bool {
        matches!(key, KeyMaterial::Ec { curve, .. } if curve == self.curve)
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        let (x, y) = match key.material() {
            KeyMaterial::Ec { curve, x, y } if curve == self.curve => (x, y),
            _ => return Err(KeyError::WrongFamily),
        };
        // RFC 7518 §6.2.1.2: the coordinates have the full length of the curve's field.
        if x.len() != self.coordinate_bytes || y.len() != self.coordinate_bytes {
            return Err(KeyError::invalid("an EC coordinate of the wrong length"));
        }
        let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
        (self.prepare)(point).ok_or(KeyError::invalid("an EC point that is not on its curve"))
    }
}

fn prepare_p256(point: Vec<u8>) -> Option<Arc<dyn PreparedKey>> {
    p256::PublicKey::from_sec1_bytes(&point).ok()?;
    Some(by_ring(&ECDSA_P256_SHA256_FIXED, point))
}

fn prepare_p384(point: Vec<u8>) -> Option<Arc<dyn PreparedKey>> {
    p384::PublicKey::from_sec1_bytes(&point).ok()?;
    Some(by_ring(&ECDSA_P384_SHA384_FIXED, point))
}

fn prepare_p521(point: Vec<u8>) -> Option<Arc<dyn PreparedKey>> {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
    Some(Arc::new(P521(key)))
}

fn by_ring(algorithm: &'static dyn VerificationAlgorithm, point: Vec<u8>) -> Arc<dyn PreparedKey> {
    Arc::new(ByRing(UnparsedPublicKey::new(algorithm, point)))
}

struct ByRing(UnparsedPublicKey<Vec<u8>>);

impl PreparedKey for ByRing {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.0.verify(signing_input, signature).map_err(|_| SignatureError::Invalid)
    }
}

struct P521(p521::ecdsa::VerifyingKey);

impl PreparedKey for P521 {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = p521::ecdsa::Signature::from_slice(signature).map_err(|_| SignatureError::Invalid)?;
        self.0.verify(signing_input, &signature).map_err(|_| SignatureError::Invalid)
    }
}
