//! The configuration file: its examples, and its errors.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use claimgate::alg::{Algorithm, PreparedKey, Registry};
use claimgate::claims::TokenKind;
use claimgate::key::{KeyError, VerificationKey};
use claimgate_server::config::{Config, ConfigError};
use claimgate_server::web::provider::Provider;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "claimgate.toml", Path::new(""), &Registry::builtin())
}

const PROVIDER: &str = "[provider]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\n";

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(PROVIDER).unwrap();
    let provider = &config.providers[0];
    assert_eq!((provider.algorithms.as_slice(), provider.leeway), (&["RS256".to_owned()][..], 60));
    assert_eq!((provider.token, &provider.jwks_file), (TokenKind::IdToken, &None));
    let identity = config.providers[0].mapping.identify(&serde_json::json!({"sub": "A"})).unwrap();
    assert_eq!(identity.username, "a");
}

#[test]
fn the_rsa_kernel_has_a_switch() {
    let token = std::fs::read_to_string("../vectors/demo/token.txt").unwrap();
    let keys = std::fs::read("../vectors/demo/jwks.json").unwrap();
    for line in ["", "rsa_kernel = true\n", "rsa_kernel = false\n"] {
        let server = "[server]\npublic_url = \"https://sso.example.com\"\n";
        let config = parse(&format!("{server}{line}{PROVIDER}")).unwrap();
        let provider = &config.providers[0];
        let keys = claimgate::key::KeySet::from_jwks(&keys, &claimgate::limits::Limits::DEFAULT).unwrap();
        let verifier = claimgate::Verifier::builder().registry(provider.registry.clone()).keys(keys);
        let verifier = verifier.algorithms(provider.algorithms.clone()).build().unwrap();
        assert!(verifier.jws().verify(token.trim()).is_ok(), "{line}");
    }
}

/// An algorithm of a program's own.
struct X1;

impl Algorithm for X1 {
    fn name(&self) -> &str {
        "X1"
    }

    fn prepare(&self, _: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        Err(KeyError::WrongFamily)
    }
}

#[test]
fn a_registered_algorithm_works_in_a_provider() {
    let registry = Registry::builder().builtin().register(X1).build().unwrap();
    let text = format!("{PROVIDER}algorithms = [\"X1\", \"RS256\"]\n");
    let config = Config::parse(&text, "claimgate.toml", Path::new(""), &registry).unwrap();
    let provider = config.providers[0].clone();
    assert!(provider.registry.get("X1").is_some());
    claimgate_server::web::run::install_tls();
    Provider::new(provider).unwrap();
    let error = parse(&text).unwrap_err();
    assert!(error.to_string().contains("`X1` is no algorithm"), "{error}");
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
    let missing = Config::load(Path::new("no-such-file.toml"), &Registry::builtin()).unwrap_err();
    assert_eq!(missing.code(), "config.read");
    assert!(missing.to_string().contains("no-such-file.toml"));
}

