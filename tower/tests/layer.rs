//! The layer in front of axum: which requests pass, and how the others are answered.
#![expect(clippy::unwrap_used, reason = "a test whose material cannot be made has failed")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../../remote/tests/provider/mod.rs"]
mod provider;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use claimgate::Verifier;
use claimgate::claims::{AccessToken, Policy};
use claimgate::identity::{GroupSpec, Mapping, MappingSpec, OneOrMany, TeamSpec};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use claimgate::verifier::Issuers;
use claimgate_tower::{
    BearerLayer, Issuer, MappedIdentity, Principal, RemoteIssuers, RemoteVerifier, Require, Verified,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode, Version};
use provider::{ISSUER, NOW, Provider, access_tokens, key};
use serde_json::{Value, json};
use tower::ServiceExt;

#[derive(serde::Deserialize)]
struct User {
    sub: String,
}

async fn me(Verified(user): Verified<User>) -> String {
    user.sub
}

fn tokens(provider: &Provider) -> RemoteVerifier<AccessToken> {
    access_tokens(provider, || UnixTime(NOW))
}

fn layer() -> BearerLayer {
    BearerLayer::new(tokens(&Provider::new(&[key("one")])))
}

fn app(layer: BearerLayer) -> Router {
    Router::new().route("/me", any(me)).layer(layer)
}

