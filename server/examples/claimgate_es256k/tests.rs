//! Tests that every algorithm should have; copy them beside your own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use claimgate::alg::{Algorithm, PreparedKey, Registry};
use claimgate::base64url;
use claimgate::jws::JwsVerifier;
use claimgate::key::{KeyError, KeySet, VerificationKey};
use claimgate::limits::Limits;
use serde_json::{Value, json};

use super::es256k::Es256k;

/// A token by another implementation (OpenSSL), with a high `s`.
const TOKEN: &str = "eyJhbGciOiJFUzI1NksiLCJraWQiOiJrMSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwic3ViIjoiYWRhIiwiZXhwIjoyMDAwMDAwMDAwfQ.Kf7Ivs_6TxHY8vUxzV7QrmMVEBbY3rpUAidrDsZx6ti89D6jGL_Vr19eM48ifWvwdDXei-a7Wy4nLmxVQ7xu9A";

/// The key of [`TOKEN`].
fn key() -> Value {
    json!({
        "kty": "EC", "crv": "secp256k1", "kid": "k1",
        "x": "Ne7zadJkJFDsBz_3c5gjKIUKpG9Lf7tNeKOs_xMFkwE",
        "y": "Pa7ZEguWb1XCCh2OEQj-pLEYmFeH1u6PPdQshP1ILZI",
    })
}

/// The base point of secp256k1: a valid key, but another one.
fn other_key() -> Value {
    json!({
        "kty": "EC", "crv": "secp256k1", "kid": "k1",
        "x": "eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g",
        "y": "SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg",
    })
}

fn verifier(algorithm: impl Algorithm + 'static, keys: &[Value]) -> JwsVerifier {
    let registry = Registry::builder().builtin().register(Arc::new(algorithm)).build().expect("a new name");
    let set = json!({ "keys": keys }).to_string();
    let keys = KeySet::from_jwks_with_secrets(set.as_bytes(), &Limits::DEFAULT).expect("a key set");
    JwsVerifier::with_any_keys(&registry, ["ES256K", "RS256"], &keys, Limits::DEFAULT)
        .expect("registered names")
}

/// Returns `valid` or the code of the error.
fn verdict(verifier: &JwsVerifier, token: &str) -> &'static str {
    verifier.verify(token).map_or_else(|error| error.code(), |_| "valid")
}

#[test]
fn a_token_of_another_implementation_verifies() {
    assert_eq!(verdict(&verifier(Es256k, &[key()]), TOKEN), "valid");
}

