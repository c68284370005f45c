//! Test data of others, read where it lies beside the project (`../shared/data`) and never copied:
//! published JOSE examples and Wycheproof, claims rules of joserfc, JSONTestSuite, key sets of
//! running providers. Absent data is said and passed over.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use claimgate::alg::Registry;
use claimgate::claims::{Claims, Jwt, Policy};
use claimgate::jws::{Header, JwsVerifier};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use claimgate::{base64url, json};
use serde_json::{Map, Value};

use crate::shared_data;

fn lines(file: &str) -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(shared_data::find(file)?).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What differs, held against the reasons in `third_party_exceptions.json`: each difference needs
/// one, and each reason a difference.
struct Tally {
    suite: &'static str,
    exceptions: BTreeMap<String, String>,
    wrong: Vec<String>,
    agreed: usize,
}

impl Tally {
    fn new(suite: &'static str) -> Self {
        let text = include_str!("third_party_exceptions.json");
        let mut suites: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(text).unwrap();
        let exceptions = suites.remove(suite).unwrap_or_default();
        Self { suite, exceptions, wrong: Vec::new(), agreed: 0 }
    }

    fn count(&mut self, id: &str, expected: bool, verdict: Result<(), String>) {
        let excepted = self.exceptions.remove(id).is_some();
        match (verdict.is_ok() == expected, excepted) {
            (true, false) => self.agreed += 1,
            (false, true) => {}
            (true, true) => self.wrong.push(format!("{id}: excepted, but no longer differs")),
            (false, false) => {
                self.wrong.push(format!(
                    "{id}: {verdict:?}, wanted {}",
                    ["refusal", "acceptance"][usize::from(expected)]
                ));
            }
        }
    }

    fn finish(mut self) {
        self.wrong.extend(self.exceptions.keys().map(|id| format!("{id}: excepted, but not in the suite")));
        println!("{}: {} agree", self.suite, self.agreed);
        assert!(self.wrong.is_empty(), "{}: {}\n{}", self.suite, self.wrong.len(), self.wrong.join("\n"));
        assert!(self.agreed > 0, "{}: nothing ran", self.suite);
    }
}

fn keys(key: &Map<String, Value>) -> Result<KeySet, String> {
    let limits = &Limits::DEFAULT;
    let (form, value) = key.iter().next().unwrap();
    match form.as_str() {
        "jwk" => KeySet::from_jwk(value.to_string().as_bytes(), limits),
        "jwks" => KeySet::from_jwks_with_secrets(value.to_string().as_bytes(), limits),
        "pem" => KeySet::from_pem(value.as_str().unwrap()),
        "secret_b64u" => {
            Ok(KeySet::from_secret(&base64url::decode(value.as_str().unwrap().as_bytes()).unwrap()))
        }
        other => panic!("unknown form of key {other}"),
    }
    .map_err(|error| error.code().to_owned())
}

