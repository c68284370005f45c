//! PEM: SubjectPublicKeyInfo, PKCS#1 and X.509 certificates (RFC 7468, RFC 8017 A.1.1, RFC 5280).
//!
//! Of a certificate only the key is used: its names, dates and signatures are not verified.

use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader, pem};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::{KeyError, KeyMaterial, VerificationKey};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The curves that have a registered JWK name (RFC 7518 §6.2.1.1, RFC 8812 §3.1), with the length of a
/// coordinate in bytes.
const CURVES: [(&str, &str, usize); 4] = [
    ("1.2.840.10045.3.1.7", "P-256", 32),
    ("1.3.132.0.34", "P-384", 48),
    ("1.3.132.0.35", "P-521", 66),
    ("1.3.132.0.10", "secp256k1", 32),
];

/// Parses every key block of a PEM text, in order.
pub(super) fn read(text: &str) -> Result<Vec<Result<VerificationKey, KeyError>>, KeyError> {
    let keys: Vec<_> = blocks(text).map(block).collect();
    if keys.is_empty() { Err(KeyError::Pem) } else { Ok(keys) }
}

/// Returns the blocks, each from its first line to its last. A block without an end reaches to the next block.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    // Each search begins after the previous block, so that the time is linear in the text's length.
    let mut rest = text;
    std::iter::from_fn(move || {
        let from_begin = &rest[rest.find(BEGIN)?..];
        let next = from_begin[BEGIN.len()..].find(BEGIN).map_or(from_begin.len(), |at| BEGIN.len() + at);
        let (block, after) = from_begin.split_at(next);
        rest = after;
        let end = block.find(END).and_then(|at| {
            let label = at + END.len();
            block[label..].find("-----").map(|dashes| label + dashes + "-----".len())
        });
        Some(&block[..end.unwrap_or(block.len())])
    })
}

fn block(text: &str) -> Result<VerificationKey, KeyError> {
    let (label, der) = pem::decode_vec(text.trim().as_bytes()).map_err(|_| KeyError::Pem)?;
    let material = match label {
        "PUBLIC KEY" => subject_public_key(&der),
        "RSA PUBLIC KEY" => rsa_public_key(&der),
        "CERTIFICATE" => {
            use x509_cert::der::Encode;
            let certificate = Certificate::from_der(&der).map_err(|_| KeyError::Pem)?;
            let spki = certificate.tbs_certificate().subject_public_key_info();
            subject_public_key(&spki.to_der().map_err(|_| KeyError::Pem)?)
        }
        _ if label.ends_with("PRIVATE KEY") => Err(KeyError::Private),
        _ => Err(KeyError::Pem),
    }?;
    Ok(VerificationKey::new(material))
}

fn subject_public_key(der: &[u8]) -> Result<KeyMaterial, KeyError> {
    let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Pem)?;
    let key = spki.subject_public_key.as_bytes().ok_or(KeyError::Pem)?;
    let algorithm = spki.algorithm.oid;
    if algorithm == RSA_ENCRYPTION {
        return rsa_public_key(key);
    }
    if algorithm == ED25519 {
        return Ok(KeyMaterial::Okp { curve: "Ed25519".to_owned(), x: key.to_vec() });
    }
    if algorithm == EC_PUBLIC_KEY {
        let curve = spki.algorithm.parameters_oid().map_err(|_| KeyError::Pem)?.to_string();
        if let Some((_, name, length)) = CURVES.iter().find(|(oid, ..)| *oid == curve) {
            // SEC 1 §2.3.3: 0x04, x, y. Compressed points do not occur in common PEM files.
            return match key.split_first() {
                Some((0x04, point)) if point.len() == 2 * length => Ok(KeyMaterial::Ec {
                    curve: (*name).to_owned(),
                    x: point[..*length].to_vec(),
                    y: point[*length..].to_vec(),
                }),
                _ => Err(KeyError::Invalid { reason: "not an uncompressed point of its curve" }),
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
    read().map_err(|_| KeyError::Pem)
}
