//! Back-channel logout and RP-initiated logout.

use std::collections::HashSet;
use std::time::Duration;

use claimgate::Verifier;
use claimgate::claims::Policy;
use claimgate::oidc::backchannel::{self, Ended, LogoutError, Replayed};
use claimgate::oidc::logout::LogoutRequest;
use claimgate::oidc::records::{LogoutRecord, LogoutRecords, LogoutTarget, Position, StoreError};
use claimgate::oidc::session::OidcOrigin;
use claimgate::oidc::sign_in::SignInError;
use claimgate::time::UnixTime;
use claimgate::verifier::{IssuerError, unverified_issuer};
use serde_json::{Map, Value, json};

use super::memory::MemoryStore;
use super::provider::{CLIENT, ISSUER, NOW, NOW_MS, Op, remove, set};
use super::sign_in::{OPEN, is_open, sign_in};

fn logout(
    op: &Op,
    store: &MemoryStore,
    jti: &str,
    change: impl FnOnce(&mut Value),
    now_ms: i64,
) -> Result<usize, LogoutError> {
    let mut claims = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": jti,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    change(&mut claims);
    let token = op.key.sign(&Map::new(), claims.to_string().as_bytes()).unwrap();
    let verifier = Verifier::new(op.jws.clone(), Policy::logout_token(ISSUER, CLIENT)).unwrap();
    let logout = backchannel::validate(&verifier, &token, Position(now_ms))?;
    let ended = store.transact(move |records| backchannel::apply_all(records, &[logout]))?;
    let [ended] = <[_; 1]>::try_from(ended).unwrap();
    Ok(ended?.sessions)
}

/// Three sessions of one subject: two with a sid, one without; and one of somebody else.
fn four_sessions(op: &Op, iat: i64) -> MemoryStore {
    let store = MemoryStore::default();
    for (id, sub, name, sid) in [
        (1, "s1", "ada", Some("A")),
        (2, "s1", "ada", Some("B")),
        (3, "s1", "ada", None),
        (4, "s2", "bob", Some("A2")),
    ] {
        let person = op.person(
            move |claims| {
                claims["sub"] = json!(sub);
                claims["preferred_username"] = json!(name);
                claims["iat"] = json!(iat);
                if let Some(sid) = sid {
                    claims["sid"] = json!(sid);
                }
            },
            NOW_MS,
        );
        sign_in(&store, person, OPEN, id).unwrap();
    }
    store
}

#[test]
fn a_logout_ends_what_it_is_about() {
    let op = Op::new();
    let open = |store: &MemoryStore| (1..=4).filter(|id| is_open(store, *id)).collect::<Vec<_>>();
    for (sid, sub, left) in [
        (Some("A"), None, vec![2, 3, 4]),
        // A session that has no sid counts as meant when its subject is named.
        (Some("A"), Some("s1"), vec![2, 4]),
        (None, Some("s1"), vec![4]),
        (Some("unknown"), None, vec![1, 2, 3, 4]),
        (None, Some("unknown"), vec![1, 2, 3, 4]),
    ] {
        let store = four_sessions(&op, NOW);
        let change = move |claims: &mut Value| {
            for (name, value) in [("sid", sid), ("sub", sub)] {
                if let Some(value) = value {
                    claims[name] = json!(value);
                }
            }
        };
        assert_eq!(logout(&op, &store, "j", change, NOW_MS), Ok(4 - left.len()), "{sid:?} {sub:?}");
        assert_eq!(open(&store), left, "{sid:?} {sub:?}");
        let again = logout(&op, &store, "j", change, NOW_MS);
        assert_eq!(again, Err(LogoutError::Replayed));
    }
    // By its subject, a session whose ID token is newer by more than the leeway stays.
    let store = four_sessions(&op, NOW);
    let older = |claims: &mut Value| {
        claims["sub"] = json!("s1");
        claims["iat"] = json!(NOW - 61);
    };
    assert_eq!(logout(&op, &store, "j", older, NOW_MS), Ok(0));
    assert_eq!(open(&store), [1, 2, 3, 4]);
}

// finding: S5
#[test]
fn a_logout_ends_sessions_also_where_the_providers_clocks_differ() {
    let op = Op::new();
    let open = |store: &MemoryStore| (1..=4).filter(|id| is_open(store, *id)).collect::<Vec<_>>();
    for ahead in [1, 5, 30, 60] {
        let store = four_sessions(&op, NOW);
        let both = |claims: &mut Value| {
            claims["sid"] = json!("A");
            claims["sub"] = json!("s1");
            claims["iat"] = json!(NOW - ahead);
        };
        assert_eq!(logout(&op, &store, "j", both, NOW_MS), Ok(2), "{ahead}");
        assert_eq!(open(&store), [2, 4], "{ahead}");
        let subject = |claims: &mut Value| {
            claims["sub"] = json!("s1");
            claims["iat"] = json!(NOW - ahead);
        };
        assert_eq!(logout(&op, &store, "k", subject, NOW_MS), Ok(1), "{ahead}");
    }
    let store = four_sessions(&op, NOW);
    let by_sid = |claims: &mut Value| {
        claims["sid"] = json!("A");
        claims["iat"] = json!(NOW - 3600);
    };
    assert_eq!(logout(&op, &store, "j", by_sid, NOW_MS), Ok(1), "by sid whatever the time");
}

