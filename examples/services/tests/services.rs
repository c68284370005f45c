//! The services over HTTP and gRPC, with a provider on loopback that rotates its keys and goes down.
#![expect(clippy::unwrap_used, reason = "a test whose material cannot be made has failed")]

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use claimgate::sign::SigningKey;
use claimgate_services::{actix_service, axum_service, tonic_service};
use claimgate_tower::claimgate::claims::{AccessToken, Policy};
use claimgate_tower::{BearerLayer, Issuer, RemoteVerifier};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// A provider on loopback.
#[derive(Clone)]
struct Provider {
    issuer: String,
    published: Arc<Mutex<Option<Value>>>,
    key: Arc<Mutex<(String, SigningKey)>>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = ("first".to_owned(), SigningKey::generate("ES256", 2048).unwrap());
        let provider = Self { issuer, published: Arc::default(), key: Arc::new(Mutex::new(key)) };
        provider.set_down(false);
        let app = Router::new().fallback(Self::answer).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        provider
    }

    async fn answer(State(provider): State<Self>, uri: Uri) -> (StatusCode, String) {
        let Some(keys) = provider.published.lock().unwrap().clone() else {
            return (StatusCode::INTERNAL_SERVER_ERROR, String::new());
        };
        let issuer = &provider.issuer;
        let document = match uri.path() {
            "/jwks" => keys,
            _ => json!({
                "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"),
                "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
            }),
        };
        (StatusCode::OK, document.to_string())
    }

    fn set_down(&self, down: bool) {
        let (kid, key) = &*self.key.lock().unwrap();
        let mut jwk = key.public_jwk().unwrap();
        jwk["kid"] = kid.as_str().into();
        *self.published.lock().unwrap() = (!down).then(|| json!({"keys": [jwk]}));
    }

    fn rotate(&self, kid: &str) {
        *self.key.lock().unwrap() = (kid.to_owned(), SigningKey::generate("ES256", 2048).unwrap());
        self.set_down(false);
    }

    fn sign(&self, typ: &str, more: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims =
            json!({"iss": self.issuer, "sub": "ada", "aud": "crm", "iat": now, "exp": now + 300});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (kid, key) = &*self.key.lock().unwrap();
        let header = json!({"kid": kid, "typ": typ}).as_object().unwrap().clone();
        key.sign(&header, claims.to_string().as_bytes()).unwrap()
    }

    fn token(&self, more: &Value) -> String {
        self.sign("at+jwt", more)
    }

    fn tokens(&self) -> RemoteVerifier<AccessToken> {
        let policy = Policy::access_token(&self.issuer, "crm");
        Issuer::discover(&self.issuer).algorithms(["ES256"]).policy(policy).spawn().unwrap()
    }
}

/// Returns the status, the challenge and the body.
async fn get(address: &str, token: Option<&str>) -> (u16, String, String) {
    let mut request = reqwest::Client::new().get(address);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    let challenge =
        response.headers().get("www-authenticate").map_or("", |value| value.to_str().unwrap()).to_owned();
    (response.status().as_u16(), challenge, response.text().await.unwrap())
}

fn answer(status: u16, challenge: &str, body: &str) -> (u16, String, String) {
    (status, challenge.to_owned(), body.to_owned())
}

/// What a service on HTTP must do, whatever its framework.
async fn accepts_tokens(provider: &Provider, service: &str) {
    let me = format!("{service}/me");
    let token = provider.token(&json!({}));
    assert_eq!(get(&me, None).await, answer(401, "Bearer realm=\"api\"", ""));
    assert_eq!(get(&me, Some("x")).await, answer(401, "Bearer error=\"invalid_token\"", ""));
    assert_eq!(get(&me, Some(&token)).await, answer(200, "", "ada"));
    let orders = format!("{service}/orders");
    let refused = answer(403, "Bearer error=\"insufficient_scope\", scope=\"orders:read\"", "");
    assert_eq!(get(&orders, Some(&token)).await, refused);
    let with_scope = provider.token(&json!({"scope": "openid orders:read"}));
    assert_eq!(get(&orders, Some(&with_scope)).await, answer(200, "", "openid orders:read"));

    provider.rotate("second");
    let rotated = provider.token(&json!({}));
    assert_eq!(get(&me, Some(&rotated)).await, answer(200, "", "ada"), "after a rotation");
    provider.set_down(true);
    assert_eq!(get(&me, Some(&rotated)).await, answer(200, "", "ada"), "through an outage");
    provider.rotate("third");
    provider.set_down(true);
    let unknown = provider.token(&json!({}));
    assert_eq!(get(&me, Some(&unknown)).await, answer(503, "", ""), "a key that cannot be fetched now");
}

