//! Back-channel logout: what the endpoint records and answers, and which tokens the layer then refuses.
#![expect(clippy::unwrap_used, reason = "a test whose material cannot be made has failed")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../../remote/tests/provider/mod.rs"]
mod provider;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use claimgate::alg::Registry;
use claimgate::claims::{AccessToken, Policy};
use claimgate::time::UnixTime;
use claimgate_tower::logouts::{Logout, StoreError, TokenSession};
use claimgate_tower::{BearerLayer, Issuer, LogoutStore, Logouts, MemoryLogouts, RemoteVerifier};
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use provider::{DeviceEs256, ISSUER, NOW, Provider, access_tokens, key};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;

const HOUR: Duration = Duration::from_secs(3600);

fn tokens(provider: &Provider) -> RemoteVerifier<AccessToken> {
    access_tokens(provider, || UnixTime(NOW))
}

/// Builds a service with a protected route and the endpoint.
fn app<S: LogoutStore>(provider: &Provider, store: S) -> Router {
    app_of(tokens(provider), store)
}

fn app_of<S: LogoutStore>(tokens: RemoteVerifier<AccessToken>, store: S) -> Router {
    let logouts = Logouts::new(store, HOUR);
    let endpoint = logouts.endpoint(tokens.with_policy(Policy::logout_token(ISSUER, "crm")).unwrap());
    let layer = BearerLayer::new(tokens).logouts(&logouts);
    let routes = Router::new().route("/me", get(async || "hello")).layer(layer);
    routes.route_service("/backchannel-logout", endpoint)
}

fn access(more: Value) -> String {
    let mut claims = json!({"iss": ISSUER, "sub": "ada", "aud": "crm", "iat": NOW - 10, "exp": NOW + 300});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key("one").sign(&claims)
}

fn logout_token(more: Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": "crm", "iat": NOW, "exp": NOW + 120, "jti": format!("{more}"),
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key("one").sign_as("logout+jwt", &claims)
}

