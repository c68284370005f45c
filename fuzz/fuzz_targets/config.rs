//! A configuration that is accepted holds what the server relies on; one that is not says where.
//!
//! Inputs that could name a file are passed over: the parser would read it.
#![no_main]

use std::path::Path;

use claimgate::alg::Registry;
use claimgate_config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if ["_file", "tls_", "\\u", "\\U", "\\x"].iter().any(|word| text.contains(word)) {
        return;
    }
    let registry = Registry::builtin();
    let names: Vec<&str> = registry.names().collect();
    let config = Config::parse(text, "claimgate.toml", Path::new(""), &registry);
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            assert!(error.to_string().contains("claimgate.toml"), "{error}");
            assert!(!error.code().is_empty());
            return;
        }
    };
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
