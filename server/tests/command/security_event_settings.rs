//! `[provider.security_events]`.
#![allow(clippy::unwrap_used)]

use claimgate_config::SecurityEvents;

use super::configuration::{PROVIDER, parse};

fn settings(table: &str) -> Result<Option<SecurityEvents>, String> {
    let text = format!("{PROVIDER}{table}");
    parse(&text).map(|config| config.providers[0].security_events.clone()).map_err(|error| error.to_string())
}

#[test]
fn an_empty_table_receives_the_events_of_the_provider_itself() {
    assert!(settings("").unwrap().is_none(), "events are received without the table");
    let provider = parse(PROVIDER).unwrap().providers[0].clone();
    let own = settings("[provider.security_events]\n").unwrap().unwrap();
    assert_eq!((&own.issuer, own.audiences), (&provider.issuer, vec![provider.client.id]));
    assert!(own.keys.is_none() && own.secret.is_none());
}

#[test]
fn another_transmitter_has_its_keys_and_no_key_verifies_by_the_client_secret() {
    let table = "algorithms = [\"RS256\", \"HS256\"]\nclient_secret = \"a secret of 32 characters at least\"\n\
                 [provider.security_events]\nissuer = \"https://events.example.com\"\naudience = [\"a\", \"b\"]\n\
                 jwks_uri = \"https://events.example.com/jwks\"\n";
    let other = settings(table).unwrap().unwrap();
    assert_eq!((other.issuer.as_str(), other.audiences.len()), ("https://events.example.com", 2));
    let keys = other.keys.unwrap();
    assert_eq!(
        (keys.uri.as_str(), keys.algorithms),
        ("https://events.example.com/jwks", vec!["RS256".to_owned()])
    );
    let own = settings(&format!("{table}algorithms = [\"ES256\"]\n")).unwrap().unwrap();
    assert_eq!(own.keys.unwrap().algorithms, ["ES256"]);
}

#[test]
fn a_table_that_could_receive_nothing_or_too_much_is_refused() {
    let keys = "jwks_uri = \"https://events.example.com/jwks\"\n";
    for (table, reason) in [
        (
            "issuer = \"https://events.example.com\"\n".to_owned(),
            "issuer: is another issuer than the provider's",
        ),
        ("issuer = \"\"\n".to_owned(), "issuer: must not be empty"),
        ("audience = []\n".to_owned(), "audience: must name at least one audience"),
        ("audience = [\"\"]\n".to_owned(), "audience: must name at least one audience"),
        ("algorithms = [\"ES256\"]\n".to_owned(), "algorithms: is for keys of the transmitter's own"),
        (format!("{keys}algorithms = []\n"), "algorithms: must name at least one algorithm"),
        (
            format!("{keys}algorithms = [\"HS256\"]\n"),
            "algorithms: a published key verifies none by a secret",
        ),
        (format!("{keys}algorithms = [\"XS256\"]\n"), "algorithms[0]: `XS256` is not registered"),
        (
            "jwks_uri = \"http://events.example.com/jwks\"\n".to_owned(),
            "jwks_uri: `http://events.example.com/jwks` is not accepted",
        ),
        (
            "transmitter_secret = \"short\"\n".to_owned(),
            "transmitter_secret: must have at least 32 characters",
        ),
        ("secret = \"x\"\n".to_owned(), "secret: unknown setting"),
    ] {
        let refusal = settings(&format!("[provider.security_events]\n{table}")).unwrap_err();
        assert!(refusal.contains(&format!("security_events.{reason}")), "{table}: {refusal}");
    }
    let presented = settings("verify.kind = \"security_event\"\n").unwrap_err();
    assert!(presented.contains("a security event token is never presented"), "{presented}");
}
