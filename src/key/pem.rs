//! PEM: SubjectPublicKeyInfo, PKCS#1 and X.509 certificates (RFC 7468, RFC 8017 A.1.1, RFC 5280).
//!
//! Of a certificate only the key is used: its names, dates and signatures are not verified.

use base64ct::{Base64, Encoding};
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::{CURVES, KeyError, KeyMaterial, VerificationKey};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Parses every key block of a PEM text, in order.
pub(super) fn read(text: &str) -> Result<Vec<Result<VerificationKey, KeyError>>, KeyError> {
    let keys: Vec<_> = blocks(text).map(block).collect();
    if keys.is_empty() { Err(without_block(text)) } else { Ok(keys) }
}

/// Returns the blocks, each from its first line to its last. A block without an end reaches to the next block.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    // Each search begins after the previous block, so that the time is linear in the text's length.
    let mut rest = text;
    std::iter::from_fn(move || {
        let from_begin = &rest[rest.find(BEGIN)?..];
        let next = from_begin[BEGIN.len()..].find(BEGIN).map_or(from_begin.len(), |at| BEGIN.len() + at);
        let (block, after) = from_begin.split_at(next);
        rest = after;
        let end = block.find(END).and_then(|at| {
            let label = at + END.len();
            block[label..].find(DASHES).map(|dashes| label + dashes + DASHES.len())
        });
        Some(&block[..end.unwrap_or(block.len())])
    })
}

fn block(text: &str) -> Result<VerificationKey, KeyError> {
    let (label, der) = decode(text)?;
    let material = match label {
        "PUBLIC KEY" => subject_public_key(&der),
        "RSA PUBLIC KEY" => rsa_public_key(&der),
        "CERTIFICATE" => {
            use x509_cert::der::Encode;
            let certificate = Certificate::from_der(&der).map_err(|_| NOT_A_KEY)?;
            let spki = certificate.tbs_certificate().subject_public_key_info();
            subject_public_key(&spki.to_der().map_err(|_| NOT_A_KEY)?)
        }
        _ => Err(KeyError::Pem { reason: "the block is none of PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE" }),
    }?;
    Ok(VerificationKey::new(material))
}

const NOT_A_KEY: KeyError =
    KeyError::Pem { reason: "the block's content is not what its label says, or is damaged" };

/// Returns a block's label and its bytes. White space anywhere in the base64 text is ignored, and lines may have
/// any length (RFC 7468 §2).
fn decode(block: &str) -> Result<(&str, Vec<u8>), KeyError> {
    let begin = block.strip_prefix(BEGIN).and_then(|rest| rest.split_once(DASHES));
    let (label, rest) = begin.ok_or(KeyError::Pem { reason: "the BEGIN line is damaged" })?;
    // Before the text is decoded: that of an encrypted key has header fields.
    if label.ends_with("PRIVATE KEY") {
        return Err(KeyError::Private);
    }
    let body = rest.strip_suffix(DASHES).and_then(|rest| rest.strip_suffix(label)?.strip_suffix(END));
    let body = body.ok_or(KeyError::Pem { reason: "the block has no END line of its label" })?;
    if body.contains(r"\n") {
        return Err(ESCAPED_LINES);
    }
    let base64: String = body.split_ascii_whitespace().collect();
    let der = Base64::decode_vec(&base64).map_err(|_| KeyError::Pem { reason: "the block is not base64" })?;
    Ok((label, der))
}

const ESCAPED_LINES: KeyError = KeyError::Pem {
    reason: r#"its line ends are written as the two characters `\n`; `printf '%b' "$KEY" > key.pem` makes lines of them"#,
};

/// Returns what a text without a PEM block looks like, with the command that converts it.
fn without_block(text: &str) -> KeyError {
    let text = text.trim_start_matches('\u{feff}').trim();
    let is_binary = |character: char| {
        character == '\u{fffd}' || (character.is_control() && !character.is_ascii_whitespace())
    };
    let reason = if ["ssh-", "ecdsa-sha2-", "---- BEGIN SSH2 "].iter().any(|start| text.starts_with(start)) {
        "it is an OpenSSH key; `ssh-keygen -e -m PKCS8 -f KEY.pub > key.pem` converts it"
    } else if text.starts_with('{') {
        "it is JSON, as a JWK or a JWK set is"
    } else if text.starts_with('0') && text.contains(is_binary) {
        "it is DER; `openssl pkey -pubin -inform DER -in KEY -out key.pem` converts a key, \
        `openssl x509 -inform DER -in CERTIFICATE -out key.pem` a certificate"
    } else if is_bare_base64(text) {
        "it is base64 alone; write `-----BEGIN PUBLIC KEY-----` on the line before it and \
        `-----END PUBLIC KEY-----` on the line after it, or `CERTIFICATE` in place of `PUBLIC KEY`"
    } else {
        "it has no PEM block of a PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE"
    };
    KeyError::Pem { reason }
}

/// Reports whether a text is the base64 of a DER sequence, as keys and certificates are.
fn is_bare_base64(text: &str) -> bool {
    const SEQUENCE: u8 = 0x30;
    let base64: String = text.split_ascii_whitespace().collect();
    Base64::decode_vec(&base64).is_ok_and(|der| der.first() == Some(&SEQUENCE))
}

const EXPLICIT_CURVE: KeyError = KeyError::Pem {
    reason: "an EC key with explicit parameters in place of a named curve; \
        `openssl ec -pubin -in KEY -pubout -param_enc named_curve -out key.pem` converts it",
};

fn subject_public_key(der: &[u8]) -> Result<KeyMaterial, KeyError> {
    let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| NOT_A_KEY)?;
    let key = spki.subject_public_key.as_bytes().ok_or(NOT_A_KEY)?;
    let algorithm = spki.algorithm.oid;
    if algorithm == RSA_ENCRYPTION {
        return rsa_public_key(key);
    }
    if algorithm == ED25519 {
        return Ok(KeyMaterial::Okp { curve: "Ed25519".to_owned(), x: key.to_vec() });
    }
    if algorithm == EC_PUBLIC_KEY {
        let curve = spki.algorithm.parameters_oid().map_err(|_| EXPLICIT_CURVE)?.to_string();
        if let Some((_, name, length)) = CURVES.iter().find(|(oid, ..)| *oid == curve) {
            // SEC 1 §2.3.3: 0x04, x, y. Compressed points do not occur in common PEM files.
            return match key.split_first() {
                Some((0x04, point)) if point.len() == 2 * length => Ok(KeyMaterial::Ec {
                    curve: (*name).to_owned(),
                    x: point[..*length].to_vec(),
                    y: point[*length..].to_vec(),
                }),
                _ => Err(KeyError::invalid("not an uncompressed point of its curve")),
            };
        }
    }
    Ok(KeyMaterial::Spki { oid: algorithm.to_string(), public_key: key.to_vec() })
}

fn rsa_public_key(der: &[u8]) -> Result<KeyMaterial, KeyError> {
    let read = || {
        let mut reader = SliceReader::new(der)?;
        let (n, e) = reader.sequence(|sequence| {
            let n = UintRef::decode(sequence)?.as_bytes().to_vec();
            let e = UintRef::decode(sequence)?.as_bytes().to_vec();
            Ok::<_, x509_cert::der::Error>((n, e))
        })?;
        reader.finish()?;
        Ok::<_, x509_cert::der::Error>(KeyMaterial::Rsa { n, e })
    };
    read().map_err(|_| NOT_A_KEY)
}