fn request(token: Option<&str>) -> Request<Body> {
    let mut request = Request::get("/me").body(Body::empty()).unwrap();
    if let Some(token) = token {
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    request
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

/// Returns the status, the challenge and the body.
async fn answer(app: &Router, token: Option<&str>) -> (u16, String, String) {
    let response = send(app, request(token)).await;
    let challenge =
        response.headers().get(WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap()).to_owned();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
    (status, challenge, String::from_utf8(body.to_vec()).unwrap())
}

fn expect(status: u16, challenge: &str, body: &str) -> (u16, String, String) {
    (status, challenge.to_owned(), body.to_owned())
}

fn claims(more: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "sub": "ada", "aud": "crm", "iat": NOW, "exp": NOW + 300});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

#[tokio::test]
async fn an_accepted_token_reaches_the_handler_as_a_struct() {
    assert_eq!(answer(&app(layer()), Some(&key("one").token())).await, expect(200, "", "ada"));
}

#[tokio::test]
async fn refusals_are_those_of_rfc_6750() {
    let app = app(layer());
    let missing = expect(401, "Bearer realm=\"api\"", "");
    let invalid = expect(401, "Bearer error=\"invalid_token\"", "");
    assert_eq!(answer(&app, None).await, missing);
    assert_eq!(answer(&app, Some("a b")).await, expect(400, "Bearer error=\"invalid_request\"", ""));
    assert_eq!(answer(&app, Some("not.a.token")).await, invalid);
    assert_eq!(answer(&app, Some(&key("one").token_at(NOW - 1000))).await, invalid, "expired");
    let for_another = key("one").sign(&claims(json!({"aud": "wiki"})));
    assert_eq!(answer(&app, Some(&for_another)).await, invalid);
    let id_token = key("one").sign_as("JWT", &claims(json!({})));
    assert_eq!(answer(&app, Some(&id_token)).await, invalid, "an ID token");
    let forged = key("forger").named("one").sign(&claims(json!({})));
    assert_eq!(answer(&app, Some(&forged)).await, invalid);
}

/// Counts the events of the crate, whatever their level.
#[derive(Default)]
struct Lines(Arc<AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "claimgate_tower"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn strangers_cannot_fill_the_log() {
    let app = app(layer());
    let lines = Lines::default();
    let count = Arc::clone(&lines.0);
    let _guard = tracing::subscriber::set_default(lines);
    for _ in 0..500 {
        assert_eq!(answer(&app, Some("no token")).await.0, 400);
    }
    // Other tests of this process refuse a few for the same reason.
    let count = count.load(Ordering::Relaxed);
    assert!((50..=100).contains(&count), "{count}");
}

// attack: embedding.two-headers
#[tokio::test]
async fn two_headers_are_refused_though_one_is_good() {
    let app = app(layer());
    for other in ["Basic YTpi", "Bearer x", ""] {
        let mut request = request(Some(&key("one").token()));
        request.headers_mut().append(AUTHORIZATION, other.parse().unwrap());
        assert_eq!(send(&app, request).await.status(), StatusCode::BAD_REQUEST, "{other}");
    }
}

#[tokio::test]
async fn a_token_is_read_from_the_header_alone() {
    let app = app(layer());
    let token = key("one").token();
    let by_query = Request::get(format!("/me?access_token={token}")).body(Body::empty()).unwrap();
    assert_eq!(send(&app, by_query).await.status(), StatusCode::UNAUTHORIZED);
    let by_form = Request::get("/me").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let by_form = by_form.body(Body::from(format!("access_token={token}"))).unwrap();
    assert_eq!(send(&app, by_form).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn claims_that_do_not_fit_the_struct_are_an_invalid_token() {
    #[derive(serde::Deserialize)]
    struct Customer {
        customer: u64,
    }
    async fn customer(Verified(customer): Verified<Customer>) -> String {
        customer.customer.to_string()
    }
    let app = Router::new().route("/me", get(customer)).layer(layer());
    let good = key("one").sign(&claims(json!({"customer": 7})));
    assert_eq!(answer(&app, Some(&good)).await, expect(200, "", "7"));
    let invalid = expect(401, "Bearer error=\"invalid_token\"", "");
    assert_eq!(answer(&app, Some(&key("one").token())).await, invalid);
}

#[tokio::test]
async fn a_provider_that_is_down_is_503_and_a_retry() {
    let provider = Provider::new(&[key("one")]);
    provider.set_down(true);
    let app = app(BearerLayer::new(tokens(&provider)));
    let response = send(&app, request(Some(&key("one").token()))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "5");
    assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
}

#[tokio::test]
async fn an_optional_layer_passes_requests_without_a_token_and_no_bad_token() {
    async fn greet(user: Option<Verified<User>>) -> String {
        user.map_or_else(|| "stranger".to_owned(), |Verified(user)| user.sub)
    }
    let routes = Router::new().route("/me", get(greet)).route("/strict", get(me));
    let app = routes.layer(layer().optional());
    assert_eq!(answer(&app, None).await, expect(200, "", "stranger"));
    assert_eq!(answer(&app, Some(&key("one").token())).await, expect(200, "", "ada"));
    assert_eq!(answer(&app, Some("not.a.token")).await.0, 401);
    let strict = Request::get("/strict").body(Body::empty()).unwrap();
    let response = send(&app, strict).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"api\"");
}

#[tokio::test]
async fn a_guard_admits_by_scope() {
    let routes = Router::new()
        .route("/me", get(me).route_layer(Require::scope("orders:read").or("orders:admin")))
        .route("/both", get(me).route_layer(Require::scope("a")).route_layer(Require::scope("b")));
    let app = routes.layer(layer());
    let with = |more: Value| key("one").sign(&claims(more));
    for admitted in [
        json!({"scope": "openid orders:read"}),
        json!({"scope": "orders:admin"}),
        json!({"scp": "orders:read"}),
        json!({"scp": ["openid", "orders:read"]}),
    ] {
        assert_eq!(answer(&app, Some(&with(admitted.clone()))).await.0, 200, "{admitted}");
    }
    let refused = expect(403, "Bearer error=\"insufficient_scope\", scope=\"orders:read\"", "");
    for without in [
        json!({}),
        json!({"scope": "orders:rea orders:read2 ORDERS:READ"}),
        json!({"scope": 1}),
        json!({"scope": {"orders:read": true}}),
        json!({"scp": ["x orders:read"]}),
        json!({"roles": ["orders:read"]}),
    ] {
        assert_eq!(answer(&app, Some(&with(without.clone()))).await, refused, "{without}");
    }
    for (scope, status) in [("a", 403), ("b", 403), ("a b", 200)] {
        let mut request = request(Some(&with(json!({"scope": scope}))));
        *request.uri_mut() = "/both".parse().unwrap();
        assert_eq!(send(&app, request).await.status().as_u16(), status, "{scope}");
    }
}

fn mapping() -> Mapping {
    let spec = MappingSpec {
        username: OneOrMany::One("preferred_username".to_owned()),
        groups: vec![GroupSpec::Path("groups".to_owned())],
        team: vec![TeamSpec {
            group: Some("crm-admin".to_owned()),
            team: Some("Administrators".to_owned()),
            ..TeamSpec::default()
        }],
        ..MappingSpec::default()
    };
    Mapping::compile(&spec, &Limits::DEFAULT).unwrap()
}

#[tokio::test]
async fn a_mapping_gives_the_identity_and_a_guard_admits_by_team() {
    async fn name(Verified(identity): Verified<MappedIdentity>, principal: Verified<Principal>) -> String {
        assert_eq!(principal.0.identity().unwrap().username, identity.username);
        assert_eq!(principal.0.claims().subject(), Some("ada"));
        identity.username.clone()
    }
    let app =
        Router::new().route("/me", get(name).route_layer(Require::team("Administrators").or("Auditors")));
    let app = app.layer(layer().mapping(mapping()));
    let with = |more: Value| key("one").sign(&claims(more));
    let admin = with(json!({"preferred_username": "Ada", "groups": ["crm-admin"]}));
    assert_eq!(answer(&app, Some(&admin)).await, expect(200, "", "ada"));
    let refused = expect(403, "Bearer error=\"insufficient_scope\"", "");
    let other = with(json!({"preferred_username": "Ada", "groups": ["crm-user"]}));
    assert_eq!(answer(&app, Some(&other)).await, refused, "another team");
    assert_eq!(answer(&app, Some(&with(json!({})))).await, refused, "no username");
}

// attack: embedding.guard-without-layer
#[tokio::test]
async fn a_guard_or_a_handler_without_its_layer_admits_no_request() {
    let good =
        key("one").sign(&claims(json!({"scope": "a", "preferred_username": "ada", "groups": ["crm-admin"]})));
    let guard = || Require::scope("a");
    async fn open() -> &'static str {
        "reached"
    }
    async fn mapped(_: Verified<MappedIdentity>) -> &'static str {
        "reached"
    }
    async fn optional(_: Option<Verified<User>>) -> &'static str {
        "reached"
    }
    let apps = [
        ("a guard without a layer", Router::new().route("/me", get(open).route_layer(guard()))),
        ("an extractor without a layer", Router::new().route("/me", get(me))),
        ("an optional extractor without a layer", Router::new().route("/me", get(optional))),
        ("a guard outside of the layer", Router::new().route("/me", get(open)).layer(layer()).layer(guard())),
        (
            "a team without a mapping",
            Router::new().route("/me", get(open).route_layer(Require::team("A"))).layer(layer()),
        ),
        ("an identity without a mapping", Router::new().route("/me", get(mapped)).layer(layer())),
    ];
    for (name, app) in apps {
        assert_eq!(answer(&app, Some(&good)).await, expect(500, "", ""), "{name}");
    }
}

