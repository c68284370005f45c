//! `claimgate verify --jsonl`: one verdict per line, in order, for every input.

use super::support::*;
use claimgate::base64url;
use claimgate::sign::SigningKey;
use serde_json::{Map, Value, json};

fn answer(lines: &[String]) -> Outcome {
    run_with(&["verify", "--jsonl"], (lines.join("\n") + "\n").as_bytes())
}

fn line(key: &SigningKey) -> Value {
    json!({
        "id": "x", "token": token(key, &claims()), "jwk": key.public_jwk().expect("public"),
        "algorithms": [key.algorithm()], "policy": {"now": NOW, "audience": "crm"},
    })
}

fn with(line: &Value, name: &str, value: Value) -> Value {
    let mut line = line.clone();
    line[name] = value;
    line
}

fn without(line: &Value, name: &str) -> Value {
    let mut line = line.clone();
    line.as_object_mut().expect("object").remove(name);
    line
}

#[test]
fn answers_come_in_the_order_of_the_lines() {
    let keys = [key("ES256"), key("EdDSA"), key("ES384")];
    let made: Vec<Value> = keys.iter().map(line).collect();
    let lines: Vec<String> = (0..5_000)
        .map(|number| {
            let mut line = with(&made[number % 3], "id", number.into());
            line["algorithms"] = json!(["ES256", "EdDSA", "ES384"]);
            if number % 7 == 0 {
                line["policy"]["now"] = json!(NOW + 100_000);
            }
            line.to_string()
        })
        .collect();
    let done = answer(&lines);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let answers = done.lines();
    assert_eq!(answers.len(), lines.len());
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer["id"], json!(number));
        assert_eq!(answer["valid"], json!(number % 7 != 0), "{answer}");
    }
    assert_eq!(answers[0]["code"], "claims.expired");
    assert_eq!(answers[1]["claims"], claims());
    assert_eq!(answers[1]["header"]["alg"], "EdDSA");
}

#[test]
fn blank_lines_are_passed_over() {
    let key = key("ES256");
    let done = answer(&[String::new(), line(&key).to_string(), "  \r".to_owned(), line(&key).to_string()]);
    assert_eq!((done.code, done.lines().len()), (0, 2), "{}", done.err);
    assert_eq!(answer(&[]).code, 0);
}

#[test]
fn a_malformed_line_is_answered_and_work_goes_on() {
    let key = key("ES256");
    let good = line(&key);
    let good_text = good.to_string();
    let cases: Vec<(String, &str)> = vec![
        ("{".to_owned(), "input.json"),
        ("[]".to_owned(), "input.json"),
        ("\u{1}".to_owned(), "input.json"),
        (good_text.replacen("\"id\":\"x\"", "\"id\":\"x\",\"id\":\"y\"", 1), "input.duplicate"),
        (without(&good, "token").to_string(), "input.token"),
        (with(&good, "token", json!(1)).to_string(), "input.token"),
        (with(&good, "extra", json!(1)).to_string(), "input.member"),
        (with(&good, "danger_allow_weak_keys", json!("no")).to_string(), "input.allow_weak_keys"),
        (with(&good, "allow_weak_keys", json!(true)).to_string(), "input.member"),
        (without(&good, "jwk").to_string(), "input.key"),
        (with(&good, "pem", json!("x")).to_string(), "input.key"),
        (with(&good, "jwk", json!("x")).to_string(), "input.key"),
        (with(&without(&good, "jwk"), "secret_b64u", json!("a+b=")).to_string(), "input.key"),
        (without(&good, "algorithms").to_string(), "input.algorithms"),
        (with(&good, "algorithms", json!([])).to_string(), "input.algorithms"),
        (with(&good, "algorithms", json!("ES256")).to_string(), "input.algorithms"),
        (with(&good, "algorithms", json!(["none"])).to_string(), "input.algorithms"),
        (with(&good, "algorithms", json!(["nope"])).to_string(), "input.algorithms"),
        (with(&good, "policy", json!([])).to_string(), "input.policy"),
        (with(&good, "policy", json!({"iss": "x"})).to_string(), "input.member"),
        (with(&good, "policy", json!({"leeway": -1})).to_string(), "input.policy"),
        (with(&good, "policy", json!({"kind": "saml"})).to_string(), "input.policy"),
        (with(&good, "policy", json!({"ignore": ["aud"]})).to_string(), "input.policy"),
        (with(&good, "policy", json!({"issuer": []})).to_string(), "input.policy"),
        (with(&good, "policy", json!({"now": "now"})).to_string(), "input.policy"),
    ];
    let mut lines = Vec::new();
    for (text, _) in &cases {
        lines.extend([text.clone(), good_text.clone()]);
    }
    let done = answer(&lines);
    assert_eq!(done.code, 0);
    let answers = done.lines();
    assert_eq!(answers.len(), lines.len());
    for (place, (text, code)) in cases.iter().enumerate() {
        let answer = &answers[2 * place];
        assert_eq!(answer["code"], *code, "{text}: {answer}");
        assert_eq!(answer["line"], json!(2 * place + 1));
        assert_eq!(answer["valid"], false);
        assert_eq!(answers[2 * place + 1]["valid"], true);
    }
    assert_eq!(answers[0]["id"], Value::Null);
    assert_eq!(answers[8]["id"], "x");
}

