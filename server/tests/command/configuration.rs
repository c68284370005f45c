//! The configuration file: what its settings mean, and its errors.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use claimgate::alg::{Algorithm, PreparedKey, Registry};
use claimgate::claims::TokenKind;
use claimgate::key::{KeyError, VerificationKey};
use claimgate::sign::SigningKey;
use claimgate_config::{Config, ConfigError, Extensions};
use claimgate_server::web::provider::Provider;

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "claimgate.toml", Path::new(""), &Extensions::builtin())
}

pub(super) const PROVIDER: &str = "[[provider]]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\n";

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(PROVIDER).unwrap();
    let provider = &config.providers[0];
    assert_eq!((provider.algorithms.as_slice(), provider.leeway), (&["RS256".to_owned()][..], 60));
    assert_eq!((provider.presented, &provider.jwks_file), (TokenKind::IdToken, &None));
    assert_eq!(provider.presented_age, 24 * 60 * 60);
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
        let keys = claimgate::key::KeySet::from_jwks_with_secrets(&keys, &claimgate::limits::Limits::DEFAULT)
            .unwrap();
        let verifier = claimgate::Verifier::builder().registry(provider.registry.clone()).keys(keys);
        let verifier = verifier
            .algorithms(provider.algorithms.clone())
            .policy(claimgate::claims::Policy::jwt())
            .build()
            .unwrap();
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
fn a_registered_signer_proves_the_client() {
    let mut extensions = Extensions::builtin();
    let key = SigningKey::generate("ES256", SigningKey::DEFAULT_RSA_BITS).unwrap().with_kid("1");
    extensions.signers.insert("kms".to_owned(), Arc::new(key));
    let parse = |settings: &str| {
        let text = format!("{PROVIDER}{settings}");
        Config::parse(&text, "claimgate.toml", Path::new(""), &extensions)
    };
    let config =
        parse("private_key_signer = \"kms\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\n").unwrap();
    let signer = config.providers[0].client.key.clone().unwrap();
    assert_eq!((signer.algorithm(), signer.kid()), ("ES256", Some("1")));
    let unknown = parse("private_key_signer = \"hsm\"\n").unwrap_err().to_string();
    assert!(
        unknown.starts_with("claimgate.toml:4:22: provider[0].private_key_signer: `hsm` is unknown"),
        "{unknown}"
    );
    assert!(unknown.contains("the signers of this program are kms"), "{unknown}");
    for other in
        ["private_key_file = \"key.pem\"", "private_key_algorithm = \"ES256\"", "private_key_id = \"2\""]
    {
        let both = parse(&format!("private_key_signer = \"kms\"\n{other}\n")).unwrap_err().to_string();
        assert!(both.contains("stands beside another `private_key_` setting"), "{both}");
    }
}

#[test]
fn a_registered_algorithm_works_in_a_provider() {
    let registry = Registry::builder().builtin().register(std::sync::Arc::new(X1)).build().unwrap();
    let server = "[server]\npublic_url = \"https://sso.example.com\"\n";
    let text = format!("{server}{PROVIDER}algorithms = [\"X1\", \"RS256\"]\n");
    let config = Config::parse(&text, "claimgate.toml", Path::new(""), &registry.into()).unwrap();
    let provider = config.providers[0].clone();
    assert!(provider.registry.get("X1").is_some());
    claimgate_server::web::run::install_tls();
    Provider::new(provider, true, &[]).unwrap();
    let error = parse(&text).unwrap_err();
    assert!(error.to_string().contains("`X1` is not registered"), "{error}");
}

