//! A back-channel logout request, from the form to the sessions that end: whatever is sent, only a
//! validated token ends anything, it ends what it names, of a subject nothing newer, and once.
//!
//! The first byte says what follows: even, a form body; odd, the claims of a token that is signed here.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use claimgate::Verifier;
use claimgate::claims::{LOGOUT_TOKEN_AGE, LogoutToken, Policy};
use claimgate::key::KeySet;
use claimgate::oidc::backchannel::{self, Replayed};
use claimgate::oidc::records::{LogoutRecord, LogoutRecords, LogoutTarget, StoreError};
use claimgate::sign::SigningKey;
use claimgate::time::UnixTime;
use claimgate::verifier::unverified_issuer;
use libfuzzer_sys::fuzz_target;
use serde_json::Map;

const ISSUER: &str = "https://idp.example.com";
const SECRET: &[u8] = b"a secret of at least 32 bytes, for fuzzing";
const NOW: UnixTime = UnixTime(1_800_000_000);
const LEEWAY: u64 = 60;

static VERIFIER: LazyLock<Verifier<LogoutToken>> = LazyLock::new(|| {
    let keys = KeySet::from_secret(SECRET);
    let policy = Policy::logout_token(ISSUER, "crm").leeway(std::time::Duration::from_secs(LEEWAY));
    Verifier::builder().algorithms(["HS256"]).keys(keys).policy(policy).build().expect("a fixed set-up")
});

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_secret(SECRET, "HS256").expect("a fixed key"));

/// A session: issuer, subject, sid, when its ID token was issued.
type Opened = (&'static str, &'static str, Option<&'static str>, i64);

const SESSIONS: [Opened; 6] = [
    (ISSUER, "s1", Some("a"), 1_799_999_000),
    (ISSUER, "s1", None, 1_799_999_000),
    (ISSUER, "s1", Some("b"), 1_800_000_050),
    (ISSUER, "s2", Some("a"), 1_799_999_000),
    (ISSUER, "s2", None, 1_700_000_000),
    ("https://other.example.com", "s1", Some("a"), 1_700_000_000),
];

struct Memory {
    sessions: Vec<Opened>,
    seen: HashSet<(String, String)>,
    marks: Vec<LogoutRecord>,
}

impl LogoutRecords for Memory {
    fn end_logged_out(
        &mut self,
        issuer: &str,
        target: &LogoutTarget,
        until: UnixTime,
    ) -> Result<usize, StoreError> {
        let before = self.sessions.len();
        self.sessions.retain(|session| !is_meant(session, issuer, target, until));
        Ok(before - self.sessions.len())
    }

    fn record_logout(&mut self, jti: &str, mark: &LogoutRecord) -> Result<bool, StoreError> {
        let longest = LOGOUT_TOKEN_AGE.as_secs() + 2 * LEEWAY + 1;
        assert!(mark.until <= NOW.saturating_add(longest), "remembered for over a day");
        let is_new = self.seen.insert((mark.issuer.clone(), jti.to_owned()));
        if is_new {
            self.marks.push(mark.clone());
        }
        Ok(is_new)
    }
}

fn is_meant(session: &Opened, issuer: &str, target: &LogoutTarget, until: UnixTime) -> bool {
    let (of, subject, sid, issued_at) = *session;
    let named = match target {
        LogoutTarget::Session { sid: wanted, subject: of } => {
            let fits = of.as_deref().is_none_or(|of| of == subject);
            sid.map_or(of.is_some(), |sid| sid == wanted) && fits
        }
        LogoutTarget::Subject(wanted) => wanted == subject,
    };
    // By `sid` whatever the time.
    let by_sid = matches!(target, LogoutTarget::Session { .. }) && sid.is_some();
    of == issuer && named && (by_sid || issued_at <= until.0)
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let signed = kind % 2 == 1;
    let body = if signed {
        let token = KEY.sign(&Map::new(), rest).expect("HMAC signs anything");
        format!("logout_token={token}").into_bytes()
    } else {
        rest.to_vec()
    };
    let Ok(token) = backchannel::token_of_form(&body) else { return };
    let issuer = unverified_issuer(&token);
    let Ok(logout) = backchannel::validate(&VERIFIER, &token, NOW) else { return };
    // Nobody else has the secret, and chance does not sign.
    assert!(signed, "a token that was not signed here was validated: {token}");
    assert_eq!(issuer.as_deref(), Ok(ISSUER));
    let claims = logout.token().claims();
    assert!(claims.get("nonce").is_none() && claims.get("events").is_some());
    let issued_at = claims.issued_at().expect("required").seconds();
    match logout.target() {
        LogoutTarget::Session { sid, .. } => assert!(!sid.is_empty()),
        LogoutTarget::Subject(subject) => assert!(!subject.is_empty(), "neither sub nor sid"),
    }

    let mut records = Memory { sessions: SESSIONS.to_vec(), seen: HashSet::new(), marks: Vec::new() };
    let results =
        backchannel::apply_all(&mut records, &[logout.clone(), logout.clone()]).expect("no store fails");
    let [Ok(first), Err(Replayed)] = &results[..] else { panic!("{results:?}") };
    let ended = first.sessions;
    let meant =
        |session: &&Opened| is_meant(session, ISSUER, logout.target(), issued_at.saturating_add(LEEWAY));
    assert_eq!(ended, SESSIONS.iter().filter(meant).count());
    assert_eq!(records.marks.len(), 1);
    let until = records.marks[0].until;
    assert!(until > NOW, "the mark is over before it begins");
    let afterwards = backchannel::validate(&VERIFIER, &token, until);
    assert!(afterwards.is_err(), "its jti is forgotten, and it would end sessions again");
    assert_eq!(records.sessions.len(), SESSIONS.len() - ended);
});
