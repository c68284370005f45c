//! What a provider publishes, and what of it is refused: discovery, key sets, addresses.

use std::time::Duration;

use claimgate::key::KeyError;
use claimgate::oidc::discovery::{self, DiscoveryError, EndpointOverrides};
use claimgate::oidc::endpoint::{Endpoint, EndpointError};
use claimgate::oidc::{Response, jwks};
use serde_json::{Value, json};

const ISSUER: &str = "https://idp.example.com/realms/acme";

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example.com/authorize",
        "token_endpoint": "https://idp.example.com/token",
        "jwks_uri": "https://keys.example.com/jwks",
        "end_session_endpoint": "https://idp.example.com/end",
        "token_endpoint_auth_methods_supported": ["client_secret_post", 7],
    })
}

fn answer(body: &[u8]) -> Response {
    http::Response::new(body.to_vec())
}

fn read(
    document: &Value,
    overrides: &EndpointOverrides,
) -> Result<discovery::ProviderMetadata, DiscoveryError> {
    discovery::read(&answer(document.to_string().as_bytes()), ISSUER, overrides, false)
}

#[test]
fn the_document_is_asked_for_below_the_issuer() {
    for (issuer, address) in [
        (ISSUER, "https://idp.example.com/realms/acme/.well-known/openid-configuration"),
        ("https://idp.example.com", "https://idp.example.com/.well-known/openid-configuration"),
        ("https://idp.example.com/", "https://idp.example.com/.well-known/openid-configuration"),
    ] {
        let request = discovery::request(&Endpoint::parse(issuer, false).unwrap());
        assert_eq!(request.uri().to_string(), address);
    }
}

#[test]
fn a_good_document_is_read_and_the_configuration_wins() {
    let metadata = read(&document(), &EndpointOverrides::default()).unwrap();
    assert_eq!(metadata.token_auth_methods, ["client_secret_post"]);
    assert_eq!(metadata.jwks_uri.unwrap().as_str(), "https://keys.example.com/jwks");
    assert!(metadata.claims_parameter && !metadata.iss_in_callback);
    let own = Endpoint::parse("https://own.example.com/token", false).unwrap();
    let overrides = EndpointOverrides { token_endpoint: Some(own.clone()), ..EndpointOverrides::default() };
    assert_eq!(read(&document(), &overrides).unwrap().token_endpoint, own);
}