/// The files whose lines were guessed wrong once, and others that a search of the text would miss.
#[test]
fn each_fault_names_its_line_column_and_setting() {
    let two = "[identity]\nusername = \"sub\"\n\n[[identity.team]]\ngroup = \"x\"\nteam = \"X\"\n\n\
        [[provider]]\nid = \"one\"\nissuer = \"https://one.example\"\nclient_id = \"c\"\n\n\
        [[provider]]\nid = \"two\"\nissuer = \"https://two.example\"\nclient_id = \"c\"\n\n\
        [provider.identity]\nusername = \"sub\"\n\n[[provider.identity.team]]\nregex = \"(\"\nteam = \"Y\"\n";
    for (text, place) in [
        // A shared mapping that is right, and a fault in the second provider's own.
        (two.to_owned(), "22:9: provider[1].identity.team[0].regex (provider `two`): `(` is not"),
        // A mapping of the only provider.
        (
            "[[provider]]\nissuer = \"https://one.example\"\nclient_id = \"c\"\n\n[provider.identity]\nusername = \"sub\"\n\n\
             [[provider.identity.team]]\nregex = \"(\"\nteam = \"Y\"\n"
                .to_owned(),
            "9:9: provider[0].identity.team[0].regex: `(` is not",
        ),
        // Dotted keys.
        (
            "provider.issuer = \"https://i.example\"\nprovider.client_id = \"\"\n".to_owned(),
            "1:1: provider: write [[provider]] in double brackets",
        ),
        (format!("server.public_url = \"https://s.example\"\nserver.listen = \"x\"\n{PROVIDER}"), "2:17: server.listen: "),
        (format!("sign_in . session_lifetime = 1\n{PROVIDER}"), "1:30: sign_in.session_lifetime: "),
        (format!("{PROVIDER}identity.username = []\n"), "4:21: provider[0].identity.username: "),
        // White space in a heading.
        ("[[ provider ]]\nissuer = \"https://i.example\"\nclient_id = \"\"\n".to_owned(), "3:13: provider[0].client_id: "),
        // Quoted keys.
        ("[[provider]]\nissuer = \"https://i.example\"\n\"client_id\" = \"\"\n".to_owned(), "3:15: provider[0].client_id: "),
        ("[[\"provider\"]]\nissuer = \"https://i.example\"\n'client_id' = \"\"\n".to_owned(), "3:15: provider[0].client_id: "),
        // Inline tables, and lists of several lines.
        ("provider = [{ issuer = \"https://i.example\",\n  client_id = \"\" }]\n".to_owned(), "2:15: provider[0].client_id: "),
        (
            format!("{PROVIDER}algorithms = [\n  \"RS256\",\n  \"RS1\",\n]\n"),
            "6:3: provider[0].algorithms[1]: `RS1` is not registered",
        ),
        (format!("{PROVIDER}[identity]\ngroups = [\"a\", \"$[\"]\n"), "5:16: identity.groups[1]: `$[`: "),
        (format!("{PROVIDER}[identity]\nusername = [\"a\",\n\"$[\"]\n"), "6:1: identity.username[1]: `$[`: "),
        (format!("{PROVIDER}[identity.profile]\n\"a.b\" = \"$[\"\n"), "5:9: identity.profile.\"a.b\": `$[`: "),
        (
            format!("{PROVIDER}[identity]\ngroups = [{{ path = \"$[\" }}]\n"),
            "5:20: identity.groups[0].path: `$[`: ",
        ),
        // A key that looks like a setting, in a text of several lines.
        (
            format!("{PROVIDER}display_name = \"\"\"\nleeway = 1\n\"\"\"\nleeway = 301\n"),
            "7:10: provider[0].leeway: ",
        ),
        // The table where a setting is missing.
        (format!("{PROVIDER}\n[[provider]]\nid = \"b\"\nissuer = \"https://b.example\"\n"), "5:1: provider[1].client_id (provider `b`): is missing"),
        ("[sign_in]\n[[provider]]\nissuer = \"https://x.example\"\n".to_owned(), "2:1: provider[0].client_id: is missing"),
        (format!("{PROVIDER}[[identity.team]]\ngroup = \"a\"\n"), "4:1: identity.team[0]: give `team`"),
        ("[sign_in]\n".to_owned(), "1:1: provider: is missing"),
        // Types, and what is not TOML.
        (format!("{PROVIDER}userinfo = \"no\"\n"), "4:12: provider[0].userinfo: has the wrong type: string \"no\", expected true or false"),
        (format!("{PROVIDER}algorithms = \"RS256\"\n"), "4:14: provider[0].algorithms: has the wrong type"),
        (format!("{PROVIDER}algorithms = [\"RS256\", 1]\n"), "4:24: provider[0].algorithms[1]: has the wrong type"),
        (format!("{PROVIDER}client_secret = 123456\n"), "4:17: provider[0].client_secret: must be a text in quotes"),
        (format!("{PROVIDER}[[identity.team]]\nteams = \"a\"\n"), "5:9: identity.team[0].teams: has the wrong type"),
        (format!("{PROVIDER}verify.kind = \"id\"\n"), "4:15: provider[0].verify.kind: unknown variant `id`"),
        (
            format!("{PROVIDER}[provider.verify]\nkind = \"jwt\"\nuntyped_access_tokens = true\n"),
            "6:25: provider[0].verify.untyped_access_tokens: is for access tokens alone",
        ),
        (
            format!("{PROVIDER}[provider.verify]\nkind = \"access_token\"\nuntyped_access_tokens = true\n"),
            "6:25: provider[0].verify.untyped_access_tokens: needs `audience`",
        ),
        (format!("{PROVIDER}verify.kind = \"logout_token\"\n"), "4:15: provider[0].verify.kind: a logout token is never presented"),
        (format!("{PROVIDER}leeway = \n"), "4:"),
        (format!("{PROVIDER}issuer = \"y\"\n"), "4:1: duplicate key"),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.faults().len(), 1, "{error}");
        let error = error.to_string();
        assert!(error.starts_with(&format!("claimgate.toml:{place}")), "{error}\nshould be {place} in\n{text}");
        assert!(!error.contains("123456"), "{error}");
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let text = "[server]\npublic_url = \"ftp://x\"\nlisten = \"x\"\n[sign_in]\nsession_lifetime = 1\n\
        [[provider]]\nid = \"A\"\nissuer = \"https://a.example\"\nclient_id = \"\"\nleeway = \"x\"\n\
        [[provider]]\nid = \"b\"\nissuer = \"https://b.example\"\nprompt = \"x\"\nscopes = [\"a b\"]\n\
        [identity]\nusername = \"$[\"\n";
    let error = parse(text).unwrap_err();
    let lines: Vec<_> = error.faults().iter().map(|fault| fault.position.unwrap().line).collect();
    assert_eq!(lines, [2, 3, 5, 10, 11, 14, 15, 17], "{error}");
}

