//! The whole pipeline: batches, keys replaced under load, the cache, and inputs too large to keep.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claimgate::alg::{Algorithm, BatchItem, Hmac, PreparedKey, Registry, SignatureError};
use claimgate::claims::{Jwt, Kind, Policy};
use claimgate::key::{KeyError, KeySet, VerificationKey};
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use claimgate::{Verifier, base64url};
use ring::hmac;
use serde_json::{Value, json};

const NOW: UnixTime = UnixTime(1_795_478_400);
const OLD: &[u8] = b"the old secret, of at least 32 bytes";
const MEBIBYTE: u64 = 1024 * 1024;
const NEW: &[u8] = b"the new secret, of at least 32 bytes";
const OTHER: &[u8] = b"a third secret, of at least 32 bytes";

fn sign(secret: &[u8], header: &str, payload: &str) -> String {
    let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", base64url::encode(tag.as_ref()))
}

fn token(secret: &[u8], claims: &Value) -> String {
    sign(secret, r#"{"alg":"HS256"}"#, &claims.to_string())
}

fn expiring(number: usize) -> Value {
    json!({"exp": NOW.0 + 100, "n": number})
}

fn verifier(cached_bytes: u64) -> Verifier<Jwt> {
    let verifier = Verifier::builder()
        .algorithms(["HS256"])
        .keys(KeySet::from_secret(OLD))
        .policy(Policy::jwt().leeway(Duration::ZERO))
        .build()
        .unwrap();
    if cached_bytes > 0 { verifier.with_cache(cached_bytes) } else { verifier }
}

fn code<K: Kind>(verifier: &Verifier<K>, token: &str, now: UnixTime) -> &'static str {
    verifier.verify(token, now).map_or_else(|error| error.code(), |_| "valid")
}

#[test]
fn a_batch_keeps_its_order_and_one_token_harms_no_other() {
    let verifier = verifier(0);
    let tokens: Vec<String> = (0..500)
        .map(|number| match number % 5 {
            1 => token(NEW, &expiring(number)),
            2 => token(OLD, &json!({"exp": 1})),
            3 => "rubbish".to_owned(),
            4 => sign(OLD, r#"{"alg":"HS256"}"#, "[]"),
            _ => token(OLD, &expiring(number)),
        })
        .collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let verdicts = verifier.verify_batch(&tokens, NOW);
    assert_eq!(verdicts.len(), tokens.len());
    for (number, verdict) in verdicts.iter().enumerate() {
        let wanted = ["", "signature.invalid", "claims.expired", "jws.shape", "claims.json"][number % 5];
        match verdict {
            Ok(validated) => assert_eq!(validated.claims().get("n"), Some(&json!(number))),
            Err(error) => assert_eq!(error.code(), wanted, "{number}"),
        }
        assert_eq!(verdict.is_ok(), wanted.is_empty());
    }
}

/// HS256 that notes how many signatures each batch has.
struct Counted(Arc<Mutex<Vec<usize>>>);

impl Algorithm for Counted {
    fn name(&self) -> &str {
        "HS256"
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        Hmac::HS256.prepare(key)
    }

    fn verify_batch(&self, items: &[BatchItem<'_>], results: &mut [Result<(), SignatureError>]) {
        self.0.lock().unwrap().push(items.len());
        for (item, result) in items.iter().zip(results) {
            *result = item.verify();
        }
    }
}

#[test]
fn tokens_with_several_candidate_keys_take_part_in_a_batch() {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::new(Counted(Arc::clone(&batches)));
    let registry = Registry::builder().register(counted).build().unwrap();
    let keys = [OLD, NEW, OTHER].map(VerificationKey::from_secret);
    let verifier = Verifier::builder()
        .registry(registry)
        .algorithms(["HS256"])
        .keys(KeySet::new(keys))
        .policy(Policy::jwt())
        .build()
        .unwrap();
    let by = |secret: &[u8]| token(secret, &expiring(0));
    let tokens = [by(OLD), by(NEW), by(b"a key of no set, also of 32 bytes at least"), by(OTHER), by(OLD)];
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let verdicts = verifier.verify_batch(&tokens, NOW);
    let codes: Vec<_> = verdicts
        .iter()
        .map(|verdict| verdict.as_ref().map_or_else(claimgate::Error::code, |_| "valid"))
        .collect();
    assert_eq!(codes, ["valid", "valid", "signature.invalid", "valid", "valid"]);
    assert_eq!(*batches.lock().unwrap(), [5, 3, 2]);
}

#[test]
fn a_batch_takes_cached_tokens_from_the_cache_and_adds_the_others() {
    let verifier = verifier(MEBIBYTE);
    let [known, new, bad] = [token(OLD, &expiring(1)), token(OLD, &expiring(2)), token(NEW, &expiring(3))];
    let first = verifier.verify(&known, NOW).unwrap();
    let batch = |now: UnixTime| verifier.verify_batch(&[&bad, &known, &new], now);
    let verdicts = batch(NOW);
    assert_eq!(verdicts[0].as_ref().unwrap_err().code(), "signature.invalid");
    let [known, new] = [&verdicts[1], &verdicts[2]].map(|verdict| verdict.as_ref().unwrap());
    assert!(std::ptr::eq(first.claims(), known.claims()), "from the cache");
    assert_eq!(new.claims().get("n"), Some(&json!(2)));
    let again = batch(NOW);
    assert!(std::ptr::eq(new.claims(), again[2].as_ref().unwrap().claims()), "added by the batch");
    let late = batch(UnixTime(NOW.0 + 100));
    assert_eq!(late[1].as_ref().unwrap_err().code(), "claims.expired");
    verifier.replace_keys(&KeySet::from_secret(NEW)).unwrap();
    let replaced = batch(NOW);
    assert!(replaced[0].is_ok());
    assert_eq!(replaced[1].as_ref().unwrap_err().code(), "signature.invalid");
}

#[test]
fn keys_are_replaced_while_others_verify() {
    let verifier = verifier(MEBIBYTE);
    let (old, new) = (token(OLD, &expiring(0)), token(NEW, &expiring(1)));
    let (stop, accepted) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for token in [&old, &new] {
                        match verifier.verify(token, NOW) {
                            Ok(_) => _ = accepted.fetch_add(1, Ordering::Relaxed),
                            Err(error) => assert_eq!(error.code(), "signature.invalid"),
                        }
                    }
                    let both = verifier.verify_batch(&[&old, &new], NOW);
                    assert_eq!(
                        both.iter().filter(|verdict| verdict.is_ok()).count(),
                        1,
                        "one set of keys per batch"
                    );
                }
            });
        }
        // Before the first replacement, so that the threads verify while keys are replaced.
        while accepted.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        for round in 0..400 {
            let secret = [NEW, OLD][round % 2];
            assert_eq!(verifier.replace_keys(&KeySet::from_secret(secret)).unwrap().usable, 1);
            let wanted = [("signature.invalid", "valid"), ("valid", "signature.invalid")][round % 2];
            assert_eq!((code(&verifier, &old, NOW), code(&verifier, &new, NOW)), wanted);
        }
        stop.store(true, Ordering::Relaxed);
    });
    verifier.jws().replace_with_any_keys(&KeySet::default());
    assert_eq!(code(&verifier, &old, NOW), "key.none_fits");
}

