//! What jsonwebtoken's README shows, in its order, without its JWS as JSON and its thumbprints, which Claimgate does not
//! have. A comment before each part names the heading there and its number of lines; a test counts those here.
//!
//! ```sh
//! cargo run --example jsonwebtoken_readme --features sign
//! ```

// "How to use", imports: 2 lines
use claimgate::{Verifier, claims::Policy, jws::CompactJws, key::KeySet, limits::Limits, sign::SigningKey};
use serde::{Deserialize, Serialize};

// "How to use", claims: 6 lines
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Claims {
    sub: String,
    company: String,
    exp: u64,
}

/// Keys under 32 bytes are refused for HS256 (RFC 7518 §3.2).
const SECRET: &[u8] = b"a secret of at least 32 bytes, or 64 for HS512, which this one has.";
/// Made for the examples.
const PRIVATE_KEY: &str = include_str!("rsa_private_key.pem");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let my_claims = Claims { sub: "ada".to_owned(), company: "ACME".to_owned(), exp: 4_000_000_000 };

    // "Header": 1 line
    let token = SigningKey::from_secret(SECRET, "HS256")?.sign_claims(&my_claims)?;

    // "Custom headers & changing algorithm": 6 lines
    let header: serde_json::Map<_, _> = serde_json::from_str(r#"{"kid": "blabla", "custom": "header"}"#)?;
    let custom = SigningKey::from_secret(SECRET, "HS512")?.sign(&header, &serde_json::to_vec(&my_claims)?)?;

    // "Encoding": 2 lines
    let again = SigningKey::from_secret(SECRET, "HS256")?.sign_claims(&my_claims)?;
    let by_rsa = SigningKey::from_pem(PRIVATE_KEY, Some("RS256"))?.sign_claims(&my_claims)?;

    // "Decoding", by a secret: 1 line
    let keys = KeySet::from_secret(SECRET);
    let verifier = Verifier::builder().algorithms(["HS256"]).keys(keys).policy(Policy::jwt()).build()?;
    let claims: Claims = verifier.verify(&token, std::time::SystemTime::now())?.claims().deserialize()?;

    // "Decoding", the header alone: 1 line
    let unverified = CompactJws::parse(&custom, &Limits::DEFAULT)?.header(&Limits::DEFAULT)?;

    let jwk = SigningKey::from_pem(PRIVATE_KEY, Some("RS256"))?.public_jwk()?.to_string();

    // "Decoding", by the components of an RSA key: 1 line
    let keys = KeySet::from_jwk(jwk.as_bytes(), &Limits::DEFAULT)?;
    let verifier = Verifier::builder().algorithms(["RS256"]).keys(keys).policy(Policy::jwt()).build()?;
    let from_rsa: Claims = verifier.verify(&by_rsa, std::time::SystemTime::now())?.claims().deserialize()?;

    assert_eq!((&claims, &from_rsa, &token), (&my_claims, &my_claims, &again));
    assert_eq!((unverified.algorithm(), unverified.kid()), ("HS512", Some("blabla")));
    assert_eq!(unverified.as_object()["custom"], "header");
    println!("accepted: {claims:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_step_works() {
        super::main().expect("the example");
    }

    #[test]
    fn it_has_no_more_lines_than_the_readme() {
        let mut lines = include_str!("jsonwebtoken_readme.rs").lines().map(str::trim);
        let (mut there, mut here, mut parts) = (0, 0, 0);
        while let Some(line) = lines.next() {
            let Some((_, count)) = line.strip_prefix("// \"").and_then(|title| title.rsplit_once(": "))
            else {
                continue;
            };
            let count = count.split(' ').next().and_then(|count| count.parse::<usize>().ok());
            there += count.expect("a number of lines");
            here += lines.by_ref().take_while(|line| !line.is_empty()).count();
            parts += 1;
        }
        assert_eq!(parts, 8);
        assert!(here <= there, "{here} lines here, {there} there");
    }
}
