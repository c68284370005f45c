//! The other subcommands: keygen, sign, decode, explain, config check, algorithms, completions.

use super::support::*;
use claimgate::alg::Registry;
use claimgate::sign;
use serde_json::{Value, json};

#[test]
fn what_keygen_makes_and_sign_signs_verifies() {
    let now = NOW.to_string();
    for algorithm in Registry::builtin().names() {
        let room = Room::new();
        let (private, public) = (room.path("key.json"), room.path("jwks.json"));
        let mut keygen = vec!["keygen", "--alg", algorithm, "--kid", "k1", "--out", &private];
        let secret = algorithm.starts_with("HS");
        if !secret {
            keygen.extend(["--public", &public]);
        }
        let made = run(&keygen);
        assert_eq!((made.code, made.out.as_str()), (0, ""), "{algorithm}: {}", made.err);
        let claims = claims().to_string();
        let signed =
            run_with(&["sign", "--key", &private, "--claims", "-", "--typ", "JWT"], claims.as_bytes());
        assert_eq!(signed.code, 0, "{algorithm}: {}", signed.err);
        let source = if secret { ["--key", &private] } else { ["--jwks", &public] };
        let mut verify = vec!["verify", "--alg", algorithm, "--now", &now, "--kind", "id_token"];
        verify.extend(source);
        let done = run_with(&verify, signed.out.as_bytes());
        assert_eq!(done.code, 0, "{algorithm}: {}", done.err);
    }
}

#[test]
fn every_algorithm_of_the_registry_can_sign() {
    let registry = Registry::builtin();
    assert_eq!(registry.names().collect::<Vec<_>>(), sign::ALGORITHMS);
}