#[test]
fn a_cached_token_never_outlives_its_time_or_its_key() {
    let verifier = verifier(MEBIBYTE);
    let text = token(OLD, &json!({"exp": NOW.0 + 100, "nbf": NOW.0}));
    let first = verifier.verify(&text, NOW).unwrap();
    let again = verifier.verify(&text, NOW).unwrap();
    assert!(std::ptr::eq(first.claims(), again.claims()), "the second comes from the cache");
    assert_eq!(code(&verifier, &text, UnixTime(NOW.0 + 99)), "valid");
    assert_eq!(code(&verifier, &text, UnixTime(NOW.0 + 100)), "claims.expired");
    assert_eq!(code(&verifier, &text, UnixTime(NOW.0 - 1)), "claims.not_yet_valid");
    // Another text of the same start is another token.
    assert_eq!(code(&verifier, &format!("{}AAA", &text[..text.len() - 3]), NOW), "signature.invalid");
    verifier.replace_keys(&KeySet::from_secret(NEW)).unwrap();
    assert_eq!(code(&verifier, &text, NOW), "signature.invalid");
    verifier.replace_keys(&KeySet::from_secret(OLD)).unwrap();
    let fresh = verifier.verify(&text, NOW).unwrap();
    assert!(!std::ptr::eq(first.claims(), fresh.claims()), "forgotten with the keys");
}

#[test]
fn the_cache_is_bounded_and_keeps_no_refusal() {
    let verifier = verifier(256 * 1024);
    for number in 0..2_000 {
        assert_eq!(code(&verifier, &token(OLD, &expiring(number)), NOW), "valid");
        assert_eq!(code(&verifier, &token(NEW, &expiring(number)), NOW), "signature.invalid");
    }
    let shown = format!("{verifier:?}");
    let number = |name: &str| -> usize {
        let number = shown.split(name).nth(1).unwrap();
        number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    assert!((1..=256).contains(&number("entries: ")), "{shown}");
    assert!(number("bytes: ") <= 256 * 1024, "{shown}");
    // Without `exp` nothing is remembered.
    let policy = Policy::jwt().require_only([""; 0]);
    let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(OLD)).policy(policy);
    let verifier = builder.build().unwrap().with_cache(MEBIBYTE);
    let text = token(OLD, &json!({}));
    let (first, again) = (verifier.verify(&text, NOW).unwrap(), verifier.verify(&text, NOW).unwrap());
    assert!(!std::ptr::eq(first.claims(), again.claims()));
}

