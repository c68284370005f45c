//! JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::{KeyError, KeyMaterial, VerificationKey};
use crate::json::member::{bytes, required_text, text};

/// The private members of RFC 7518 §6.2.2, §6.3.2, §6.4.1 and RFC 8037 §2.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Parses one JWK. Private members are removed and wiped: a verifier does not use them.
pub(super) fn from_object(mut jwk: Map<String, Value>) -> Result<VerificationKey, KeyError> {
    let read = read(&mut jwk);
    let mut was_private = false;
    for member in PRIVATE_MEMBERS {
        let removed = jwk.remove(member);
        was_private |= removed.is_some();
        if let Some(Value::String(mut text)) = removed {
            text.zeroize();
        }
    }
    let (kty, metadata, material) = read?;
    let material = match material {
        Some(material) => material,
        None => KeyMaterial::Other { kty, members: jwk },
    };
    Ok(VerificationKey { material, was_private, ..metadata })
}

type Read = (String, VerificationKey, Option<KeyMaterial>);

fn read(jwk: &mut Map<String, Value>) -> Result<Read, KeyError> {
    let kty = required_text(jwk, "kty")?.to_owned();
    let metadata = VerificationKey {
        material: KeyMaterial::Secret(Zeroizing::default()),
        kid: text(jwk, "kid")?.map(str::to_owned),
        alg: text(jwk, "alg")?.map(str::to_owned),
        for_signatures: text(jwk, "use")?.is_none_or(|value| value == "sig") && allows_verify(jwk)?,
        weak_allowed: false,
        was_private: false,
    };
    let material = match kty.as_str() {
        "RSA" => Some(KeyMaterial::Rsa { n: unsigned(jwk, "n")?, e: unsigned(jwk, "e")? }),
        "EC" => Some(KeyMaterial::Ec {
            curve: required_text(jwk, "crv")?.to_owned(),
            x: bytes(jwk, "x")?,
            y: bytes(jwk, "y")?,
        }),
        "OKP" => Some(KeyMaterial::Okp { curve: required_text(jwk, "crv")?.to_owned(), x: bytes(jwk, "x")? }),
        "oct" => Some(KeyMaterial::Secret(Zeroizing::new(bytes(jwk, "k")?))),
        _ => None,
    };
    Ok((kty, metadata, material))
}

/// Decodes a Base64urlUInt (RFC 7518 §2). Leading zero bytes are not canonical, but common, and are removed.
fn unsigned(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, KeyError> {
    let bytes = bytes(jwk, member)?;
    let start = bytes.iter().position(|byte| *byte != 0).ok_or(KeyError::Member { member })?;
    Ok(bytes[start..].to_vec())
}

/// Reports whether `key_ops` (RFC 7517 §4.3) allows verification: it is absent, or an array that contains
/// `verify`.
fn allows_verify(jwk: &Map<String, Value>) -> Result<bool, KeyError> {
    match jwk.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => {
            Ok(operations.iter().any(|operation| operation == "verify"))
        }
        Some(_) => Err(KeyError::Member { member: "key_ops" }),
    }
}