// attack: back-channel.no-events, back-channel.nonce, back-channel.nobody
#[test]
fn what_is_no_logout_token_ends_nothing() {
    let op = Op::new();
    let store = four_sessions(&op, NOW);
    let sub = |claims: &mut Value| claims["sub"] = json!("s1");
    for (code, change) in [
        ("claims.missing", Box::new(remove("iat")) as Box<dyn FnOnce(&mut Value)>),
        ("claims.missing", Box::new(remove("jti"))),
        ("claims.missing", Box::new(remove("exp"))),
        ("claims.expired", Box::new(set("exp", json!(NOW - 60)))),
        ("claims.events", Box::new(remove("events"))),
        ("claims.events", Box::new(set("events", json!({"other": {}})))),
        ("claims.events", Box::new(set("events", json!([])))),
        (
            "claims.events",
            Box::new(set("events", json!({"http://schemas.openid.net/event/backchannel-logout": true}))),
        ),
        ("claims.nonce_present", Box::new(set("nonce", json!("n")))),
        ("claims.audience", Box::new(set("aud", json!("other")))),
        ("claims.issuer", Box::new(set("iss", json!("https://other.example.com")))),
        ("claims.sub_or_sid", Box::new(remove("sub"))),
    ] {
        let both = |claims: &mut Value| {
            sub(claims);
            change(claims);
        };
        assert_eq!(logout(&op, &store, "j", both, NOW_MS).unwrap_err().code(), code);
    }
    assert!((1..=4).all(|id| is_open(&store, id)));
    // None of them burnt the jti.
    assert_eq!(logout(&op, &store, "j", sub, NOW_MS), Ok(3));
}

#[test]
fn a_logout_overtakes_a_sign_in_by_either_clock() {
    let op = Op::new();
    let arrives = NOW_MS + 500;
    for (about, started_ms, iat, expected) in [
        // Begun before it came: refused, whatever the ID token's time.
        ("sub", arrives, NOW + 10, Err(SignInError::LoggedOut)),
        ("sid", arrives, NOW + 10, Err(SignInError::LoggedOut)),
        // Begun after it, by an ID token that is no newer.
        ("sub", arrives + 1, NOW, Err(SignInError::LoggedOut)),
        ("sid", arrives + 1, NOW, Err(SignInError::LoggedOut)),
        ("sub", arrives + 1, NOW + 1, Ok(())),
        ("sid", arrives + 1, NOW + 1, Ok(())),
        // About another session.
        ("other", arrives, NOW, Ok(())),
    ] {
        let store = MemoryStore::default();
        let target = move |claims: &mut Value| match about {
            "sub" => claims["sub"] = json!("s1"),
            "sid" => claims["sid"] = json!("A"),
            _ => claims["sid"] = json!("B"),
        };
        logout(&op, &store, "j", target, arrives).unwrap();
        let person = op.person(
            move |claims| {
                claims["sid"] = json!("A");
                claims["iat"] = json!(iat);
            },
            started_ms,
        );
        let result = sign_in(&store, person, OPEN, 1).map(drop);
        assert_eq!(result, expected, "{about} {started_ms} {iat}");
        assert_eq!(is_open(&store, 1), expected.is_ok());
    }
}

#[test]
fn signing_out_leads_to_the_provider_with_a_hint_that_fits() {
    let op = Op::new();
    let mut origin = OidcOrigin {
        issuer: ISSUER.to_owned(),
        subject: "s1".to_owned(),
        sid: None,
        issued_at: UnixTime(NOW),
        id_token: Some("a.b.c".to_owned()),
    };
    let ask = |origin: &OidcOrigin, template: Option<&str>| {
        let request = LogoutRequest {
            metadata: Some(&op.metadata),
            template,
            id_token: origin.id_token.as_deref(),
            client_id: "c&d",
            site_url: "https://crm.example.com",
            post_logout_redirect_uri: "https://crm.example.com/logged-out",
            state: "st",
        };
        request.url()
    };
    assert_eq!(
        ask(&origin, None).unwrap(),
        "https://idp.example.com/end?id_token_hint=a.b.c&client_id=c%26d&post_logout_redirect_uri=https%3A%2F%2Fcrm.example.com%2Flogged-out&state=st"
    );
    assert_eq!(
        ask(&origin, Some("https://x/?c={client_id}&s={site_url}")).unwrap(),
        "https://x/?c=c%26d&s=https%3A%2F%2Fcrm.example.com"
    );
    for hint in [Some("x".repeat(6 * 1024 + 1)), None] {
        origin.id_token = hint;
        assert!(ask(&origin, None).unwrap().starts_with("https://idp.example.com/end?client_id="));
    }
}

