//! A configuration that is accepted holds what the server relies on; one that is not says where.
//!
//! Inputs that could name a file are passed over: the parser would read it.
#![no_main]

use std::path::Path;

use claimgate_config::{Config, Extensions, Position};
use libfuzzer_sys::fuzz_target;

/// Reports whether a position is one of the text: of a character, or just behind a line.
fn is_within(text: &str, Position { line, column }: Position) -> bool {
    let mut lines = text.split('\n');
    let found = line.checked_sub(1).and_then(|before| lines.nth(before));
    found.is_some_and(|line| (1..=line.chars().count() + 1).contains(&column))
}

fuzz_target!(|text: &str| {
    if ["_file", "tls_", "\\u", "\\U", "\\x"].iter().any(|word| text.contains(word)) {
        return;
    }
    let extensions = Extensions::builtin();
    let names: Vec<&str> = extensions.registry.names().collect();
    let config = Config::parse(text, "claimgate.toml", Path::new(""), &extensions);
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            assert!(error.to_string().contains("claimgate.toml"), "{error}");
            assert!(!error.faults().is_empty());
            for fault in error.faults() {
                assert!(!fault.code().is_empty());
                let position = fault.position.expect("the text was read");
                assert!(is_within(text, position), "{fault}");
            }
            return;
        }
    };
    assert!(config.notes.iter().all(|note| is_within(text, note.position)), "{:?}", config.notes);
    assert!(!config.providers.is_empty());
    for provider in &config.providers {
        assert!(!provider.issuer.is_empty() && !provider.algorithms.is_empty());
        assert!(provider.algorithms.iter().all(|algorithm| names.contains(&algorithm.as_str())));
        assert!(provider.audiences.iter().all(|audience| !audience.is_empty()));
        assert_eq!(config.provider(&provider.id).map(|found| &found.issuer), Some(&provider.issuer));
        let endpoints = &provider.endpoints;
        let endpoints = [
            &provider.discovery,
            &endpoints.authorization_endpoint,
            &endpoints.token_endpoint,
            &endpoints.userinfo_endpoint,
            &endpoints.jwks_uri,
            &endpoints.end_session_endpoint,
        ];
        for endpoint in endpoints.into_iter().flatten() {
            assert!(
                !endpoint.is_plain_http() || endpoint.is_loopback() || provider.danger_allow_http,
                "{endpoint}"
            );
            assert!(!endpoint.as_str().contains('#'));
        }
    }
    if let Some(server) = &config.server {
        assert!(!server.public_url.origin.ends_with('/') && !server.public_url.path.ends_with('/'));
    }
});
