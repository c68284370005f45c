//! `claimgate explain` and `claimgate config check`.

use super::support::*;
use serde_json::json;

const CONFIG: &str = r#"
[[provider]]
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
fn a_name_that_is_neither_a_token_nor_a_file_is_wrong_usage() {
    let config = repository_file("vectors/demo/claimgate.toml");
    let explained = run(&["explain", "--config", &config, "no-such-file"]);
    assert_eq!(explained.code, 2, "{}", explained.err);
    assert!(explained.err.contains("neither a token nor a file"), "{}", explained.err);
}

#[test]
fn explain_says_who_and_why() {
    let folder = Folder::new();
    let key = key("ES256");
    folder.write("jwks.json", jwks(&[&key]).to_string());
    let config = folder.write("claimgate.toml", CONFIG.replace("JWKS", "jwks_file = \"jwks.json\""));
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
    assert_eq!(done.json()["explanation"]["fired"][0]["rule"], 1);
    assert_eq!(done.json()["places"], json!({"1": format!("{config}:11")}));
    let shown = run(&["explain", "--config", &config, "--now", &now, &text]).out;
    assert!(
        shown.contains(&format!(
            "rule 1 (group \"admins\") fired on \"admins\": [\"Administrators\"], {config}:11"
        )),
        "{shown}"
    );
    let late = run(&["explain", "--config", &config, &text]);
    assert!(late.code == 1 && late.err.contains("claims.expired"), "{}", late.err);
    let unverified = run_with(&["explain", "--config", &config], claims.to_string().as_bytes());
    assert!(unverified.out.starts_with("UNVERIFIED") && unverified.out.contains("Administrators"));

    let bare = folder.write("bare.toml", CONFIG.replace("JWKS", ""));
    let shown = run(&["explain", "--config", &bare, "--format", "json", &text]).json();
    assert_eq!(shown["verified"], false);
    let refused = run_with(&["explain", "--config", &bare], b"{}");
    assert!(refused.code == 1 && refused.err.contains("error[identity.no_username]"), "{}", refused.err);
}

#[test]
fn config_check_names_file_line_and_field() {
    let folder = Folder::new();
    let good = folder.write("good.toml", CONFIG.replace("JWKS", ""));
    assert_eq!(run(&["config", "check", &good]).code, 0);
    let bad = folder.write("bad.toml", CONFIG.replace("JWKS", "colour = 1"));
    let refused = run(&["config", "check", &bad]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("bad.toml:6") && refused.err.contains("colour"), "{}", refused.err);
    let lost = folder.write("lost.toml", CONFIG.replace("JWKS", "jwks_file = \"absent.json\""));
    assert!(run(&["config", "check", &lost]).err.contains("absent.json"));
    let absent = run(&["config", "check", "absent.toml"]);
    assert!(absent.code == 2 && absent.err.contains("`claimgate init` writes one"), "{}", absent.err);
    let folder = run(&["config", "check", &folder.path("")]);
    assert!(folder.code == 2 && folder.err.contains("name a file in it"), "{}", folder.err);
}

/// The files that README names.
#[test]
fn the_demonstration_files_explain_a_verified_person() {
    let config = repository_file("vectors/demo/claimgate.toml");
    // As README has it, at the present time.
    let explain = ["explain", "--config", &config, "-", "--format", "json"];
    let done = run_with(&explain, demo_token().as_bytes());
    assert_eq!(done.code, 0, "{}", done.err);
    let answer = done.json();
    assert_eq!(answer["verified"], true);
    let teams = answer["explanation"]["identity"]["teams"].as_array().expect("teams");
    assert!(teams.contains(&json!("Administrators")), "{answer}");
    assert_ne!(answer["explanation"]["fired"], json!([]));

    let bare = run_with(&["explain", "--config", &config, "-"], br#"{"sub":"A b"}"#);
    assert!(bare.out.contains("UNVERIFIED") && bare.out.contains("a_b"), "{}", bare.out);
    let check = run(&["config", "check", &config]);
    assert_eq!(check.code, 0, "{}", check.err);
}
