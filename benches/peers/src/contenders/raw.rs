//! The bare cryptography: no base64, no JSON, no claims; signing input and signature lie ready.

use std::rc::Rc;

use aws_lc_rs::signature::ParsedPublicKey;
use claimgate::base64url;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use sha2::Sha256;

use crate::measure::{Contender, OneByOne};
use crate::tokens::{SECRET, Tokens};

pub struct Signed {
    input: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    fn of(token: &str) -> Self {
        let (input, signature) = token.rsplit_once('.').expect("a token");
        let signature = base64url::decode(signature.as_bytes()).expect("base64url");
        Self { input: input.into(), signature }
    }
}

pub fn contenders(tokens: &Tokens) -> Vec<Box<dyn Contender>> {
    let part = |name: &str| {
        let text = tokens.jwk[name].as_str().expect("a member of the JWK");
        base64url::decode(text.as_bytes()).expect("base64url")
    };
    match tokens.algorithm {
        "RS256" => {
            let (n, e) = (part("n"), part("e"));
            let ring = RsaPublicKeyComponents { n: n.clone(), e: e.clone() };
            let parameters = &ring::signature::RSA_PKCS1_2048_8192_SHA256;
            let aws_lc = aws_lc_rs::signature::RsaPublicKeyComponents { n, e }
                .to_parsed_public_key(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256)
                .expect("a key");
            vec![
                raw("raw ring", tokens, move |s| ring.verify(parameters, &s.input, &s.signature).is_ok()),
                raw("raw aws-lc", tokens, by_aws_lc(aws_lc)),
            ]
        }
        "HS256" => {
            let ring = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
            let aws_lc = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
            let rust_crypto = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length will do");
            vec![
                raw("raw ring", tokens, move |s| ring::hmac::verify(&ring, &s.input, &s.signature).is_ok()),
                raw("raw aws-lc", tokens, move |s| {
                    aws_lc_rs::hmac::verify(&aws_lc, &s.input, &s.signature).is_ok()
                }),
                raw("raw RustCrypto", tokens, move |s| {
                    rust_crypto.clone().chain_update(&s.input).verify_slice(&s.signature).is_ok()
                }),
            ]
        }
        "ES256" => {
            let point = [vec![4], part("x"), part("y")].concat();
            let ring = UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point.clone());
            let aws_lc = ParsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED, point);
            vec![
                raw("raw ring", tokens, move |s| ring.verify(&s.input, &s.signature).is_ok()),
                raw("raw aws-lc", tokens, by_aws_lc(aws_lc.expect("a key"))),
            ]
        }
        _ => {
            let ring = UnparsedPublicKey::new(&ring::signature::ED25519, part("x"));
            let aws_lc = ParsedPublicKey::new(&aws_lc_rs::signature::ED25519, part("x"));
            vec![
                raw("raw ring", tokens, move |s| ring.verify(&s.input, &s.signature).is_ok()),
                raw("raw aws-lc", tokens, by_aws_lc(aws_lc.expect("a key"))),
            ]
        }
    }
}

fn by_aws_lc(key: ParsedPublicKey) -> impl FnMut(&Signed) -> bool {
    move |signed| key.verify_sig(&signed.input, &signed.signature).is_ok()
}

fn raw(
    name: &'static str,
    tokens: &Tokens,
    accepts: impl FnMut(&Signed) -> bool + 'static,
) -> Box<dyn Contender> {
    let items = Rc::new(tokens.good.iter().map(|token| Signed::of(token)).collect());
    Box::new(OneByOne { name, judges_claims: false, items, item_of: Signed::of, accepts })
}