/// A setting that cannot work is an error at the start, with its place, and not a surprise later.
#[test]
fn settings_that_cannot_work_are_refused() {
    let server = "[server]\npublic_url = \"https://sso.example.com\"\n";
    let secret = "client_secret = \"a secret\"\n";
    let ways = "discovery = false\nauthorization_endpoint = \"https://idp.example.com/a\"\ntoken_endpoint = \"https://idp.example.com/t\"\n";
    for (start, provider, names) in [
        ("[server]\npublic_url = \"http://sso.example.com\"\n", "", "server.public_url"),
        ("[server]\npublic_url = \"https://sso.example.com/?a\"\n", "", "server.public_url"),
        ("[server]\npublic_url = \"https://u:p@sso.example.com\"\n", "", "server.public_url"),
        ("[server]\npublic_url = \"javascript:x\"\n", "", "server.public_url"),
        (&format!("{server}listen = \"8080\"\n"), "", "server.listen"),
        (&format!("{server}tls_key = \"k.pem\"\n"), "", "server.tls_key"),
        (&format!("{server}cookie_domain = \"example.org\"\n"), "", "server.cookie_domain"),
        (&format!("{server}cookie_domain = \"com\"\n"), "", "server.cookie_domain"),
        (&format!("{server}cookie_domain = \"o.example.com\"\n"), "", "server.cookie_domain"),
        (&format!("{server}trusted_proxies = [\"proxy\"]\n"), "", "server.trusted_proxies"),
        (&format!("{server}metrics_from = [\"10.0.0.0/33\"]\n"), "", "server.metrics_from"),
        (&format!("{server}verify_secret = \"\"\n"), "", "server.verify_secret"),
        ("[sign_in]\npassword_fallback = false\n", "", "sign_in.password_fallback"),
        ("[sign_in]\nsession_lifetime = 59\n", "", "sign_in.session_lifetime"),
        ("[sign_in]\nsession_lifetime = 7776001\n", "", "sign_in.session_lifetime"),
        (server, "name = \"password\"\n", "provider.name"),
        (server, "name = \"a/b\"\n", "provider.name"),
        (server, "jwks_uri = \"http://idp.example.com/jwks\"\n", "provider.jwks_uri"),
        (server, "token_endpoint = \"file:///etc/passwd\"\n", "provider.token_endpoint"),
        (server, "userinfo_endpoint = \"https://a:b@idp.example.com/\"\n", "provider.userinfo_endpoint"),
        (server, "discovery = false\n", "provider.discovery"),
        (server, ways, "provider.discovery"),
        (server, "algorithms = [\"HS256\"]\n", "provider.algorithms"),
        (server, "algorithms = [\"rs256\"]\n", "provider.algorithms"),
        (server, "token_endpoint_auth_method = \"tls_client_auth\"\n", "provider.token_endpoint_auth_method"),
        (
            server,
            "token_endpoint_auth_method = \"client_secret_post\"\n",
            "provider.token_endpoint_auth_method",
        ),
        (server, "token_endpoint_auth_method = \"private_key_jwt\"\n", "provider.token_endpoint_auth_method"),
        (server, "private_key_file = \"no-such-file.pem\"\n", "provider.private_key_file"),
        (server, "client_secret_file = \"no-such-file\"\n", "provider.client_secret_file"),
        (server, "client_secret_env = \"CLAIMGATE_NO_SUCH_VARIABLE\"\n", "provider.client_secret_env"),
        (server, &format!("{secret}client_secret_env = \"PATH\"\n"), "provider.client_secret"),
        (server, "leeway = 3601\n", "provider.leeway"),
        (server, "prompt = \"always\"\n", "provider.prompt"),
        (server, "scopes = [\"profile email\"]\n", "provider.scopes"),
        (server, "logout_url = \"javascript:alert(1)\"\n", "provider.logout_url"),
    ] {
        let text = format!("{start}{PROVIDER}{provider}");
        let error = parse(&text).expect_err(&text);
        assert_eq!(error.code(), "config.value", "{error}\n{text}");
        assert!(error.to_string().contains(&format!(" {names}: ")), "{error} should name {names}");
        assert!(!error.to_string().contains(":0:"), "{error} names no line");
    }
    for (start, provider) in [
        ("[sign_in]\npassword_fallback = false\nallow_admins = true\n", ""),
        ("[server]\npublic_url = \"http://127.0.0.1:8080\"\n", ""),
        ("[server]\npublic_url = \"http://app.localhost\"\n", ""),
        (server, "prompt = \"login consent\"\n"),
        (server, &format!("{secret}algorithms = [\"HS256\"]\n")),
        (server, &format!("{ways}jwks_uri = \"https://idp.example.com/jwks?v=2\"\n")),
        (server, "logout_url = \"https://idp.example.com/bye?c={clientId}&to={siteUrl}#x\"\n"),
    ] {
        parse(&format!("{start}{PROVIDER}{provider}")).unwrap();
    }
    let two = |a: &str, b: &str| {
        parse(&format!(
            "[[provider]]\nissuer = \"https://a.example.com\"\nclient_id = \"x\"\n{a}[[provider]]\nissuer = \"https://b.example.com\"\nclient_id = \"x\"\n{b}"
        ))
    };
    two("", "name = \"b\"\n").unwrap();
    let error = two("", "").unwrap_err();
    assert!(error.to_string().contains("provider.name"), "{error}");
    let same = "[[provider]]\nissuer = \"https://a.example.com\"\nclient_id = \"x\"\n[[provider]]\nname = \"b\"\nissuer = \"https://a.example.com\"\nclient_id = \"y\"\n";
    assert!(parse(same).unwrap_err().to_string().contains("claimgate.toml:6: provider.issuer"));
}

#[test]
fn every_example_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let mut examples = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        Config::load(&file, &Registry::builtin()).unwrap();
        examples += 1;
    }
    assert_eq!(examples, 7);
}

#[test]
fn the_key_file_stands_beside_the_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/demo");
    let config = Config::load(&folder.join("claimgate.toml"), &Registry::builtin()).unwrap();
    assert_eq!(config.providers[0].jwks_file.as_deref(), Some(folder.join("jwks.json").as_path()));
}

/// Every example in the reference and the guides is read as `claimgate serve` would read it.
#[test]
fn the_configurations_in_the_documents_load() {
    let block = regex::Regex::new(r"(?s)```toml\n(.*?)```").unwrap();
    let mut checked = 0;
    for document in [
        "README.md",
        "docs/reference/configuration.md",
        "docs/guide/providers.md",
        "docs/guide/deployment.md",
    ] {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document)).unwrap();
        for found in block.captures_iter(&text) {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("client-secret"), "a secret for the test\n").unwrap();
            let config = Config::parse(&found[1], document, folder.path(), &Registry::builtin());
            if let Err(error) = config {
                panic!("{error}\n{}", &found[1]);
            }
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked}");
}