#[test]
fn a_line_beyond_the_limit_is_skipped_to_its_end() {
    let good = line(&key("ES256")).to_string();
    let long = format!("{{\"id\":\"{}\"}}", "a".repeat(40 * 1024 * 1024));
    // Too long for a blank line, too.
    let blank = " ".repeat(17 * 1024 * 1024);
    let done = answer(&[good.clone(), long.clone(), good.clone(), long, blank]);
    let answers = done.lines();
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[1]["code"], "input.line_too_long");
    assert_eq!((answers[1]["line"].clone(), answers[1]["id"].clone()), (json!(2), Value::Null));
    assert_eq!(answers[2]["valid"], true);
    assert_eq!(answers[3]["line"], json!(4));
    assert_eq!(answers[4]["code"], "input.line_too_long");
}

#[test]
fn keys_of_every_form_and_keys_that_cannot_serve() {
    let secret = SigningKey::from_secret(b"short", "HS256").expect("secret");
    let mut weak = json!({
        "token": token(&secret, &claims()), "secret_b64u": base64url::encode(b"short"),
        "algorithms": ["HS256"], "policy": {"now": NOW, "audience": "crm"},
    });
    let weak_text = weak.to_string();
    weak["danger_allow_weak_keys"] = true.into();
    let key = key("ES256");
    let set = with(&without(&line(&key), "jwk"), "jwks", jwks(&[&key]));
    let mut encryption = line(&key);
    encryption["jwk"]["use"] = "enc".into();
    let mut off_curve = line(&key);
    off_curve["jwk"]["x"] = off_curve["jwk"]["y"].clone();
    let pem = with(&without(&line(&key), "jwk"), "pem", json!("no PEM"));
    let lines = [
        weak_text,
        weak.to_string(),
        set.to_string(),
        encryption.to_string(),
        off_curve.to_string(),
        pem.to_string(),
    ];
    let answers = answer(&lines).lines();
    assert_eq!(answers[0]["code"], "key.weak", "{}", answers[0]);
    assert_eq!(answers[0]["id"], Value::Null);
    assert_eq!(answers[1]["valid"], true, "{}", answers[1]);
    assert_eq!(answers[2]["valid"], true, "{}", answers[2]);
    assert_eq!(answers[3]["code"], "key.wrong_use");
    assert_eq!(answers[4]["code"], "key.invalid");
    assert_eq!(answers[5]["code"], "key.pem");
    assert!(answers[5].get("line").is_none());
}

#[test]
fn without_a_policy_only_the_signature_is_judged() {
    let key = key("ES256");
    let expired = without(&line(&key), "policy");
    let mut bytes = expired.clone();
    bytes["token"] = key.sign(&Map::new(), b"\xff\0").expect("signs").into();
    let done = answer(&[expired.to_string(), bytes.to_string()]);
    assert_eq!(done.code, 0, "{}", done.out);
    let answers = done.lines();
    assert_eq!(answers[0]["claims"], claims());
    assert_eq!(answers[1]["claims"], Value::Null);
    assert_eq!(answers[1]["payload_b64u"], base64url::encode(b"\xff\0"));
}

