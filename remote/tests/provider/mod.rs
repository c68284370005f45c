//! A provider in memory, which can rotate its keys, go down, lie and hold its answers back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use claimgate::alg::{Algorithm, Ecdsa, PreparedKey, SignatureError, Verifying};
use claimgate::claims::{AccessToken, Policy};
use claimgate::key::{KeyError, VerificationKey};
use claimgate::oidc::{Request, Response};
use claimgate::sign::SigningKey;
use claimgate::time::UnixTime;
use claimgate_remote::fetch::Fetching;
use claimgate_remote::{Fetch, FetchError, Issuer, RemoteVerifier};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) const ISSUER: &str = "https://idp.example.com/realms/acme";
pub(crate) const NOW: i64 = 1_800_000_000;

/// A key of the provider, under a name.
#[derive(Clone)]
pub(crate) struct Key {
    kid: String,
    key: Arc<SigningKey>,
}

/// Returns the key of a name; each name has one.
pub(crate) fn key(name: &str) -> Key {
    static KEYS: LazyLock<Mutex<HashMap<String, Arc<SigningKey>>>> = LazyLock::new(Mutex::default);
    let mut keys = KEYS.lock().unwrap();
    let generate = || Arc::new(SigningKey::generate("ES256", 2048).unwrap());
    let key = Arc::clone(keys.entry(name.to_owned()).or_insert_with(generate));
    Key { kid: name.to_owned(), key }
}

impl Key {
    /// Returns the same key under another `kid`.
    pub(crate) fn named(mut self, kid: &str) -> Self {
        kid.clone_into(&mut self.kid);
        self
    }

    pub(crate) fn token(&self) -> String {
        self.token_at(NOW)
    }

    pub(crate) fn token_at(&self, now: i64) -> String {
        self.sign(&json!({
            "iss": ISSUER, "sub": "ada", "aud": "crm", "iat": now, "exp": now + 300,
            "client_id": "app", "scope": "read write",
        }))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as("at+jwt", claims)
    }

    pub(crate) fn sign_as(&self, typ: &str, claims: &Value) -> String {
        let Value::Object(header) = json!({"kid": self.kid, "typ": typ}) else { unreachable!() };
        self.key.sign(&header, claims.to_string().as_bytes()).unwrap()
    }

    fn jwk(&self) -> Value {
        let mut jwk = self.key.public_jwk().unwrap();
        jwk["kid"] = self.kid.as_str().into();
        jwk
    }
}

/// The provider; clones are the same one.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Mutex<State>>);

struct State {
    keys: Vec<u8>,
    down: bool,
    held: Option<Arc<Notify>>,
    asked: HashMap<String, usize>,
}

/// Returns a verifier of the provider's access tokens, by this clock.
pub(crate) fn access_tokens(
    provider: &Provider,
    clock: impl Fn() -> UnixTime + Send + Sync + 'static,
) -> RemoteVerifier<AccessToken> {
    Issuer::discover(ISSUER)
        .algorithms(["ES256"])
        .policy(Policy::access_token(ISSUER, "crm"))
        .fetch(provider.clone())
        .clock(clock)
        .spawn()
        .unwrap()
}

impl Provider {
    pub(crate) fn new(keys: &[Key]) -> Self {
        let state = State { keys: Vec::new(), down: false, held: None, asked: HashMap::new() };
        let provider = Self(Arc::new(Mutex::new(state)));
        provider.publish(keys);
        provider
    }

    /// Answers for the JWK set with these keys from now on.
    pub(crate) fn publish(&self, keys: &[Key]) {
        let keys: Vec<Value> = keys.iter().map(Key::jwk).collect();
        self.answer(json!({"keys": keys}).to_string().into_bytes());
    }

    /// Answers for the JWK set with these bytes from now on.
    pub(crate) fn answer(&self, body: Vec<u8>) {
        self.0.lock().unwrap().keys = body;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// Holds each answer back until the [`release`](Self::release); its content is that of the time of the request.
    pub(crate) fn hold(&self) {
        self.0.lock().unwrap().held = Some(Arc::default());
    }

    pub(crate) fn release(&self) {
        self.0.lock().unwrap().held.take().unwrap().notify_waiters();
    }

    /// Returns how often a path below the issuer was asked.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.0.lock().unwrap().asked.get(path).copied().unwrap_or_default()
    }

    async fn serve(&self, path: String) -> Result<Response, FetchError> {
        let (keys, held) = {
            let mut state = self.0.lock().unwrap();
            *state.asked.entry(path.clone()).or_default() += 1;
            (state.keys.clone(), state.held.clone())
        };
        if let Some(held) = held {
            held.notified().await;
        }
        if self.0.lock().unwrap().down {
            return Err(FetchError::Unreachable { host: "idp".to_owned(), reason: "down".to_owned() });
        }
        Ok(Response::new(match path.as_str() {
            "/jwks" => keys,
            _ => json!({
                "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/jwks"),
                "authorization_endpoint": format!("{ISSUER}/auth"), "token_endpoint": format!("{ISSUER}/token"),
            })
            .to_string()
            .into_bytes(),
        }))
    }
}

impl Fetch for Provider {
    fn fetch(&self, request: Request, _: usize) -> Fetching<'_> {
        let path = request.uri().to_string().strip_prefix(ISSUER).unwrap().to_owned();
        Box::pin(self.serve(path))
    }
}

/// ES256 by a device that can only be awaited, and answers after a second.
pub(crate) struct DeviceEs256(pub(crate) Arc<AtomicBool>);

impl Algorithm for DeviceEs256 {
    fn name(&self) -> &str {
        "ES256"
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        Ok(Arc::new(DeviceKey { key: Ecdsa::ES256.prepare(key)?, is_down: Arc::clone(&self.0) }))
    }
}

struct DeviceKey {
    key: Arc<dyn PreparedKey>,
    is_down: Arc<AtomicBool>,
}

impl PreparedKey for DeviceKey {
    fn verify(&self, _: &[u8], _: &[u8]) -> Result<(), SignatureError> {
        Err(SignatureError::unavailable("it can only be awaited"))
    }

    fn verify_async<'k>(&'k self, signing_input: &'k [u8], signature: &'k [u8]) -> Option<Verifying<'k>> {
        Some(Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match self.is_down.load(Ordering::Relaxed) {
                true => Err(SignatureError::unavailable("the device is down")),
                false => self.key.verify(signing_input, signature),
            }
        }))
    }
}
