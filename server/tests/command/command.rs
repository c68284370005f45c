//! The command, run as a person or a script would.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_claimgate"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn demo_token() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/demo/token.txt")).unwrap()
}

const VERIFY: [&str; 12] = [
    "verify",
    "--jwks",
    "vectors/demo/jwks.json",
    "--alg",
    "RS256",
    "--issuer",
    "https://idp.example.com/realms/acme",
    "--audience",
    "crm",
    "--kind",
    "id_token",
    "-",
];
/// Within the demonstration token's life.
const NOW: [&str; 2] = ["--now", "1795500000"];

#[test]
fn verify_prints_the_claims_or_the_code() {
    let arguments = [&VERIFY[..], &NOW].concat();
    let valid = run(&arguments, &demo_token());
    assert_eq!(valid.status.code(), Some(0), "{}", err(&valid));
    let claims: Value = serde_json::from_str(&out(&valid)).unwrap();
    assert_eq!(claims["aud"], "crm");

    let late = run(&[&VERIFY[..], &["--now", "9000000000"]].concat(), &demo_token());
    assert_eq!(late.status.code(), Some(1));
    assert!(err(&late).starts_with("error[claims.expired]: "), "{}", err(&late));
    assert!(late.stdout.is_empty());

    let json = run(&[&arguments[..], &["--format", "json"]].concat(), "a.b.c");
    assert_eq!(json.status.code(), Some(1));
    assert_eq!(lines(&json)[0]["code"], "jws.base64url");
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &["verify", "--alg", "RS256", "-"][..],
        &["verify", "--jwks", "vectors/demo/jwks.json", "-"],
        &["verify", "--jwks", "no-such-file", "--alg", "RS256", "-"],
        &["verify", "--jwks", "vectors/demo/jwks.json", "--alg", "RS257", "-"],
        &["nonsense"],
        &["config", "check", "no-such-file"],
    ] {
        let output = run(arguments, "a.b.c");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", err(&output));
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_file_in_the_place_of_a_token_is_told_apart() {
    let file = "vectors/demo/token.txt";
    for arguments in
        [&["verify", "--jwks", "vectors/demo/jwks.json", "--alg", "RS256", file][..], &["decode", file]]
    {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains("is a file, not a token; give - and"), "{}", err(&output));
    }
}

#[test]
fn every_vector_through_json_lines_in_order() {
    let (mut input, mut expected) = (String::new(), Vec::new());
    for file in ["rfc", "good", "attacks"] {
        let path = format!("{}/../vectors/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            input.push_str(&format!("{}\n", vector["input"]));
            expected.push((vector["input"]["id"].clone(), vector["expect"].clone()));
        }
    }
    let output = run(&["verify", "--jsonl"], &input);
    assert_eq!(output.status.code(), Some(0));
    let answers = lines(&output);
    assert_eq!(answers.len(), expected.len());
    for (answer, (id, expect)) in answers.iter().zip(&expected) {
        assert_eq!(&answer["id"], id);
        match expect["code"].as_str() {
            // What the library calls a set-up error is a malformed line here.
            Some(code) if code.starts_with("build.") => assert_eq!(answer["code"], "input.algorithms"),
            Some(code) => {
                assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!(code)), "{id}")
            }
            None => assert_eq!(answer["valid"], true, "{id}: {answer}"),
        }
    }
}