// attack: back-channel.two-fields
#[test]
fn a_form_holds_exactly_one_token() {
    assert_eq!(backchannel::token_of_form(b"logout_token=a.b.c"), Ok("a.b.c".to_owned()));
    assert_eq!(backchannel::token_of_form(b"x=1&logout_token=a"), Ok("a".to_owned()));
    for body in
        [&b""[..], b"logout_token", b"token=a", b"logout_token=a&logout_token=a", b"{\"logout_token\":1}"]
    {
        let result = backchannel::token_of_form(body);
        assert!(result == Err(LogoutError::Request) || result == Ok(String::new()), "{body:?}");
    }
}

#[test]
fn the_issuer_of_an_unverified_token_is_read_or_the_reason_is_given() {
    assert_eq!(unverified_issuer("e30.eyJpc3MiOiJpIn0.AA").as_deref(), Ok("i"));
    assert_eq!(unverified_issuer("x.y").unwrap_err().code(), "jws.shape");
    assert_eq!(unverified_issuer("e30.e30.AA"), Err(IssuerError::Missing));
    assert_eq!(unverified_issuer("e30.eyJpc3MiOjF9.AA"), Err(IssuerError::Missing));
    assert_eq!(LogoutError::from(IssuerError::Missing), LogoutError::Issuer);
}

#[test]
fn a_token_is_accepted_for_no_longer_than_its_jti_is_remembered() {
    const DAY: i64 = 24 * 60 * 60;
    let (op, store) = (Op::new(), MemoryStore::default());
    let log_out = |jti: &str, seconds: i64| {
        let change = |claims: &mut Value| {
            claims["sub"] = json!("s1");
            claims["exp"] = json!(NOW + 365 * DAY);
        };
        logout(&op, &store, jti, change, (NOW + seconds) * 1000)
    };
    assert_eq!(log_out("first", 0), Ok(0));
    assert!(matches!(log_out("first", DAY + 60), Err(LogoutError::Replayed)));
    assert!(matches!(log_out("first", DAY + 61), Err(LogoutError::Token(_))));
}

/// A storage that ends sessions and knows of nothing else.
#[derive(Default)]
struct Sessions {
    seen: HashSet<String>,
    open: HashSet<String>,
}

impl LogoutRecords for Sessions {
    fn record_logout(&mut self, jti: &str, _: &LogoutRecord) -> Result<bool, StoreError> {
        Ok(self.seen.insert(jti.to_owned()))
    }

    fn end_logged_out(&mut self, _: &str, target: &LogoutTarget, _: UnixTime) -> Result<usize, StoreError> {
        let LogoutTarget::Session { sid, .. } = target else { return Ok(0) };
        Ok(usize::from(self.open.remove(sid)))
    }
}

#[test]
fn a_storage_of_two_methods_takes_logouts() {
    let op = Op::new();
    let claims = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "j", "sid": "A",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let token = op.key.sign(&Map::new(), claims.to_string().as_bytes()).unwrap();
    let policy = Policy::logout_token(ISSUER, CLIENT).leeway(Duration::from_secs(5));
    let verifier = Verifier::new(op.jws.clone(), policy).unwrap();
    let logout = backchannel::validate(&verifier, &token, UnixTime(NOW)).unwrap();
    // The leeway is the policy's.
    assert_eq!(logout.issued_until(), UnixTime(NOW + 5));
    // One without a bound keeps the logout for as long.
    let policy = Policy::logout_token(ISSUER, CLIENT).danger_leeway(Duration::MAX);
    let unbounded = Verifier::new(op.jws.clone(), policy).unwrap();
    let unbounded = backchannel::validate(&unbounded, &token, UnixTime(NOW)).unwrap();
    assert_eq!(unbounded.issued_until(), UnixTime(i64::MAX));
    assert!(unbounded.retention() > Duration::from_secs(1 << 40));
    let logout = logout.kept_for(Duration::from_secs(7200));
    assert_eq!(logout.retention(), Duration::from_secs(7200));
    let mut sessions = Sessions { open: HashSet::from(["A".to_owned()]), ..Sessions::default() };
    let results = backchannel::apply_all(&mut sessions, &[logout.clone(), logout]).unwrap();
    assert!(matches!(&results[..], [Ok(Ended { sessions: 1, .. }), Err(Replayed)]), "{results:?}");
    assert!(sessions.open.is_empty());
}
