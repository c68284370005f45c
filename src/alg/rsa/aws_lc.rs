//! The RSA family by aws-lc-rs, with the feature `aws-lc`.

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};

use super::Rsa;
use crate::alg::{PreparedKey, SignatureError};
use crate::key::KeyError;

/// A key parsed by aws-lc-rs.
pub(super) struct ByAwsLc(ParsedPublicKey);

impl ByAwsLc {
    /// Prepares a key. The caller has checked its size and exponent.
    pub(super) fn prepare(algorithm: &Rsa, n: &[u8], e: &[u8], is_weak: bool) -> Result<Self, KeyError> {
        let parameters = parameters(algorithm.name, is_weak).ok_or(KeyError::Weak)?;
        RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(parameters)
            .map(Self)
            .map_err(|_| KeyError::invalid("an RSA key that aws-lc rejects"))
    }
}

impl PreparedKey for ByAwsLc {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.0.verify_sig(signing_input, signature).map_err(|_| SignatureError::Invalid)
    }
}

fn parameters(name: &str, is_weak: bool) -> Option<&'static RsaParameters> {
    Some(match (name, is_weak) {
        ("RS256", false) => &signature::RSA_PKCS1_2048_8192_SHA256,
        ("RS384", false) => &signature::RSA_PKCS1_2048_8192_SHA384,
        ("RS512", false) => &signature::RSA_PKCS1_2048_8192_SHA512,
        ("PS256", false) => &signature::RSA_PSS_2048_8192_SHA256,
        ("PS384", false) => &signature::RSA_PSS_2048_8192_SHA384,
        ("PS512", false) => &signature::RSA_PSS_2048_8192_SHA512,
        ("RS256", true) => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        ("RS512", true) => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        _ => return None,
    })
}
