//! Demands on values of claims: `[[provider.claim]]`, `[[provider.verify.claim]]`, `verify --claim` and `policy.claim`
//! of JSON lines.
#![allow(clippy::unwrap_used)]

use claimgate::claims::Claims;
use claimgate::jws::Header;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use claimgate_config::{Config, Provider, Severity};
use serde_json::{Value, json};

use super::configuration::{PROVIDER, parse};
use super::support::*;

const DEMANDS: &str = r#"
[[provider.claim]]
path = "hd"
one_of = ["example.com", "example.org"]

[[provider.claim]]
path = "$.realm_access.roles"
contains = "crm-user"
"#;

fn provider(more: &str) -> Provider {
    let config: Config = parse(&format!("{PROVIDER}{more}")).unwrap();
    config.providers[0].clone()
}

fn sign_in(provider: &Provider, claims: &Value) -> Option<String> {
    provider.check_demands(claims).err().map(|error| format!("{} {error}", error.code()))
}

fn presented(provider: &Provider, more: &Value) -> Option<&'static str> {
    let mut claims = claims();
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let claims = Claims::parse(claims.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let header = Header::parse(br#"{"alg":"RS256"}"#, &Limits::DEFAULT).unwrap();
    let verdict = provider.presented_policy().validate(&header, &claims, UnixTime(NOW));
    verdict.err().map(|error| error.code())
}

#[test]
fn all_demands_of_a_provider_must_be_met() {
    let provider = provider(DEMANDS);
    let good = json!({"hd": "example.org", "realm_access": {"roles": ["a", "crm-user"]}});
    assert_eq!(sign_in(&provider, &good), None);
    for (claims, refusal) in [
        (json!({"realm_access": {"roles": ["crm-user"]}}), "claims.missing the claim `hd` is required"),
        (
            json!({"hd": "example.net", "realm_access": {"roles": ["crm-user"]}}),
            r#"claims.value the claim `hd` must be one of "example.com", "example.org""#,
        ),
        (json!({"hd": "example.com", "realm_access": {}}), "claims.missing the claim `$.realm_access.roles`"),
        (
            json!({"hd": "example.com", "realm_access": {"roles": ["crm-users"]}}),
            r#"claims.value the claim `$.realm_access.roles` must be or contain "crm-user""#,
        ),
    ] {
        let said = sign_in(&provider, &claims).unwrap();
        assert!(said.starts_with(refusal), "{claims}: {said}");
    }
}

#[test]
fn demands_on_claims_that_may_not_be_all_are_compared_where_the_claim_is_there() {
    let words = provider("[[provider.claim]]\npath = \"$.groups[*]\"\nmatches = \"crm-.*\"\n");
    let deep = provider("[[provider.claim]]\npath = \"$..level\"\none_of = [2]\n");
    let known = |provider: &Provider, claims: Value| {
        provider.check_known_demands(&claims).err().map(|error| error.code())
    };
    for claims in [json!({"hd": "x"}), json!({"groups": null})] {
        assert_eq!(known(&words, claims.clone()), None, "{claims}");
        assert!(sign_in(&words, &claims).is_some());
    }
    assert_eq!(known(&words, json!({"groups": ["crm-a"]})), None);
    assert_eq!(known(&words, json!({"groups": ["other"]})), Some("claims.value"));
    assert_eq!(known(&words, json!({"groups": []})), Some("claims.missing"), "there are none");
    assert_eq!(known(&provider(DEMANDS), json!({"realm_access": {}})), Some("claims.missing"));
    // A path without a name at its start is decided by what it selects.
    assert_eq!(known(&deep, json!({"a": {}})), None);
    assert_eq!(known(&deep, json!({"a": {"level": 1}})), Some("claims.value"));
}

#[test]
fn presented_tokens_meet_the_demands_of_the_provider_or_their_own() {
    let both = json!({"hd": "example.com", "realm_access": {"roles": ["crm-user"]}});
    let same = provider(DEMANDS);
    assert_eq!(presented(&same, &both), None);
    assert_eq!(presented(&same, &json!({"hd": "example.com"})), Some("claims.missing"));
    assert_eq!(presented(&provider(""), &json!({})), None);

    let own =
        provider(&format!("{DEMANDS}[[provider.verify.claim]]\npath = \"level\"\none_of = [2, true]\n"));
    assert_eq!(presented(&own, &json!({"level": 2})), None);
    assert_eq!(presented(&own, &json!({"level": true})), None);
    assert_eq!(presented(&own, &json!({"level": "2"})), Some("claims.value"));
    assert_eq!(sign_in(&own, &both), None);
    assert!(sign_in(&own, &json!({"level": 2})).is_some());

    let none = provider(&format!("{DEMANDS}[provider.verify]\nclaim = []\n"));
    assert_eq!(presented(&none, &json!({})), None);
    assert!(sign_in(&none, &json!({})).is_some());
}

#[test]
fn faults_of_demands_name_their_line_and_setting() {
    for (table, said) in [
        ("path = \"hd\"", ":4:1: provider[0].claim[0].one_of: is missing; write one of"),
        ("one_of = [\"a\"]", ":4:1: provider[0].claim[0]: missing field `path`"),
        ("path = \"\"\none_of = [1]", ":5:8: provider[0].claim[0].path: ``: a claim path must not be empty"),
        ("path = \"$.a[\"\none_of = [1]", ":5:8: provider[0].claim[0].path: `$.a[`: not a JSONPath"),
        ("path = \"a\"\none_of = []", ":6:10: provider[0].claim[0].one_of: must name at least one value"),
        ("path = \"a\"\none_of = [1.5]", ":6:11: provider[0].claim[0].one_of[0]: has the wrong type"),
        ("path = \"a\"\none_of = \"b\"", ":6:10: provider[0].claim[0].one_of: has the wrong type"),
        ("path = \"a\"\ncontains = \"\"", ":6:12: provider[0].claim[0].contains: must not be empty"),
        ("path = \"a\"\ncontains = [\"b\"]", ":6:12: provider[0].claim[0].contains: has the wrong type"),
        (
            "path = \"a\"\nmatches = \"\\\\d\"",
            ":6:11: provider[0].claim[0].matches: not a regular expression",
        ),
        ("path = \"a\"\none_of = [1]\ncontains = 1", ":7:12: provider[0].claim[0].contains: write only one"),
        (
            "path = \"a\"\ncontains = 1\nmatches = \"b\"",
            ":7:11: provider[0].claim[0].matches: write only one",
        ),
        ("path = \"a\"\none-of = [1]", ":6:1: provider[0].claim[0].one-of: unknown setting; did you mean"),
    ] {
        let error = parse(&format!("{PROVIDER}[[provider.claim]]\n{table}\n")).unwrap_err().to_string();
        assert!(error.contains(said), "{table}\n{error}");
    }
    let two = "[[provider.claim]]\npath = \"a\"\none_of = []\n[[provider.claim]]\npath = \"b\"\n";
    assert_eq!(parse(&format!("{PROVIDER}{two}")).unwrap_err().faults().len(), 2);
    for (table, said) in [
        ("[provider.claim]\npath = \"a\"\n", "write [[provider.claim]] in double brackets"),
        ("[provider.verify.claim]\npath = \"a\"\n", "write [[provider.verify.claim]] in double brackets"),
        ("[[provider.verify.claim]]\npath = \"a\"\n", "provider[0].verify.claim[0].one_of"),
    ] {
        let error = parse(&format!("{PROVIDER}{table}")).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn demands_that_are_probably_wrong_are_remarked_on() {
    let notes = |demands: &str| parse(&format!("{PROVIDER}{demands}")).unwrap().notes;
    let demand = |path: &str| format!("[[provider.claim]]\npath = \"{path}\"\nmatches = \".+\"\n");
    let dotted = notes(&demand("realm_access.roles"));
    assert_eq!((dotted.len(), dotted[0].severity), (1, Severity::Warning));
    assert!(dotted[0].to_string().contains("provider[0].claim[0].path"), "{}", dotted[0]);
    let email = notes(&demand("email"));
    assert_eq!((email.len(), email[0].severity), (1, Severity::Note));
    let verified = "[[provider.claim]]\npath = \"email_verified\"\none_of = [true]\n";
    assert!(notes(&format!("{}{verified}", demand("$.email"))).is_empty());
}

#[test]
fn explain_says_that_a_sign_in_would_be_refused() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", format!("{PROVIDER}{DEMANDS}"));
    let explain = |claims: &Value, format: &str| {
        let arguments = ["explain", "--config", &config, "--format", format];
        run_with(&arguments, claims.to_string().as_bytes())
    };
    let lacking = json!({"sub": "ada", "hd": "example.net"});
    let text = explain(&lacking, "text");
    assert_eq!(text.code, 1, "{}", text.err);
    assert!(text.err.contains("error[claims.value]"), "{}", text.err);
    let said = "a sign-in with these claims would be refused: the claim `hd` must be one of \"example.com\", \
                \"example.org\" [claims.value]";
    assert!(text.out.contains(said), "{}", text.out);
    assert_eq!(explain(&lacking, "json").json()["refused"]["code"], "claims.value");
    let good = json!({"sub": "ada", "hd": "example.com", "realm_access": {"roles": ["crm-user"]}});
    assert_eq!(explain(&good, "json").json()["refused"], Value::Null);
    assert!(!explain(&good, "text").out.contains("refused"));
}

#[test]
fn a_token_is_verified_with_demands_and_so_are_json_lines() {
    let (folder, key) = (Folder::new(), key("ES256"));
    let jwks = folder.write("jwks.json", jwks(&[&key]).to_string());
    let mut claims = claims();
    claims["tid"] = "t1".into();
    claims["scope"] = "openid crm.read".into();
    let (text, now) = (token(&key, &claims), NOW.to_string());
    let rows = [
        (vec![r#"{"path":"tid","one_of":["t0","t1"]}"#], None),
        (vec![r#"{"path":"scope","contains":"crm.read"}"#, r#"{"path":"$.tid","matches":"t[0-9]"}"#], None),
        (vec![r#"{"path":"tid","one_of":["t0"]}"#], Some("claims.value")),
        (
            vec![r#"{"path":"tid","one_of":["t1"]}"#, r#"{"path":"hd","contains":"x"}"#],
            Some("claims.missing"),
        ),
        (vec![r#"{"path":"tid"}"#], Some("input.policy")),
        (vec![r#"{"path":"tid","one_of":[]}"#], Some("input.policy")),
        (vec![r#"{"path":"$[","one_of":["t1"]}"#], Some("input.policy")),
        (vec![r#"{"path":"tid","is":"t1"}"#], Some("input.policy")),
        (vec!["7"], Some("input.policy")),
    ];
    let mut lines = String::new();
    for (demands, code) in &rows {
        let mut arguments =
            vec!["verify", "--jwks", &jwks, "--alg", "ES256", "--now", &now, "--audience", "crm"];
        demands.iter().for_each(|demand| arguments.extend(["--claim", *demand]));
        let done = run_with(&arguments, text.as_bytes());
        match code {
            None => assert_eq!(done.code, 0, "{demands:?}: {}", done.err),
            Some("input.policy") => assert_eq!(done.code, 2, "{demands:?}: {}", done.err),
            Some(code) => {
                assert!(done.code == 1 && done.err.contains(code), "{demands:?}: {}", done.err);
            }
        }
        let demands: Vec<Value> =
            demands.iter().map(|demand| serde_json::from_str(demand).unwrap()).collect();
        let claim = if demands.len() == 1 { demands[0].clone() } else { json!(demands) };
        let policy = json!({"now": NOW, "audience": "crm", "claim": claim});
        let jwk = key.public_jwk().unwrap();
        let line = json!({"token": text, "jwk": jwk, "algorithms": ["ES256"], "policy": policy});
        lines.push_str(&format!("{line}\n"));
    }
    let answers = run_with(&["verify", "--jsonl"], lines.as_bytes()).lines();
    assert_eq!(answers.len(), rows.len());
    for (answer, (demands, code)) in answers.iter().zip(&rows) {
        assert_eq!(answer.get("code").and_then(Value::as_str), *code, "{demands:?}: {answer}");
    }
    assert!(answers[4]["message"].as_str().unwrap().contains("`policy.claim`: `one_of`: is missing"));
}