fn form(body: String) -> Request<Body> {
    let request =
        Request::post("/backchannel-logout").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(Body::from(body)).unwrap()
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

async fn log_out(app: &Router, token: &str) -> Response<Body> {
    let response = send(app, form(format!("logout_token={token}"))).await;
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    response
}

async fn status(app: &Router, token: &str) -> u16 {
    let request = Request::get("/me").header(AUTHORIZATION, format!("Bearer {token}"));
    send(app, request.body(Body::empty()).unwrap()).await.status().as_u16()
}

#[tokio::test]
async fn a_logout_ends_the_tokens_of_its_session_and_no_others() {
    let app = app(&Provider::new(&[key("one")]), MemoryLogouts::new(100));
    let [mine, other, without] = [json!({"sid": "s"}), json!({"sid": "t"}), json!({})].map(access);
    for token in [&mine, &other, &without] {
        assert_eq!(status(&app, token).await, 200);
    }
    assert_eq!(log_out(&app, &logout_token(json!({"sid": "s"}))).await.status(), StatusCode::OK);
    assert_eq!(
        [status(&app, &mine).await, status(&app, &other).await, status(&app, &without).await],
        [401, 200, 200]
    );
    assert_eq!(log_out(&app, &logout_token(json!({"sub": "ada"}))).await.status(), StatusCode::OK);
    assert_eq!([status(&app, &other).await, status(&app, &without).await], [401, 401]);
    assert_eq!(status(&app, &access(json!({"iat": NOW + 1, "sid": "u"}))).await, 200, "signed in again");
    assert_eq!(status(&app, &access(json!({"sub": "grace"}))).await, 200);
}

#[tokio::test]
async fn a_replay_succeeds_and_ends_no_newer_session() {
    let app = app(&Provider::new(&[key("one")]), MemoryLogouts::new(100));
    let token = logout_token(json!({"sub": "ada"}));
    for _ in 0..3 {
        assert_eq!(log_out(&app, &token).await.status(), StatusCode::OK);
    }
    assert_eq!(status(&app, &access(json!({"iat": NOW + 1}))).await, 200);
}

// attack: embedding.token-outlives-logout
#[tokio::test]
async fn a_token_that_could_outlive_the_record_of_its_logout_is_refused() {
    let app = app(&Provider::new(&[key("one")]), MemoryLogouts::new(100));
    assert_eq!(status(&app, &access(json!({"iat": NOW, "exp": NOW + 3600}))).await, 200);
    assert_eq!(status(&app, &access(json!({"iat": NOW, "exp": NOW + 3601}))).await, 401);
    let mut without_iat: Value = json!({"iss": ISSUER, "sub": "ada", "aud": "crm", "exp": NOW + 300});
    assert_eq!(status(&app, &key("one").sign(&without_iat)).await, 401);
    without_iat["iat"] = (NOW - 300).into();
    assert_eq!(status(&app, &key("one").sign(&without_iat)).await, 200);
}

#[tokio::test]
async fn what_is_no_logout_is_400() {
    let app = app(&Provider::new(&[key("one")]), MemoryLogouts::new(100));
    let good = logout_token(json!({"sub": "ada"}));
    let json_body = Request::post("/backchannel-logout").header(CONTENT_TYPE, "application/json");
    let requests = [
        ("no token", form(String::new())),
        ("two tokens", form(format!("logout_token={good}&logout_token={good}"))),
        ("no form", json_body.body(Body::from(format!("logout_token={good}"))).unwrap()),
        ("too large", form(format!("logout_token={good}&x={}", "x".repeat(64 * 1024)))),
        ("no JWT", form("logout_token=x".to_owned())),
        ("an access token", form(format!("logout_token={}", access(json!({}))))),
        (
            "another audience",
            form(format!("logout_token={}", logout_token(json!({"sub": "ada", "aud": "wiki"})))),
        ),
        (
            "another issuer",
            form(format!("logout_token={}", logout_token(json!({"sub": "ada", "iss": "https://x.example"})))),
        ),
        ("a nonce", form(format!("logout_token={}", logout_token(json!({"sub": "ada", "nonce": "n"}))))),
        ("expired", form(format!("logout_token={}", logout_token(json!({"sub": "ada", "exp": NOW - 100}))))),
    ];
    for (name, request) in requests {
        let response = send(&app, request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!({"error": "invalid_request"}),
            "{name}"
        );
    }
    assert_eq!(status(&app, &access(json!({}))).await, 200, "none had an effect");
    let get = Request::get("/backchannel-logout").body(Body::empty()).unwrap();
    assert_eq!(get.method(), Method::GET);
    let response = send(&app, get).await;
    assert_eq!(
        (response.status(), &response.headers()[ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn rotated_keys_are_fetched_for_a_logout_and_missing_ones_are_503() {
    let token = logout_token(json!({"sub": "ada"}));
    let provider = Provider::new(&[key("old")]);
    let app = app(&provider, MemoryLogouts::new(100));
    assert_eq!(log_out(&app, &token).await.status(), StatusCode::BAD_REQUEST, "no published key verifies it");
    assert_eq!(log_out(&app, &token).await.status(), StatusCode::SERVICE_UNAVAILABLE, "during the cool-down");
    let app = self::app(&provider, MemoryLogouts::new(100));
    provider.publish(&[key("one")]);
    assert_eq!(log_out(&app, &token).await.status(), StatusCode::OK);
    assert_eq!(status(&app, &access(json!({}))).await, 401);
}

/// A store that waits, counts its batches, fails or panics.
#[derive(Default)]
struct Store {
    records: MemoryRecords,
    held: Option<Arc<Notify>>,
    batches: AtomicUsize,
    fails: bool,
    panics: bool,
    hangs: bool,
}

#[derive(Default)]
struct MemoryRecords(Mutex<Vec<Logout>>);

impl LogoutStore for Store {
    async fn record(&self, logouts: &[Logout]) -> Result<(), StoreError> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics, "the store panics");
        if let Some(held) = &self.held {
            held.notified().await;
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if self.fails {
            return Err("disk full".into());
        }
        self.records.0.lock().extend_from_slice(logouts);
        Ok(())
    }

    async fn is_logged_out(&self, token: &TokenSession<'_>) -> Result<bool, StoreError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if self.fails {
            return Err("disk full".into());
        }
        Ok(self.records.0.lock().iter().any(|logout| logout.ends(token)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_panics_or_hangs_acknowledges_and_admits_nothing() {
    for (name, store) in [
        ("fails", Store { fails: true, ..Store::default() }),
        ("panics", Store { panics: true, ..Store::default() }),
        ("hangs", Store { hangs: true, ..Store::default() }),
    ] {
        let panics = store.panics;
        let app = app(&Provider::new(&[key("one")]), store);
        for _ in 0..2 {
            let response = log_out(&app, &logout_token(json!({"sub": "ada"}))).await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{name}");
            assert_eq!(response.headers()[RETRY_AFTER], "5");
        }
        assert_eq!(status(&app, &access(json!({}))).await, if panics { 200 } else { 503 }, "{name}");
    }
}

#[tokio::test]
async fn logouts_that_arrive_meanwhile_are_one_batch() {
    let held = Arc::new(Notify::new());
    let store = Arc::new(Store { held: Some(Arc::clone(&held)), ..Store::default() });
    let app = app(&Provider::new(&[key("one")]), Arc::clone(&store));
    let send_one = |sid: String| {
        let app = app.clone();
        tokio::spawn(async move { log_out(&app, &logout_token(json!({"sid": sid}))).await.status() })
    };
    let first = send_one("first".to_owned());
    while store.batches.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (0..50).map(|number| send_one(format!("s{number}"))).collect();
    let bad = {
        let app = app.clone();
        tokio::spawn(async move { log_out(&app, &logout_token(json!({"nonce": "n"}))).await.status() })
    };
    // What is refused is answered while the store works, after the others before it were passed on.
    assert_eq!(bad.await.unwrap(), StatusCode::BAD_REQUEST);
    held.notify_one();
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    while store.batches.load(Ordering::Relaxed) == 1 {
        tokio::task::yield_now().await;
    }
    held.notify_one();
    for other in others {
        assert_eq!(other.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(store.batches.load(Ordering::Relaxed), 2);
    let records = store.records.0.lock();
    assert_eq!(records.len(), 51);
    let first = &records[0];
    assert_eq!(
        (first.issuer.as_str(), first.sid.as_deref(), first.subject.as_deref()),
        (ISSUER, Some("first"), None)
    );
    assert_eq!((first.issued_at, first.received_at), (UnixTime(NOW), UnixTime(NOW)));
    assert!(first.keep_until >= UnixTime(NOW + 2 * 3600), "{:?}", first.keep_until);
}

#[tokio::test]
async fn no_more_logouts_wait_than_may() {
    let held = Arc::new(Notify::new());
    let store = Arc::new(Store { held: Some(Arc::clone(&held)), ..Store::default() });
    let app = app(&Provider::new(&[key("one")]), Arc::clone(&store));
    let token = logout_token(json!({"sid": "s"}));
    let send_one = || {
        let (app, token) = (app.clone(), token.clone());
        tokio::spawn(async move { log_out(&app, &token).await.status() })
    };
    let first = send_one();
    while store.batches.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let mut others: Vec<_> = (0..2000).map(|_| send_one()).collect();
    // 1,024 wait for verification, 256 after it, and a batch of 256 is in work.
    let refused = || others.iter().filter(|task| task.is_finished()).count();
    let (mut before, patience) = (0, Instant::now() + Duration::from_secs(60));
    while (2000 - refused() > 1024 + 512 && Instant::now() < patience) || refused() != before {
        before = refused();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let busy = others.extract_if(.., |task| task.is_finished()).collect::<Vec<_>>();
    let waiting = 2000 - busy.len();
    assert!((1024..=1024 + 512).contains(&waiting), "{waiting}");
    for busy in busy {
        assert_eq!(busy.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let release = tokio::spawn(async move {
        loop {
            held.notify_one();
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    for other in others {
        assert_eq!(other.await.unwrap(), StatusCode::OK);
    }
    release.abort();
}

/// A key that can only be awaited, such as one in a device, verifies one by one, and is 503 while it is down.
#[tokio::test(start_paused = true)]
async fn a_device_verifies_tokens_and_logouts_and_one_that_is_down_is_503() {
    let is_down = Arc::new(AtomicBool::default());
    let registry = Registry::builder().builtin().replace(Arc::new(DeviceEs256(Arc::clone(&is_down))));
    let tokens = Issuer::discover(ISSUER)
        .registry(registry.build().unwrap())
        .algorithms(["ES256"])
        .policy(Policy::access_token(ISSUER, "crm"))
        .fetch(Provider::new(&[key("one")]))
        .clock(|| UnixTime(NOW))
        .spawn()
        .unwrap();
    tokens.ready().await.unwrap();
    let app = app_of(tokens, MemoryLogouts::new(100));
    assert_eq!(status(&app, &access(json!({}))).await, 200);
    is_down.store(true, Ordering::Relaxed);
    assert_eq!(status(&app, &access(json!({}))).await, 503);
    let token = logout_token(json!({"sub": "ada"}));
    assert_eq!(log_out(&app, &token).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    is_down.store(false, Ordering::Relaxed);
    assert_eq!(log_out(&app, &token).await.status(), StatusCode::OK);
    assert_eq!(status(&app, &access(json!({}))).await, 401);
}
