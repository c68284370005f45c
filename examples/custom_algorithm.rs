//! An algorithm from outside: ES256K (RFC 8812 §3.2) by the k256 crate, registered beside the
//! built-in ones through the same public trait. A `kty` of your own works the same way: it arrives
//! as [`KeyMaterial::Other`] with all its members.
//!
//! `cargo run --example custom_algorithm`

use std::sync::Arc;

use claimgate::alg::{Algorithm, InvalidSignature, PreparedKey, Registry};
use claimgate::claims::Policy;
use claimgate::key::{KeyError, KeyMaterial, KeySet, VerificationKey};
use claimgate::{Verifier, base64url, limits::Limits, time::UnixTime};
use k256::ecdsa::signature::{Signer, Verifier as _};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};

struct Es256k;

impl Algorithm for Es256k {
    fn name(&self) -> &str {
        "ES256K"
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        match key.material() {
            KeyMaterial::Ec { curve, x, y } if curve == "secp256k1" => {
                let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
                let key = VerifyingKey::from_sec1_bytes(&point);
                Ok(Arc::new(Prepared(key.map_err(|_| KeyError::Invalid { reason: "not on secp256k1" })?)))
            }
            _ => Err(KeyError::WrongFamily),
        }
    }
}

struct Prepared(VerifyingKey);

impl PreparedKey for Prepared {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
        self.0.verify(signing_input, &signature).map_err(|_| InvalidSignature)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (jwk, token) = material()?;
    let verifier = Verifier::builder()
        .registry(Registry::builder().builtin().register(Es256k).build()?)
        .algorithms(["ES256K"])
        .keys(KeySet::from_jwk(jwk.as_bytes(), &Limits::DEFAULT)?)
        .policy(Policy::jwt().issuer("https://issuer.example"))
        .build()?;
    let token = verifier.verify(&token, UnixTime(1_800_000_000))?;
    println!("verified {} for {:?}", token.header().algorithm(), token.claims().subject());
    Ok(())
}

/// An issuer's key, and a token signed with it.
fn material() -> Result<(String, String), Box<dyn std::error::Error>> {
    let key = SigningKey::from_slice(&[7; 32])?;
    let point = key.verifying_key().to_sec1_point(false);
    let [x, y] = [&point.as_bytes()[1..33], &point.as_bytes()[33..]].map(base64url::encode);
    let claims = br#"{"iss":"https://issuer.example","sub":"ada","exp":2000000000}"#;
    let input = format!("{}.{}", base64url::encode(br#"{"alg":"ES256K"}"#), base64url::encode(claims));
    let signature: Signature = key.sign(input.as_bytes());
    let jwk = format!(r#"{{"kty":"EC","crv":"secp256k1","x":"{x}","y":"{y}"}}"#);
    Ok((jwk, format!("{input}.{}", base64url::encode(&signature.to_bytes()))))
}