#[test]
fn no_wrong_key_verifies() {
    let with = |member: &str, value: &str| {
        let mut key = key();
        key[member] = value.into();
        key
    };
    let without = |member: &str| {
        let mut key = key();
        key.as_object_mut().expect("an object").remove(member);
        key
    };
    let (x, y) =
        ("Ne7zadJkJFDsBz_3c5gjKIUKpG9Lf7tNeKOs_xMFkw", "ATyu2RILlm9VwgodjhEI_qSxGJhXh9bujz3ULIT9SC2S");
    let mut shifted = with("x", x);
    shifted["y"] = y.into();
    for (key, code) in [
        (other_key(), "signature.invalid"),
        // Other families and curves.
        (json!({"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}), "key.none_fits"),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            "key.none_fits",
        ),
        (json!({"kty": "acme", "crv": "secp256k1"}), "key.none_fits"),
        (with("crv", "P-256"), "key.none_fits"),
        (with("crv", "SECP256K1"), "key.none_fits"),
        // Points that are not on the curve, and coordinates of another length.
        (with("x", "Pa7ZEguWb1XCCh2OEQj-pLEYmFeH1u6PPdQshP1ILZI"), "key.invalid"),
        (with("y", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "key.invalid"),
        (with("x", x), "key.invalid"),
        (shifted, "key.invalid"),
        (with("x", "not base64url!"), "key.member"),
        (without("y"), "key.member"),
        // Keys for something else.
        (with("use", "enc"), "key.wrong_use"),
        (with("alg", "ES256"), "key.wrong_algorithm"),
        (with("kid", "k2"), "key.unknown_kid"),
    ] {
        assert_eq!(verdict(&verifier(Es256k, std::slice::from_ref(&key)), TOKEN), code, "{key}");
        // The right key beside it still verifies.
        assert_eq!(verdict(&verifier(Es256k, &[key.clone(), self::key()]), TOKEN), "valid", "{key}");
    }
}

#[test]
fn no_flipped_bit_verifies() {
    let verifier = verifier(Es256k, &[key()]);
    let (input, signature) = TOKEN.rsplit_once('.').expect("three segments");
    let signature = base64url::decode(signature.as_bytes()).expect("base64url");
    for bit in 0..8 * signature.len() {
        let mut forged = signature.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let token = format!("{input}.{}", base64url::encode(&forged));
        assert_eq!(verdict(&verifier, &token), "signature.invalid", "bit {bit} of the signature");
    }
    for byte in 0..input.len() {
        for bit in 0..8 {
            let mut forged = TOKEN.as_bytes().to_vec();
            forged[byte] ^= 1 << bit;
            let Ok(token) = String::from_utf8(forged) else { continue };
            assert_ne!(verdict(&verifier, &token), "valid", "bit {bit} of byte {byte}");
        }
    }
}

#[test]
fn no_other_length_or_form_of_a_signature_verifies() {
    let verifier = verifier(Es256k, &[key()]);
    let (input, signature) = TOKEN.rsplit_once('.').expect("three segments");
    let signature = base64url::decode(signature.as_bytes()).expect("base64url");
    let der = k256::ecdsa::Signature::from_slice(&signature).expect("64 bytes").to_der().to_bytes().to_vec();
    for forged in [
        signature[..63].to_vec(),
        [&signature[..], &[0]].concat(),
        [&[0], &signature[..]].concat(),
        vec![0; 64],
        vec![0xff; 64],
        der,
    ] {
        let token = format!("{input}.{}", base64url::encode(&forged));
        assert_eq!(verdict(&verifier, &token), "signature.invalid", "{forged:?}");
    }
}

#[test]
fn the_header_does_not_choose_the_algorithm() {
    let verifier = verifier(Es256k, &[key()]);
    let (_, rest) = TOKEN.split_once('.').expect("three segments");
    for (algorithm, code) in
        [("RS256", "key.none_fits"), ("ES256", "algorithm.not_allowed"), ("none", "algorithm.not_allowed")]
    {
        let header = base64url::encode(json!({ "alg": algorithm }).to_string().as_bytes());
        assert_eq!(verdict(&verifier, &format!("{header}.{rest}")), code, "{algorithm}");
    }
}

/// Counts the calls of `prepare`.
struct Counted(Arc<AtomicUsize>);

impl Algorithm for Counted {
    fn name(&self) -> &str {
        Es256k.name()
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Es256k.prepare(key)
    }
}

#[test]
fn a_key_is_prepared_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let verifier = verifier(Counted(Arc::clone(&calls)), &[key()]);
    for _ in 0..10 {
        assert_eq!(verdict(&verifier, TOKEN), "valid");
    }
    assert!(verifier.verify_batch(&[TOKEN; 10]).iter().all(Result::is_ok));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_batch_has_the_verdicts_of_single_tokens() {
    let verifier = verifier(Es256k, &[key(), other_key()]);
    let mut flipped = TOKEN.to_owned();
    flipped.replace_range(
        TOKEN.len() - 10..TOKEN.len() - 9,
        if TOKEN.as_bytes()[TOKEN.len() - 10] == b'A' { "B" } else { "A" },
    );
    let tokens = [TOKEN, &flipped, "a.b.c", TOKEN, "", &TOKEN[1..]];
    let batch = verifier.verify_batch(&tokens);
    assert_eq!(batch.len(), tokens.len());
    for (token, batched) in tokens.iter().zip(&batch) {
        assert_eq!(
            batched.as_ref().map_or_else(|error| error.code(), |_| "valid"),
            verdict(&verifier, token)
        );
    }
}
