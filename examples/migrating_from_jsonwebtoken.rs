//! What a program does with jsonwebtoken, and how it does it here. Each function stands for one call of jsonwebtoken.
//!
//! ```sh
//! cargo run --example migrating_from_jsonwebtoken --features sign
//! ```

use std::error::Error;
use std::time::{Duration, SystemTime};

use claimgate::Verifier;
use claimgate::claims::{AccessToken, Jwt, Policy};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::sign::SigningKey;
use serde::Deserialize;
use serde_json::json;

const PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEA+n1taRrSCcjiO8RSfl7NbDwCFk2
4A+ISeFEMZDM0k3G6kdALNR32Y6kUNtiXMiadl6X97MD1ynGm5BBqc6/Ww==
-----END PUBLIC KEY-----
";

#[derive(Debug, Deserialize, PartialEq)]
struct User {
    sub: String,
    company: String,
}

/// `decode::<User>(token, &DecodingKey::from_secret(secret), &Validation::new(Algorithm::HS256))`. The verifier is made
/// once, and names what is accepted: an issuer, an audience.
fn by_secret(secret: &[u8]) -> Result<Verifier<Jwt>, Box<dyn Error>> {
    let policy =
        Policy::jwt().issuer("https://idp.example.com").audience("crm").leeway(Duration::from_secs(5));
    let keys = KeySet::from_secret(secret);
    Ok(Verifier::builder().algorithms(["HS256"]).keys(keys).policy(policy).build()?)
}

/// `DecodingKey::from_rsa_pem`, `from_ec_pem` and `from_ed_pem`: the PEM text says which.
fn by_pem(pem: &str) -> Result<Verifier<Jwt>, Box<dyn Error>> {
    let policy = Policy::jwt().issuer("https://idp.example.com").audience("crm");
    let keys = KeySet::from_pem(pem)?;
    Ok(Verifier::builder().algorithms(["ES256"]).keys(keys).policy(policy).build()?)
}

/// `jwks.find(&decode_header(token)?.kid…)`, then `DecodingKey::from_jwk`: the verifier chooses the key.
fn by_jwk_set(jwks: &[u8]) -> Result<Verifier<AccessToken>, Box<dyn Error>> {
    let policy = Policy::access_token("https://idp.example.com", "crm");
    let keys = KeySet::from_jwks(jwks, &Limits::DEFAULT)?;
    Ok(Verifier::builder().algorithms(["ES256"]).keys(keys).policy(policy).build()?)
}

/// `encode(&Header::default(), &claims, &EncodingKey::from_secret(secret))`, in tests and tools.
fn sign(key: &SigningKey, header: serde_json::Value) -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": "https://idp.example.com", "aud": "crm", "sub": "ada", "company": "ACME", "exp": now + 300,
    });
    Ok(key.sign(header.as_object().ok_or("no object")?, claims.to_string().as_bytes())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let ada = User { sub: "ada".to_owned(), company: "ACME".to_owned() };
    let secret = b"a secret of at least 32 bytes, for HS256";
    let verifier = by_secret(secret)?;
    let token = sign(&SigningKey::from_secret(secret, "HS256")?, json!({"typ": "JWT"}))?;
    // A clock is an argument. `token.header()` has the header, `token.claims()` every claim.
    assert_eq!(verifier.verify(&token, SystemTime::now())?.claims().deserialize::<User>()?, ada);

    // `ErrorKind::ExpiredSignature`, `InvalidAudience` …: each error has a stable code.
    let later = SystemTime::now() + Duration::from_secs(3600);
    let expired = verifier.verify(&token, later).map_err(|error| error.code());
    assert_eq!(expired.err(), Some("claims.expired"));

    let key = SigningKey::generate("ES256", 2048)?;
    let by_another_key = sign(&key, json!({"typ": "JWT"}))?;
    let refused =
        by_pem(PUBLIC_KEY)?.verify(&by_another_key, SystemTime::now()).map_err(|error| error.code());
    assert_eq!(refused.err(), Some("signature.invalid"));

    let mut jwk = key.public_jwk()?;
    jwk["kid"] = "2026".into();
    let verifier = by_jwk_set(json!({"keys": [jwk]}).to_string().as_bytes())?;
    let token = sign(&key, json!({"typ": "at+jwt", "kid": "2026"}))?;
    assert_eq!(verifier.verify(&token, SystemTime::now())?.claims().deserialize::<User>()?, ada);
    println!("accepted: {ada:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_step_works() {
        super::main().expect("the example");
    }
}
