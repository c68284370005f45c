//! `claimgate verify`: one token, exit codes and messages.

use super::support::*;
use claimgate::base64url;
use claimgate::sign::SigningKey;
use serde_json::{Map, Value, json};

struct Case {
    folder: Folder,
    key: SigningKey,
    jwks: String,
    now: String,
}

impl Case {
    fn new() -> Self {
        let (folder, key) = (Folder::new(), key("ES256"));
        let jwks = folder.write("jwks.json", jwks(&[&key]).to_string());
        Self { folder, key, jwks, now: NOW.to_string() }
    }

    fn verify(&self, claims: &Value, more: &[&str]) -> Outcome {
        self.verify_text(&token(&self.key, claims), more)
    }

    fn verify_text(&self, text: &str, more: &[&str]) -> Outcome {
        let mut arguments = vec!["verify", "--jwks", &self.jwks, "--alg", "ES256", "--now", &self.now];
        arguments.extend(more);
        if !more.contains(&"--audience") {
            arguments.extend(["--audience", "crm"]);
        }
        if more.contains(&"--kind") {
            arguments.extend(["--issuer", "https://idp.example.com"]);
        }
        run_with(&arguments, format!("{text}\r\n").as_bytes())
    }
}

#[test]
fn a_refusal_says_what_was_found_and_what_would_accept_it() {
    let case = Case::new();
    let with = |claim: &str, value: Value| {
        let mut claims = claims();
        claims[claim] = value;
        claims
    };
    let other = ["--issuer", "https://other.example.com"];
    let (untyped, trusted) = (["--kind", "access_token"], ["--kind", "id_token"]);
    for (claims, options, said) in [
        (
            claims(),
            &other[..],
            ["with --issuer; found: iss: \"https://idp.example.com\"", "error[claims.issuer]"],
        ),
        (claims(), &untyped[..], ["--untyped-access-tokens; found: ", "error[claims.typ]"]),
        (
            with("aud", json!(["crm", "\u{9b}x"])),
            &trusted[..],
            ["--trusted-audience if it may be there; found: aud: [\"crm\",\"\\u009bx\"]", "untrusted]"],
        ),
    ] {
        let refused = case.verify(&claims, options);
        assert!(said.iter().all(|said| refused.err.contains(said)), "{said:?}: {}", refused.err);
    }
    let text = token(&case.key, &claims());
    let arguments = ["verify", "--jwks", &case.jwks, "--alg", "RS256,ES384", "--audience", "crm", &text];
    let refused = run(&arguments);
    assert!(
        refused.err.contains("with --alg if the issuer signs by it; found: alg: \"ES256\""),
        "{}",
        refused.err
    );
}

#[test]
fn a_good_token_gives_its_claims() {
    let case = Case::new();
    let policy =
        ["--issuer", "https://idp.example.com", "--audience", "x", "--audience", "crm", "--subject", "alice"];
    let done = case.verify(&claims(), &policy);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(done.json(), claims());
    let json = case.verify(&claims(), &["--format", "json", "--kind", "id_token"]);
    assert_eq!(json.json()["valid"], true);
    assert_eq!(json.json()["header"]["kid"], "k1");
    assert_eq!(json.json()["claims"], claims());
    let text = token(&case.key, &claims());
    let argument = run(&[
        "verify",
        "--jwks",
        &case.jwks,
        "--alg",
        "RS256,ES256",
        "--now",
        &case.now,
        "--audience",
        "crm",
        &text,
    ]);
    assert_eq!(argument.code, 0, "{}", argument.err);
}

