//! Properties: what holds for any input, found by trying many.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use claimgate::alg::Registry;
use claimgate::claims::Claims;
use claimgate::jws::{CompactJws, Header, JwsVerifier};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::{base64url, json};
use proptest::prelude::*;
use serde_json::Value;

const LIMITS: &Limits = &Limits::DEFAULT;

/// A good token of each algorithm, with a verifier that takes it.
fn good() -> Vec<(JwsVerifier, String)> {
    let rows =
        include_str!("../../vectors/good.jsonl").lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    rows.filter(|row| row["row"] == "algorithm")
        .map(|row| {
            let input = &row["input"];
            let keys = match &input["secret_b64u"] {
                Value::String(secret) => KeySet::from_secret(&base64url::decode(secret.as_bytes()).unwrap()),
                _ => KeySet::from_jwk(input["jwk"].to_string().as_bytes(), LIMITS).unwrap(),
            };
            let registry = Registry::builtin();
            let verifier = JwsVerifier::new(&registry, registry.names(), &keys, *LIMITS).unwrap();
            (verifier, input["token"].as_str().unwrap().to_owned())
        })
        .collect()
}

// attack: time-of-check.mac
#[test]
fn no_single_flipped_bit_verifies() {
    for (verifier, token) in good() {
        verifier.verify(&token).unwrap();
        // Every bit of a short token; of a long one (RSA) a sample that no stretch escapes.
        let step = if token.len() > 500 { 7 } else { 1 };
        for bit in (0..token.len() * 8).step_by(step) {
            let mut bytes = token.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(mutant) = String::from_utf8(bytes) {
                assert!(verifier.verify(&mutant).is_err(), "bit {bit} of {token}");
            }
        }
    }
}

/// Any JSON value, members in any order, a name possibly twice.
fn document() -> impl Strategy<Value = String> {
    let text = "[a-c\"\\\\\u{e9}\u{1f600}\n]{0,3}".prop_map(|text| Value::String(text).to_string());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        (-1e300..1e300_f64).prop_map(|value| format!("{value:e}")),
        text.clone(),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let member = (text.clone(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(member, 0..5).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    })
}

/// How many members a text writes down, and how many are left when the last of a name wins.
fn members(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(members).sum(),
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// The colons outside strings: one for each member as written.
fn colons(text: &str) -> usize {
    let (mut inside, mut escaped, mut count) = (false, false, 0);
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            ':' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    // attack: shape.alphabet
    #[test]
    fn no_other_text_verifies(which in 0..13_usize, at in any::<prop::sample::Index>(), new in "[A-Za-z0-9_.=\\-]{0,3}", remove in 0..3_usize) {
        thread_local!(static GOOD: Vec<(JwsVerifier, String)> = good());
        GOOD.with(|good| {
            let (verifier, token) = &good[which];
            let start = at.index(token.len());
            let end = (start + remove).min(token.len());
            let mutant = format!("{}{new}{}", &token[..start], &token[end..]);
            prop_assert_eq!(verifier.verify(&mutant).is_ok(), mutant == *token);
            Ok(())
        })?;
    }

    #[test]
    fn nothing_panics(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = CompactJws::parse(&text, LIMITS);
        let _ = Header::parse(&bytes, LIMITS);
        let _ = Claims::parse(&bytes, LIMITS);
        let _ = KeySet::from_pem(&text);
        let _ = KeySet::from_pem(&format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----"));
        let _ = KeySet::from_jwk(&bytes, LIMITS);
        let _ = KeySet::from_jwks_with_secrets(text.as_bytes(), LIMITS);
    }

    #[test]
    fn headers_and_claims_of_any_json_do_not_panic(text in document()) {
        let _ = Claims::parse(text.as_bytes(), LIMITS);
        let _ = Header::parse(text.as_bytes(), LIMITS);
        for name in ["exp", "nbf", "iat", "aud", "iss", "alg", "crit", "kid"] {
            let object = format!("{{\"{name}\":{text}}}");
            let _ = Claims::parse(object.as_bytes(), LIMITS);
            let _ = Header::parse(object.as_bytes(), LIMITS);
            let _ = KeySet::from_jwk(object.as_bytes(), LIMITS);
        }
    }

    // attack: json.duplicate-claims
    #[test]
    fn json_is_what_serde_json_reads_without_duplicates(text in document()) {
        let plain: Value = serde_json::from_str(&text).unwrap();
        let duplicates = members(&plain) != colons(&text);
        match json::parse(text.as_bytes(), LIMITS) {
            Ok(value) => {
                prop_assert!(!duplicates || colons(&text) == members(&value));
                prop_assert_eq!(value, plain);
            }
            Err(error) => {
                let is_duplicate = matches!(error, json::JsonError::DuplicateMember { .. });
                prop_assert!(duplicates && is_duplicate);
            }
        }
        let object = json::parse_object(text.as_bytes(), LIMITS);
        prop_assert_eq!(object.is_ok(), !duplicates && text.starts_with('{'));
    }

    // attack: shape.last-bits, shape.padding
    #[test]
    fn base64url_has_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "[A-Za-z0-9_\\-+/= \u{e9}]{0,12}", raw in prop::collection::vec(any::<u8>(), 0..9)) {
        let encoded = base64url::encode(&bytes);
        prop_assert_eq!(base64url::decode(encoded.as_bytes()), Ok(bytes));
        for text in [text.as_bytes(), &raw, encoded.as_bytes()] {
            let decoded = base64url::decode(text);
            prop_assert_eq!(base64url::is_canonical(text), decoded.is_ok());
            if let Ok(decoded) = decoded {
                prop_assert_eq!(base64url::encode(&decoded).into_bytes(), text);
            }
        }
    }
}