#[test]
fn every_setting_of_the_wrong_type_is_reported() {
    let text = "[server]\npublic_url = 1\nlisten = false\ntrusted_proxies = [\"::1\", 2, \"::2\", 3]\n\
        [[provider]]\nissuer = \"https://a.example\"\nclient_id = 7\nleeway = \"x\"\n\
        [provider.identity]\ngroups = [{ path = 1 }, \"a\", { path = \"b\", object_keys = \"yes\" }]\n\
        [[provider.identity.team]]\ngroup = 1\nteam = 2\n";
    let error = parse(text).unwrap_err();
    let found: Vec<_> = error
        .faults()
        .iter()
        .map(|fault| (fault.position.unwrap().line, fault.setting.clone().unwrap(), fault.code()))
        .collect();
    let expected = [
        (2, "server.public_url"),
        (3, "server.listen"),
        (4, "server.trusted_proxies[1]"),
        (4, "server.trusted_proxies[3]"),
        (7, "provider[0].client_id"),
        (8, "provider[0].leeway"),
        (10, "provider[0].identity.groups[0].path"),
        (10, "provider[0].identity.groups[2].object_keys"),
        (12, "provider[0].identity.team[0].group"),
        (13, "provider[0].identity.team[0].team"),
    ];
    assert_eq!(found, expected.map(|(line, setting)| (line, setting.to_owned(), "config.syntax")), "{error}");
}

