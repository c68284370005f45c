//! What a policy demands beyond the kind's own rules: values of claims, and access tokens that do not say what they
//! are.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use claimgate::claims::{AccessToken, BACKCHANNEL_LOGOUT_EVENT, ClaimRule, Claims, Kind, Policy, TokenKind};
use claimgate::jws::Header;
use claimgate::limits::Limits;
use claimgate::path::{ClaimPath, PathError};
use claimgate::time::UnixTime;
use serde_json::{Value, json};

const NOW: i64 = 1_795_478_400;

fn judge<K: Kind>(policy: &Policy<K>, typ: Option<&str>, claims: &Value) -> &'static str {
    let mut header = json!({"alg": "RS256"});
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    let header = Header::parse(header.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let claims = Claims::parse(claims.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let verdict = policy.validate(&header, &claims, UnixTime(NOW));
    verdict.map_or_else(|error| error.code(), |()| "valid")
}

/// Returns claims that every kind has, and more.
fn claims(more: &Value) -> Value {
    let mut claims =
        json!({"iss": "https://idp.example.com", "sub": "ada", "aud": "api", "iat": NOW, "exp": NOW + 300});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn access_token() -> Policy<AccessToken> {
    Policy::access_token("https://idp.example.com", "api")
}

/// Tokens as providers document them, by what tells their kinds apart.
// attack: typ.as-access-token
#[test]
fn an_access_token_without_its_type_is_told_from_other_tokens() {
    let rows = [
        ("Keycloak", json!({"typ": "Bearer", "azp": "crm", "scope": "openid email", "sid": "s"}), true),
        ("Keycloak before 25, with a nonce", json!({"typ": "Bearer", "azp": "crm", "nonce": "n"}), true),
        ("Keycloak, bound to a key", json!({"typ": "DPoP", "azp": "crm", "scope": "openid"}), true),
        ("Keycloak, ID token", json!({"typ": "ID", "azp": "crm", "at_hash": "h", "scope": "openid"}), false),
        ("Keycloak, refresh token", json!({"typ": "Refresh", "azp": "crm", "scope": "openid"}), false),
        ("Keycloak, logout token", json!({"typ": "Logout", "sid": "s", "scope": "openid"}), false),
        ("Entra ID, for a person", json!({"scp": "crm.read", "azp": "1", "azpacr": "1", "ver": "2.0"}), true),
        ("Entra ID, for an application", json!({"roles": ["a"], "azp": "1", "azpacr": "1"}), true),
        ("Entra ID, version 1", json!({"appid": "1", "appidacr": "1", "ver": "1.0"}), true),
        ("Entra ID, ID token", json!({"nonce": "n", "tid": "t", "ver": "2.0", "roles": ["a"]}), false),
        ("Okta", json!({"scp": ["openid"], "cid": "0oa1", "uid": "u", "ver": 1}), true),
        ("Okta, ID token", json!({"amr": ["pwd"], "at_hash": "h", "idp": "i", "ver": 1}), false),
        ("Auth0", json!({"scope": "openid", "azp": "crm"}), true),
        ("Cognito", json!({"token_use": "access", "client_id": "c", "scope": "openid"}), true),
        ("Cognito, ID token", json!({"token_use": "id", "client_id": "c"}), false),
        ("an ID token with a scope and a nonce", json!({"scope": "openid", "nonce": "n"}), false),
        ("an ID token with a scope and a hash", json!({"scope": "openid", "at_hash": "h"}), false),
        ("an ID token with a scope and a code's hash", json!({"scope": "openid", "c_hash": "h"}), false),
        ("an ID token whose nonce is null", json!({"scope": "openid", "nonce": null}), false),
        ("no evidence", json!({}), false),
        ("blank evidence", json!({"scope": "", "scp": [], "client_id": null}), false),
        ("a stated kind of another type", json!({"typ": ["Bearer"], "scope": "openid"}), false),
        ("stated kinds that differ", json!({"typ": "Bearer", "token_use": "id"}), false),
        ("a logout", json!({"typ": "Bearer", "events": {BACKCHANNEL_LOGOUT_EVENT: {}}}), false),
    ];
    let policy = access_token().allow_untyped();
    let at_run_time = Policy::of_kind(TokenKind::AccessToken)
        .issuer("https://idp.example.com")
        .audience("api")
        .allow_untyped();
    for (name, more, accepted) in rows {
        let token = claims(&more);
        let wanted = if accepted { "valid" } else { "claims.typ" };
        for typ in [None, Some("JWT"), Some("jwt")] {
            assert_eq!(judge(&policy, typ, &token), wanted, "{name}, {typ:?}");
            assert_eq!(judge(&at_run_time, typ, &token), wanted, "{name}, {typ:?}");
            assert_eq!(judge(&access_token(), typ, &token), "claims.typ", "{name}: not asked for");
        }
        for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", ""] {
            assert_eq!(judge(&policy, Some(typ), &token), "claims.typ", "{name}, {typ:?}");
        }
    }
    // The type of RFC 9068 is enough, as before, and all other rules stay.
    assert_eq!(judge(&policy, Some("at+jwt"), &claims(&json!({}))), "valid");
    assert_eq!(judge(&policy, None, &claims(&json!({"scope": "a", "aud": "crm"}))), "claims.audience");
    // For no other kind does it change anything.
    let id_token = Policy::of_kind(TokenKind::IdToken).issuer("https://idp.example.com").audience("api");
    assert_eq!(judge(&id_token.allow_untyped(), Some("at+jwt"), &claims(&json!({}))), "claims.typ");
}

fn demanding(path: &str, rule: ClaimRule) -> Policy<AccessToken> {
    access_token().claim(ClaimPath::parse(path).unwrap(), rule)
}

// finding: R7
#[test]
fn a_value_of_a_claim_is_demanded() {
    let token = claims(&json!({
        "tid": "t1", "level": 2, "scope": "openid crm.read", "scp": ["openid", "crm.read"], "verified": true,
        "email": "ada@example.com", "realm_access": {"roles": ["admin", "user"]}, "groups": [], "none": null,
        "pairs": [{"k": "a"}, {"k": "b"}],
    }));
    let one_of = |values: &[&str]| ClaimRule::one_of(values.iter().copied());
    let matches = |pattern: &str| ClaimRule::matches(pattern).unwrap();
    for (path, rule, wanted) in [
        ("tid", one_of(&["t0", "t1"]), "valid"),
        ("$.tid", one_of(&["t1"]), "valid"),
        ("tid", one_of(&["t", "T1", "t1 "]), "claims.value"),
        ("tid", one_of(&[]), "claims.value"),
        ("level", ClaimRule::one_of([1, 2]), "valid"),
        ("level", one_of(&["2"]), "claims.value"),
        ("verified", ClaimRule::one_of([true]), "valid"),
        ("scp", one_of(&["openid", "crm.read"]), "claims.value"),
        ("$.scp[*]", one_of(&["openid", "crm.read"]), "valid"),
        ("$.scp[*]", one_of(&["crm.read"]), "claims.value"),
        ("scope", ClaimRule::contains("crm.read"), "valid"),
        ("scp", ClaimRule::contains("crm.read"), "valid"),
        ("$.scp[*]", ClaimRule::contains("crm.read"), "valid"),
        ("$.realm_access.roles", ClaimRule::contains("admin"), "valid"),
        ("$.pairs[?@.k == 'b'].k", ClaimRule::contains("b"), "valid"),
        ("scope", ClaimRule::contains("crm"), "claims.value"),
        ("scope", ClaimRule::contains("crm.read.all"), "claims.value"),
        ("scope", ClaimRule::contains(""), "claims.value"),
        ("scope", ClaimRule::contains("openid crm.read"), "valid"),
        ("scp", ClaimRule::contains("crm"), "claims.value"),
        ("groups", ClaimRule::contains("admin"), "claims.value"),
        ("level", ClaimRule::contains(2), "valid"),
        ("email", matches(r"[^@]+@example\.com"), "valid"),
        ("email", matches("ada"), "claims.value"),
        ("email", matches(r"[^@]+@example"), "claims.value"),
        ("$.scp[*]", matches("[a-z.]+"), "valid"),
        ("$.scp[*]", matches("crm.*"), "claims.value"),
        ("level", matches("2"), "claims.value"),
        ("absent", one_of(&["t1"]), "claims.missing"),
        ("absent", ClaimRule::contains("t1"), "claims.missing"),
        ("absent", matches(".*"), "claims.missing"),
        ("$.groups[*]", matches(".*"), "claims.missing"),
        ("none", one_of(&["t1"]), "claims.value"),
    ] {
        let label = format!("{path} {rule:?}");
        assert_eq!(judge(&demanding(path, rule), Some("at+jwt"), &token), wanted, "{label}");
    }
}

#[test]
fn a_refusal_names_the_path_and_what_is_demanded_of_it() {
    let claims = json!({"tid": "t2", "scope": "openid", "email": "ada@example.org"});
    let check = |path: &str, rule: ClaimRule| {
        rule.check(&ClaimPath::parse(path).unwrap(), &claims).map_err(|error| error.to_string())
    };
    assert_eq!(check("tid", ClaimRule::one_of(["t1", "t2"])), Ok(()));
    let refusals = [
        check("tid", ClaimRule::one_of(["t0", "t1"])),
        check("$.scope", ClaimRule::contains("crm.read")),
        check("email", ClaimRule::matches(r"[^@]+@example\.com").unwrap()),
        check("hd", ClaimRule::contains(true)),
    ];
    let texts = refusals.map(Result::unwrap_err);
    assert_eq!(
        texts,
        [
            r#"the claim `tid` must be one of "t0", "t1""#,
            r#"the claim `$.scope` must be or contain "crm.read""#,
            r"the claim `email` must match the pattern [^@]+@example\.com",
            "the claim `hd` is required and missing",
        ]
    );
    let many: Vec<String> = (0..1000).map(|tenant| format!("tenant-{tenant}")).collect();
    let long = check("tid", ClaimRule::one_of(many)).unwrap_err();
    assert!(long.len() < 300 && long.ends_with('…'), "{long}");
}

#[test]
fn all_demands_must_be_met_before_the_times_are_looked_at() {
    let path = || ClaimPath::parse("tid").unwrap();
    let policy =
        access_token().claim(path(), ClaimRule::one_of(["a", "b"])).claim(path(), ClaimRule::contains("b"));
    let of = |tid: &str| claims(&json!({"tid": tid, "exp": NOW - 1000}));
    assert_eq!(judge(&policy, Some("at+jwt"), &of("a")), "claims.value");
    assert_eq!(judge(&policy, Some("at+jwt"), &of("b")), "claims.expired");
}

#[test]
fn a_path_that_visits_too_much_is_no_match() {
    let long: Vec<i32> = vec![1; 19_000];
    let path = "$[?count($..*) > 0 && count($..*) > 0 && count($..*) > 0 && count($..*) > 0 && count($..*) > 0 && count($..*) > 0]";
    let policy = demanding(path, ClaimRule::contains("x"));
    assert_eq!(judge(&policy, Some("at+jwt"), &claims(&json!({"a": long}))), "path.node_limit");
}

#[test]
fn a_pattern_that_is_no_i_regexp_is_refused_when_the_policy_is_made() {
    for pattern in [r"\d+", "(?i)a", "[a", "(", "a{1000}{1000}{1000}"] {
        let refusal = ClaimRule::matches(pattern).unwrap_err();
        assert_eq!(refusal, PathError::Pattern { text: pattern.to_owned() });
        assert_eq!(refusal.code(), "path.pattern");
    }
}
