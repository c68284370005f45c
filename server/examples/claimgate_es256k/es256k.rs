//! ES256K, ECDSA over secp256k1 with SHA-256 (RFC 8812 §3.2), by the `k256` crate.

use std::sync::Arc;

use claimgate::alg::{Algorithm, PreparedKey, SignatureError};
use claimgate::key::{KeyError, KeyMaterial, VerificationKey};
use k256::ecdsa::signature::Verifier;
use k256::ecdsa::{Signature, VerifyingKey};

/// The algorithm.
pub(crate) struct Es256k;

impl Algorithm for Es256k {
    fn name(&self) -> &str {
        "ES256K"
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        let KeyMaterial::Ec { curve, x, y } = key.material() else {
            return Err(KeyError::WrongFamily);
        };
        if curve != "secp256k1" {
            return Err(KeyError::WrongFamily);
        }
        if x.len() != 32 || y.len() != 32 {
            return Err(KeyError::invalid("a coordinate of secp256k1 has 32 bytes"));
        }
        let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
        let key = VerifyingKey::from_sec1_bytes(&point)
            .map_err(|_| KeyError::invalid("not a point of secp256k1"))?;
        Ok(Arc::new(Es256kKey(key)))
    }
}

/// A key whose point has been decoded and checked.
struct Es256kKey(VerifyingKey);

impl PreparedKey for Es256kKey {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = Signature::from_slice(signature).map_err(|_| SignatureError::Invalid)?;
        // k256 accepts the lower `s` of the two that are valid; OpenSSL signs with either.
        self.0.verify(signing_input, &signature.normalize_s()).map_err(|_| SignatureError::Invalid)
    }
}