#[test]
fn an_unknown_setting_gets_a_suggestion() {
    for (start, line, reason) in [
        (PROVIDER, "colour = 1", "provider[0].colour: unknown setting of [[provider]]"),
        (PROVIDER, "algoritms = []", "provider[0].algoritms: unknown setting; did you mean `algorithms`?"),
        (PROVIDER, "clientid = \"c\"", "provider[0].clientid: unknown setting; did you mean "),
        (PROVIDER, "listen = \"x\"", "provider[0].listen: unknown setting; `listen` belongs to [server]"),
        (
            PROVIDER,
            "[identity]\nuser_name = \"x\"",
            "identity.user_name: unknown setting; did you mean `username`?",
        ),
        (
            PROVIDER,
            "[identity]\nregex = \"x\"",
            "identity.regex: unknown setting; `regex` belongs to [[identity.team]]",
        ),
        (PROVIDER, "[identiy]", "identiy: unknown setting; did you mean `identity`?"),
        (
            PROVIDER,
            "[identity]\ngroups = [{ path = \"a\", seperator = \" \" }]",
            "identity.groups[0].seperator: unknown setting; did you mean `separator`?",
        ),
        (
            PROVIDER,
            "[identity.team]\ngroup = \"a\"\nteam = \"b\"",
            "identity.team: write [[identity.team]] in double brackets",
        ),
        (
            PROVIDER,
            "[provider.identity.team]\ngroup = \"a\"",
            "provider[0].identity.team: write [[provider.identity.team]] in double brackets",
        ),
        (PROVIDER, "[[identity]]", "identity: write [identity] in single brackets"),
        ("", "[provider]\nissuer = \"x\"", "provider: write [[provider]] in double brackets"),
        ("issuer = \"x\"\n", PROVIDER, "issuer: unknown setting; `issuer` belongs to [[provider]]"),
    ] {
        let text = format!("{start}{line}\n");
        let error = parse(&text).unwrap_err();
        assert_eq!(error.code(), "config.syntax", "{error}\n{text}");
        assert!(error.to_string().contains(reason), "{error} should say {reason}");
    }
}

#[test]
fn an_earlier_spelling_is_an_error_that_names_the_present_one() {
    for (line, reason) in [
        ("name = \"a\"", "provider[0].name: is now `id`"),
        ("title = \"a\"", "provider[0].title: is now `display_name`"),
        ("token = \"jwt\"", "provider[0].token: is now `kind` of [provider.verify]"),
        ("audience = \"a\"", "provider[0].audience: is now `audience` of [provider.verify]"),
        ("allow_http = true", "is now `danger_allow_http`"),
        ("allow_short_secret = true", "is now `danger_allow_short_secret`"),
        ("logout_without_exp = true", "is now `danger_logout_without_exp`"),
        ("rsa_kernel = false", "provider[0].rsa_kernel: is now a setting of [server]"),
        ("[sign_in]\nreplace_all_teams = true", "write `keep_hand_given_teams = false`"),
        ("logout_url = \"https://x/{clientId}\"", "`{clientId}` is now `{client_id}`"),
        ("logout_url = \"https://x/{siteUrl}\"", "`{siteUrl}` is now `{site_url}`"),
        ("logout_url = \"https://x/{client}\"", "`{client}` is unknown; {client_id} and {site_url}"),
    ] {
        let error = parse(&format!("{PROVIDER}{line}\n")).unwrap_err();
        assert!(error.to_string().contains(reason), "{error} should say {reason}");
    }
}

#[test]
fn a_duration_is_whole_seconds_or_has_a_unit() {
    for (written, seconds) in [
        ("3600", 3600),
        ("\"90s\"", 90),
        ("\"15m\"", 900),
        ("\"12h\"", 43_200),
        ("\"1d\"", 86_400),
        ("\"090s\"", 90),
    ] {
        let config = parse(&format!("{PROVIDER}[sign_in]\nsession_lifetime = {written}\n")).unwrap();
        assert_eq!(config.sign_in.session_lifetime.as_secs(), seconds, "{written}");
    }
    for written in [
        "-1",
        "1.5",
        "\"\"",
        "\"h\"",
        "\"12\"",
        "\"12 h\"",
        "\"1h30m\"",
        "\"-1h\"",
        "\"+1h\"",
        "\"1.5h\"",
        "\"1w\"",
        "\"1H\"",
        "\"12ü\"",
        "\"99999999999999999999s\"",
        "\"9999999999999999999d\"",
        "true",
        "[1]",
        "12:00:00",
    ] {
        let error = parse(&format!("{PROVIDER}max_age = {written}\n")).unwrap_err().to_string();
        assert!(error.starts_with("claimgate.toml:4:11: provider[0].max_age: has "), "{error}");
        assert!(
            error.contains(r#"expected whole seconds such as 90, or "90s", "15m", "12h" or "1d""#),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Config::load(Path::new("no-such-file.toml"), &Extensions::builtin()).unwrap_err();
    assert_eq!(missing.code(), "config.read");
    assert!(missing.to_string().starts_with("no-such-file.toml: cannot be read: "), "{missing}");
}