#[test]
fn keygen_guards_what_it_writes() {
    let room = Room::new();
    let file = room.path("key.json");
    assert_eq!(run(&["keygen", "--alg", "EdDSA", "--out", &file]).code, 0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = run(&["keygen", "--alg", "EdDSA", "--out", &file]);
    assert!(again.code == 2 && again.err.contains("key.json"), "{}", again.err);
    let shown = run(&["keygen", "--alg", "EdDSA"]).json();
    assert!(shown["d"].is_string() && shown["alg"] == "EdDSA");
    for arguments in [
        vec!["keygen", "--alg", "none"],
        vec!["keygen", "--alg", "RS256", "--bits", "1024"],
        vec!["keygen", "--alg", "HS256", "--public", "never-written.json"],
    ] {
        assert_eq!(run(&arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn sign_takes_headers_and_refuses_what_does_not_fit() {
    let room = Room::new();
    let key = key("ES256");
    let file = room.write("key.json", key.private_jwk().to_string());
    let header = r#"{"x":1}"#;
    let signed = run(&[
        "sign",
        "--key",
        &file,
        "--claims",
        "{\"a\":1}",
        "--header",
        header,
        "--kid",
        "k2",
        "--typ",
        "t",
    ]);
    let shown = run_with(&["decode", "--format", "json"], signed.out.as_bytes()).json();
    assert_eq!(shown["header"], json!({"alg": "ES256", "kid": "k2", "typ": "t", "x": 1}));
    assert_eq!(shown["claims"], json!({"a": 1}));
    let public = room.write("public.json", key.public_jwk().expect("public").to_string());
    for (arguments, word) in [
        (vec!["--key", &public, "--claims", "{}"], "sign.member"),
        (vec!["--key", &file, "--claims", "{}", "--alg", "RS256"], "sign.wrong_family"),
        (vec!["--key", &file, "--claims", "{"], "claims"),
        (vec!["--key", &file, "--claims", "{}", "--header", "[]"], "--header"),
        (vec!["--key", "absent", "--claims", "{}"], "absent"),
    ] {
        let refused = run(&[&["sign"], arguments.as_slice()].concat());
        assert!(refused.code == 2 && refused.err.contains(word), "{arguments:?}: {}", refused.err);
    }
}

#[test]
fn decode_marks_what_it_shows() {
    let text = token(&key("ES256"), &claims());
    let shown = run(&["decode", &text]);
    assert_eq!(shown.code, 0);
    assert!(shown.err.contains("UNVERIFIED"), "{}", shown.err);
    let shown = run(&["decode", &text, "--format", "json"]).json();
    assert_eq!((shown["verified"].clone(), shown["claims"].clone()), (Value::Bool(false), claims()));
    assert_eq!(run(&["decode", "a.b"]).code, 1);
}

const CONFIG: &str = r#"
[provider]
issuer = "https://idp.example.com"
client_id = "crm"
algorithms = ["ES256"]
JWKS
[identity]
username = ["preferred_username", "sub"]
groups = ["groups"]

[[identity.team]]
group = "admins"
team = "Administrators"
"#;

#[test]
fn explain_says_who_and_why() {
    let room = Room::new();
    let key = key("ES256");
    room.write("jwks.json", jwks(&[&key]).to_string());
    let config = room.write("claimgate.toml", CONFIG.replace("JWKS", "jwks_file = \"jwks.json\""));
    let mut claims = claims();
    claims["groups"] = json!(["admins", "other"]);
    let (text, now) = (token(&key, &claims), NOW.to_string());

    let done = run(&["explain", "--config", &config, "--now", &now, "--format", "json", &text]);
    assert_eq!(done.code, 0, "{}", done.err);
    let identity = &done.json()["explanation"]["identity"];
    assert_eq!(done.json()["verified"], true);
    assert_eq!(
        (identity["username"].clone(), identity["teams"].clone()),
        (json!("alice"), json!(["Administrators"]))
    );
    let late = run(&["explain", "--config", &config, &text]);
    assert!(late.code == 1 && late.err.contains("claims.expired"), "{}", late.err);
    let unverified = run_with(&["explain", "--config", &config], claims.to_string().as_bytes());
    assert!(unverified.out.starts_with("UNVERIFIED") && unverified.out.contains("Administrators"));

    let bare = room.write("bare.toml", CONFIG.replace("JWKS", ""));
    let shown = run(&["explain", "--config", &bare, "--format", "json", &text]).json();
    assert_eq!(shown["verified"], false);
    let nobody = run_with(&["explain", "--config", &bare], b"{}");
    assert!(nobody.code == 1 && nobody.err.contains("error[identity.no_username]"), "{}", nobody.err);
}

#[test]
fn config_check_names_file_line_and_field() {
    let room = Room::new();
    let good = room.write("good.toml", CONFIG.replace("JWKS", ""));
    assert_eq!(run(&["config", "check", &good]).code, 0);
    let bad = room.write("bad.toml", CONFIG.replace("JWKS", "colour = 1"));
    let refused = run(&["config", "check", &bad]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("bad.toml:6") && refused.err.contains("colour"), "{}", refused.err);
    let lost = room.write("lost.toml", CONFIG.replace("JWKS", "jwks_file = \"absent.json\""));
    assert!(run(&["config", "check", &lost]).err.contains("absent.json"));
    assert_eq!(run(&["config", "check", "absent.toml"]).code, 2);
}

#[test]
fn lists_algorithms_and_prints_completions() {
    let listed = run(&["algorithms", "--format", "json"]).json();
    assert_eq!(listed, json!(Registry::builtin().names().collect::<Vec<_>>()));
    assert_eq!(run(&["algorithms"]).out.lines().count(), 14);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        assert!(script.code == 0 && script.out.contains("keygen"), "{shell}");
    }
}

#[test]
fn every_help_has_an_example() {
    let subcommands =
        ["verify", "query", "explain", "config", "decode", "keygen", "sign", "algorithms", "completions"];
    for subcommand in subcommands {
        let help = run(&[subcommand, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.out.contains(&format!("claimgate {subcommand} ")), "{}", help.out);
        assert!(help.out.contains("Example"), "{}", help.out);
    }
    assert!(run(&["--help"]).out.contains("Examples:"));
    assert!(run(&["--version"]).out.starts_with("claimgate "));
    assert_eq!(run(&[]).code, 2);
}

#[cfg(unix)]
#[test]
fn a_reader_that_stops_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_claimgate"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
