//! Whole verification per algorithm and size: single, in a batch, and of a cached token; and its parts.

use std::collections::BTreeSet;
use std::hint::black_box;

use claimgate::Verifier;
use claimgate::claims::{Claims, Jwt, Policy};
use claimgate::jws::{CompactJws, Header};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::sign::SigningKey;
use claimgate::time::UnixTime;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Map, Value, json};

/// A good vector: its name, its token, and a verifier with its key.
struct Case {
    name: String,
    token: String,
    verifier: Verifier<Jwt>,
}

/// The first good vector of each algorithm and length of token.
fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/good.jsonl"));
    let limits = Limits::DEFAULT;
    let mut seen = BTreeSet::new();
    let mut cases = Vec::new();
    for line in text.expect("vectors/good.jsonl").lines() {
        let vector: Value = serde_json::from_str(line).expect("a vector");
        let input = &vector["input"];
        let token = input["token"].as_str().expect("a token").to_owned();
        let keys = match (&input["jwk"], &input["jwks"]) {
            (Value::Null, Value::Null) => continue,
            (Value::Null, set) => KeySet::from_jwks_with_secrets(set.to_string().as_bytes(), &limits),
            (key, _) => KeySet::from_jwk(key.to_string().as_bytes(), &limits),
        };
        let header =
            CompactJws::parse(&token, &limits).expect("well-formed").header(&limits).expect("a header");
        let name = format!("{}/{} bytes", header.algorithm(), token.len());
        let policy = Policy::jwt().any_audience().require_only([""; 0]);
        let policy = policy.danger_ignore_expiry().danger_ignore_not_before().danger_ignore_issued_at();
        let builder = Verifier::builder().algorithms([header.algorithm()]).policy(policy);
        let verifier = builder.any_keys(keys.expect("a key")).build().expect("a built-in algorithm");
        let usable = verifier.verify(&token, UnixTime(0)).is_ok();
        if usable && seen.insert(name.clone()) {
            cases.push(Case { name, token, verifier });
        }
    }
    cases
}

fn single(c: &mut Criterion) {
    for case in cases() {
        c.bench_function(&format!("verify/{}", case.name), |b| {
            b.iter(|| case.verifier.verify(black_box(&case.token), UnixTime(0)).expect("valid"));
        });
    }
}

fn batch(c: &mut Criterion) {
    let mut seen = BTreeSet::new();
    for case in cases().into_iter().filter(|case| seen.insert(case.name[..5].to_owned())) {
        let tokens = [case.token.as_str(); 64];
        c.bench_function(&format!("verify_batch/64/{}", case.name), |b| {
            b.iter(|| case.verifier.verify_batch(black_box(&tokens), UnixTime(0)));
        });
    }
}

/// A token that is presented again, with and without a cache of accepted tokens.
fn cached(c: &mut Criterion) {
    for algorithm in ["RS256", "HS256"] {
        let (token, key) = signed(algorithm);
        let build = || {
            let keys = KeySet::from_jwk(key.to_string().as_bytes(), &Limits::DEFAULT).expect("a key");
            let policy = Policy::id_token("https://idp.example.com/realms/acme", "crm");
            Verifier::builder().algorithms([algorithm]).keys(keys).policy(policy).build().expect("built in")
        };
        let now = UnixTime(1_700_000_060);
        let mut group = c.benchmark_group(format!("cached/{algorithm}/{} bytes", token.len()));
        for (name, verifier) in [("without", build()), ("with", build().with_cache(1 << 20))] {
            verifier.verify(&token, now).expect("valid");
            group
                .bench_function(name, |b| b.iter(|| verifier.verify(black_box(&token), now).expect("valid")));
        }
        group.finish();
    }
}

/// Returns an ID token with an `exp`, without which no token is cached, and the key that verifies it.
fn signed(algorithm: &str) -> (String, Value) {
    let key =
        SigningKey::generate(algorithm, SigningKey::DEFAULT_RSA_BITS).expect("a key").with_kid("2026-11");
    let claims = json!({
        "iss": "https://idp.example.com/realms/acme", "sub": "248289761001", "aud": "crm",
        "iat": 1_700_000_000, "exp": 1_700_003_600, "auth_time": 1_700_000_000, "nonce": "n-0S6_WzA2Mj",
        "preferred_username": "ada", "email": "ada@example.com", "groups": ["/crm/sales", "/crm/support"],
    });
    let token = key.sign(&Map::new(), claims.to_string().as_bytes()).expect("signed");
    let verifying = key.public_jwk().unwrap_or_else(|_| key.private_jwk());
    (token, verifying)
}

fn parts(c: &mut Criterion) {
    let limits = Limits::DEFAULT;
    let case = cases().into_iter().next().expect("a good vector");
    let jws = CompactJws::parse(&case.token, &limits).expect("well-formed");
    let payload = jws.unverified_payload();
    let header = br#"{"alg":"RS256","typ":"JWT","kid":"2026-11"}"#;
    c.bench_function("parts/compact", |b| b.iter(|| CompactJws::parse(black_box(&case.token), &limits)));
    c.bench_function("parts/header", |b| b.iter(|| Header::parse(black_box(header), &limits)));
    c.bench_function("parts/claims", |b| b.iter(|| Claims::parse(black_box(&payload), &limits)));
}

criterion_group!(benches, single, batch, cached, parts);
criterion_main!(benches);
