//! Keys that fetch themselves: rotation, outages, providers that lie, and how often a provider is asked.
#![expect(clippy::unwrap_used, reason = "a test whose material cannot be made has failed")]

mod provider;

use std::sync::Arc;
use std::time::Duration;

use claimgate::alg::Registry;
use claimgate::claims::{AccessToken, Kind, Policy};
use claimgate::time::UnixTime;
use claimgate_remote::{Issuer, RemoteError, RemoteIssuers, RemoteVerifier, SetupError, VerifyError};
use provider::{DeviceEs256, ISSUER, NOW, Provider, access_tokens, key};

/// Builds the verifier of a service, with the runtime's clock.
fn verifier(provider: &Provider) -> RemoteVerifier<AccessToken> {
    let begun = tokio::time::Instant::now();
    access_tokens(provider, move || UnixTime(NOW + i64::try_from(begun.elapsed().as_secs()).unwrap()))
}

fn code<T: std::fmt::Debug>(result: Result<T, VerifyError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_verified_by_keys_that_were_fetched() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    let token = tokens.verify(&key("one").token()).await.unwrap();
    assert_eq!(token.subject(), "ada");
    assert_eq!(code(tokens.verify("not.a.token").await), "jws.base64url");
    tokens.ready().await.unwrap();
    let health = tokens.health();
    assert_eq!((health.discovered, health.usable_keys, health.fetches, health.failures), (true, 1, 1, 0));
    assert_eq!((health.keys_age, health.last_error), (Some(0), None));
}