#[test]
#[should_panic(expected = "no scope has the name")]
fn a_guard_by_a_scope_that_cannot_be_is_not_built() {
    drop(Require::scope("read").or("write all\""));
}

#[tokio::test]
async fn one_issuer_cannot_sign_for_another() {
    const OTHER: &str = "https://other.example.com";
    let other_tokens = Issuer::jwks(OTHER, format!("{ISSUER}/jwks"))
        .algorithms(["ES256"])
        .policy(Policy::access_token(OTHER, "crm"))
        .fetch(Provider::new(&[key("other")]))
        .clock(|| UnixTime(NOW))
        .spawn()
        .unwrap();
    let ours = tokens(&Provider::new(&[key("one")]));
    assert!(RemoteIssuers::new([ours.clone(), ours.clone()]).is_err());
    assert!(RemoteIssuers::<AccessToken>::new([]).is_err());
    let app = app(BearerLayer::new(RemoteIssuers::new([ours, other_tokens]).unwrap()));
    let by = |name: &str, issuer: &str| key(name).sign(&claims(json!({"iss": issuer})));
    assert_eq!(answer(&app, Some(&by("one", ISSUER))).await.0, 200);
    assert_eq!(answer(&app, Some(&by("other", OTHER))).await.0, 200);
    let swapped = answer(&app, Some(&by("other", ISSUER))).await.0;
    assert!(swapped == 401 || swapped == 503, "{swapped}");
    assert_eq!(answer(&app, Some(&by("one", "https://stranger.example.com"))).await.0, 401);
}

