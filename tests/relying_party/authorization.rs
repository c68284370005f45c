//! The authorization request and the callback.

use std::time::Duration;

use claimgate::oidc::authorization::{
    AuthorizationOptions, CallbackError, CallbackParameters, MAX_POSTED, ResponseMode,
};
use claimgate::oidc::pending::PendingSignIn;
use claimgate::oidc::records::Position;
use claimgate::oidc::seal::{KEY_LEN, Sealer};
use claimgate::time::UnixTime;
use serde_json::{Map, Value, json};

use super::provider::{CALLBACK, NOW, Op, random};

#[test]
fn the_authorization_request_asks_for_what_it_should() {
    let op = Op::new();
    let options = AuthorizationOptions {
        scopes: vec!["profile".to_owned(), "email".to_owned()],
        prompt: Some("login".to_owned()),
        max_age: Some(Duration::from_secs(600)),
        essential_claims: vec!["groups".to_owned()],
        additional: [("acr_values", "mfa"), ("prompt", "none"), ("state", "mine"), ("hd", "a&b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..AuthorizationOptions::default()
    };
    let (address, pending) = op.begin(&options);
    let names = address.query_pairs().map(|(name, _)| name.into_owned());
    assert_eq!(names.filter(|name| name == "state" || name == "prompt").count(), 2);
    let query: Map<String, Value> =
        address.query_pairs().map(|(name, value)| (name.into_owned(), value.into())).collect();
    // An endpoint that already has a query keeps it.
    assert_eq!(query["tenant"], "a");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["scope"], "openid profile email");
    assert_eq!(query["redirect_uri"], CALLBACK);
    assert_eq!(query["state"], pending.state());
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!((&query["prompt"], &query["max_age"]), (&json!("login"), &json!("600")));
    assert_eq!(query["claims"], r#"{"id_token":{"groups":{"essential":true}}}"#);
    // state, nonce and verifier differ, and the verifier does not travel.
    assert_ne!(query["state"], query["nonce"]);
    let sealer = sealer(1);
    let kept = sealer.open("sign-in", &pending.seal(&sealer, &mut random())).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert!(!address.as_str().contains(kept["code_verifier"].as_str().unwrap()));
    let (plain, _) = op.begin(&AuthorizationOptions::default());
    assert!(!plain.as_str().contains("prompt") && !plain.as_str().contains("claims"));
    // Further parameters are sent as they are, and take the place of none of the protocol's.
    assert_eq!((&query["acr_values"], &query["hd"]), (&json!("mfa"), &json!("a&b")));
    assert!(!query.contains_key("response_mode"));
    let posted = AuthorizationOptions { response_mode: ResponseMode::FormPost, ..Default::default() };
    assert!(
        op.begin(&posted).0.query_pairs().any(|pair| pair == ("response_mode".into(), "form_post".into()))
    );
}

// attack: state.posted
#[test]
fn a_posted_response_is_sealed_as_it_is_and_bounded() {
    let parse = CallbackParameters::parse;
    let opened = |text: &str| {
        let sealed = parse(text).seal(&sealer(1), &mut random())?;
        assert!(!sealed.contains("code") && CallbackParameters::open(&sealer(2), &sealed).is_none());
        CallbackParameters::open(&sealer(1), &sealed)
    };
    let op = Op::new();
    let accept = |parameters: CallbackParameters, pending: PendingSignIn| {
        pending.accept(&op.asked("acme"), &parameters, UnixTime(NOW), |_| true).map(|_| ())
    };
    let begin = || op.begin(&AuthorizationOptions::default()).1;
    let pending = begin();
    let good = format!("code=a%2Bb&user=%7B%7D&state={}", pending.state());
    assert_eq!(accept(opened(&good).unwrap(), pending), Ok(()));
    let (pending, other) = (begin(), "code=c&state=of-another-browser");
    assert_eq!(accept(opened(other).unwrap(), pending), Err(CallbackError::State));
    let pending = begin();
    let twice = format!("state={}&code=c&code=d", pending.state());
    let repeated = Err(CallbackError::Parameter { parameter: "code" });
    assert_eq!(accept(opened(&twice).unwrap(), pending), repeated);
    // What was sealed as a sign-in is no response.
    let sealed = begin().seal(&sealer(1), &mut random());
    assert!(CallbackParameters::open(&sealer(1), &sealed).is_none());

    let of_length = |length: usize| {
        let code = "c".repeat(length - "state=s&code=".len());
        opened(&format!("state=s&code={code}"))
    };
    assert!(of_length(MAX_POSTED).is_some() && of_length(MAX_POSTED + 1).is_none());
    let long = format!("state=s&error=access_denied&error_description={}", "d".repeat(MAX_POSTED));
    assert_eq!(opened(&long).unwrap().error(), Some("access_denied"));
}

fn sealer(byte: u8) -> Sealer {
    Sealer::new(&[byte; KEY_LEN]).unwrap()
}

// attack: state.made-up
#[test]
fn a_sealed_sign_in_opens_by_its_key_as_it_was_and_shows_nothing() {
    let op = Op::new();
    let options =
        AuthorizationOptions { max_age: Some(Duration::from_secs(100)), ..AuthorizationOptions::default() };
    let (address, pending) = op.begin(&options);
    let pending = pending.begun_at(Position(7));
    let sealed = pending.seal(&sealer(1), &mut random());
    assert_ne!(sealed, pending.seal(&sealer(1), &mut |nonce| nonce.fill(9)));
    assert!(PendingSignIn::open(&sealer(2), &sealed).is_none());
    assert!(PendingSignIn::open(&sealer(1), "").is_none());
    // What was sealed for another purpose, or is no sign-in.
    let other = sealer(1).open("sign-in", &sealed).unwrap();
    let other = sealer(1).seal("administration", &other, &mut random());
    assert!(PendingSignIn::open(&sealer(1), &other).is_none());
    assert!(PendingSignIn::open(&sealer(1), &sealer(1).seal("sign-in", "{}", &mut random())).is_none());
    let mut bytes = claimgate::base64url::decode(sealed.as_bytes()).unwrap();
    for index in [0, 12, bytes.len() / 2, bytes.len() - 1] {
        bytes[index] ^= 1;
        let changed = claimgate::base64url::encode(&bytes);
        assert!(PendingSignIn::open(&sealer(1), &changed).is_none(), "byte {index}");
        bytes[index] ^= 1;
    }

    let opened = PendingSignIn::open(&sealer(1), &sealed).unwrap();
    assert_eq!((opened.provider(), opened.state()), ("acme", pending.state()));
    let shown = format!("{opened:?} {:?}", CallbackParameters::parse("code=secret-code&state=secret-state"));
    let nonce = address.query_pairs().find(|(name, _)| name == "nonce").unwrap().1;
    for secret in [opened.state(), &nonce, "secret-"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let accepted = op.accept(opened, "c");
    assert_eq!((accepted.return_to.as_str(), accepted.begun()), ("/reports", Position(7)));
    // By default it began at the time of the clock.
    assert_eq!(op.accept(op.begin(&options).1, "c").begun(), Position(NOW * 1000));
}

// attack: state.absent, state.made-up, state.used-twice, state.old, state.mix-up
#[test]
fn the_callback_belongs_to_this_browser_this_provider_and_this_quarter_of_an_hour() {
    let op = Op::new();
    let accept = |query: &str, provider: &str, later: i64, first: bool| {
        let (_, pending) = op.begin(&AuthorizationOptions::default());
        let query = query.replace("STATE", pending.state());
        let now = UnixTime(NOW + later);
        let parameters = CallbackParameters::parse(&query);
        let accepted = pending.accept(&op.asked(provider), &parameters, now, |_| first);
        accepted.map(|authorization| authorization.return_to)
    };
    assert_eq!(accept("code=c&state=STATE", "acme", 0, true), Ok("/reports".to_owned()));
    assert_eq!(
        accept("code=c&state=STATE&iss=https://idp.example.com", "acme", 900, true).unwrap(),
        "/reports"
    );
    for (query, provider, later, first, code) in [
        ("code=c", "acme", 0, true, "callback.state"),
        ("code=c&state=", "acme", 0, true, "callback.state"),
        ("code=c&state=STATEx", "acme", 0, true, "callback.state"),
        ("code=c&state=STATE", "other", 0, true, "callback.state"),
        ("code=c&state=STATE", "acme", 901, true, "callback.too_late"),
        ("code=c&state=STATE", "acme", 0, false, "callback.used"),
        ("code=c&state=STATE&iss=https://idp.example.com/", "acme", 0, true, "callback.issuer"),
        ("code=c&state=STATE&state=STATE", "acme", 0, true, "callback.parameter"),
        ("state=STATE", "acme", 0, true, "callback.parameter"),
        ("code=&state=STATE", "acme", 0, true, "callback.parameter"),
        ("error=access_denied&state=STATE", "acme", 0, true, "callback.provider_error"),
        ("error=access_denied", "acme", 0, true, "callback.state"),
    ] {
        assert_eq!(accept(query, provider, later, first).unwrap_err().code(), code, "{query}");
    }
    let words = accept("error=e%0d%0a&error_description=a%1b%5b31m&state=STATE", "acme", 0, true);
    assert_eq!(
        words.unwrap_err(),
        CallbackError::Provider { error: "e".to_owned(), description: Some("a[31m".to_owned()) }
    );
}

// attack: state.mix-up
// finding: U-s72, U-s73
#[test]
fn a_provider_that_promises_iss_must_send_it() {
    let mut op = Op::new();
    op.metadata.iss_in_callback = true;
    let (_, pending) = op.begin(&AuthorizationOptions::default());
    let query = format!("code=c&state={}", pending.state());
    let parameters = CallbackParameters::parse(&query);
    let result = pending.accept(&op.asked("acme"), &parameters, UnixTime(NOW), |_| true);
    assert_eq!(result.err(), Some(CallbackError::NoIssuer));
}
