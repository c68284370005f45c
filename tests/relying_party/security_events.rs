//! Security events that end sessions (CAEP, RISC), and those that do not.

use std::time::Duration;

use claimgate::Verifier;
use claimgate::claims::Policy;
use claimgate::oidc::backchannel::{self, Ended, Replayed};
use claimgate::oidc::records::{LogoutRecord, LogoutRecords, LogoutTarget, Position, StoreError};
use claimgate::oidc::security_events::{self, Reading, SecurityEventError};
use claimgate::time::UnixTime;
use serde_json::{Map, Value, json};

use super::memory::MemoryStore;
use super::provider::{CLIENT, ISSUER, NOW, NOW_MS, Op};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";
const TRANSMITTER: &str = "https://events.example.com";

/// Verifies and reads a token of a transmitter.
fn read(op: &Op, transmitter: &str, claims: Value) -> Reading {
    read_with(op, transmitter, claims, |issuer| issuer == ISSUER)
}

/// Reads as [`read`] does, where sessions are of these issuers.
fn read_with(op: &Op, transmitter: &str, claims: Value, is_issuer: impl Fn(&str) -> bool) -> Reading {
    let mut all = json!({"iss": transmitter, "aud": CLIENT, "iat": NOW, "jti": "j1"});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let header = Map::from_iter([("typ".to_owned(), json!("secevent+jwt"))]);
    let token = op.key.sign(&header, all.to_string().as_bytes()).unwrap();
    let verifier = Verifier::new(op.jws.clone(), Policy::security_event(transmitter, CLIENT)).unwrap();
    let token = verifier.verify(&token, Position(NOW_MS).unix_time()).unwrap();
    security_events::read(token, is_issuer, Duration::from_secs(60), Position(NOW_MS))
}

/// Returns what a token ends, as text.
fn ends(reading: &Reading) -> String {
    match reading {
        Reading::Logout { logout, .. } => {
            assert_eq!(logout.record().issuer, ISSUER);
            match logout.target() {
                LogoutTarget::Subject(subject) => format!("account {subject}"),
                LogoutTarget::Session { sid, subject: Some(subject) } => {
                    format!("session {sid} of {subject}")
                }
                LogoutTarget::Session { sid, subject: None } => format!("session {sid}"),
            }
        }
        Reading::UnknownSubject { format, .. } => format!("unknown {format}"),
        Reading::Verification => "verification".to_owned(),
        Reading::StreamUpdated { status } => format!("stream {status}"),
        _ => "nothing".to_owned(),
    }
}

// attack: security-event.subject-of-another-issuer, security-event.email
#[test]
fn a_subject_is_an_account_or_a_session_of_the_issuer() {
    let op = Op::new();
    let account = json!({"format": "iss_sub", "iss": ISSUER, "sub": "s1"});
    let opaque = json!({"format": "opaque", "id": "x"});
    let email = json!({"format": "email", "email": "ada@example.com"});
    let foreign = json!({"format": "iss_sub", "iss": "https://other.example.com", "sub": "s1"});
    for (transmitter, subject, revoked, disabled) in [
        (ISSUER, account.clone(), "account s1", "account s1"),
        (TRANSMITTER, account.clone(), "account s1", "account s1"),
        (ISSUER, opaque.clone(), "session x", "account x"),
        (TRANSMITTER, opaque.clone(), "unknown opaque", "unknown opaque"),
        (ISSUER, foreign.clone(), "unknown iss_sub", "unknown iss_sub"),
        (ISSUER, email.clone(), "unknown email", "unknown email"),
        (
            ISSUER,
            json!({"format": "iss_sub", "iss": ISSUER, "sub": ""}),
            "unknown iss_sub",
            "unknown iss_sub",
        ),
        (ISSUER, json!({"format": "iss_sub", "sub": "s1"}), "unknown iss_sub", "unknown iss_sub"),
        (ISSUER, json!({"format": "opaque", "id": 7}), "unknown opaque", "unknown opaque"),
        (ISSUER, json!("s1"), "unknown -", "unknown -"),
        (
            ISSUER,
            json!({"format": "complex", "user": account, "session": opaque}),
            "session x of s1",
            "account s1",
        ),
        (
            TRANSMITTER,
            json!({"format": "complex", "user": account, "session": opaque}),
            "session x of s1",
            "account s1",
        ),
        (ISSUER, json!({"format": "complex", "user": account, "device": opaque}), "account s1", "account s1"),
        (ISSUER, json!({"format": "complex", "session": opaque}), "session x", "unknown complex"),
        (TRANSMITTER, json!({"format": "complex", "session": opaque}), "unknown complex", "unknown complex"),
        (
            ISSUER,
            json!({"format": "complex", "user": email, "session": opaque}),
            "session x",
            "unknown complex",
        ),
        (ISSUER, json!({"format": "complex", "tenant": opaque}), "unknown complex", "unknown complex"),
        // A draft of CAEP.
        (ISSUER, json!({"user": account, "session": opaque}), "session x of s1", "account s1"),
        (
            ISSUER,
            json!({"format": "aliases", "identifiers": [email, foreign, account]}),
            "account s1",
            "account s1",
        ),
        (ISSUER, json!({"format": "aliases", "identifiers": [email]}), "unknown aliases", "unknown aliases"),
    ] {
        for (event, wanted) in
            [(format!("{CAEP}session-revoked"), revoked), (format!("{RISC}account-disabled"), disabled)]
        {
            let found = read(&op, transmitter, json!({"events": {&event: {}}, "sub_id": subject}));
            assert_eq!(ends(&found), wanted, "{event} {subject}");
            // Before RFC 9493, the event had the subject.
            let found = read(&op, transmitter, json!({"events": {&event: {"subject": subject}}}));
            assert_eq!(ends(&found), wanted, "{event} {subject}");
        }
    }
    let disabled = json!({format!("{RISC}account-disabled"): {}});
    assert_eq!(ends(&read(&op, ISSUER, json!({"events": disabled, "sub": "s1"}))), "account s1");
    assert_eq!(ends(&read(&op, TRANSMITTER, json!({"events": disabled, "sub": "s1"}))), "unknown -");
}