// finding: D13, D1
#[test]
fn each_member_of_the_policy_is_held_against_the_token() {
    let key = key("ES256");
    let mut claims = claims();
    claims["jti"] = "t1".into();
    claims["nonce"] = "n1".into();
    let line = with(&line(&key), "token", token(&key, &claims).into());
    let policies = [
        (json!({"now": NOW, "issuer": "https://idp.example.com", "audience": ["a", "crm"]}), None),
        (json!({"now": NOW, "kind": "id_token", "issuer": ISSUER, "audience": "crm"}), None),
        (json!({"now": NOW, "kind": "id_token", "issuer": ISSUER}), Some("input.policy")),
        (json!({"now": NOW, "kind": "id_token", "audience": "crm"}), Some("input.policy")),
        (json!({"now": NOW, "any_audience": false}), Some("claims.audience")),
        (json!({"now": NOW, "any_audience": "yes"}), Some("input.policy")),
        (
            json!({"now": NOW, "kind": "logout_token", "issuer": ISSUER, "audience": "crm"}),
            Some("claims.events"),
        ),
        (
            json!({"now": NOW, "kind": "access_token", "issuer": ISSUER, "audience": "crm"}),
            Some("claims.typ"),
        ),
        (
            json!({"now": NOW, "kind": "access_token", "issuer": ISSUER, "audience": "crm", "untyped_access_tokens": 1}),
            Some("input.policy"),
        ),
        (json!({"now": NOW, "issuer": "x"}), Some("claims.issuer")),
        (json!({"now": NOW, "audience": "x"}), Some("claims.audience")),
        (json!({"now": NOW, "subject": "x"}), Some("claims.subject")),
        (json!({"now": NOW, "jti": "x"}), Some("claims.jti")),
        (json!({"now": NOW, "nonce": "x"}), Some("claims.nonce")),
        (json!({"now": NOW, "typ": "x"}), Some("claims.typ")),
        (json!({"now": NOW, "subject": ["x", "alice"], "jti": ["x", "t1"], "nonce": ["x", "n1"]}), None),
        (json!({"now": NOW, "subject": ["x", "y"]}), Some("claims.subject")),
        (json!({"now": NOW, "jti": []}), Some("input.policy")),
        (json!({"now": NOW, "typ": ["x", "y"]}), Some("claims.typ")),
        (json!({"now": NOW as f64 + 300.0, "leeway": 0}), Some("claims.expired")),
        (json!({"now": NOW as f64 + 299.9, "leeway": 0}), None),
        (json!({"now": NOW as f64 - 60.5}), Some("claims.issued_in_future")),
        (json!({"now": 1e300}), Some("input.policy")),
        (json!({"now": NOW.to_string()}), Some("input.policy")),
        (
            json!({"now": NOW, "kind": "id_token", "issuer": ISSUER, "audience": "crm", "trusted_audiences": ["x"], "authorized_parties": ["app"]}),
            None,
        ),
        (json!({"now": NOW, "trusted_audiences": "x"}), Some("input.policy")),
        (json!({"now": NOW, "require": ["auth_time"]}), Some("claims.missing")),
        (json!({"now": NOW + 359}), None),
        (json!({"now": NOW + 301, "leeway": 0}), Some("claims.expired")),
        (json!({"now": NOW + 9_000}), Some("claims.expired")),
        (json!({"now": NOW + 9_000, "ignore": ["exp"]}), None),
        (json!({"now": NOW + 200, "max_token_age": 60}), Some("claims.too_old")),
        (json!({"now": NOW - 100}), Some("claims.issued_in_future")),
        (json!({"now": NOW - 100, "ignore": ["iat", "nbf"]}), None),
        (json!({}), Some("claims.expired")),
    ];
    let lines: Vec<String> = policies
        .iter()
        .map(|(policy, _)| {
            let mut policy = policy.clone();
            if !["audience", "any_audience", "kind"].iter().any(|member| policy.get(member).is_some()) {
                policy["any_audience"] = true.into();
            }
            with(&line, "policy", policy).to_string()
        })
        .collect();
    for (answer, (policy, code)) in answer(&lines).lines().iter().zip(&policies) {
        assert_eq!(answer.get("code").and_then(Value::as_str), *code, "{policy}: {answer}");
    }
}

#[test]
fn every_vector_through_json_lines_in_order() {
    let (mut lines, mut expected) = (Vec::new(), Vec::new());
    for file in ["rfc", "good", "attacks"] {
        let text = std::fs::read_to_string(repository_file(&format!("vectors/{file}.jsonl"))).expect(file);
        for line in text.lines() {
            let vector: Value = serde_json::from_str(line).expect("a vector");
            lines.push(vector["input"].to_string());
            expected.push((vector["input"]["id"].clone(), vector["expect"].clone()));
        }
    }
    let done = answer(&lines);
    assert_eq!(done.code, 0);
    let answers = done.lines();
    assert_eq!(answers.len(), expected.len());
    for (answer, (id, expect)) in answers.iter().zip(&expected) {
        assert_eq!(&answer["id"], id);
        match expect["code"].as_str() {
            // An error of `build` in the library is a malformed line here.
            Some(code) if code.starts_with("build.") => assert_eq!(answer["code"], "input.algorithms"),
            Some(code) => {
                assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!(code)), "{id}")
            }
            None => assert_eq!(answer["valid"], true, "{id}: {answer}"),
        }
    }
}

#[test]
fn an_id_of_any_type_comes_back() {
    let jwks = std::fs::read_to_string(repository_file("vectors/demo/jwks.json")).expect("the demo's keys");
    let jwks: Value = serde_json::from_str(&jwks).expect("JSON");
    let now: i64 = DEMO_NOW.parse().expect("seconds");
    let line = |id: Value| {
        let policy = json!({"now": now, "kind": "id_token", "issuer": "https://idp.example.com/realms/acme", "audience": ["x", "crm"]});
        json!({"id": id, "token": demo_token().trim(), "jwks": jwks, "algorithms": ["RS256"], "policy": policy})
    };
    let ids = [json!({"any": 1}), json!([1, "a"]), json!(1.5), Value::Null, json!("\u{202e}")];
    let answers = answer(&ids.clone().map(|id| line(id).to_string())).lines();
    for (answer, id) in answers.iter().zip(&ids) {
        assert_eq!((&answer["id"], &answer["valid"]), (id, &json!(true)), "{answer}");
    }
}