#[tokio::test]
async fn fixed_keys_need_no_provider() {
    let secret = b"a secret of at least 32 bytes, for HS256";
    let verifier = |issuer: &str| {
        let policy = Policy::access_token(issuer, "crm");
        let keys = KeySet::from_secret(secret);
        Verifier::builder().algorithms(["HS256"]).keys(keys).policy(policy).build().unwrap()
    };
    let signer = claimgate::sign::SigningKey::from_secret(secret, "HS256").unwrap();
    let now = UnixTime::from(std::time::SystemTime::now()).0;
    let header = json!({"typ": "at+jwt"}).as_object().unwrap().clone();
    let token = claims(json!({"iat": now, "exp": now + 60})).to_string();
    let token = signer.sign(&header, token.as_bytes()).unwrap();
    let several = Issuers::new([verifier(ISSUER), verifier("https://other.example.com")]).unwrap();
    for layer in [BearerLayer::new(verifier(ISSUER)), BearerLayer::new(several)] {
        let app = app(layer);
        assert_eq!(answer(&app, Some(&token)).await, expect(200, "", "ada"));
        assert_eq!(answer(&app, None).await.0, 401);
    }
}

// finding: R8
#[tokio::test]
async fn grpc_is_answered_in_its_own_terms() {
    let guarded = Router::new().route("/me", any(me).layer(Require::scope("a"))).layer(layer());
    let down = Provider::new(&[key("one")]);
    down.set_down(true);
    let down = app(BearerLayer::new(tokens(&down)));
    let bare = Router::new().route("/me", any(me).layer(Require::scope("a")));
    let good = key("one").token();
    for (app, token, status, message) in [
        (&guarded, None, "16", "unauthenticated"),
        (&guarded, Some("not.a.token"), "16", "invalid_token"),
        (&guarded, Some("a b"), "16", "invalid_request"),
        (&guarded, Some(good.as_str()), "7", "insufficient_scope"),
        (&down, Some(good.as_str()), "14", "temporarily_unavailable"),
        (&bare, Some(good.as_str()), "13", "server_error"),
    ] {
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let response = send(app, call(token, content_type)).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["grpc-status"], status);
            assert_eq!(response.headers()["grpc-message"], message);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
        }
    }
    let web = call(None, "application/grpc-web+proto");
    assert_eq!(send(&guarded, web).await.status(), StatusCode::UNAUTHORIZED);
}

/// Returns a call of gRPC.
fn call(token: Option<&str>, content_type: &str) -> Request<Body> {
    let mut request = request(token);
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().insert(CONTENT_TYPE, content_type.parse().unwrap());
    request
}

/// A proxy that asks whether a request is allowed passes the client's headers on, and admits by the status 200.
#[tokio::test]
async fn a_client_that_names_grpc_is_not_answered_200_unless_it_speaks_it() {
    let guarded = Router::new().route("/me", any(me).layer(Require::scope("a"))).layer(layer());
    let good = key("one").token();
    for (method, version) in
        [(Method::GET, Version::HTTP_11), (Method::POST, Version::HTTP_11), (Method::GET, Version::HTTP_2)]
    {
        for (token, status) in [(None, 401), (Some("not.a.token"), 401), (Some(good.as_str()), 403)] {
            let mut request = call(token, "application/grpc");
            *request.method_mut() = method.clone();
            *request.version_mut() = version;
            assert_eq!(send(&guarded, request).await.status().as_u16(), status, "{method} {version:?}");
        }
    }
}
