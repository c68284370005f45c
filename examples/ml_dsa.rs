//! ML-DSA-65 (FIPS 204), a signature for the time of quantum computers, as an algorithm from outside: JWS and JWK by
//! RFC 9964, the mathematics by the `ml-dsa` crate, which has not been audited.
//!
//! `cargo run --example ml_dsa`

use std::sync::Arc;

use claimgate::alg::{Algorithm, PreparedKey, Registry, SignatureError};
use claimgate::base64url;
use claimgate::claims::Policy;
use claimgate::json::MemberFault;
use claimgate::key::{KeyError, KeyMaterial, KeySet, VerificationKey};
use claimgate::limits::Limits;
use claimgate::sign::{SignError, Signer, sign};
use ml_dsa::signature::{Keypair, Signer as _, Verifier as _};
use ml_dsa::{EncodedVerifyingKey, MlDsa65, Signature, SigningKey, VerifyingKey};
use serde_json::{Map, Value, json};

const NAME: &str = "ML-DSA-65";

/// The algorithm.
struct MlDsa;

impl Algorithm for MlDsa {
    fn name(&self) -> &str {
        NAME
    }

    /// RFC 9964 §3: the `kty` of keys whose `alg` says everything about them.
    fn accepts(&self, key: &KeyMaterial) -> bool {
        key.kty() == "AKP"
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        let KeyMaterial::Other { members, .. } = key.material() else {
            return Err(KeyError::WrongFamily);
        };
        // RFC 9964 §3: `alg` is required. The engine has refused a key with another one.
        if key.alg().is_none() {
            return Err(KeyError::Member { member: "alg", fault: MemberFault::Absent });
        }
        let encoded = members.get("pub").and_then(Value::as_str);
        let encoded = encoded.ok_or(KeyError::Member { member: "pub", fault: MemberFault::Absent })?;
        let bytes = base64url::decode(encoded.as_bytes())
            .map_err(|_| KeyError::invalid("a public key that is not base64url"))?;
        let encoded = EncodedVerifyingKey::<MlDsa65>::try_from(bytes.as_slice()).map_err(|_| {
            KeyError::invalid(format!("a public key of {NAME} has 1952 bytes, not {}", bytes.len()))
        })?;
        Ok(Arc::new(Prepared(VerifyingKey::decode(&encoded))))
    }
}

/// A key whose matrix has been expanded, once.
struct Prepared(VerifyingKey<MlDsa65>);

impl PreparedKey for Prepared {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = Signature::try_from(signature).map_err(|_| SignatureError::Invalid)?;
        self.0.verify(signing_input, &signature).map_err(|_| SignatureError::Invalid)
    }
}

/// A key to sign with, from its seed.
#[derive(Debug)]
struct PrivateKey(SigningKey<MlDsa65>);

impl PrivateKey {
    fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_seed(&seed.into()))
    }

    fn public_jwk(&self) -> Value {
        json!({"kty": "AKP", "alg": NAME, "pub": base64url::encode(&self.0.verifying_key().encode())})
    }
}

impl Signer for PrivateKey {
    fn algorithm(&self) -> &str {
        NAME
    }

    fn kid(&self) -> Option<&str> {
        None
    }

    fn signature(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self.0.try_sign(signing_input).map_err(|_| SignError::Signing)?;
        Ok(signature.encode().to_vec())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = PrivateKey::from_seed([7; 32]);
    let claims = br#"{"iss":"https://issuer.example","sub":"ada","exp":2000000000}"#;
    let token = sign(&key, &Map::new(), claims)?;

    let verifier = claimgate::Verifier::builder()
        .registry(Registry::builder().builtin().register(Arc::new(MlDsa)).build()?)
        .algorithms([NAME])
        .keys(KeySet::from_jwk(key.public_jwk().to_string().as_bytes(), &Limits::DEFAULT)?)
        .policy(Policy::jwt().issuer("https://issuer.example"))
        .build()?;
    let verified = verifier.verify(&token, claimgate::time::UnixTime(1_800_000_000))?;
    println!("verified {} bytes by {} for {:?}", token.len(), NAME, verified.claims().subject());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use claimgate::jws::JwsVerifier;

    fn verifier(jwk: &Value) -> JwsVerifier {
        let registry = Registry::builder().builtin().register(Arc::new(MlDsa)).build().expect("a new name");
        let keys = KeySet::from_jwk(jwk.to_string().as_bytes(), &Limits::DEFAULT).expect("a JWK");
        JwsVerifier::with_any_keys(&registry, [NAME, "EdDSA"], &keys, Limits::DEFAULT).expect("known names")
    }

    fn code(jwk: &Value, token: &str) -> &'static str {
        verifier(jwk).verify(token).map_or_else(|error| error.code(), |_| "valid")
    }

    #[test]
    fn the_example_runs() {
        main().expect("the token verifies");
    }

    #[test]
    fn no_wrong_key_verifies() {
        let key = PrivateKey::from_seed([1; 32]);
        let token = sign(&key, &Map::new(), b"{}").expect("a signature");
        let own = key.public_jwk();
        let with = |member: &str, value: Value| {
            let mut jwk = own.clone();
            jwk[member] = value;
            jwk
        };
        let mut without_alg = own.clone();
        without_alg.as_object_mut().expect("an object").remove("alg");
        for (jwk, wanted) in [
            (own.clone(), "valid"),
            (PrivateKey::from_seed([2; 32]).public_jwk(), "signature.invalid"),
            (with("alg", "ML-DSA-87".into()), "key.wrong_algorithm"),
            (without_alg, "key.member"),
            (with("pub", "AAAA".into()), "key.invalid"),
            (with("pub", "=".into()), "key.invalid"),
            (with("pub", Value::Null), "key.member"),
            (with("kty", "OKP2".into()), "key.none_fits"),
        ] {
            assert_eq!(code(&jwk, &token), wanted, "{jwk}");
        }
        let reason = verifier(&with("pub", "AAAA".into())).key_report().skipped[0].to_string();
        assert!(reason.ends_with("has 1952 bytes, not 3"), "{reason}");
    }

    #[test]
    fn no_flipped_bit_and_no_other_length_verifies() {
        let key = PrivateKey::from_seed([3; 32]);
        let input = format!("{}.e30", base64url::encode(br#"{"alg":"ML-DSA-65"}"#));
        let signature = key.signature(input.as_bytes()).expect("a signature");
        let jwk = key.public_jwk();
        let token = |signature: &[u8]| format!("{input}.{}", base64url::encode(signature));
        assert_eq!(code(&jwk, &token(&signature)), "valid");
        for at in (0..signature.len()).step_by(101).chain([signature.len() - 1]) {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            assert_eq!(code(&jwk, &token(&flipped)), "signature.invalid", "byte {at}");
        }
        for other in
            [&signature[1..], &signature[..signature.len() - 1], &[signature.as_slice(), &[0]].concat()]
        {
            assert_eq!(code(&jwk, &token(other)), "signature.invalid");
        }
    }
}
