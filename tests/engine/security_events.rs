//! Security event tokens (RFC 8417), and what is none.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use claimgate::claims::{BACKCHANNEL_LOGOUT_EVENT, Claims, Kind, Policy, SECURITY_EVENT_AGE, TokenKind};
use claimgate::jws::Header;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use serde_json::{Value, json};

const NOW: i64 = 1_795_478_400;
const ISSUER: &str = "https://idp.example.com";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const TYP: Option<&str> = Some("secevent+jwt");

fn judge<K: Kind>(policy: &Policy<K>, typ: Option<&str>, claims: &Value) -> &'static str {
    let header = json!({"alg": "RS256", "typ": typ.unwrap_or("JWT")});
    let header = Header::parse(header.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    Claims::parse(claims.to_string().as_bytes(), &Limits::DEFAULT)
        .and_then(|claims| policy.validate(&header, &claims, UnixTime(NOW)))
        .map_or_else(|error| error.code(), |()| "valid")
}

fn event(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "crm", "iat": NOW, "jti": "j1", "events": {REVOKED: {}},
        "sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": "alice"},
    });
    change(&mut claims);
    claims
}

// attack: security-event.another-kind, security-event.as-another-kind
#[test]
fn a_security_event_is_no_other_token_and_none_is_one() {
    let policy = Policy::security_event(ISSUER, "crm");
    assert_eq!(judge(&policy, TYP, &event(|_| ())), "valid");
    assert_eq!(judge(&policy, Some("application/secevent+jwt"), &event(|_| ())), "valid");
    for typ in [None, Some("logout+jwt"), Some("at+jwt"), Some("secevent")] {
        assert_eq!(judge(&policy, typ, &event(|_| ())), "claims.typ", "{typ:?}");
    }
    let logout = event(|claims| claims["events"] = json!({BACKCHANNEL_LOGOUT_EVENT: {}, REVOKED: {}}));
    assert_eq!(judge(&policy, TYP, &logout), "claims.typ");
    // With all claims that other kinds require, whatever its `typ` says.
    let disguised = event(|claims| {
        claims["sub"] = json!("alice");
        claims["exp"] = json!(NOW + 300);
        claims["scope"] = json!("all");
    });
    for typ in [None, TYP, Some("at+jwt")] {
        for kind in [TokenKind::IdToken, TokenKind::AccessToken, TokenKind::LogoutToken] {
            let other = Policy::of_kind(kind).issuer(ISSUER).audience("crm").allow_untyped();
            let code =
                if kind == TokenKind::LogoutToken && typ.is_none() { "claims.events" } else { "claims.typ" };
            assert_eq!(judge(&other, typ, &disguised), code, "{kind} {typ:?}");
        }
    }
    assert_eq!(judge(&Policy::jwt().any_audience(), TYP, &disguised), "claims.typ");
}

// attack: security-event.events-of-a-wrong-type
#[test]
fn events_are_objects_and_at_least_one() {
    let policy = Policy::security_event(ISSUER, "crm");
    for (events, code) in [
        (Value::Null, "claims.missing"),
        (json!({}), "claims.empty"),
        (json!([]), "claims.empty"),
        (json!([REVOKED]), "claims.security_events"),
        (json!(REVOKED), "claims.security_events"),
        (json!({REVOKED: null}), "claims.security_events"),
        (json!({REVOKED: {}, "urn:other": "x"}), "claims.security_events"),
        (json!({REVOKED: {}, "urn:other": {}}), "valid"),
    ] {
        assert_eq!(judge(&policy, TYP, &event(|claims| claims["events"] = events.clone())), code, "{events}");
    }
}

#[test]
fn a_security_event_is_bound_and_its_age_is_limited_without_exp() {
    let policy = Policy::security_event(ISSUER, "crm");
    for claim in ["iss", "aud", "iat", "jti", "events"] {
        let without = event(|claims| drop(claims.as_object_mut().unwrap().remove(claim)));
        assert_eq!(judge(&policy, TYP, &without), "claims.missing", "{claim}");
        let chosen = Policy::of_kind(TokenKind::SecurityEvent).issuer(ISSUER).audience("crm");
        assert_eq!(judge(&chosen.require_only([""; 0]), TYP, &without), "claims.missing", "{claim}");
    }
    let with = |claim: &'static str, value: Value| event(move |claims| claims[claim] = value);
    assert_eq!(judge(&policy, TYP, &with("iss", json!("https://other.example.com"))), "claims.issuer");
    assert_eq!(judge(&policy, TYP, &with("aud", json!("other"))), "claims.audience");
    // A transmitter may name all receivers of a stream.
    assert_eq!(judge(&policy, TYP, &with("aud", json!(["other", "crm"]))), "valid");
    let age = i64::try_from(SECURITY_EVENT_AGE.as_secs()).unwrap() + 60;
    for policy in [
        Policy::of_kind(TokenKind::SecurityEvent).issuer(ISSUER).audience("crm"),
        Policy::of_kind(TokenKind::SecurityEvent).issuer(ISSUER).audience("crm").danger_without_expiry(),
    ] {
        assert_eq!(judge(&policy, TYP, &with("iat", json!(NOW - age))), "valid");
        assert_eq!(judge(&policy, TYP, &with("iat", json!(NOW - age - 1))), "claims.too_old");
        assert_eq!(judge(&policy, TYP, &with("iat", json!(NOW + 61))), "claims.issued_in_future");
        assert_eq!(judge(&policy, TYP, &with("exp", json!(NOW - 60))), "claims.expired");
    }
}