#[test]
fn untyped_access_tokens_are_accepted_where_that_is_asked_for() {
    let case = Case::new();
    let mut access_token = claims();
    access_token["scope"] = "crm.read".into();
    let refused = case.verify(&access_token, &["--kind", "access_token"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("--untyped-access-tokens"), "{}", refused.err);
    let untyped = ["--kind", "access_token", "--untyped-access-tokens"];
    let accepted = case.verify(&access_token, &untyped);
    assert_eq!(accepted.code, 0, "{}", accepted.err);
    assert!(case.verify(&claims(), &untyped).err.starts_with("error[claims.typ]: "));
    assert_eq!(case.verify(&access_token, &["--untyped-access-tokens"]).code, 2);
}

#[test]
fn a_refused_token_says_why_and_exits_1() {
    let case = Case::new();
    let mut late = claims();
    late["exp"] = (NOW - 61).into();
    let refused = case.verify(&late, &[]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.err.starts_with("error[claims.expired]: "), "{}", refused.err);
    assert_eq!(case.verify(&late, &["--leeway", "120"]).code, 0);
    let json = case.verify(&late, &["--format", "json"]);
    assert_eq!((json.code, json.json()["valid"].clone()), (1, false.into()));
    assert_eq!(json.json()["code"], "claims.expired");
    for (more, code) in [
        (["--issuer", "https://other.example.com"], "claims.issuer"),
        (["--audience", "other"], "claims.audience"),
        (["--subject", "bob"], "claims.subject"),
        (["--nonce", "n"], "claims.missing"),
        (["--typ", "at+jwt"], "claims.typ"),
        (["--require", "jti"], "claims.missing"),
        (["--kind", "logout_token"], "claims.missing"),
        (["--kind", "access_token"], "claims.typ"),
        (["--alg", "RS256"], ""),
    ] {
        let refused = case.verify(&claims(), &more);
        if code.is_empty() {
            // Allowing another algorithm too takes nothing away.
            assert_eq!(refused.code, 0);
            continue;
        }
        assert_eq!(refused.code, 1, "{more:?}");
        assert!(refused.err.starts_with(&format!("error[{code}]: ")), "{more:?}: {}", refused.err);
    }
    let mut old = claims();
    old["iat"] = (NOW - 10_000).into();
    assert!(case.verify(&old, &["--max-token-age", "60"]).err.contains("claims.too_old"));
    let old_spelling = case.verify(&claims(), &["--kind", "id-token"]);
    assert_eq!(old_spelling.code, 2);
    assert!(old_spelling.err.contains("'id_token'"), "{}", old_spelling.err);
    for (old, new) in [
        (&["--max-age", "60"][..], "--max-token-age"),
        (&["--allow-weak-keys"][..], "--danger-allow-weak-keys"),
    ] {
        let old_spelling = case.verify(&claims(), old);
        assert_eq!(old_spelling.code, 2);
        assert!(old_spelling.err.contains(&format!("is spelled {new}")), "{}", old_spelling.err);
    }
    let stranger = token(&key("ES256"), &claims());
    let refused = case.verify_text(&stranger, &[]);
    assert!(refused.err.contains("signature.invalid"), "{}", refused.err);
}

#[test]
fn keys_come_as_pem_jwk_or_secret() {
    let case = Case::new();
    let jwk = case.folder.write("key.json", case.key.public_jwk().expect("public").to_string());
    let text = token(&case.key, &claims());
    let now = case.now.as_str();
    assert_eq!(
        run(&["verify", "--key", &jwk, "--alg", "ES256", "--now", now, "--audience", "crm", &text]).code,
        0
    );
    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/keys/p256.spki.pem");
    let other = run(&["verify", "--key", pem, "--alg", "ES256", "--now", now, "--audience", "crm", &text]);
    assert!(other.err.contains("signature.invalid"), "{}", other.err);

    let secret = "0123456789abcdef0123456789abcdef";
    let file = case.folder.write("secret", format!("{secret}\n"));
    let signed = token(&SigningKey::from_secret(secret.as_bytes(), "HS256").expect("secret"), &claims());
    let verify =
        ["verify", "--secret-file", &file, "--alg", "HS256", "--now", now, "--audience", "crm", &signed];
    assert_eq!(run(&verify).code, 0);

    let short = case.folder.write("short", "short");
    let signed = token(&SigningKey::from_secret(b"short", "HS256").expect("secret"), &claims());
    let mut verify =
        vec!["verify", "--secret-file", &short, "--alg", "HS256", "--now", now, "--audience", "crm", &signed];
    let refused = run(&verify);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("note: not used: ") && refused.err.contains("error[key."),
        "{}",
        refused.err
    );
    verify.push("--danger-allow-weak-keys");
    assert_eq!(run(&verify).code, 0);
}