// attack: security-event.subject-of-another-issuer
#[test]
fn a_tenant_ends_no_session_of_another_and_a_separate_transmitter_those_of_all() {
    const OTHER: &str = "https://other-tenant.example.com";
    let op = Op::new();
    let is_tenant = |issuer: &str| issuer == ISSUER || issuer == OTHER;
    let account = json!({"format": "iss_sub", "iss": ISSUER, "sub": "s1"});
    for (transmitter, wanted) in [(ISSUER, "account s1"), (OTHER, "unknown"), (TRANSMITTER, "account s1")] {
        let complex = json!({"format": "complex", "user": account});
        let aliases = json!({"format": "aliases", "identifiers": [account]});
        for subject in [&account, &complex, &aliases] {
            let claims = json!({"events": {format!("{CAEP}session-revoked"): {}}, "sub_id": subject});
            let found = ends(&read_with(&op, transmitter, claims, is_tenant));
            assert!(found.starts_with(wanted), "{transmitter} {subject}: {found}");
        }
    }
    let user = json!({"format": "iss_sub", "iss": ISSUER, "sub": "s1"});
    let session = json!({"format": "opaque", "id": "x"});
    let both = json!({"format": "complex", "user": user, "session": session});
    let claims = json!({"events": {format!("{CAEP}session-revoked"): {}}, "sub_id": both});
    match read_with(&op, OTHER, claims, is_tenant) {
        Reading::Logout { logout, .. } => assert_eq!(logout.record().issuer, OTHER, "its own session"),
        reading => panic!("{reading:?}"),
    }
}

#[test]
fn events_after_which_sessions_go_on_end_none() {
    let op = Op::new();
    let subject = json!({"format": "complex", "user": {"format": "iss_sub", "iss": ISSUER, "sub": "s1"},
                         "session": {"format": "opaque", "id": "x"}});
    let all = |event: &str| json!({"events": {event: {"status": "paused"}}, "sub_id": subject});
    for (event, wanted) in [
        (format!("{CAEP}session-revoked"), "session x of s1"),
        (format!("{RISC}account-disabled"), "account s1"),
        (format!("{RISC}account-purged"), "account s1"),
        (format!("{RISC}credential-compromise"), "account s1"),
        (format!("{RISC}sessions-revoked"), "account s1"),
        (format!("{RISC}account-enabled"), "nothing"),
        (format!("{RISC}identifier-changed"), "nothing"),
        (format!("{RISC}session-revoked"), "nothing"),
        (format!("{CAEP}credential-change"), "nothing"),
        (format!("{CAEP}token-claims-change"), "nothing"),
        (format!("{CAEP}account-disabled"), "nothing"),
        (format!("{CAEP}session-revoked/"), "nothing"),
        (format!("{SSF}verification"), "verification"),
        (format!("{RISC}verification"), "verification"),
        (format!("{SSF}stream-updated"), "stream paused"),
        ("urn:example:event".to_owned(), "nothing"),
    ] {
        assert_eq!(ends(&read(&op, ISSUER, all(&event))), wanted, "{event}");
    }
    // Of several events, the one that ends most.
    let both = json!({"events": {format!("{CAEP}session-revoked"): {}, format!("{RISC}account-disabled"): {},
                                 format!("{SSF}verification"): {}}, "sub_id": subject});
    assert_eq!(ends(&read(&op, ISSUER, both)), "account s1");
}

