//! `claimgate keygen` and `claimgate sign`.

use super::support::*;
use claimgate::alg::Registry;
use serde_json::json;

#[test]
fn what_keygen_makes_and_sign_signs_verifies() {
    let now = NOW.to_string();
    for algorithm in Registry::builtin().names() {
        let folder = Folder::new();
        let (private, public) = (folder.path("key.json"), folder.path("jwks.json"));
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
        let mut verify = vec![
            "verify",
            "--alg",
            algorithm,
            "--now",
            &now,
            "--kind",
            "id_token",
            "--issuer",
            ISSUER,
            "--audience",
            "crm",
        ];
        verify.extend(source);
        let done = run_with(&verify, signed.out.as_bytes());
        assert_eq!(done.code, 0, "{algorithm}: {}", done.err);
    }
}

#[test]
fn keygen_guards_what_it_writes() {
    let folder = Folder::new();
    let file = folder.path("key.json");
    assert_eq!(run(&["keygen", "--alg", "EdDSA", "--out", &file]).code, 0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let public = folder.path("public.jwk");
    let both = run(&["keygen", "--alg", "EdDSA", "--public", &public, "--out", &file]);
    assert!(both.code == 2 && both.err.contains("overwrites no file"), "{}", both.err);
    assert!(!std::path::Path::new(&public).exists(), "a public key without its private key");
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
    let folder = Folder::new();
    let key = key("ES256");
    let file = folder.write("key.json", key.private_jwk().to_string());
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
    let public = folder.write("public.json", key.public_jwk().expect("public").to_string());
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
