//! Client assertions by a signer of the program, such as a key service.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use claimgate::alg::{Registry, Unavailable};
use claimgate::jws::JwsVerifier;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::client::{AuthMethod, Client, Secret};
use claimgate::oidc::refresh;
use claimgate::oidc::token::{self, TokenError, TokenRequest};
use claimgate::sign::{SignError, Signer, Signing, SigningKey, sign, sign_async};
use claimgate::time::UnixTime;
use serde_json::{Map, Value};

use super::provider::{CALLBACK, CLIENT, ISSUER, NOW, Op, random};

/// A key service, simulated by a key in memory.
#[derive(Debug)]
struct KeyService {
    key: SigningKey,
    is_down: bool,
}

impl Signer for KeyService {
    fn algorithm(&self) -> &str {
        "ES256"
    }

    fn kid(&self) -> Option<&str> {
        Some("service-1")
    }

    fn signature(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.is_down {
            Err(Unavailable::new("503 from the key service").into())
        } else {
            self.key.signature(signing_input)
        }
    }
}

fn client(is_down: bool) -> (Client, Value) {
    let key = SigningKey::generate("ES256", 0).unwrap();
    let public = key.public_jwk().unwrap();
    let service = Arc::new(KeyService { key, is_down });
    let mut client = Client::new(CLIENT);
    client.key = Some(service);
    (client, public)
}

#[test]
fn a_key_service_signs_the_assertion() {
    let (client, public) = client(false);
    check_assertion(&Op::new().token_request(&client), &public);
}

