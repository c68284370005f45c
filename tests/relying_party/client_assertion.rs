//! Client assertions by a signer of the program, such as a key service.

use std::collections::HashMap;
use std::sync::Arc;

use claimgate::alg::{Registry, Unavailable};
use claimgate::jws::JwsVerifier;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::client::Client;
use claimgate::oidc::token::{self, TokenError};
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
    let request = Op::new().token_request(&client);
    let form: HashMap<String, String> =
        url::form_urlencoded::parse(request.http.body()).into_owned().collect();
    let keys = KeySet::from_jwk(public.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let verifier = JwsVerifier::new(&Registry::builtin(), ["ES256"], &keys, Limits::DEFAULT).unwrap();
    let assertion = verifier.verify(&form["client_assertion"]).unwrap();
    assert_eq!(assertion.header().kid(), Some("service-1"));
    let claims: Value = serde_json::from_slice(assertion.payload()).unwrap();
    assert_eq!((&claims["iss"], &claims["sub"]), (&CLIENT.into(), &CLIENT.into()));
    assert_eq!(claims["aud"], format!("{ISSUER}/token"));
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
            tokio::task::yield_now().await;
            self.0.signature(signing_input)
        }))
    }
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
