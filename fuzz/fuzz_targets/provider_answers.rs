//! Whatever a provider, or somebody in its place, answers: read without a panic, and nothing is
//! accepted that leads where it must not.
#![no_main]

use claimgate::oidc::discovery::{self, EndpointOverrides};
use claimgate::oidc::token::{self, TokenError};
use claimgate::oidc::{backchannel, jwks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let issuer = "https://idp.example.com";
    let answer = http::Response::new(data.to_vec());
    if let Ok(metadata) = discovery::read(&answer, issuer, &EndpointOverrides::default(), false) {
        let jwks = metadata.jwks_uri.expect("required");
        for endpoint in [&metadata.authorization_endpoint, &metadata.token_endpoint, &jwks] {
            assert!(endpoint.as_str().starts_with("https://"), "{endpoint}");
            assert!(!endpoint.as_str().contains('#'), "{endpoint}");
        }
    }
    if let Ok((keys, _)) = jwks::read(&answer) {
        assert!(keys.keys().len() + keys.skipped().len() <= 1_000);
    }
    let _ = token::read(&answer, &token::Secrets::default());
    let mut refusal = answer.clone();
    *refusal.status_mut() = http::StatusCode::BAD_REQUEST;
    match token::read(&refusal, &token::Secrets::default()) {
        // What a provider says is shown to people: bounded, and without control characters.
        Err(TokenError::Refused { error, description }) => {
            for text in description.iter().chain([&error]) {
                assert!(text.chars().count() <= 300 && !text.chars().any(char::is_control), "{text:?}");
            }
        }
        _ => panic!("a refusal was read as something else"),
    }
    if let Ok(token) = backchannel::token_of_form(data) {
        let _ = backchannel::unverified_issuer(&token);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(issuer) = backchannel::unverified_issuer(text)
    {
        // Only three canonical segments get that far.
        assert_eq!(text.bytes().filter(|byte| *byte == b'.').count(), 2, "{issuer}");
    }
});