// attack: size.header, size.token, size.dots, size.claims, size.audience, json.depth, kid.one-megabyte
#[test]
fn large_tokens_are_refused_at_once() {
    let verifier = verifier(MEBIBYTE);
    let header = |bytes: usize| format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(bytes));
    let claims = |count: usize| {
        let claims: Vec<String> = (0..count).map(|number| format!("\"c{number}\":{number}")).collect();
        format!("{{\"exp\":{},{}}}", NOW.0 + 1, claims.join(","))
    };
    let audience = |count: usize| json!({"exp": NOW.0 + 1, "aud": vec!["a"; count]}).to_string();
    let plain = r#"{"alg":"HS256"}"#;
    for (what, text, wanted) in [
        ("a header of 1 MB", sign(OLD, &header(1_000_000), "{}"), "jws.too_long"),
        ("a header of 20 KB", sign(OLD, &header(20_000), "{}"), "jws.header_too_long"),
        ("a token of 10 MB", "a".repeat(10_000_000), "jws.too_long"),
        ("100,000 dots", ".".repeat(100_000), "jws.shape"),
        ("1,000,000 claims", sign(OLD, plain, &claims(1_000_000)), "jws.too_long"),
        ("an audience of 100,000", sign(OLD, plain, &audience(100_000)), "jws.too_long"),
    ] {
        assert_eq!(code(&verifier, &text, NOW), wanted, "{what}");
    }
    // Where the token itself may be long, the count of its values is what stops it.
    let limits = Limits { token_bytes: 32 * 1024 * 1024, ..Limits::DEFAULT };
    let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(OLD)).limits(limits);
    let generous = builder.policy(Policy::jwt()).build().unwrap();
    for (what, text) in [
        ("100,000 claims", sign(OLD, plain, &claims(100_000))),
        ("an audience of 100,000", sign(OLD, plain, &audience(100_000))),
        ("nesting of 1,000,000", sign(OLD, plain, &format!("{{\"a\":{}", "[".repeat(1_000_000)))),
    ] {
        assert_eq!(code(&generous, &text, NOW), "claims.json", "{what}");
    }
}

// attack: size.key-set
#[test]
fn large_key_sets_are_refused_at_once() {
    let many = |count: usize| json!({"keys": vec![json!({"kty": "oct", "k": "AA"}); count]}).to_string();
    // By the number of keys, of JSON values, of bytes.
    for (count, code) in [(1_001, "key.set_too_large"), (10_000, "key.json"), (100_000, "key.set_too_large")]
    {
        let text = many(count);
        let refusal = KeySet::from_jwks_with_secrets(text.as_bytes(), &Limits::DEFAULT).unwrap_err();
        assert_eq!(refusal.code(), code, "{count}");
    }
    assert_eq!(
        KeySet::from_jwks_with_secrets(many(1_000).as_bytes(), &Limits::DEFAULT).unwrap().keys().len(),
        1_000
    );
}

/// What a program shares between threads, or sends to another one.
#[test]
fn types_are_send_and_sync() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Verifier<Jwt>>();
    shared::<claimgate::verifier::Issuers<Jwt>>();
    shared::<claimgate::verifier::ValidatedToken<Jwt>>();
    shared::<claimgate::jws::JwsVerifier>();
    shared::<claimgate::jws::VerifiedJws>();
    shared::<Policy<Jwt>>();
    shared::<KeySet>();
    shared::<claimgate::alg::Registry>();
    shared::<claimgate::identity::Mapping>();
    shared::<claimgate::path::ClaimPath>();
    shared::<claimgate::Error>();
    shared::<claimgate::jws::BuildError>();
}

#[test]
fn a_verifier_shares_keys_and_is_shared_by_threads() {
    let first = verifier(MEBIBYTE);
    let second =
        Verifier::new(first.jws().clone(), Policy::access_token("https://idp.example.com", "crm")).unwrap();
    let text = token(OLD, &expiring(0));
    assert_eq!((code(&first, &text, NOW), code(&second, &text, NOW)), ("valid", "claims.typ"));
    first.replace_keys(&KeySet::new([VerificationKey::from_secret(NEW).with_kid("n")])).unwrap();
    assert_eq!(
        (code(&first, &text, NOW), code(&second, &text, NOW)),
        ("signature.invalid", "signature.invalid")
    );
}
