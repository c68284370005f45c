//! jwt-simple with its default features: BoringSSL where it uses that.

use std::collections::HashSet;
use std::hint::black_box;

use jwt_simple::algorithms::{
    ECDSAP256PublicKeyLike, ES256PublicKey, Ed25519PublicKey, EdDSAPublicKeyLike, HS256Key, MACLike,
    RS256PublicKey, RSAPublicKeyLike,
};
use jwt_simple::common::VerificationOptions;
use jwt_simple::prelude::Duration;
use serde_json::{Map, Value};

use super::whole;
use crate::measure::Contender;
use crate::tokens::{CLIENT, ISSUER, SECRET, Tokens};

const NAME: &str = "jwt-simple, to Map";
type Claims = Map<String, Value>;

pub fn contenders(tokens: &Tokens) -> Option<Box<dyn Contender>> {
    let options = VerificationOptions {
        allowed_issuers: Some(HashSet::from([ISSUER.to_owned()])),
        allowed_audiences: Some(HashSet::from([CLIENT.to_owned()])),
        time_tolerance: Some(Duration::from_secs(60)),
        ..VerificationOptions::default()
    };
    // It takes its options by value.
    let options = move || Some(options.clone());
    let jwk = tokens.jwk.to_string();
    Some(match tokens.algorithm {
        "RS256" => {
            let key = RS256PublicKey::from_jwk(&jwk).expect("a key");
            whole(NAME, tokens, move |t| key.verify_token::<Claims>(t, options()).map(black_box).is_ok())
        }
        "HS256" => {
            let key = HS256Key::from_bytes(SECRET.as_bytes());
            whole(NAME, tokens, move |t| key.verify_token::<Claims>(t, options()).map(black_box).is_ok())
        }
        "ES256" => {
            let key = ES256PublicKey::from_jwk(&jwk).expect("a key");
            whole(NAME, tokens, move |t| key.verify_token::<Claims>(t, options()).map(black_box).is_ok())
        }
        "EdDSA" => {
            let key = Ed25519PublicKey::from_jwk(&jwk).expect("a key");
            whole(NAME, tokens, move |t| key.verify_token::<Claims>(t, options()).map(black_box).is_ok())
        }
        _ => return None,
    })
}