#[tokio::test(start_paused = true)]
async fn the_address_of_the_key_set_is_enough() {
    let provider = Provider::new(&[key("one")]);
    let tokens = Issuer::jwks(ISSUER, format!("{ISSUER}/jwks"))
        .algorithms(["ES256"])
        .policy(Policy::access_token(ISSUER, "crm"))
        .fetch(provider.clone())
        .clock(|| UnixTime(NOW))
        .spawn()
        .unwrap();
    assert_eq!(code(tokens.verify(&key("one").token()).await), "ok");
    assert_eq!((provider.asked("/jwks"), provider.asked("/.well-known/openid-configuration")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn rotation_is_one_fetch() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    provider.publish(&[key("two")]);
    assert_eq!(code(tokens.verify(&key("two").token()).await), "ok");
    assert_eq!(provider.asked("/jwks"), 2);
    assert_eq!(
        code(tokens.verify(&key("one").token()).await),
        "provider.no_keys",
        "until the cool-down is over"
    );
    pass(30).await;
    assert_eq!(code(tokens.verify(&key("one").token()).await), "key.unknown_kid");
}

/// Only a signature by a key of the same name can show a rotation then.
#[tokio::test(start_paused = true)]
async fn a_second_rotation_within_the_cool_down_is_no_forgery() {
    let provider = Provider::new(&[key("a").named("same")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    provider.publish(&[key("b").named("same")]);
    assert_eq!(code(tokens.verify(&key("b").named("same").token()).await), "ok");
    provider.publish(&[key("c").named("same")]);
    let new = key("c").named("same").token();
    assert_eq!(code(tokens.verify(&new).await), "provider.no_keys");
    assert_eq!(provider.asked("/jwks"), 2, "the cool-down holds");
    pass(30).await;
    assert_eq!(code(tokens.verify(&new).await), "ok");
    // The keys were fetched for this one, and are the same as before: it is forged, and so are the next.
    pass(30).await;
    let forged = key("d").named("same").token();
    for _ in 0..3 {
        assert_eq!(code(tokens.verify(&forged).await), "signature.invalid");
    }
    assert_eq!(provider.asked("/jwks"), 4);
}

/// A fetch that began before a token arrived may have brought the keys of before: it judges no token.
#[tokio::test(start_paused = true)]
async fn keys_that_were_asked_for_before_a_token_arrived_refuse_no_signature() {
    let provider = Provider::new(&[key("a").named("same")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    provider.publish(&[key("b").named("same")]);
    provider.hold();
    let verify = |token: String| {
        let tokens = tokens.clone();
        tokio::spawn(async move { code(tokens.verify(&token).await) })
    };
    let first = verify(key("b").named("same").token());
    pass(1).await;
    assert_eq!(provider.asked("/jwks"), 2, "the answer with the second key is under way");
    provider.publish(&[key("c").named("same")]);
    let new = key("c").named("same").token();
    let second = verify(new.clone());
    pass(1).await;
    provider.release();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), ("ok", "provider.no_keys"));
    pass(30).await;
    assert_eq!(code(tokens.verify(&new).await), "ok");
}

// attack: key-fetch.invented-kids
#[tokio::test(start_paused = true)]
async fn unknown_kids_at_once_are_one_fetch() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    provider.hold();
    let waiting: Vec<_> = (0..100)
        .map(|number| {
            let (tokens, token) = (tokens.clone(), key("two").named(&format!("invented-{number}")).token());
            tokio::spawn(async move { code(tokens.verify(&token).await) })
        })
        .collect();
    let good = code(tokens.verify(&key("one").token()).await);
    assert_eq!(good, "ok", "a good token does not wait");
    pass(1).await;
    provider.release();
    let mut codes = Vec::new();
    for task in waiting {
        codes.push(task.await.unwrap());
    }
    assert_eq!(provider.asked("/jwks"), 2);
    // The one for which the keys were fetched is refused.
    assert_eq!(codes.iter().filter(|code| **code == "key.unknown_kid").count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == "provider.no_keys").count(), 99, "{codes:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_tokens_wait_than_may() {
    let provider = Provider::new(&[key("one")]);
    provider.hold();
    let tokens = verifier(&provider);
    pass(1).await;
    let waiting: Vec<_> = (0..130)
        .map(|_| {
            let (tokens, token) = (tokens.clone(), key("one").token());
            tokio::spawn(async move { code(tokens.verify(&token).await) })
        })
        .collect();
    pass(1).await;
    provider.release();
    let mut codes = Vec::new();
    for task in waiting {
        codes.push(task.await.unwrap());
    }
    assert_eq!(codes.iter().filter(|code| **code == "provider.busy").count(), 2, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == "ok").count(), 128, "{codes:?}");
}

// finding: R8
#[tokio::test(start_paused = true)]
async fn the_last_good_keys_serve_through_an_outage() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    provider.set_down(true);
    pass(3600).await;
    let health = tokens.health();
    assert!(health.failures > 10 && health.last_error.is_some(), "{health:?}");
    assert_eq!(code(tokens.verify(&key("one").token_at(NOW + 3600)).await), "ok");
    assert_eq!(code(tokens.verify(&key("two").token_at(NOW + 3600)).await), "provider.no_keys");
    provider.set_down(false);
    provider.publish(&[key("two")]);
    pass(60).await;
    assert_eq!(code(tokens.verify(&key("two").token_at(NOW + 3660)).await), "ok");
}

// attack: key-fetch.out-of-date
#[tokio::test(start_paused = true)]
async fn keys_of_a_provider_that_is_gone_for_longer_than_the_grace_are_used_no_more() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    provider.set_down(true);
    pass(26 * 3600).await;
    assert_eq!(code(tokens.verify(&key("one").token_at(NOW + 26 * 3600)).await), "provider.no_keys");
    assert_eq!(tokens.health().usable_keys, 0);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_at_the_start_is_asked_again() {
    let provider = Provider::new(&[key("one")]);
    provider.set_down(true);
    let tokens = verifier(&provider);
    assert!(matches!(tokens.ready().await, Err(RemoteError::Fetch(_))));
    assert_eq!(code(tokens.verify(&key("one").token()).await), "provider.no_keys");
    provider.set_down(false);
    pass(60).await;
    assert_eq!(code(tokens.verify(&key("one").token_at(NOW + 60)).await), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_set_without_a_usable_key_replaces_no_good_keys() {
    for body in
        ["{\"keys\":[]}", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"one\"}]}", "<html>", "{}"]
    {
        let provider = Provider::new(&[key("one")]);
        let tokens = verifier(&provider);
        tokens.ready().await.unwrap();
        provider.answer(body.as_bytes().to_vec());
        pass(900).await;
        assert_eq!(code(tokens.verify(&key("one").token_at(NOW + 900)).await), "ok", "{body}");
        let health = tokens.health();
        assert_eq!((health.usable_keys, health.fetches), (1, 1), "{body}");
        assert!(health.failures > 0 && health.last_error.is_some(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_set_that_shrank_is_reported_for_a_day() {
    let provider = Provider::new(&[key("one"), key("two")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    let health = tokens.health();
    assert_eq!((health.usable_keys, health.shrank_from), (2, None));
    provider.publish(&[key("two")]);
    pass(900).await;
    let health = tokens.health();
    assert_eq!((health.usable_keys, health.shrank_from), (1, Some(2)));
    // Another change that takes none away is no longer reported.
    provider.publish(&[key("three")]);
    pass(900).await;
    assert_eq!((tokens.health().usable_keys, tokens.health().shrank_from), (1, None));
    provider.publish(&[key("three"), key("two")]);
    pass(900).await;
    provider.publish(&[key("two")]);
    pass(900).await;
    assert_eq!(tokens.health().shrank_from, Some(2));
    pass(24 * 3600).await;
    assert_eq!(tokens.health().shrank_from, None);
}

#[tokio::test(start_paused = true)]
async fn a_huge_body_and_a_slow_one_are_failures() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    provider.answer(vec![b' '; 2 * 1024 * 1024]);
    pass(30).await;
    assert_eq!(code(tokens.verify(&key("two").token()).await), "provider.no_keys");
    assert!(tokens.health().last_error.unwrap().contains("more than 1048576 bytes"));
    provider.hold();
    pass(30).await;
    assert_eq!(code(tokens.verify(&key("two").token()).await), "provider.no_keys");
    assert!(tokens.health().last_error.unwrap().contains("took too long"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_fetches_once_and_keeps_its_order() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    provider.publish(&[key("one"), key("two")]);
    let batch = [key("two").token(), "no token".to_owned(), key("one").token(), key("two").token()];
    let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
    let codes: Vec<_> = tokens.verify_batch(&batch).await.into_iter().map(code).collect();
    assert_eq!(codes, ["ok", "jws.shape", "ok", "ok"]);
    assert_eq!(provider.asked("/jwks"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_background_task_ends_with_the_last_clone() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    let clone = tokens.clone();
    drop(tokens);
    check_that_the_task_ends_with(clone, &provider).await;
}

/// Fetches go on while the last verifier of some keys is there, and end with it.
async fn check_that_the_task_ends_with<K: Kind>(last: RemoteVerifier<K>, provider: &Provider) {
    pass(3600).await;
    let asked = provider.asked("/jwks");
    assert!(asked > 3, "{asked}");
    drop(last);
    pass(3600).await;
    assert_eq!(provider.asked("/jwks"), asked);
}

#[tokio::test(start_paused = true)]
async fn an_address_without_tls_is_refused() {
    let policy = || Policy::access_token("http://idp.example.com", "crm");
    let issuer = || Issuer::discover("http://idp.example.com").algorithms(["ES256"]).policy(policy());
    assert!(matches!(issuer().spawn(), Err(SetupError::Address { .. })));
    assert!(issuer().danger_allow_http().fetch(Provider::new(&[])).spawn().is_ok());
}

/// The keys of one issuer verify no token of another (RFC 8725 §3.8).
#[tokio::test(start_paused = true)]
async fn a_policy_for_another_issuer_or_for_any_is_refused() {
    let issuer = || Issuer::discover(ISSUER).algorithms(["ES256"]).fetch(Provider::new(&[]));
    let of = Policy::access_token("https://other.example.com", "crm");
    assert!(matches!(issuer().policy(of).spawn(), Err(SetupError::OtherIssuer { .. })));
    assert!(matches!(issuer().policy(Policy::jwt()).spawn(), Err(SetupError::OtherIssuer { .. })));
    assert!(issuer().policy(Policy::jwt().issuer(ISSUER)).spawn().is_ok());
}

#[tokio::test(start_paused = true)]
async fn verifiers_of_several_kinds_share_one_set_of_keys_and_its_task() {
    let provider = Provider::new(&[key("one")]);
    let tokens = verifier(&provider);
    tokens.ready().await.unwrap();
    let logouts = tokens.with_policy(Policy::logout_token(ISSUER, "crm")).unwrap();
    let other = tokens.with_policy(Policy::logout_token("https://other.example.com", "crm"));
    assert!(matches!(other, Err(SetupError::OtherIssuer { .. })));
    let access = key("one").token();
    assert_eq!(
        (code(tokens.verify(&access).await), code(logouts.verify(&access).await)),
        ("ok", "claims.typ")
    );
    assert_eq!(provider.asked("/jwks"), 1);
    drop(tokens);
    check_that_the_task_ends_with(logouts, &provider).await;
}

#[tokio::test(start_paused = true)]
async fn of_several_issuers_the_one_that_the_token_names_verifies_it() {
    const OTHER: &str = "https://other.example.com";
    let (provider, other) = (Provider::new(&[key("one")]), Provider::new(&[key("other")]));
    let others = Issuer::jwks(OTHER, format!("{ISSUER}/jwks"))
        .algorithms(["ES256"])
        .policy(Policy::access_token(OTHER, "crm"))
        .fetch(other.clone())
        .clock(|| UnixTime(NOW))
        .spawn()
        .unwrap();
    let build = |verifiers: Vec<RemoteVerifier<AccessToken>>| match RemoteIssuers::new(verifiers) {
        Err(SetupError::Build(error)) => Err(error.code()),
        other => Ok(other.unwrap()),
    };
    assert_eq!(build(vec![]).unwrap_err(), "build.no_issuer");
    assert_eq!(build(vec![others.clone(), others.clone()]).unwrap_err(), "build.shared_issuer");
    let issuers = build(vec![verifier(&provider), others]).unwrap();
    let by = |name: &str, issuer: &str| {
        key(name).sign(&serde_json::json!({"iss": issuer, "sub": "ada", "aud": "crm", "exp": NOW + 300}))
    };
    assert_eq!(code(issuers.verify(&by("one", ISSUER)).await), "ok");
    assert_eq!(code(issuers.verify(&by("other", OTHER)).await), "ok");
    assert_eq!(code(issuers.verify(&by("other", ISSUER)).await), "provider.no_keys", "during the cool-down");
    assert_eq!(code(issuers.verify(&by("one", "https://stranger.example.com")).await), "claims.issuer");
    assert_eq!(
        code(issuers.verify(&key("one").sign(&serde_json::json!({"sub": "ada"}))).await),
        "claims.missing"
    );
    assert_eq!(code(issuers.verify("x").await), "jws.shape");
    let asked = (provider.asked("/jwks"), other.asked("/jwks"));
    assert_eq!(code(issuers.verify(&by("one", "https://stranger.example.com")).await), "claims.issuer");
    assert_eq!((provider.asked("/jwks"), other.asked("/jwks")), asked, "a stranger's token causes no fetch");
}

#[tokio::test(start_paused = true)]
async fn a_device_is_awaited_and_one_that_is_down_is_no_refusal_and_no_reason_to_fetch_keys() {
    let provider = Provider::new(&[key("one").named("same")]);
    let is_down = Arc::default();
    let registry = Registry::builder().builtin().replace(Arc::new(DeviceEs256(Arc::clone(&is_down))));
    let tokens = Issuer::discover(ISSUER)
        .registry(registry.build().unwrap())
        .algorithms(["ES256"])
        .policy(Policy::access_token(ISSUER, "crm"))
        .fetch(provider.clone())
        .clock(|| UnixTime(NOW))
        .spawn()
        .unwrap();
    tokens.ready().await.unwrap();
    let good = key("one").named("same").token();
    assert_eq!(code(tokens.verify(&good).await), "ok");
    is_down.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = tokens.verify(&good).await.unwrap_err();
    assert!(matches!(&error, VerifyError::Unavailable(RemoteError::Signature(_))), "{error:?}");
    assert_eq!(
        (error.code(), error.to_string().contains("the device is down")),
        ("signature.unavailable", true)
    );
    assert_eq!(provider.asked("/jwks"), 1);
    is_down.store(false, std::sync::atomic::Ordering::Relaxed);
    // A batch is verified at once; what cannot be is awaited.
    let batch = tokens.verify_batch(&[&good, &key("two").named("same").token()]).await;
    assert_eq!(batch.into_iter().map(code).collect::<Vec<_>>(), ["ok", "signature.invalid"]);
}
