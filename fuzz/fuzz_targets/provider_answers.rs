//! Responses of a provider, or of an attacker in its place: parsed without a panic, and no endpoint is
//! accepted that must not be called.
#![no_main]

use std::sync::LazyLock;

use claimgate::oidc::authorization::{
    self, AuthorizationOptions, AuthorizationRequest, CallbackParameters, CallbackProvider,
};
use claimgate::oidc::client::Client;
use claimgate::oidc::discovery::{self, EndpointOverrides};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::token::{self, Secrets, TokenError};
use claimgate::oidc::{backchannel, jwks};
use claimgate::time::UnixTime;
use claimgate::verifier::unverified_issuer;
use libfuzzer_sys::fuzz_target;

/// The secrets of the token request of one sign-in.
static SECRETS: LazyLock<Secrets> = LazyLock::new(|| {
    let endpoint = |path: &str| Endpoint::parse(&format!("https://idp.example.com{path}"), false).ok();
    let overrides = EndpointOverrides {
        authorization_endpoint: endpoint("/authorize"),
        token_endpoint: endpoint("/token"),
        ..EndpointOverrides::default()
    };
    let metadata = overrides.complete().expect("every required endpoint");
    let request = AuthorizationRequest {
        provider: "acme",
        metadata: &metadata,
        client_id: "crm",
        redirect_uri: "https://crm.example.com/callback/acme",
        options: &AuthorizationOptions::default(),
        return_to: "/",
    };
    let mut random = |bytes: &mut [u8]| bytes.fill(7);
    let pending = authorization::begin(&request, UnixTime(0), &mut random).pending;
    let query = format!("code=a-code&state={}", pending.state());
    let provider = CallbackProvider { id: "acme", issuer: "https://idp.example.com", metadata: &metadata };
    let parameters = CallbackParameters::parse(&query);
    let authorization = pending.accept(&provider, &parameters, UnixTime(0), |_| true);
    let authorization = authorization.ok().expect("the query was made from the pending sign-in");
    let client = Client::new("crm");
    let request = token::request(&authorization, &client, &metadata, "https://x", UnixTime(0), &mut random);
    request.ok().expect("a public client signs nothing").secrets
});

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
    let _ = token::read(&answer, &SECRETS);
    let mut refusal = answer.clone();
    *refusal.status_mut() = http::StatusCode::BAD_REQUEST;
    match token::read(&refusal, &SECRETS) {
        // What a provider says is shown to people: bounded, and without control characters.
        Err(TokenError::Refused { error, description }) => {
            for text in description.iter().chain([&error]) {
                assert!(text.chars().count() <= 300 && !text.chars().any(char::is_control), "{text:?}");
            }
        }
        _ => panic!("a refusal was read as something else"),
    }
    if let Ok(token) = backchannel::token_of_form(data) {
        let _ = unverified_issuer(&token);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(issuer) = unverified_issuer(text)
    {
        // Only three canonical segments get that far.
        assert_eq!(text.bytes().filter(|byte| *byte == b'.').count(), 2, "{issuer}");
    }
});
