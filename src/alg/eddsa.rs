//! Ed25519 (RFC 8037 §3.1) by ed25519-dalek, with strict verification, under both of its names.

use std::sync::Arc;

use ed25519_dalek::{Signature, VerifyingKey};

use super::{Algorithm, PreparedKey, SignatureError};
use crate::key::{KeyError, KeyMaterial, VerificationKey};

/// EdDSA over Ed25519.
#[derive(Clone, Copy, Debug)]
pub struct EdDsa(&'static str);

impl EdDsa {
    /// `EdDSA`: the key determines the curve (RFC 8037 §3.1).
    pub const POLYMORPHIC: EdDsa = EdDsa("EdDSA");
    /// `Ed25519`: the name determines the curve (RFC 9864 §2.2).
    pub const ED25519: EdDsa = EdDsa("Ed25519");
}

impl Algorithm for EdDsa {
    fn name(&self) -> &str {
        self.0
    }

    fn accepts(&self, key: &KeyMaterial) -> bool {
        matches!(key, KeyMaterial::Okp { curve, .. } if curve == "Ed25519")
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        let x = match key.material() {
            KeyMaterial::Okp { curve, x } if curve == "Ed25519" => x,
            _ => return Err(KeyError::WrongFamily),
        };
        let invalid = KeyError::invalid("not an Ed25519 public key");
        let bytes = x.as_slice().try_into().map_err(|_| invalid.clone())?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| invalid)?;
        if key.is_weak() {
            return Err(KeyError::invalid("an Ed25519 point of small order"));
        }
        Ok(Arc::new(Prepared(key)))
    }
}

struct Prepared(VerifyingKey);

impl PreparedKey for Prepared {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = Signature::from_slice(signature).map_err(|_| SignatureError::Invalid)?;
        // Strict: small-order points and s >= L are rejected, so that a signature has one encoding.
        self.0.verify_strict(signing_input, &signature).map_err(|_| SignatureError::Invalid)
    }
}