#[test]
fn a_token_for_an_audience_needs_one_of_the_options() {
    let case = Case::new();
    let text = token(&case.key, &claims());
    let verify = |more: &[&str]| {
        let keys = ["verify", "--jwks", &case.jwks, "--alg", "ES256", "--now", &case.now];
        run(&[&keys[..], more, &[&text]].concat())
    };
    let refused = verify(&[]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.starts_with("error[claims.audience]: "), "{}", refused.err);
    assert!(refused.err.contains("--audience") && refused.err.contains("--any-audience"), "{}", refused.err);
    assert_eq!(verify(&["--any-audience"]).code, 0);
    assert_eq!(verify(&["--any-audience", "--audience", "crm"]).code, 2);
    for (more, option) in [
        (&["--kind", "id_token"][..], "--issuer"),
        (&["--kind", "id_token", "--audience", "crm"], "--issuer"),
        (&["--kind", "id_token", "--issuer", "https://idp.example.com"], "--audience"),
        (&["--kind", "access_token", "--issuer", "https://idp.example.com", "--any-audience"], "--audience"),
    ] {
        let refused = verify(more);
        assert_eq!(refused.code, 2, "{more:?}");
        assert!(refused.err.contains(&format!("need {option}")), "{more:?}: {}", refused.err);
    }
}

#[test]
fn usage_and_unreadable_files_exit_2() {
    let case = Case::new();
    let jwks = case.jwks.as_str();
    let broken = case.folder.write("broken.json", "{");
    let private =
        case.folder.write("private.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for arguments in [
        vec!["verify", "--jwks", jwks, "a.b.c"],
        vec!["verify", "--alg", "ES256", "a.b.c"],
        vec!["verify", "--jwks", jwks, "--key", jwks, "--alg", "ES256", "a.b.c"],
        vec!["verify", "--jwks", jwks, "--alg", "none", "a.b.c"],
        vec!["verify", "--jwks", jwks, "--alg", "es256", "a.b.c"],
        vec!["verify", "--jwks", jwks, "--alg", "RS257", "a.b.c"],
        vec!["verify", "--jwks", "absent.json", "--alg", "ES256", "a.b.c"],
        vec!["verify", "--jwks", &broken, "--alg", "ES256", "a.b.c"],
        vec!["verify", "--key", &private, "--alg", "ES256", "a.b.c"],
        vec!["verify", "--jsonl", "absent.jsonl"],
        vec!["verify", "--jsonl", "--alg", "ES256"],
        vec!["verify", "--no-such-flag"],
    ] {
        let refused = run(&arguments);
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{arguments:?}");
        assert!(!refused.err.is_empty());
    }
    assert!(run(&["verify", "--jwks", &broken, "--alg", "ES256", "a.b.c"]).err.contains("broken.json"));
    assert!(run(&["verify", "--jwks", jwks, "a.b.c"]).err.contains("--alg RS256"));
}

#[test]
fn what_a_token_says_cannot_steer_the_terminal() {
    let case = Case::new();
    let mut hostile = claims();
    hostile["name"] = "\u{1b}[2J \u{9b}31m \u{202e}reversed \u{7f}".into();
    let done = case.verify(&hostile, &[]);
    assert_eq!(done.code, 0);
    assert_eq!(done.json(), hostile);
    let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!done.out.contains(steers), "{:?}", done.out);

    let header: Map<String, Value> = Map::from_iter([("kid".to_owned(), json!("\u{1b}]0;x\u{7}"))]);
    let text = case.key.sign(&header, claims().to_string().as_bytes()).expect("signs");
    let refused = case.verify_text(&text, &[]);
    assert!(!refused.err.contains(steers), "{:?}", refused.err);
}

#[test]
fn whatever_is_wrong_with_the_bytes_is_a_refusal() {
    let case = Case::new();
    let verify = ["verify", "--jwks", &case.jwks, "--alg", "ES256", "-"];
    let unsigned = format!("{}.{}.", base64url::encode(b"{\"alg\":\"none\"}"), base64url::encode(b"{}"));
    for (input, code) in [
        (&b"\xff\xfe"[..], "jws."),
        (b"", "jws.shape"),
        (b"a.b", "jws.shape"),
        (b" a.b.c", "jws."),
        (unsigned.as_bytes(), "jws.no_signature"),
    ] {
        let refused = run_with(&verify, input);
        assert_eq!(refused.code, 1, "{input:?}: {}", refused.err);
        assert!(refused.err.starts_with(&format!("error[{code}")), "{input:?}: {}", refused.err);
    }
}