/// Checks the request's assertion as the provider does; returns its parameters.
fn check_assertion(request: &TokenRequest, public: &Value) -> HashMap<String, String> {
    let form: HashMap<String, String> =
        url::form_urlencoded::parse(request.http.body()).into_owned().collect();
    let keys = KeySet::from_jwk(public.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let verifier = JwsVerifier::new(&Registry::builtin(), ["ES256"], &keys, Limits::DEFAULT).unwrap();
    let assertion = verifier.verify(&form["client_assertion"]).unwrap();
    assert_eq!(assertion.header().kid(), Some("service-1"));
    let claims: Value = serde_json::from_slice(assertion.payload()).unwrap();
    assert_eq!((&claims["iss"], &claims["sub"]), (&CLIENT.into(), &CLIENT.into()));
    assert_eq!(claims["aud"], format!("{ISSUER}/token"));
    form
}

#[test]
fn a_key_service_that_is_down_says_so() {
    let op = Op::new();
    let (_, pending) = op.begin(&AuthorizationOptions::default());
    let authorization = op.accept(pending, "c");
    let (client, _) = client(true);
    let result =
        token::request(&authorization, &client, &op.metadata, CALLBACK, UnixTime(NOW), &mut random());
    let error = result.unwrap_err();
    assert!(matches!(&error, TokenError::Assertion(SignError::Unavailable(_))), "{error:?}");
    assert!(error.to_string().ends_with("503 from the key service"), "{error}");
}

/// A key service over the network, which can only be awaited.
#[derive(Debug)]
struct RemoteService(KeyService);

impl Signer for RemoteService {
    fn algorithm(&self) -> &str {
        self.0.algorithm()
    }

    fn kid(&self) -> Option<&str> {
        self.0.kid()
    }

    fn signature(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(Unavailable::new("it can only be awaited").into())
    }

    fn signature_async<'s>(&'s self, signing_input: &'s [u8]) -> Option<Signing<'s>> {
        Some(Box::pin(async move {
            tokio::time::sleep(SERVICE_TIME).await;
            self.0.signature(signing_input)
        }))
    }
}

const SERVICE_TIME: Duration = Duration::from_millis(100);

fn remote_client(is_down: bool) -> (Client, Value) {
    let key = SigningKey::generate("ES256", 0).unwrap();
    let public = key.public_jwk().unwrap();
    let mut client = Client::new(CLIENT);
    client.key = Some(Arc::new(RemoteService(KeyService { key, is_down })));
    (client, public)
}

/// A code and a refresh token are presented by assertions that a slow service signs, both on one thread, which is free
/// meanwhile.
#[tokio::test(start_paused = true)]
async fn requests_await_a_remote_key_service() {
    fn sent<F: Future + Send>(future: F) -> F {
        future
    }
    let op = Op::new();
    let (_, pending) = op.begin(&AuthorizationOptions::default());
    let authorization = op.accept(pending, "the-code");
    let (client, public) = remote_client(false);
    let refresh_token = Secret::new("the-refresh-token".to_owned());
    let now = UnixTime(NOW);
    let began = tokio::time::Instant::now();
    let (code, renewed, ()) = tokio::join!(
        sent(token::request_async(&authorization, &client, &op.metadata, CALLBACK, now, &mut random())),
        sent(refresh::request_async(&refresh_token, &client, &op.metadata, now, &mut random())),
        async {
            tokio::time::sleep(SERVICE_TIME / 2).await;
            assert_eq!(began.elapsed(), SERVICE_TIME / 2, "the thread is free");
        },
    );
    assert_eq!(began.elapsed(), SERVICE_TIME, "they wait side by side");
    let code = check_assertion(&code.unwrap(), &public);
    assert_eq!((&*code["grant_type"], &*code["code"]), ("authorization_code", "the-code"));
    let renewed = check_assertion(&renewed.unwrap(), &public);
    assert_eq!((&*renewed["grant_type"], &*renewed["refresh_token"]), ("refresh_token", "the-refresh-token"));

    // Without waiting there is no signature, and the service may be down.
    let blocking = token::request(&authorization, &client, &op.metadata, CALLBACK, now, &mut random());
    assert_eq!(blocking.unwrap_err().to_string(), unsigned("it can only be awaited"));
    let (client, _) = remote_client(true);
    let down =
        token::request_async(&authorization, &client, &op.metadata, CALLBACK, now, &mut random()).await;
    assert_eq!(down.unwrap_err().to_string(), unsigned("503 from the key service"));
}

fn unsigned(reason: &str) -> String {
    let cause = SignError::from(Unavailable::new(reason.to_owned()));
    TokenError::Assertion(cause).to_string()
}

/// Clients that no signer signs for are authenticated alike by both forms of the request.
#[tokio::test]
async fn other_proofs_are_the_same_when_awaited() {
    let op = Op::new();
    let (_, pending) = op.begin(&AuthorizationOptions::default());
    let authorization = op.accept(pending, "the-code");
    for method in [AuthMethod::SecretBasic, AuthMethod::SecretPost, AuthMethod::SecretJwt, AuthMethod::None] {
        let secret = Secret::new("a client secret of at least 32 bytes".to_owned());
        let mut client = Client::new(CLIENT).with_secret(secret);
        client.method = Some(method);
        let now = UnixTime(NOW);
        let direct =
            token::request(&authorization, &client, &op.metadata, CALLBACK, now, &mut random()).unwrap().http;
        let awaited =
            token::request_async(&authorization, &client, &op.metadata, CALLBACK, now, &mut random());
        let awaited = awaited.await.unwrap().http;
        assert_eq!((direct.body(), direct.headers()), (awaited.body(), awaited.headers()), "{method:?}");
    }
    let mut keyless = Client::new(CLIENT);
    keyless.method = Some(AuthMethod::PrivateKeyJwt);
    let refused =
        token::request_async(&authorization, &keyless, &op.metadata, CALLBACK, UnixTime(NOW), &mut random());
    assert_eq!(refused.await.unwrap_err().code(), "token.assertion");
}

#[tokio::test]
async fn a_remote_key_service_is_awaited() {
    let key = SigningKey::generate("ES256", 0).unwrap();
    let keys = KeySet::from_jwk(key.public_jwk().unwrap().to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let verifier = JwsVerifier::new(&Registry::builtin(), ["ES256"], &keys, Limits::DEFAULT).unwrap();
    let mut service = RemoteService(KeyService { key, is_down: false });
    let token = sign_async(&service, &Map::new(), b"{}").await.unwrap();
    assert_eq!(verifier.verify(&token).unwrap().header().kid(), Some("service-1"));
    assert_eq!(sign(&service, &Map::new(), b"{}").unwrap_err().code(), "sign.unavailable");
    // One that never waits is asked as `sign` asks it.
    assert!(verifier.verify(&sign_async(&service.0, &Map::new(), b"{}").await.unwrap()).is_ok());
    service.0.is_down = true;
    assert_eq!(sign_async(&service, &Map::new(), b"{}").await.unwrap_err().code(), "sign.unavailable");
}

/// A type with secrets shows none of them.
#[test]
fn a_request_and_its_parts_show_no_secrets() {
    let op = Op::new();
    let (_, pending) = op.begin(&AuthorizationOptions::default());
    let state = pending.state().to_owned();
    let shown = format!("{pending:?}");
    assert!(shown.contains("/reports") && !shown.contains(&state), "{shown}");
    let authorization = op.accept(pending, "the-code");
    assert!(!format!("{authorization:?}").contains("the-code"));
    let (client, _) = client(false);
    let request = op.token_request(&client);
    assert_eq!(format!("{request:?}"), "TokenRequest { .. }");
    assert_eq!(format!("{:?}", request.secrets), "Secrets { .. }");
    assert!(!format!("{client:?}").contains("\"d\""), "{client:?}");
}
