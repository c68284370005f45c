//! Verifies a token by the keys at an address.
//!
//! ```sh
//! cargo run --package claimgate-remote --example jwks_by_url -- https://idp.example.com https://idp.example.com/jwks crm "$TOKEN"
//! ```

use claimgate::claims::Policy;
use claimgate_remote::{Issuer, VerifyError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [issuer, jwks_uri, audience, token] = arguments.as_slice() else {
        return Err("usage: jwks_by_url ISSUER JWKS_URI AUDIENCE TOKEN".into());
    };
    let tokens = Issuer::jwks(issuer, jwks_uri)
        .algorithms(["RS256", "ES256"])
        .policy(Policy::access_token(issuer, audience))
        .spawn()?;
    match tokens.verify(token).await {
        Ok(token) => println!("{}", token.claims().as_value()),
        Err(VerifyError::Unavailable(error)) => eprintln!("try again: {error} [{}]", error.code()),
        Err(refusal) => eprintln!("refused: {refusal} [{}]", refusal.code()),
    }
    Ok(())
}
