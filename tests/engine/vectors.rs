//! Every vector of `vectors/*.jsonl` against the library: accepted, or refused with exactly its code.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::path::Path;
use std::time::Duration;

use claimgate::Verifier;
use claimgate::alg::Registry;
use claimgate::base64url;
use claimgate::claims::{AnyKind, Policy, TokenKind};
use claimgate::jws::JwsVerifier;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    row: String,
    comment: String,
    input: Input,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    valid: Option<bool>,
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    id: String,
    token: String,
    jwks: Option<Value>,
    jwk: Option<Value>,
    pem: Option<String>,
    secret_b64u: Option<String>,
    algorithms: Vec<String>,
    #[serde(default)]
    danger_allow_weak_keys: bool,
    policy: Option<Rules>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    kind: TokenKind,
    #[serde(default)]
    issuer: Vec<String>,
    #[serde(default)]
    audience: Vec<String>,
    #[serde(default)]
    trusted_audiences: Vec<String>,
    #[serde(default)]
    authorized_parties: Vec<String>,
    subject: Option<String>,
    jti: Option<String>,
    nonce: Option<String>,
    typ: Option<String>,
    leeway: Option<u64>,
    danger_leeway: Option<u64>,
    now: i64,
    require: Option<Vec<String>>,
    max_token_age: Option<u64>,
    #[serde(default)]
    ignore: Vec<String>,
}

impl Rules {
    fn policy(&self) -> Policy<AnyKind> {
        let mut policy = Policy::of_kind(self.kind);
        for issuer in &self.issuer {
            policy = policy.issuer_alias(issuer);
        }
        for audience in &self.audience {
            policy = policy.audience(audience);
        }
        policy = self.trusted_audiences.iter().fold(policy, Policy::trusted_audience);
        policy = self.authorized_parties.iter().fold(policy, Policy::trusted_party);
        for claim in &self.ignore {
            policy = match claim.as_str() {
                "exp" => policy.danger_ignore_expiry(),
                "nbf" => policy.danger_ignore_not_before(),
                "iat" => policy.danger_ignore_issued_at(),
                other => panic!("{other} cannot be ignored"),
            };
        }
        type Rule = fn(Policy<AnyKind>, String) -> Policy<AnyKind>;
        let set = |policy, value: &Option<String>, rule: Rule| match value {
            Some(value) => rule(policy, value.clone()),
            None => policy,
        };
        policy = set(policy, &self.subject, Policy::subject);
        policy = set(policy, &self.jti, Policy::token_id);
        policy = set(policy, &self.nonce, Policy::nonce);
        policy = set(policy, &self.typ, Policy::typ);
        if let Some(seconds) = self.leeway {
            policy = policy.leeway(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.danger_leeway {
            policy = policy.danger_leeway(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.max_token_age {
            policy = policy.max_token_age(Duration::from_secs(seconds));
        }
        match &self.require {
            Some(claims) => policy.require_only(claims),
            None => policy,
        }
    }
}

impl Input {
    fn keys(&self) -> Result<KeySet, &'static str> {
        let limits = &Limits::DEFAULT;
        let keys = match (&self.jwks, &self.jwk, &self.pem, &self.secret_b64u) {
            (Some(set), None, None, None) => {
                KeySet::from_jwks_with_secrets(set.to_string().as_bytes(), limits)
            }
            (None, Some(key), None, None) => KeySet::from_jwk(key.to_string().as_bytes(), limits),
            (None, None, Some(text), None) => KeySet::from_pem(text),
            (None, None, None, Some(text)) => {
                Ok(KeySet::from_secret(&base64url::decode(text.as_bytes()).unwrap()))
            }
            _ => panic!("{}: exactly one source of keys", self.id),
        };
        let keys = keys.map_err(|error| error.code())?;
        Ok(if self.danger_allow_weak_keys { keys.danger_allow_weak_keys() } else { keys })
    }

    fn judge(&self) -> Result<(), &'static str> {
        let keys = self.keys()?;
        let jws = JwsVerifier::with_any_keys(&Registry::builtin(), &self.algorithms, &keys, Limits::DEFAULT)
            .map_err(|error| error.code())?;
        let Some(rules) = &self.policy else {
            return jws.verify(&self.token).map(|_| ()).map_err(|error| error.code());
        };
        let one = Verifier::new(jws, rules.policy()).unwrap();
        let verdict = one.verify(&self.token, UnixTime(rules.now)).map(|_| ()).map_err(|error| error.code());
        let batch = one.verify_batch(&[&self.token], UnixTime(rules.now)).remove(0);
        assert_eq!(verdict, batch.map(|_| ()).map_err(|error| error.code()), "{}: batch", self.id);
        verdict
    }
}

fn run(file: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let vectors: Vec<Vector> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(!vectors.is_empty(), "{file} is empty");
    let mut failures = Vec::new();
    for vector in &vectors {
        let wanted = match (&vector.expect.valid, &vector.expect.code) {
            (Some(true), None) => Ok(()),
            (None, Some(code)) => Err(code.as_str()),
            _ => panic!("{}: expect `valid: true` or a `code`", vector.input.id),
        };
        let verdict = vector.input.judge();
        if verdict != wanted {
            failures
                .push(format!("{} ({}): {verdict:?}, wanted {wanted:?}", vector.input.id, vector.comment));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), vectors.len(), failures.join("\n"));
    vectors
}

#[test]
fn published_examples_verify() {
    run("rfc.jsonl");
}

#[test]
fn good_tokens_are_accepted() {
    run("good.jsonl");
}

#[test]
fn attacks_are_refused_with_their_code() {
    let vectors = run("attacks.jsonl");
    for row in [
        "none",
        "confusion",
        "allow-list",
        "embedded keys",
        "kid",
        "crit",
        "shape",
        "JSON",
        "numbers",
        "claims types",
        "time",
        "prefix tricks",
        "typ",
        "keys",
        "RSA padding",
        "ECDSA / EdDSA",
        "size",
        "time of check",
    ] {
        assert!(vectors.iter().any(|vector| vector.row == row), "no vector for {row}");
    }
}

#[test]
fn the_demonstration_verifies_for_years() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/demo");
    let keys = std::fs::read(demo.join("jwks.json")).unwrap();
    let token = std::fs::read_to_string(demo.join("token.txt")).unwrap();
    let verifier = Verifier::builder()
        .algorithms(["RS256"])
        .keys(KeySet::from_jwks_with_secrets(&keys, &Limits::DEFAULT).unwrap())
        .policy(Policy::id_token("https://idp.example.com/realms/acme", "crm"))
        .build()
        .unwrap();
    for now in [1_795_478_400, 2_000_000_000, 2_089_756_800] {
        verifier.verify(token.trim(), UnixTime(now)).unwrap();
    }
}
