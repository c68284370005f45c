//! `claimgate user`, `claimgate session`, and `explain --changes`.
#![allow(clippy::unwrap_used)]

use super::support::{Folder, run, run_with};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[server]
public_url = "https://sso.example.com"

[sign_in]
create_users = true
link_by_username = true
sync_profile = true
sync_teams = true

[[provider]]
issuer = "https://idp.example.com"
client_id = "crm"
client_secret_file = "client-secret"

[identity]
username = "preferred_username"
groups = ["groups"]
[identity.profile]
email = "email"
[[identity.team]]
prefix = "t-"
team = "{rest}"
"#;

fn explain(folder: &Folder, config: &str, claims: &Value) -> Vec<String> {
    let file = folder.write("claims.json", claims.to_string());
    let ran = run(&["explain", "--changes", "--format", "json", "--config", config, &file]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let changes = ran.json()["changes"].as_array().unwrap().clone();
    changes.iter().map(|change| change.as_str().unwrap().to_owned()).collect()
}

fn add(config: &str, arguments: &[&str]) {
    let ran =
        run_with(&[&["user", "add", "--config", config], arguments].concat(), b"a long enough password\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
}

/// A dry run uses the rules of the sign-in and is rolled back.
#[test]
fn a_dry_run_says_what_a_sign_in_would_do_and_does_nothing() {
    let folder = Folder::new();
    folder.write("client-secret", "a secret");
    let config = folder.write("claimgate.toml", CONFIG);
    add(&config, &["first", "--no-password"]);
    let ada = json!({"sub": "s1", "preferred_username": "Ada", "email": "a@x", "groups": ["t-lab"]});
    let made = [r#"create the user "ada""#, r#"set email to "a@x""#, r#"join "lab""#];
    assert_eq!(explain(&folder, &config, &ada), made);
    assert_eq!(explain(&folder, &config, &ada), made, "the first dry run left something");
    let users = run(&["user", "list", "--format", "json", "--config", &config]).json();
    assert!(users.as_array().unwrap().len() == 1 && users[0]["username"] == "first", "{users}");

    let refused = |changes: Vec<String>, code: &str| {
        assert!(changes.len() == 1 && changes[0].starts_with("be refused: "), "{changes:?}");
        assert!(changes[0].ends_with(code), "{changes:?}");
    };
    let as_if = |from: &str, to: &str| folder.write("changed.toml", CONFIG.replace(from, to));
    refused(explain(&folder, &as_if("create_users = true", ""), &ada), "[sign_in.unknown]");
    add(&config, &["ada", "--no-password", "--team", "Chess"]);
    assert_eq!(explain(&folder, &config, &ada)[0], r#"link this person to the user "ada""#);
    let never = as_if("link_by_username = true", "link_by_username = false");
    refused(explain(&folder, &never, &ada), "[sign_in.not_linked]");
    let unsaid = as_if("link_by_username = true", "");
    refused(explain(&folder, &unsaid, &ada), "[sign_in.not_linked]");
    add(&config, &["root", "--kind", "admin", "--password-stdin"]);
    let root = json!({"sub": "s2", "preferred_username": "root"});
    refused(explain(&folder, &config, &root), "[sign_in.admin]");
    assert_eq!(
        run(&["user", "deactivate", "ada", "--config", &config]).out,
        "deactivated; 0 sessions ended\n"
    );
    refused(explain(&folder, &config, &ada), "[sign_in.inactive]");
    let listed = run(&["user", "list", "--format", "json", "--config", &config]).json();
    assert_eq!(listed[0]["teams"], json!({"Chess": "hand"}), "{listed}");
}

/// Under systemd, root cannot read the service's credentials.
#[test]
fn users_are_looked_after_without_the_secrets() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    assert_eq!(run(&["config", "check", &config]).code, 2);
    add(&config, &["root", "--kind", "super-admin", "--password-stdin"]);
    assert_eq!(run(&["user", "list", "--config", &config]).code, 0);
    assert_eq!(run(&["session", "list", "--config", &config]).code, 0);
}

// finding: S23, S6
#[test]
fn names_by_hand_keep_the_rules_of_names_from_claims() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    for name in ["", " ", "a\u{202e}b", "a\u{200b}", "a\nb", &"x".repeat(256)] {
        let ran = run(&["user", "add", name, "--no-password", "--config", &config]);
        assert_eq!(ran.code, 2, "{name:?}");
    }
    let ran = run(&["user", "add", "Ada", "--no-password", "--config", &config]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "added ada (regular)\n"));
    for again in ["ada", "ADA"] {
        let ran = run(&["user", "add", again, "--no-password", "--config", &config]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("request.taken"));
    }
    assert_eq!(run(&["user", "deactivate", "Ada", "--config", &config]).code, 0);
    let blank = run(&["user", "add", "ada\u{2800}", "--no-password", "--config", &config]);
    assert!(blank.err.contains("U+2800"), "{}", blank.err);
    let exact = CONFIG.replace("[identity]\n", "[identity]\nnormalise = \"none\"\n");
    let kept = folder.write("kept.toml", exact);
    let ran = run(&["user", "add", "Ada", "--no-password", "--config", &kept]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "added Ada (regular)\n"));
}

