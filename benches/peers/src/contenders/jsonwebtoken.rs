//! jsonwebtoken with both of its backends. It takes one for the whole process, so the one installed
//! here asks a switch which of the two it is this time.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils, aws_lc, rust_crypto};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::whole;
use crate::measure::Contender;
use crate::tokens::{CLIENT, ISSUER, IdClaims, Kind, LogoutClaims, SECRET, Tokens};

static BY_AWS_LC: AtomicBool = AtomicBool::new(true);

static EITHER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| (aws_lc::DEFAULT_PROVIDER.signer_factory)(algorithm, key),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> jsonwebtoken::errors::Result<Box<dyn JwtVerifier>> {
    let provider = match BY_AWS_LC.load(Ordering::Relaxed) {
        true => &aws_lc::DEFAULT_PROVIDER,
        false => &rust_crypto::DEFAULT_PROVIDER,
    };
    (provider.verifier_factory)(algorithm, key)
}

pub fn contenders(tokens: &Tokens) -> Vec<Box<dyn Contender>> {
    // A second time it is there already.
    let _ = EITHER.install_default();
    let typed = match tokens.kind {
        Kind::Id => contender::<IdClaims>,
        Kind::Logout => contender::<LogoutClaims>,
    };
    vec![
        contender::<Value>("jsonwebtoken (aws-lc), to Value", true, tokens),
        typed("jsonwebtoken (aws-lc), to a struct", true, tokens),
        contender::<Value>("jsonwebtoken (RustCrypto), to Value", false, tokens),
        typed("jsonwebtoken (RustCrypto), to a struct", false, tokens),
    ]
}

fn contender<T: DeserializeOwned + 'static>(
    name: &'static str,
    by_aws_lc: bool,
    tokens: &Tokens,
) -> Box<dyn Contender> {
    let part = |name: &str| tokens.jwk[name].as_str().expect("a member of the JWK");
    let (algorithm, key) = match tokens.algorithm {
        "RS256" => (Algorithm::RS256, DecodingKey::from_rsa_components(part("n"), part("e"))),
        "HS256" => (Algorithm::HS256, Ok(DecodingKey::from_secret(SECRET.as_bytes()))),
        "ES256" => (Algorithm::ES256, DecodingKey::from_ec_components(part("x"), part("y"))),
        _ => (Algorithm::EdDSA, DecodingKey::from_ed_components(part("x"))),
    };
    let key = key.expect("a key");
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[CLIENT]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.validate_nbf = true;
    whole(name, tokens, move |token| {
        BY_AWS_LC.store(by_aws_lc, Ordering::Relaxed);
        decode::<T>(token, &key, &validation).map(black_box).is_ok()
    })
}
