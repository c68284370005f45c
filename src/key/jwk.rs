//! JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::{CURVES, KeyError, KeyMaterial, VerificationKey};
use crate::json::member::{bytes, required_text, text_or_null};
use crate::json::{MemberFault, kind_of};

/// The private members of RFC 7518 §6.2.2, §6.3.2, §6.4.1 and RFC 8037 §2.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Parses one JWK. Private members are removed and wiped: a verifier does not use them.
pub(super) fn from_object(mut jwk: Map<String, Value>) -> Result<VerificationKey, KeyError> {
    let read = read(&mut jwk);
    let mut was_private = false;
    for member in PRIVATE_MEMBERS {
        let removed = jwk.remove(member);
        was_private |= removed.as_ref().is_some_and(|value| !value.is_null());
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
        kid: text_or_null(jwk, "kid")?.map(str::to_owned),
        alg: text_or_null(jwk, "alg")?.map(str::to_owned),
        issuer: jwk.get("issuer").and_then(Value::as_str).map(str::to_owned),
        for_signatures: text_or_null(jwk, "use")?.is_none_or(|value| value == "sig") && allows_verify(jwk)?,
        weak_allowed: false,
        was_private: false,
    };
    let material = match kty.as_str() {
        "RSA" => Some(KeyMaterial::Rsa { n: unsigned(jwk, "n")?, e: unsigned(jwk, "e")? }),
        "EC" => {
            let curve = required_text(jwk, "crv")?.to_owned();
            Some(KeyMaterial::Ec {
                x: coordinate(jwk, "x", &curve)?,
                y: coordinate(jwk, "y", &curve)?,
                curve,
            })
        }
        "OKP" => Some(KeyMaterial::Okp { curve: required_text(jwk, "crv")?.to_owned(), x: bytes(jwk, "x")? }),
        "oct" => Some(KeyMaterial::Secret(Zeroizing::new(bytes(jwk, "k")?))),
        _ => None,
    };
    Ok((kty, metadata, material))
}

/// Decodes a Base64urlUInt (RFC 7518 §2). Leading zero bytes are not canonical, but common, and are removed.
fn unsigned(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, KeyError> {
    let bytes = bytes(jwk, member)?;
    let start = bytes
        .iter()
        .position(|byte| *byte != 0)
        .ok_or(KeyError::Member { member, fault: MemberFault::Value("it is zero".into()) })?;
    Ok(bytes[start..].to_vec())
}

/// Decodes a coordinate, and brings it to the full length of the curve's field (RFC 7518 §6.2.1.2): some
/// issuers cut leading zero bytes, others write one too many. A longer number stays as it is, for the algorithm
/// to refuse, as does a coordinate of an unknown curve.
fn coordinate(jwk: &Map<String, Value>, member: &'static str, curve: &str) -> Result<Vec<u8>, KeyError> {
    let mut bytes = bytes(jwk, member)?;
    if bytes.is_empty() {
        return Err(KeyError::Member { member, fault: MemberFault::Value("it is empty".into()) });
    }
    if let Some((.., length)) = CURVES.iter().find(|(_, name, _)| *name == curve) {
        let extra = bytes.len().saturating_sub(*length);
        if bytes[..extra].iter().all(|byte| *byte == 0) {
            bytes.drain(..extra);
        }
        let missing = length.saturating_sub(bytes.len());
        bytes.splice(..0, std::iter::repeat_n(0, missing));
    }
    Ok(bytes)
}

/// Reports whether `key_ops` (RFC 7517 §4.3) allows verification: it is absent or null, or an array that
/// contains `verify`.
fn allows_verify(jwk: &Map<String, Value>) -> Result<bool, KeyError> {
    match jwk.get("key_ops") {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => {
            Ok(operations.iter().any(|operation| operation == "verify"))
        }
        Some(other) => {
            let fault = MemberFault::Type { found: kind_of(other), expected: "an array of strings" };
            Err(KeyError::Member { member: "key_ops", fault })
        }
    }
}