#[test]
fn a_malformed_line_is_answered_and_work_goes_on() {
    let token = demo_token().trim().to_owned();
    let jwks: Value = serde_json::from_slice(
        &std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/demo/jwks.json")).unwrap(),
    )
    .unwrap();
    let good = json!({"id": {"any": 1}, "token": token, "jwks": jwks, "algorithms": ["RS256"]});
    let with = |name: &str, value: Value| {
        let mut line = good.clone();
        line[name] = value;
        line.to_string()
    };
    let without = |name: &str| {
        let mut line = good.clone();
        line.as_object_mut().unwrap().remove(name);
        line.to_string()
    };
    let cases = [
        (good.to_string(), None),
        ("not json".to_owned(), Some("input.json")),
        (r#"{"id":1,"id":2}"#.to_owned(), Some("input.duplicate")),
        (without("token"), Some("input.token")),
        (without("algorithms"), Some("input.algorithms")),
        (with("algorithms", json!([])), Some("input.algorithms")),
        (with("algorithms", json!(["nope"])), Some("input.algorithms")),
        (without("jwks"), Some("input.key")),
        (with("pem", json!("x")), Some("input.key")),
        (with("extra", json!(1)), Some("input.member")),
        (with("allow_weak_keys", json!("yes")), Some("input.allow_weak_keys")),
        (with("policy", json!({"kind": "other"})), Some("input.policy")),
        (with("policy", json!({"extra": 1})), Some("input.member")),
        (with("policy", json!({"leeway": -1})), Some("input.policy")),
        (with("policy", json!({"ignore": ["aud"]})), Some("input.policy")),
        (" ".repeat(17 * 1024 * 1024) + "{}", Some("input.line_too_long")),
        (with("policy", json!({"now": 1_795_500_000, "kind": "id_token", "audience": ["x", "crm"]})), None),
    ];
    let input: String = cases.iter().map(|(line, _)| format!("{line}\n")).collect();
    let output = run(&["verify", "--jsonl", "-"], &input);
    let answers = lines(&output);
    assert_eq!(answers.len(), cases.len());
    for (number, (answer, (line, code))) in answers.iter().zip(&cases).enumerate() {
        let line = &line[..line.len().min(80)];
        assert_eq!(answer["code"].as_str(), *code, "{line}: {answer}");
        if code.is_some() {
            assert_eq!(answer["line"], number + 1, "{line}");
        } else {
            assert_eq!((&answer["id"], &answer["valid"]), (&json!({"any": 1}), &json!(true)));
        }
    }
}

#[test]
fn query_prints_values_and_codes() {
    let output = run(&["query", "$.a[*]"], r#"{"a":[1,"x",null]}"#);
    assert_eq!((out(&output).as_str(), output.status.code()), ("1\n\"x\"\nnull\n", Some(0)));
    let output = run(&["query", "http://x/roles"], r#"{"http://x/roles":["r"]}"#);
    assert_eq!(out(&output), "[\"r\"]\n");
    let output = run(&["query", "$["], "{}");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).starts_with("error[path.syntax]"));

    let input = r#"{"id":1,"path":"$.a","document":{"a":2}}
{"id":2,"path":"$..","document":1}
{"id":3,"path":"$.a"}
"#;
    let answers = lines(&run(&["query", "--jsonl"], input));
    assert_eq!(answers[0], json!({"id": 1, "values": [2]}));
    assert_eq!(answers[1]["code"], "path.syntax");
    assert_eq!(answers[2]["code"], "input.document");
}

#[test]
fn explain_decides_a_verified_person_and_says_why() {
    let arguments =
        ["explain", "--config", "vectors/demo/claimgate.toml", "-", "--now", NOW[1], "--format", "json"];
    let output = run(&arguments, &demo_token());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let answer = &lines(&output)[0];
    assert_eq!(answer["verified"], true);
    let identity = &answer["explanation"]["identity"];
    assert!(identity["teams"].as_array().unwrap().contains(&json!("Administrators")), "{answer}");
    assert!(!answer["explanation"]["fired"].as_array().unwrap().is_empty());

    let bare = run(&["explain", "--config", "vectors/demo/claimgate.toml", "-"], r#"{"sub":"A b"}"#);
    assert!(out(&bare).contains("UNVERIFIED") && out(&bare).contains("a_b"), "{}", out(&bare));
    let refused = run(&["explain", "--config", "vectors/demo/claimgate.toml", "-"], "{}");
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("identity.no_username"));
    let check = run(&["config", "check", "vectors/demo/claimgate.toml"], "");
    assert_eq!(check.status.code(), Some(0), "{}", err(&check));
}

#[test]
fn decode_marks_what_it_shows_as_unverified() {
    let output = run(&["decode", "-", "--format", "json"], &demo_token());
    assert_eq!(lines(&output)[0]["verified"], false);
    assert!(err(&run(&["decode", "-"], &demo_token())).starts_with("UNVERIFIED"));
}

#[test]
fn what_keygen_makes_sign_uses_and_verify_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let algorithms = out(&run(&["algorithms"], ""));
    assert_eq!(algorithms.lines().count(), 14);
    for alg in algorithms.lines() {
        let (private, public) = (path(&format!("{alg}.jwk")), path(&format!("{alg}.jwks")));
        let mut arguments = vec!["keygen", "--alg", alg, "--kid", "k1", "--out", &private];
        if !alg.starts_with("HS") {
            arguments.extend(["--public", &public]);
        }
        let made = run(&arguments, "");
        assert_eq!(made.status.code(), Some(0), "{alg}: {}", err(&made));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(run(&arguments, "").status.code(), Some(2), "an existing key is left alone");
        let claims = r#"{"sub":"ada","exp":2000000000}"#;
        let signed = run(&["sign", "--key", &private, "--claims", claims], "");
        assert_eq!(signed.status.code(), Some(0), "{alg}: {}", err(&signed));
        let keys = if alg.starts_with("HS") { ["--key", &private] } else { ["--jwks", &public] };
        let verified =
            run(&[&["verify", "--alg", alg, "--now", "1800000000"], &keys[..]].concat(), &out(&signed));
        assert_eq!(verified.status.code(), Some(0), "{alg}: {}", err(&verified));
    }
}

#[test]
fn help_has_examples_and_shells_have_completions() {
    for command in ["verify", "query", "explain", "decode", "algorithms", "keygen", "sign", "completions"] {
        let help = out(&run(&[command, "--help"], ""));
        assert!(help.contains("Example") && help.contains("claimgate "), "{command}: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&run(&["completions", shell], "")).contains("claimgate"));
    }
}

#[test]
fn untrusted_text_does_not_reach_the_terminal_raw() {
    let claims = "{\"sub\":\"a\u{202e}b\u{9b}31m\"}";
    let shown = out(&run(&["query", "sub"], claims));
    assert_eq!(shown, "\"a\\u202eb\\u009b31m\"\n");
}
