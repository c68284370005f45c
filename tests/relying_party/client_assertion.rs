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
use claimgate::sign::{SignError, Signer, SigningKey};
use claimgate::time::UnixTime;
use serde_json::Value;

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
    (Client { id: CLIENT.to_owned(), secret: None, key: Some(service), method: None }, public)
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
    assert_eq!(assertion.header().key_id(), Some("service-1"));
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