#[test]
fn what_is_not_there_is_a_refusal_and_wrong_usage_is_not() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let with = |arguments: &[&str]| run(&[arguments, &["--config", &config]].concat());
    assert_eq!(with(&["user", "add", "root", "--no-password"]).code, 0);
    assert_eq!(with(&["session", "end", &"0".repeat(32)]).code, 1);
    assert_eq!(with(&["session", "end", "--user", "nobody"]).code, 1);
    assert_eq!(with(&["user", "deactivate", "nobody"]).code, 1);
    assert_eq!(with(&["session", "end", "not hexadecimal"]).code, 2);
    assert_eq!(with(&["user", "add", "x", "--kind", "emperor", "--no-password"]).code, 2);
    let short = run_with(&["user", "add", "x", "--password-stdin", "--config", &config], b"short\n");
    assert_eq!(short.code, 2);
    assert!(short.err.contains("at least 12 characters"), "{}", short.err);
}

#[test]
fn the_last_super_admin_who_can_sign_in_is_confirmed() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let with = |arguments: &[&str]| run(&[arguments, &["--config", &config]].concat());
    add(&config, &["root", "--kind", "super-admin", "--password-stdin"]);
    add(&config, &["silent", "--kind", "super-admin", "--no-password"]);
    for change in [&["user", "deactivate", "root"], &["user", "remove", "root"]] {
        let asked = with(change);
        assert_eq!(asked.code, 2, "{}", asked.err);
        for said in ["the last super-admin who can sign in", "`claimgate user a", "add --yes"] {
            assert!(asked.err.contains(said), "{said}: {}", asked.err);
        }
    }
    assert!(with(&["user", "list"]).out.starts_with("root  super-admin  active"));
    assert_eq!(with(&["user", "deactivate", "root", "--yes"]).out, "deactivated; 0 sessions ended\n");
    assert_eq!(with(&["user", "activate", "root"]).code, 0);
    add(&config, &["spare", "--kind", "super-admin", "--password-stdin"]);
    assert_eq!(with(&["user", "deactivate", "root"]).code, 0, "another can sign in");
    assert_eq!(with(&["user", "remove", "spare", "--yes"]).code, 0);
}

#[test]
fn health_says_that_no_server_answers_and_reads_no_secret() {
    let folder = Folder::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = CONFIG.replace("[server]", &format!("[server]\nlisten = \"127.0.0.1:{port}\""));
    let config = folder.write("claimgate.toml", text);
    let silent = run(&["health", "--config", &config]);
    assert!(silent.code == 1 && silent.err.contains("health.unreachable"), "{}", silent.err);
    let without = folder.write("without.toml", "[identity]\nusername = \"sub\"\n");
    let refused = run(&["health", "--config", &without]);
    assert!(refused.code == 2 && refused.err.contains("[server]"), "{}", refused.err);
    let wrong = folder.write("wrong.toml", "[server]\nlisten = \"localhost\"\n");
    let refused = run(&["health", "--config", &wrong]);
    assert!(refused.code == 2 && refused.err.contains("listen"), "{}", refused.err);
}