#[test]
fn an_event_is_recorded_once_and_hides_no_logout_token_of_the_same_jti() {
    let op = Op::new();
    let events = json!({"events": {format!("{RISC}account-disabled"): {}}, "sub": "s1"});
    let Reading::Logout { logout, event } = read(&op, ISSUER, events) else { panic!("ends the account") };
    assert_eq!(
        (event.as_str(), logout.jti()),
        ("account-disabled", "security-event https://idp.example.com j1")
    );
    assert_eq!(logout.issued_until().0, NOW + 60);
    assert!(logout.retention() >= claimgate::claims::SECURITY_EVENT_AGE);
    let store = MemoryStore::default();
    let logouts = [(*logout).clone(), *logout];
    let results = store.transact(move |records| backchannel::apply_all(records, &logouts)).unwrap();
    assert!(results[0].is_ok() && results[1].is_err());
}

#[test]
fn a_refusal_has_the_code_that_transmitters_know() {
    let op = Op::new();
    let good = json!({"iss": ISSUER, "aud": CLIENT, "iat": NOW, "jti": "j", "events": {"urn:e": {}}});
    let verifier = Verifier::new(op.jws.clone(), Policy::security_event(ISSUER, CLIENT)).unwrap();
    let err = |key: &claimgate::sign::SigningKey, claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        if claims[claim].is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        }
        let header = Map::from_iter([("typ".to_owned(), json!("secevent+jwt"))]);
        let token = key.sign(&header, claims.to_string().as_bytes()).unwrap();
        let refused = verifier.verify(&token, Position(NOW_MS).unix_time()).unwrap_err();
        SecurityEventError::from(refused).err()
    };
    assert_eq!(err(&op.key, "iss", json!("https://other.example.com")), "invalid_issuer");
    assert_eq!(err(&op.key, "iss", Value::Null), "invalid_issuer");
    assert_eq!(err(&op.key, "aud", json!("other")), "invalid_audience");
    assert_eq!(err(&op.key, "aud", Value::Null), "invalid_audience");
    assert_eq!(err(&op.key, "jti", Value::Null), "invalid_request");
    assert_eq!(err(&op.key, "events", json!({})), "invalid_request");
    assert_eq!(err(&Op::new().key, "jti", json!("k")), "invalid_key");
    assert_eq!(SecurityEventError::Authentication.err(), "authentication_failed");
    assert_eq!(SecurityEventError::Request.err(), "invalid_request");
}

/// A storage that has dropped records: each logout may have been recorded before.
#[derive(Default)]
struct Forgetful(Vec<String>);

impl LogoutRecords for Forgetful {
    fn record_logout(&mut self, _: &str, _: &LogoutRecord) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn record_repeatable_logout(&mut self, jti: &str, _: &LogoutRecord) -> Result<bool, StoreError> {
        let is_new = !self.0.iter().any(|known| known == jti);
        self.0.push(jti.to_owned());
        Ok(is_new)
    }

    fn end_logged_out(&mut self, _: &str, _: &LogoutTarget, _: UnixTime) -> Result<usize, StoreError> {
        Ok(1)
    }
}

#[test]
fn an_event_that_may_have_been_recorded_before_ends_sessions() {
    let op = Op::new();
    let claims = json!({"events": {format!("{RISC}account-disabled"): {}}, "sub": "s1"});
    let Reading::Logout { logout, .. } = read(&op, ISSUER, claims) else { panic!("no logout") };
    let results = backchannel::apply_all(&mut Forgetful::default(), &[*logout.clone(), *logout]).unwrap();
    assert!(matches!(&results[..], [Ok(Ended { sessions: 1, .. }), Err(Replayed)]), "{results:?}");
}