/// The files that README names.
#[test]
fn the_demonstration_token_verifies() {
    let jwks = repository_file("vectors/demo/jwks.json");
    let verify = |now, more: &[&str], token: &str| {
        let policy = ["--issuer", "https://idp.example.com/realms/acme", "--audience", "crm"];
        let keys = ["--jwks", &jwks, "--alg", "RS256", "--kind", "id_token", "--now", now, "-"];
        run_with(&[&["verify"], &policy[..], &keys, more].concat(), token.as_bytes())
    };
    let valid = verify(DEMO_NOW, &[], &demo_token());
    assert_eq!(valid.code, 0, "{}", valid.err);
    assert_eq!(valid.json()["aud"], "crm");
    let late = verify("9000000000", &[], &demo_token());
    assert_eq!((late.code, late.out.as_str()), (1, ""));
    assert!(late.err.starts_with("error[claims.expired]: "), "{}", late.err);
    let malformed = verify(DEMO_NOW, &["--format", "json"], "a.b.c");
    assert_eq!((malformed.code, malformed.json()["code"].clone()), (1, "jws.base64url".into()));
}

#[test]
fn a_file_in_the_place_of_a_token_is_wrong_usage() {
    let (file, jwks) = (repository_file("vectors/demo/token.txt"), repository_file("vectors/demo/jwks.json"));
    for arguments in [&["verify", "--jwks", &jwks, "--alg", "RS256", &file][..], &["decode", &file]] {
        let refused = run(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}: {}", refused.err);
        assert!(refused.err.contains("is a file, not a token; give - and"), "{}", refused.err);
    }
}

// finding: U-t42, U-t07, U-t02, U-t43, U-t46, U-t14
#[test]
fn a_refusal_names_what_was_found() {
    let case = Case::new();
    let sign = |text: &[u8]| case.key.sign(&Map::new(), text).expect("signs");
    let good = token(&case.key, &claims());
    let latin = [br#"{"exp":1,"name":"M"#, &[0xfc][..], br#"ller"}"#].concat();
    for (token, said) in [
        (format!("Bearer {good}"), "begins with `Bearer `"),
        (good.replacen('.', "==.", 1), "header segment is not canonical unpadded base64url: it is padded"),
        (
            sign(br#"{"exp":9007199254740993}"#),
            "`exp` is a number out of range, and must be a number of seconds",
        ),
        (sign(br#"{"exp":"1795500000"}"#), "`exp` is a string"),
        (sign(br#"{"exp":1795500000,"aud":[1]}"#), "`aud` is an array of something else"),
        (
            sign(br#"{"exp":1795500000,"address":{},"address":{}}"#),
            "the claims set holds the member `address` twice",
        ),
        (sign("\u{feff}{}".as_bytes()), "the claims set begins with a byte order mark"),
        (sign(&latin), "the claims set is not UTF-8"),
        (sign(br#"{"exp":1,"name":"\ud800"}"#), "half of a surrogate pair"),
        (sign(b"7"), "the claims set is a number, and must be a JSON object"),
    ] {
        let refused = run_with(&["verify", "--jwks", &case.jwks, "--alg", "ES256", "-"], token.as_bytes());
        assert_eq!(refused.code, 1, "{said}");
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
        assert_eq!(refused.err.lines().count(), 1, "{}", refused.err);
    }
}

#[test]
fn a_duration_on_the_command_line_may_have_a_unit() {
    let case = Case::new();
    let mut late = claims();
    late["exp"] = (NOW - 200).into();
    for (leeway, code) in [("5m", 0), ("300", 0), ("300s", 0), ("3m", 1), ("soon", 2), ("-1", 2), ("5 m", 2)]
    {
        let done = case.verify(&late, &["--leeway", leeway]);
        assert_eq!(done.code, code, "{leeway}: {}", done.err);
        assert!(code != 2 || leeway == "-1" || done.err.contains("whole seconds such as 90"), "{}", done.err);
    }
}

#[test]
fn a_key_file_given_to_the_wrong_option_is_named() {
    let case = Case::new();
    let jwk = case.folder.write("jwk.json", case.key.public_jwk().expect("public").to_string());
    let pem = std::fs::read_to_string(repository_file("vectors/keys/p256.spki.pem")).expect("a key");
    let pem = case.folder.write("key.pem", pem);
    let marked = std::fs::read_to_string(&case.jwks).expect("the set");
    let marked = case.folder.write("marked.json", format!("\u{feff}{marked}"));
    for (option, file, said) in [
        ("--key", &case.jwks, "give it with --jwks"),
        ("--key", &marked, "give it with --jwks"),
        ("--jwks", &jwk, "give it with --key"),
        ("--jwks", &pem, "give it with --key"),
    ] {
        let refused = run(&["verify", option, file, "--alg", "ES256", "x"]);
        assert_eq!(refused.code, 2);
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
}
