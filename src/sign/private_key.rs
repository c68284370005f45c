//! Private keys and signing, by family.

use getrandom::SysRng;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Generate, Pkcs1v15Sign, Pss};
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::SignError;

/// `parameters` of RFC 5915 §3 with the name of P-256, P-384 and P-521 (RFC 5480 §2.1.1.1), in DER.
const P256: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: [u8; 9] = [0xa0, 0x07, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: [u8; 9] = [0xa0, 0x07, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

/// A private key or shared secret of one family.
pub(super) enum Material {
    Rsa(Box<rsa::PrivateKey>),
    P256(Box<p256::ecdsa::SigningKey>),
    P384(Box<p384::ecdsa::SigningKey>),
    P521(Box<p521::ecdsa::SigningKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Secret(Zeroizing<Vec<u8>>),
}

impl Material {
    pub(super) fn generate(algorithm: &str, rsa_bits: usize) -> Result<Self, SignError> {
        let rng = &mut SysRng;
        match algorithm {
            "ES256" => p256::ecdsa::SigningKey::try_generate_from_rng(rng)
                .map(|key| Self::P256(Box::new(key)))
                .map_err(|_| SignError::Random),
            "ES384" => p384::ecdsa::SigningKey::try_generate_from_rng(rng)
                .map(|key| Self::P384(Box::new(key)))
                .map_err(|_| SignError::Random),
            "ES512" => p521::ecdsa::SigningKey::try_generate_from_rng(rng)
                .map(|key| Self::P521(Box::new(key)))
                .map_err(|_| SignError::Random),
            "EdDSA" | "Ed25519" => {
                let mut seed = Zeroizing::new([0; 32]);
                getrandom::fill(seed.as_mut_slice()).map_err(|_| SignError::Random)?;
                Ok(Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed))))
            }
            "HS256" | "HS384" | "HS512" => {
                // RFC 7518 §3.2: a key as long as the hash.
                let mut secret = Zeroizing::new(vec![0; hash_bytes(algorithm)]);
                getrandom::fill(&mut secret).map_err(|_| SignError::Random)?;
                Ok(Self::Secret(secret))
            }
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => {
                if !(1024..=8192).contains(&rsa_bits) {
                    return Err(SignError::RsaBits);
                }
                rsa::PrivateKey::new(rng, rsa_bits)
                    .map(|key| Self::Rsa(Box::new(key)))
                    .map_err(|_| SignError::Random)
            }
            name => Err(SignError::UnknownAlgorithm { name: name.to_owned() }),
        }
    }

    pub(super) fn from_pem(text: &str) -> Result<Self, SignError> {
        let text = without_parameters(text.trim());
        let (label, der) = x509_cert::der::pem::decode_vec(text.as_bytes()).map_err(|_| SignError::Pem)?;
        let der = Zeroizing::new(der);
        match label {
            "PRIVATE KEY" => {}
            "RSA PRIVATE KEY" => {
                let key = rsa::PrivateKey::from_pkcs1_der(&der).map_err(|_| SignError::Pem)?;
                return Ok(Self::Rsa(Box::new(key)));
            }
            "EC PRIVATE KEY" => return Self::from_sec1(&der),
            _ => return Err(SignError::Pem),
        }
        if let Ok(key) = rsa::PrivateKey::from_pkcs8_der(&der) {
            return Ok(Self::Rsa(Box::new(key)));
        }
        if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_der(&der) {
            return Ok(Self::P256(Box::new(key)));
        }
        if let Ok(key) = p384::ecdsa::SigningKey::from_pkcs8_der(&der) {
            return Ok(Self::P384(Box::new(key)));
        }
        if let Ok(key) = p521::ecdsa::SigningKey::from_pkcs8_der(&der) {
            return Ok(Self::P521(Box::new(key)));
        }
        match ed25519_dalek::SigningKey::from_pkcs8_der(&der) {
            Ok(key) => Ok(Self::Ed25519(Box::new(key))),
            Err(_) => Err(SignError::Pem),
        }
    }

    /// Parses `ECPrivateKey` (RFC 5915 §3), which must name its curve: the form allows to leave it out, and a number
    /// of 32 bytes would be a key of several curves.
    fn from_sec1(der: &[u8]) -> Result<Self, SignError> {
        let names = |curve: &[u8]| der.windows(curve.len()).any(|part| part == curve);
        let key = if names(&P256) {
            p256::SecretKey::from_sec1_der(der).map(|key| Self::P256(Box::new(key.into())))
        } else if names(&P384) {
            p384::SecretKey::from_sec1_der(der).map(|key| Self::P384(Box::new(key.into())))
        } else if names(&P521) {
            p521::SecretKey::from_sec1_der(der).map(|key| Self::P521(Box::new(key.into())))
        } else {
            return Err(SignError::Pem);
        };
        key.map_err(|_| SignError::Pem)
    }

    /// Returns the default algorithm.
    pub(super) fn usual_algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::P521(_) => "ES512",
            Self::Ed25519(_) => "EdDSA",
            Self::Secret(_) => "HS256",
        }
    }

    pub(super) fn fits(&self, algorithm: &str) -> bool {
        match self {
            Self::Rsa(_) => algorithm.starts_with("RS") || algorithm.starts_with("PS"),
            Self::Secret(_) => algorithm.starts_with("HS"),
            Self::Ed25519(_) => algorithm == "EdDSA" || algorithm == "Ed25519",
            _ => algorithm == self.usual_algorithm(),
        }
    }

    /// Signs with an algorithm that [`fits`](Self::fits).
    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError::Signing;
        match self {
            Self::Rsa(key) => match algorithm {
                "RS256" => key.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message)),
                "RS384" => key.sign(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message)),
                "RS512" => key.sign(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message)),
                "PS256" => key.sign(Pss::<Sha256>::new(), &Sha256::digest(message)),
                "PS384" => key.sign(Pss::<Sha384>::new(), &Sha384::digest(message)),
                _ => key.sign(Pss::<Sha512>::new(), &Sha512::digest(message)),
            }
            .map_err(|_| SignError::Signing),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                Ok(signature.to_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                Ok(signature.to_bytes().to_vec())
            }
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                Ok(signature.to_bytes().to_vec())
            }
            Self::Ed25519(key) => Ok(key.try_sign(message).map_err(failed)?.to_bytes().to_vec()),
            Self::Secret(secret) => match algorithm {
                "HS256" => mac::<Hmac<Sha256>>(secret, message),
                "HS384" => mac::<Hmac<Sha384>>(secret, message),
                _ => mac::<Hmac<Sha512>>(secret, message),
            },
        }
    }
}

/// Returns a PEM text without the block `EC PARAMETERS` that `openssl ecparam -genkey` writes before a key: the key
/// names the curve too.
fn without_parameters(text: &str) -> &str {
    let rest = text.strip_prefix("-----BEGIN EC PARAMETERS-----");
    let key = rest.and_then(|rest| rest.split_once("-----END EC PARAMETERS-----"));
    key.map_or(text, |(_, key)| key.trim_start())
}

fn mac<M: Mac + KeyInit>(secret: &[u8], message: &[u8]) -> Result<Vec<u8>, SignError> {
    let mac = <M as KeyInit>::new_from_slice(secret).map_err(|_| SignError::Signing)?;
    Ok(mac.chain_update(message).finalize().into_bytes().to_vec())
}

fn hash_bytes(algorithm: &str) -> usize {
    match algorithm {
        "HS256" => 32,
        "HS384" => 48,
        _ => 64,
    }
}
