//! What a session keeps of its sign-in, and what a rule of access asks the provider for.

use std::time::Duration;

use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::facts::{KeptClaims, MAX_KEPT_CLAIM, MAX_KEPT_CLAIMS};
use claimgate::oidc::id_token::IdTokenError;
use claimgate::path::ClaimPath;
use claimgate::time::UnixTime;
use serde_json::{Value, json};

use super::memory::MemoryStore;
use super::provider::{NOW, NOW_MS, Op, set};
use super::sign_in::{OPEN, sign_in};

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

/// Signs a person in whose ID token has this `auth_time`. Returns when the person authenticated, by the session.
fn authenticated(auth_time: Value) -> Option<UnixTime> {
    let store = MemoryStore::default();
    sign_in(&store, Op::new().person(set("auth_time", auth_time), NOW_MS), OPEN, 1).unwrap();
    let session = store.records().sessions[0].clone();
    assert_eq!(session.facts.claims, KeptClaims::default());
    session.facts.authenticated
}

#[test]
fn a_session_keeps_the_time_of_authentication_that_the_provider_says() {
    for time in [NOW - 86_400, NOW, NOW + 60] {
        assert_eq!(authenticated(json!(time)), Some(UnixTime(time)));
    }
    assert_eq!(authenticated(json!(NOW as f64 - 0.5)), Some(UnixTime(NOW - 1)));
    // A time in milliseconds, and others that are none.
    for other in [json!(NOW + 61), json!(NOW_MS), json!("1"), json!(null), json!(-1)] {
        assert_eq!(authenticated(other.clone()), None, "{other}");
    }
}

#[test]
fn a_session_keeps_the_claims_that_are_named() {
    let store = MemoryStore::default();
    let claims = json!({"acr": "mfa", "realm": {"roles": ["a", "b"]}, "hd": "example.com"});
    let paths = [path("acr"), path("$.realm.roles[*]"), path("nothing")];
    let (kept, left_out) = KeptClaims::of(&claims, &paths);
    assert!(left_out.is_empty());
    sign_in(&store, Op::new().person(|_| {}, NOW_MS).keep(kept), OPEN, 1).unwrap();
    let kept = store.records().sessions[0].facts.claims.clone();
    assert_eq!(kept.values("acr"), Some(vec![json!("mfa")]));
    assert_eq!(kept.values("$.realm.roles[*]"), Some(vec![json!("a"), json!("b")]));
    assert_eq!(kept.values("nothing"), Some(Vec::new()));
    assert_eq!(kept.values("hd"), None);
    assert_eq!(KeptClaims::from_json(kept.as_json().map(str::to_owned)), kept);
    assert_eq!(
        KeptClaims::from_json(Some("[]".to_owned())).values("acr"),
        None,
        "a broken row opens nothing"
    );
    assert!(!format!("{kept:?}").contains("mfa"));
}

#[test]
fn a_session_takes_no_more_than_a_bound_for_its_claims() {
    // A value of this length has two more bytes for its quotes, and a list of it two for its brackets.
    let text = |length: usize| json!("x".repeat(length - 4));
    let claims = json!({
        "one": text(MAX_KEPT_CLAIM), "long": text(MAX_KEPT_CLAIM + 1), "two": text(MAX_KEPT_CLAIM), "small": "s",
    });
    let paths = ["long", "one", "two", "small"].map(path);
    let (kept, left_out) = KeptClaims::of(&claims, &paths);
    let left_out: Vec<&str> = left_out.into_iter().map(ClaimPath::as_str).collect();
    assert_eq!(left_out, ["long", "two"], "the second has no room for its path");
    assert!(kept.as_json().unwrap().len() < MAX_KEPT_CLAIMS + 100);
    assert_eq!(kept.values("long"), Some(Vec::new()), "no condition on it is met");
    assert_eq!(kept.values("small"), Some(vec![json!("s")]));
    assert_eq!(KeptClaims::of(&claims, &[]).0, KeptClaims::default());
    assert_eq!(KeptClaims::of_nothing(&paths).values("small"), Some(Vec::new()));
}

fn validate(options: &AuthorizationOptions, claims: &Value) -> Result<(), IdTokenError> {
    let change = |own: &mut Value| own.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    Op::new().validate(options, json!({}), change).map(drop)
}

#[test]
fn a_class_that_was_asked_for_is_compared() {
    let acr_values = vec!["phr".to_owned(), "mfa".to_owned()];
    let options = AuthorizationOptions { acr_values, ..AuthorizationOptions::default() };
    let (url, _) = Op::new().begin(&options);
    assert!(url.query_pairs().any(|(name, value)| name == "acr_values" && value == "phr mfa"), "{url}");
    assert_eq!(validate(&options, &json!({"acr": "mfa"})), Ok(()));
    for (claims, found) in [
        (json!({"acr": "pwd"}), "is `pwd`"),
        (json!({"acr": ["mfa"]}), "is no text"),
        (json!({}), "is absent"),
    ] {
        let error = validate(&options, &claims).unwrap_err();
        assert_eq!(error.code(), "id_token.acr");
        let said =
            format!("the sign-in must be of one of the classes phr, mfa, and the ID token's `acr` {found}");
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn an_authentication_within_a_time_is_asked_for_and_compared() {
    let options = AuthorizationOptions {
        max_age: Some(Duration::from_secs(3600)),
        authenticated_within: Some(Duration::from_secs(100)),
        ..AuthorizationOptions::default()
    };
    let (url, _) = Op::new().begin(&options);
    assert!(url.query_pairs().any(|(name, value)| name == "max_age" && value == "100"), "{url}");
    assert_eq!(validate(&options, &json!({"auth_time": NOW - 160})), Ok(()));
    let refused = |claims: Value| validate(&options, &claims).unwrap_err().to_string();
    assert!(refused(json!({"auth_time": NOW - 161})).contains("longer ago than max_age allows"));
    assert!(refused(json!({})).contains("is absent"));
    // The session would not keep it, and the rule would ask for ever.
    assert!(refused(json!({"auth_time": NOW, "iat": NOW - 61})).contains("later than `iat`"));
}
