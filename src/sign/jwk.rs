//! Private and public JWKs (RFC 7518 §6, RFC 8037 §2).

use rsa::BoxedUint;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::SignError;
use super::private_key::Material;
use crate::base64url;
use crate::json::{MemberFault, member};

/// Parses a private JWK. Its text is wiped afterwards.
pub(super) fn read(mut jwk: Map<String, Value>) -> Result<Material, SignError> {
    let material = material(&jwk);
    for (_, value) in &mut jwk {
        if let Value::String(text) = value {
            text.zeroize();
        }
    }
    material
}

fn material(jwk: &Map<String, Value>) -> Result<Material, SignError> {
    let material = match (member::text(jwk, "kty")?, member::text(jwk, "crv")?) {
        (Some("RSA"), _) => {
            let mut primes = Vec::new();
            if jwk.contains_key("p") || jwk.contains_key("q") {
                primes.extend([number(jwk, "p")?, number(jwk, "q")?]);
            }
            let key = rsa::PrivateKey::from_components(
                number(jwk, "n")?,
                number(jwk, "e")?,
                number(jwk, "d")?,
                primes,
            );
            Material::Rsa(Box::new(key.map_err(|_| SignError::Invalid)?))
        }
        (Some("EC"), Some("P-256")) => {
            let key = p256::ecdsa::SigningKey::from_slice(&bytes(jwk, "d")?);
            Material::P256(Box::new(key.map_err(|_| SignError::Invalid)?))
        }
        (Some("EC"), Some("P-384")) => {
            let key = p384::ecdsa::SigningKey::from_slice(&bytes(jwk, "d")?);
            Material::P384(Box::new(key.map_err(|_| SignError::Invalid)?))
        }
        (Some("EC"), Some("P-521")) => {
            let key = p521::ecdsa::SigningKey::from_slice(&bytes(jwk, "d")?);
            Material::P521(Box::new(key.map_err(|_| SignError::Invalid)?))
        }
        (Some("OKP"), Some("Ed25519")) => {
            let key = ed25519_dalek::SigningKey::try_from(bytes(jwk, "d")?.as_slice());
            Material::Ed25519(Box::new(key.map_err(|_| SignError::Invalid)?))
        }
        (Some("oct"), _) => Material::Secret(bytes(jwk, "k")?),
        (Some("EC" | "OKP"), _) => return Err(fault("crv", "it is none of P-256, P-384, P-521 and Ed25519")),
        _ => return Err(fault("kty", "it is none of RSA, EC, OKP and oct")),
    };
    // The public half, if present, must be this key's own.
    let own = public(&material).unwrap_or_default();
    for member in ["x", "y"] {
        if jwk.get(member).is_some_and(|given| own.get(member) != Some(given)) {
            return Err(SignError::Invalid);
        }
    }
    Ok(material)
}

/// Decodes a base64url member that must not be empty.
fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Zeroizing<Vec<u8>>, SignError> {
    let bytes = Zeroizing::new(member::bytes(jwk, name)?);
    if bytes.is_empty() { Err(fault(name, "it is empty")) } else { Ok(bytes) }
}

fn fault(member: &'static str, reason: &'static str) -> SignError {
    SignError::Member { member, fault: MemberFault::Value(reason.into()) }
}

fn number(jwk: &Map<String, Value>, name: &'static str) -> Result<BoxedUint, SignError> {
    Ok(BoxedUint::from_be_slice_vartime(&bytes(jwk, name)?))
}

/// Returns the public members; a shared secret has none.
pub(super) fn public(material: &Material) -> Option<Map<String, Value>> {
    Some(match material {
        Material::Rsa(key) => members("RSA", None, [("n", &key.n_bytes()[..]), ("e", &key.e_bytes()[..])]),
        Material::P256(key) => point("P-256", key.verifying_key().to_sec1_point(false).as_bytes()),
        Material::P384(key) => point("P-384", key.verifying_key().to_sec1_point(false).as_bytes()),
        Material::P521(key) => point("P-521", key.verifying_key().to_sec1_point(false).as_bytes()),
        Material::Ed25519(key) => {
            members("OKP", Some("Ed25519"), [("x", &key.verifying_key().as_bytes()[..])])
        }
        Material::Secret(_) => return None,
    })
}

/// Returns all members.
pub(super) fn private(material: &Material) -> Map<String, Value> {
    let mut jwk = public(material).unwrap_or_default();
    let mut add = |member: &str, bytes: &[u8]| {
        jwk.insert(member.to_owned(), base64url::encode(bytes).into());
    };
    match material {
        Material::Rsa(key) => {
            let primes = key.primes().iter().map(|prime| prime.as_ref().clone());
            let primes: Vec<BoxedUint> = primes.collect();
            let crt = [primes.first(), primes.get(1), key.dp(), key.dq()];
            let coefficient = key.crt_coefficient();
            let crt = ["p", "q", "dp", "dq"].into_iter().zip(crt);
            let values = crt.chain([("d", Some(key.d())), ("qi", coefficient.as_ref())]);
            for (member, value) in values {
                if let Some(value) = value {
                    add(member, &Zeroizing::new(value.to_be_bytes_trimmed_vartime().into_vec()));
                }
            }
        }
        Material::P256(key) => add("d", &Zeroizing::new(key.to_bytes().to_vec())),
        Material::P384(key) => add("d", &Zeroizing::new(key.to_bytes().to_vec())),
        Material::P521(key) => add("d", &Zeroizing::new(key.to_bytes().to_vec())),
        Material::Ed25519(key) => add("d", key.as_bytes()),
        Material::Secret(secret) => {
            add("k", secret);
            jwk.insert("kty".to_owned(), "oct".into());
        }
    }
    jwk
}

/// Encodes a point (SEC 1 §2.3.3): 0x04, x, y.
fn point(curve: &str, uncompressed: &[u8]) -> Map<String, Value> {
    let (x, y) = uncompressed[1..].split_at(uncompressed.len() / 2);
    members("EC", Some(curve), [("x", x), ("y", y)])
}

fn members<const N: usize>(kty: &str, crv: Option<&str>, fields: [(&str, &[u8]); N]) -> Map<String, Value> {
    let mut jwk = Map::new();
    jwk.insert("kty".to_owned(), kty.into());
    if let Some(crv) = crv {
        jwk.insert("crv".to_owned(), crv.into());
    }
    for (name, bytes) in fields {
        jwk.insert(name.to_owned(), base64url::encode(bytes).into());
    }
    jwk
}