fn judge(case: &Value) -> Result<(), String> {
    let registry = Registry::builtin();
    let allowed = case["allowed_algs"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let allowed: Vec<&str> = allowed.filter(|name| registry.get(name).is_some()).collect();
    let keys = keys(case["key"].as_object().unwrap())?;
    let verifier = JwsVerifier::with_any_keys(&registry, allowed, &keys, Limits::DEFAULT)
        .map_err(|error| error.code().to_owned())?;
    // The JSON serialization is out of scope: its text must be refused as a token.
    let token = match &case["token"] {
        Value::String(token) => token.clone(),
        _ => case["jws_json"].to_string(),
    };
    verifier.verify(&token).map(|_| ()).map_err(|error| error.code().to_owned())
}

// attack: rsa-padding.wycheproof
#[test]
fn jose() {
    let Some(cases) = lines("jose/cases.jsonl") else { return };
    let mut tally = Tally::new("jose");
    let (mut unsure, mut weak) = (0, 0);
    for case in &cases {
        let verdict = judge(case);
        let expected = case["expect"] == "accept";
        let differs = verdict.is_ok() != expected;
        if differs && case["sure"] == false {
            unsure += 1;
        } else if differs && case["weak_key"] == true && verdict == Err("key.weak".to_owned()) {
            weak += 1;
        } else {
            tally.count(case["id"].as_str().unwrap(), expected, verdict);
        }
    }
    println!("jose: {unsure} unsure ones differ, {weak} keys are too weak");
    tally.finish();
}

/// A joserfc registry as a policy; none where a rule has no counterpart.
fn policy(requirements: &Map<String, Value>, leeway: u64) -> Option<Policy<Jwt>> {
    let mut policy = Policy::jwt().any_audience().danger_leeway(Duration::from_secs(leeway));
    let mut required = Vec::new();
    for (claim, rule) in requirements {
        let values: Vec<&str> = match (rule.get("value"), rule.get("values")) {
            (Some(value), None) => vec![value.as_str()?],
            (None, Some(values)) => values.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?,
            _ => Vec::new(),
        };
        let essential = rule.get("essential") == Some(&Value::Bool(true));
        // A policy's required claim is never blank, and an optional one is not judged by its content.
        let blank = rule.get("allow_blank").and_then(Value::as_bool);
        if blank == Some(true) || (!essential && (blank.is_some() || !values.is_empty())) {
            return None;
        }
        if essential {
            required.push(claim.clone());
        }
        for value in values {
            policy = match claim.as_str() {
                "iss" => policy.issuer_alias(value),
                "aud" => policy.audience(value),
                "sub" => policy.subject(value),
                _ => return None,
            };
        }
    }
    Some(policy.require_only(required))
}

#[test]
fn claims_rules() {
    let Some(path) = shared_data::find("jose/claims_rules.json") else { return };
    let rules: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut tally = Tally::new("claims_rules");
    let mut skipped = 0;
    let header = Header::parse(br#"{"alg":"RS256"}"#, &Limits::DEFAULT).unwrap();
    for case in rules["cases"].as_array().unwrap() {
        let leeway = case["leeway"].as_u64().unwrap();
        let Some(policy) = policy(case["requirements"].as_object().unwrap(), leeway) else {
            skipped += 1;
            continue;
        };
        let now = UnixTime(case["now"].as_i64().unwrap());
        let verdict = Claims::parse(case["claims"].to_string().as_bytes(), &Limits::DEFAULT)
            .and_then(|claims| policy.validate(&header, &claims, now))
            .map_err(|error| error.code().to_owned());
        tally.count(case["id"].as_str().unwrap(), case["expect"] == "accept", verdict);
    }
    println!("claims_rules: {skipped} have no counterpart in a policy");
    tally.finish();
}

#[test]
fn json_test_suite() {
    let Some(cases) = lines("json/json-test-suite.jsonl") else { return };
    let mut tally = Tally::new("json");
    let mut either = 0;
    for case in &cases {
        let text = standard_base64(case["bytes_b64"].as_str().unwrap());
        let verdict = json::parse(&text, &Limits::DEFAULT).map(|_| ()).map_err(|error| format!("{error:?}"));
        let expected = match case["expect"].as_str().unwrap() {
            "accept" => true,
            "reject" => false,
            _ => {
                either += 1;
                continue;
            }
        };
        tally.count(case["name"].as_str().unwrap(), expected, verdict);
    }
    println!("json: {either} may go either way; none of them panics");
    tally.finish();
}

fn standard_base64(text: &str) -> Vec<u8> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    base64url::decode(text.as_bytes()).unwrap()
}

#[test]
fn key_sets_of_running_providers() {
    let Some(folder) = shared_data::find("discovery") else { return };
    let mut sets = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".jwks.json") {
            continue;
        }
        sets += 1;
        let set = KeySet::from_jwks_with_secrets(&std::fs::read(&path).unwrap(), &Limits::DEFAULT).unwrap();
        assert!(!set.keys().is_empty(), "{}", path.display());
        assert_eq!(set.skipped(), [], "{}", path.display());
        let registry = Registry::builtin();
        let verifier = JwsVerifier::new(&registry, registry.names(), &set, Limits::DEFAULT).unwrap();
        assert!(verifier.key_report().usable > 0, "{}", path.display());
    }
    assert!(sets > 0);
}