#[tokio::test(flavor = "multi_thread")]
async fn axum_with_rotation_outage_and_logout() {
    let provider = Provider::start().await;
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("logouts.db").to_str().unwrap().to_owned();
    let start = async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = format!("http://{}", listener.local_addr().unwrap());
        let app = axum_service::app(&provider.tokens(), "crm", &database).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        service
    };
    let service = start().await;

    let token = provider.token(&json!({"sub": "grace", "sid": "session"}));
    assert_eq!(get(&service, None).await, answer(200, "", "hello, stranger"));
    assert_eq!(get(&service, Some(&token)).await, answer(200, "", "hello, grace"));
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let logout =
        provider.sign("logout+jwt", &json!({"sub": "grace", "sid": "session", "jti": "1", "events": events}));
    let form = |token: &str| {
        let request = reqwest::Client::new().post(format!("{service}/backchannel-logout"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("logout_token={token}")).send()
    };
    assert_eq!(form(&token).await.unwrap().status().as_u16(), 400, "an access token is no logout token");
    let response = form(&logout).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let invalid = answer(401, "Bearer error=\"invalid_token\"", "");
    assert_eq!(get(&service, Some(&token)).await, invalid);
    assert_eq!(get(&format!("{service}/me"), Some(&token)).await, invalid);
    let restarted = start().await;
    assert_eq!(get(&format!("{restarted}/me"), Some(&token)).await, invalid, "after a restart");
    let other = provider.token(&json!({"sub": "grace", "sid": "another"}));
    assert_eq!(get(&format!("{restarted}/me"), Some(&other)).await, answer(200, "", "grace"));
    accepts_tokens(&provider, &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actix_web_with_rotation_and_outage() {
    let provider = Provider::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let service = format!("http://{}", listener.local_addr().unwrap());
    let bearer = BearerLayer::new(provider.tokens());
    std::thread::spawn(move || actix_web::rt::System::new().block_on(actix_service::serve(bearer, listener)));
    accepts_tokens(&provider, &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tonic_with_the_statuses_of_grpc() {
    let provider = Provider::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let tokens = provider.tokens();
    tokio::spawn(
        async move { tonic_service::serve(tokens, listener).await.map_err(|error| error.to_string()) },
    );

    let channel = tonic::transport::Endpoint::new(address).unwrap().connect().await.unwrap();
    let check = |token: Option<String>| {
        let mut client = HealthClient::new(channel.clone());
        async move {
            let mut request = tonic::Request::new(HealthCheckRequest { service: "ada".to_owned() });
            if let Some(token) = token {
                request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            let response = client.check(request).await;
            response.map(|response| response.get_ref().status()).map_err(|status| status.code())
        }
    };
    let good = || Some(provider.token(&json!({"scope": "orders:read"})));
    assert_eq!(check(None).await, Err(tonic::Code::Unauthenticated));
    assert_eq!(check(Some("x".to_owned())).await, Err(tonic::Code::Unauthenticated));
    assert_eq!(check(Some(provider.token(&json!({})))).await, Err(tonic::Code::PermissionDenied));
    assert_eq!(check(good()).await, Ok(ServingStatus::Serving));
    provider.rotate("second");
    assert_eq!(check(good()).await, Ok(ServingStatus::Serving));
    provider.rotate("third");
    provider.set_down(true);
    assert_eq!(check(good()).await, Err(tonic::Code::Unavailable));
}
