//! `Claims`, with its quick way for ordinary payloads, beside the strict parse and types read off the
//! members one by one, in both directions; and whichever way it went, policies say the same.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use claimgate::claims::{
    AnyKind, BACKCHANNEL_LOGOUT_EVENT, Claims, ClaimsError, NumericDate, Policy, TokenKind,
};
use claimgate::json;
use claimgate::jws::Header;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const NOW: UnixTime = UnixTime(1_800_000_000);

static HEADERS: LazyLock<[Header; 4]> = LazyLock::new(|| {
    ["JWT", "logout+jwt", "at+jwt", "secevent+jwt"].map(|typ| {
        let json = format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#);
        Header::parse(json.as_bytes(), &Limits::DEFAULT).expect("a fixed header")
    })
});

static POLICIES: LazyLock<Vec<Policy<AnyKind>>> = LazyLock::new(|| {
    let of_kind = |kind| Policy::of_kind(kind).issuer("https://idp.example.com").audience("crm");
    let id_token = of_kind(TokenKind::IdToken);
    vec![
        Policy::of_kind(TokenKind::Jwt),
        Policy::of_kind(TokenKind::Jwt)
            .any_audience()
            .require_only(["sub", "name", "events", "aud"])
            .max_token_age(Duration::from_secs(600)),
        id_token.clone(),
        id_token.nonce("n").authorized_party("crm").subject("ada").token_id("j"),
        of_kind(TokenKind::LogoutToken),
        of_kind(TokenKind::AccessToken),
        of_kind(TokenKind::SecurityEvent),
    ]
});

/// The claims that are present and not of their type.
fn wrong(members: &Map<String, Value>) -> Vec<&'static str> {
    let is_name = |value: &Value| value.as_str().is_some_and(|name| !name.is_empty());
    let is_right = |claim: &str, value: &Value| match claim {
        "iss" | "sub" | "jti" => value.is_string(),
        "aud" => match value {
            Value::Array(names) => !names.is_empty() && names.iter().all(is_name),
            name => is_name(name),
        },
        _ => match value.as_u64() {
            Some(seconds) => seconds <= 1 << 53,
            None => value.as_f64().is_some_and(|seconds| (0.0..=9_007_199_254_740_992.0).contains(&seconds)),
        },
    };
    let is_wrong = |claim: &&str| members.get(*claim).is_some_and(|value| !is_right(claim, value));
    ["iss", "sub", "jti", "aud", "exp", "nbf", "iat"].into_iter().filter(is_wrong).collect()
}

fuzz_target!(|text: &[u8]| {
    // Small limits, so that they are reached.
    let limits = Limits { json_depth: 6, json_items: 40, ..Limits::DEFAULT };
    let ours = Claims::parse(text, &limits);
    let members = match json::parse_object(text, &limits) {
        Ok(members) => members,
        Err(reason) => {
            assert_eq!(ours, Err(ClaimsError::Json(reason)));
            return;
        }
    };
    let wrong = wrong(&members);
    let claims = match ours {
        Ok(claims) => claims,
        Err(ClaimsError::WrongType { claim, .. }) => {
            assert!(wrong.contains(&claim.as_str()), "{claim} is not wrong, {wrong:?} are");
            return;
        }
        Err(error) => panic!("refused for {error:?}"),
    };
    assert!(wrong.is_empty(), "accepted despite {wrong:?}");
    let text_of = |claim: &str| members.get(claim).and_then(Value::as_str);
    assert_eq!(claims.issuer(), text_of("iss"));
    assert_eq!(claims.subject(), text_of("sub"));
    assert_eq!(claims.token_id(), text_of("jti"));
    assert_eq!(claims.session_id(), text_of("sid"));
    let audience: Vec<&str> = match members.get("aud") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        other => other.and_then(Value::as_str).into_iter().collect(),
    };
    assert_eq!(claims.audience().collect::<Vec<_>>(), audience);
    let date = |claim: &str| members.get(claim).and_then(Value::as_f64).map(|seconds| seconds.floor());
    let seconds = |date: Option<NumericDate>| date.map(|date| date.seconds().0 as f64);
    assert_eq!(seconds(claims.expires_at()), date("exp"));
    assert_eq!(seconds(claims.not_before()), date("nbf"));
    assert_eq!(seconds(claims.issued_at()), date("iat"));

    // The same members over several lines are no ordinary payload.
    let spread = serde_json::to_vec_pretty(&members).expect("a JSON object");
    let slow = Claims::parse(&spread, &limits).expect("the same members");
    for header in HEADERS.iter() {
        for policy in POLICIES.iter() {
            assert_eq!(policy.validate(header, &claims, NOW), policy.validate(header, &slow, NOW));
        }
    }
    if POLICIES[4].validate(&HEADERS[1], &claims, NOW).is_ok() {
        assert!(members["events"][BACKCHANNEL_LOGOUT_EVENT].is_object() && !members.contains_key("nonce"));
    }
    if POLICIES[6].validate(&HEADERS[3], &claims, NOW).is_ok() {
        let events = members["events"].as_object().expect("an object");
        assert!(!events.is_empty() && !events.contains_key(BACKCHANNEL_LOGOUT_EVENT));
    }
    assert_eq!(claims.as_object(), &members);
});