// attack: discovery.other-issuer, discovery.no-jwks-uri, discovery.plain-http
#[test]
fn a_lying_document_is_refused() {
    let spoiled = |member: &str, value: Value| {
        let mut document = document();
        document[member] = value;
        read(&document, &EndpointOverrides::default()).map(drop).map_err(|error| error.code())
    };
    assert_eq!(spoiled("issuer", json!("https://idp.example.com/realms/acme/")), Err("discovery.issuer"));
    assert_eq!(spoiled("issuer", json!("https://evil.example.com")), Err("discovery.issuer"));
    assert_eq!(spoiled("issuer", json!(null)), Err("discovery.member"));
    assert_eq!(spoiled("jwks_uri", json!(null)), Err("discovery.member"));
    assert_eq!(spoiled("jwks_uri", json!("")), Err("discovery.member"));
    assert_eq!(spoiled("token_endpoint", json!(1)), Err("discovery.member"));
    for address in [
        "http://idp.example.com/token",
        "http://127.0.0.1/token",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://idp.example.com/",
        "javascript:alert(1)",
        "//idp.example.com/token",
        "https://user:word@idp.example.com/token",
        "https://idp.example.com/token#x",
    ] {
        assert_eq!(spoiled("token_endpoint", json!(address)), Err("discovery.endpoint"), "{address}");
        assert_eq!(spoiled("jwks_uri", json!(address)), Err("discovery.endpoint"), "{address}");
    }
    // A scheme in capitals is the same scheme.
    let (issuer, mut capitals) = ("HTTPS://idp.example.com", document());
    capitals["issuer"] = json!(issuer);
    capitals["jwks_uri"] = json!("http://127.0.0.1/jwks");
    let response = answer(capitals.to_string().as_bytes());
    let refused = discovery::read(&response, issuer, &EndpointOverrides::default(), false).unwrap_err();
    assert_eq!(refused.code(), "discovery.endpoint");
    let bytes = |body: &[u8]| {
        discovery::read(&answer(body), ISSUER, &EndpointOverrides::default(), false).unwrap_err().code()
    };
    assert_eq!(bytes(b"<html>"), "discovery.json");
    assert_eq!(bytes(b"\x1f\x8b\x08"), "discovery.json");
    assert_eq!(bytes(br#"{"issuer":"a","issuer":"b"}"#), "discovery.json");
    for status in [301, 302, 404, 500] {
        let response =
            http::Response::builder().status(status).body(document().to_string().into_bytes()).unwrap();
        let error = discovery::read(&response, ISSUER, &EndpointOverrides::default(), false).unwrap_err();
        assert!(matches!(&error, DiscoveryError::Status(found) if found.status == status), "{error}");
    }
}

// finding: F4, D3
// attack: discovery.plain-http
#[test]
fn an_optional_endpoint_that_is_unusable_takes_nothing_else_away() {
    for member in ["userinfo_endpoint", "end_session_endpoint"] {
        let with = |value: Value| {
            let mut document = document();
            document[member] = value;
            let metadata = read(&document, &EndpointOverrides::default()).unwrap();
            let endpoint = match member {
                "userinfo_endpoint" => metadata.userinfo_endpoint,
                _ => metadata.end_session_endpoint,
            };
            assert_eq!(endpoint, None, "{member}");
            metadata.unused.iter().map(DiscoveryError::code).collect::<Vec<_>>()
        };
        assert!(with(json!(null)).is_empty() && with(json!("")).is_empty());
        assert_eq!(with(json!(7)), ["discovery.member"]);
        for address in
            ["/logout", "http://idp.example.com/x", "http://127.0.0.1/x", "https://a:b@idp.example.com/"]
        {
            assert_eq!(with(json!(address)), ["discovery.endpoint"], "{address}");
        }
    }
    // What the configuration names is used, whatever the document says.
    let own = Endpoint::parse("https://own.example.com/me", false).unwrap();
    let overrides =
        EndpointOverrides { userinfo_endpoint: Some(own.clone()), ..EndpointOverrides::default() };
    let mut document = document();
    document["userinfo_endpoint"] = json!("/me");
    let metadata = read(&document, &overrides).unwrap();
    assert_eq!((metadata.userinfo_endpoint, metadata.unused), (Some(own), Vec::new()));
}

// finding: F8, D11, U-s06, U-s11, U-s14
#[test]
fn a_document_that_is_not_used_says_why() {
    let said = |response: http::response::Builder, body: &[u8]| {
        let response = response.body(body.to_vec()).unwrap();
        let read = discovery::read(&response, ISSUER, &EndpointOverrides::default(), false);
        read.map(drop).map_err(|error| error.to_string())
    };
    let ok = http::Response::builder;
    assert_eq!(said(ok(), format!("\u{feff}{}", document()).as_bytes()), Ok(()));
    let redirect = ok().status(302).header("location", "https://elsewhere.example.com/");
    let redirect = said(redirect, b"").unwrap_err();
    assert!(redirect.contains("status 302, a redirect to https://elsewhere.example.com/"), "{redirect}");
    let twice = said(ok(), br#"{"issuer":"a","issuer":"b"}"#).unwrap_err();
    assert_eq!(twice, "the discovery document holds the member `issuer` twice");
    let latin = said(ok(), b"{\"issuer\":\"M\xfcller\"}").unwrap_err();
    assert!(latin.contains("UTF-8"), "{latin}");
    let array = said(ok(), b"[1]").unwrap_err();
    assert_eq!(array, "the discovery document is an array, and must be a JSON object");
}

// attack: discovery.plain-http
#[test]
fn http_is_for_loopback_or_by_permission() {
    for host in ["localhost", "sub.localhost", "127.0.0.1", "127.8.8.8", "[::1]"] {
        assert!(Endpoint::parse(&format!("http://{host}:1/"), false).is_ok(), "{host}");
    }
    for host in ["idp", "127.0.0.1.example.com", "localhost.example.com", "0.0.0.0", "10.0.0.1", "[::]"] {
        let address = format!("http://{host}:1/");
        assert_eq!(Endpoint::parse(&address, false), Err(EndpointError::Scheme), "{host}");
        assert!(Endpoint::parse(&address, true).is_ok(), "{host}");
    }
    assert_eq!(Endpoint::parse("ftp://localhost/", true), Err(EndpointError::Scheme));
}

// attack: key-fetch.hundred-megabytes
#[test]
fn a_key_set_is_bounded_and_its_lifetime_read() {
    let set = br#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"?"},7]}"#;
    let response =
        http::Response::builder().header("cache-control", "public, max-age=120").body(set.to_vec());
    let (keys, max_age) = jwks::read(&response.unwrap()).unwrap();
    assert_eq!((keys.keys().len(), keys.skipped().len(), max_age), (1, 2, Some(Duration::from_secs(120))));
    // What everybody can read is no secret, whatever algorithms are allowed.
    assert_eq!(keys.skipped()[0].reason, KeyError::Private);
    let code = |body: &[u8]| jwks::read(&answer(body)).unwrap_err().code();
    assert_eq!(code(b"<html>"), "key.json");
    assert_eq!(code(b"{}"), "key.member");
    let huge = format!("{{\"keys\":[{}]}}", vec!["7"; 10_000].join(","));
    assert_eq!(code(huge.as_bytes()), "key.set_too_large");
    let response = http::Response::builder().status(302).body(set.to_vec()).unwrap();
    assert_eq!(jwks::read(&response).unwrap_err().code(), "jwks.status");
}

#[test]
fn documents_of_running_providers() {
    let Some(folder) = super::shared_data::find("discovery") else { return };
    let mut read = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let body = std::fs::read(&file).unwrap();
        if file.display().to_string().ends_with(".jwks.json") {
            assert!(!jwks::read(&answer(&body)).unwrap().0.keys().is_empty(), "{}", file.display());
        } else {
            let issuer: Value = serde_json::from_slice(&body).unwrap();
            let issuer = issuer["issuer"].as_str().unwrap();
            discovery::read(&answer(&body), issuer, &EndpointOverrides::default(), false).unwrap();
        }
        read += 1;
    }
    assert_eq!(read, 4);
}
