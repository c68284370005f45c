//! What `config check` says of a file that can be used.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use claimgate::alg::Registry;
use claimgate_config::{Config, Note, Severity};

use super::support::{Folder, run};

const SERVER: &str = "[server]\npublic_url = \"https://sso.example.com\"\n";
const PROVIDER: &str =
    "[[provider]]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\nclient_secret = \"s\"\n";

fn notes(text: &str) -> Vec<Note> {
    Config::parse(text, "claimgate.toml", Path::new(""), &Registry::builtin()).unwrap().notes
}

// finding: O-F1, D9
#[test]
fn the_meaning_of_links_by_username_is_said() {
    for (sign_in, username, said) in [
        ("", "\"sub\"", "is linked to the first person with the same name in `sub`"),
        ("", "[\"email\", \"sub\"]", "`email`, `sub` (an address only where the provider calls it verified)"),
        ("", "[\"preferred_username\", \"sub\"]", "but not with `preferred_username`"),
        ("", "\"preferred_username\"", "write `link_by_username = true`"),
        ("link_by_username = true", "\"preferred_username\"", "they choose the user"),
        ("link_by_username = false", "\"sub\"", "no user added by hand is linked"),
    ] {
        let text = format!("{SERVER}[sign_in]\n{sign_in}\n{PROVIDER}[identity]\nusername = {username}\n");
        let notes = notes(&text);
        let note = notes.iter().find(|note| note.setting == "sign_in.link_by_username").unwrap();
        assert!(note.text.contains(said), "{note}");
    }
}

// finding: S20
#[test]
fn warnings_have_their_line_and_fail_only_if_strict() {
    let folder = Folder::new();
    let text = format!("{SERVER}metrics_from = [\"0.0.0.0/0\"]\n{PROVIDER}");
    let file = folder.write("claimgate.toml", text);
    let ran = run(&["config", "check", &file]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let line = "claimgate.toml:3:16: server.metrics_from: warning: every client may read the metrics\n";
    assert!(ran.out.contains(line), "{}", ran.out);
    assert!(ran.out.ends_with("claimgate.toml: valid\n"), "{}", ran.out);
    let strict = run(&["config", "check", "--strict", &file]);
    assert_eq!((strict.code, strict.out), (1, ran.out));
    assert!(strict.err.contains("config.warnings"), "{}", strict.err);
}

// finding: S20, U-k14, U-h16, U-q27
#[test]
fn what_is_probably_a_mistake_is_warned_of() {
    let groups = |path: &str| format!("[identity]\ngroups = [\"{path}\"]\n");
    let bare = "[[provider]]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\n";
    for (text, setting, said) in [
        (
            format!("{PROVIDER}{}", groups("realm_access.roles")),
            "identity.groups[0]",
            "`$.realm_access.roles`",
        ),
        (format!("{PROVIDER}{}", groups("realm_access.roles[*]")), "identity.groups[0]", "no `$`"),
        (
            format!("{PROVIDER}logout_url = \"http://idp.example.com/bye\"\n"),
            "provider[0].logout_url",
            "is http",
        ),
        (bare.to_owned(), "provider[0].client_secret", "is missing"),
    ] {
        let notes = notes(&format!("{SERVER}{text}"));
        let found = notes.iter().find(|note| note.setting == setting);
        let found = found.unwrap_or_else(|| panic!("{notes:?} should name {setting}"));
        assert!(found.severity == Severity::Warning && found.text.contains(said), "{found}");
    }
    for path in ["groups", "https://crm.example.com/roles", "cognito:groups", "$.realm_access.roles"] {
        let notes = notes(&format!("{SERVER}{PROVIDER}{}", groups(path)));
        assert!(notes.iter().all(|note| note.severity == Severity::Note), "{notes:?}");
    }
}

// finding: S20
#[test]
fn the_certificates_that_a_file_names_are_opened() {
    let folder = Folder::new();
    folder.write("bad.pem", "not a certificate");
    for (server, provider, said) in [
        ("tls_certificate = \"bad.pem\"\ntls_key = \"bad.pem\"\n", "", "bad.pem"),
        ("tls_certificate = \"none.pem\"\ntls_key = \"none.pem\"\n", "", "none.pem"),
        ("", "ca_file = \"none.pem\"\n", "none.pem"),
    ] {
        let file = folder.write("claimgate.toml", format!("{SERVER}{server}{PROVIDER}{provider}"));
        let ran = run(&["config", "check", &file]);
        assert_eq!(ran.code, 2, "{}", ran.out);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}
