//! The configuration file: its examples, and its errors.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used)]

use std::path::Path;

use claimgate::alg::Registry;
use claimgate::config::{Config, ConfigError, Token};

fn parse(text: &str) -> Result<Config, ConfigError> {
    let registry = Registry::builtin();
    Config::parse(text, "claimgate.toml", Path::new(""), &|name| registry.get(name).is_some())
}

const PROVIDER: &str = "[provider]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\n";

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(PROVIDER).unwrap();
    let provider = &config.providers[0];
    assert_eq!((provider.algorithms.as_slice(), provider.leeway), (&["RS256".to_owned()][..], 60));
    assert_eq!((provider.token, &provider.jwks_file), (Token::IdToken, &None));
    let identity = config.providers[0].mapping.identify(&serde_json::json!({"sub": "A"})).unwrap();
    assert_eq!(identity.username, "a");
}

#[test]
fn each_error_names_the_file_the_line_and_the_field() {
    for (text, code, place) in [
        (format!("{PROVIDER}colour = 1\n"), "config.syntax", "claimgate.toml:4:1: unknown field `colour`"),
        (format!("{PROVIDER}leeway = \"x\"\n"), "config.syntax", "claimgate.toml:4:10"),
        (format!("{PROVIDER}leeway = \n"), "config.syntax", "claimgate.toml:4:"),
        ("[provider]\nissuer = \"x\"\n".to_owned(), "config.syntax", "client_id"),
        (format!("{PROVIDER}algorithms = []\n"), "config.value", "claimgate.toml:4: provider.algorithms"),
        (
            format!("{PROVIDER}algorithms = [\"none\"]\n"),
            "config.value",
            "claimgate.toml:4: provider.algorithms: `none`",
        ),
        (
            "[provider]\nissuer = \"\"\nclient_id = \"x\"".to_owned(),
            "config.value",
            "claimgate.toml:2: provider.issuer",
        ),
        (
            format!("{PROVIDER}[identity]\nusername = \"$[\"\n"),
            "mapping.path",
            "claimgate.toml:5: identity.username: `$[`",
        ),
        (
            format!("{PROVIDER}[identity]\nuser = \"sub\"\n"),
            "config.syntax",
            "claimgate.toml:5:1: unknown field `user`",
        ),
        (
            format!("{PROVIDER}[[identity.team]]\ngroup = \"a\"\n"),
            "mapping.setting",
            "claimgate.toml:4: identity.team[0]: give `team`",
        ),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(place), "{error} should name {place}");
    }
    let missing = Config::load(Path::new("no-such-file.toml"), &|_| true).unwrap_err();
    assert_eq!(missing.code(), "config.read");
    assert!(missing.to_string().contains("no-such-file.toml"));
}

#[test]
fn every_example_loads() {
    let registry = Registry::builtin();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut examples = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        Config::load(&file, &|name| registry.get(name).is_some()).unwrap();
        examples += 1;
    }
    assert_eq!(examples, 7);
}

#[test]
fn the_key_file_stands_beside_the_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/demo");
    let config = Config::load(&folder.join("claimgate.toml"), &|_| true).unwrap();
    assert_eq!(config.providers[0].jwks_file.as_deref(), Some(folder.join("jwks.json").as_path()));
}
