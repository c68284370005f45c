//! What `config check` says of a file that can be used.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use claimgate_config::{Config, Extensions, Note, Severity};

use super::support::{Folder, run};
use serde_json::json;

const SERVER: &str = "[server]\npublic_url = \"https://sso.example.com\"\n";
const PROVIDER: &str =
    "[[provider]]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\nclient_secret = \"s\"\n";

fn notes(text: &str) -> Vec<Note> {
    Config::parse(text, "claimgate.toml", Path::new(""), &Extensions::builtin()).unwrap().notes
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
        assert!(note.to_string().contains(said), "{note}");
    }
}

#[test]
fn what_refreshes_need_at_the_provider_is_said() {
    for (more, is_said) in [
        ("", true),
        ("scopes = [\"offline_access\"]\n", false),
        ("authorization_parameters = { access_type = \"offline\" }\n", false),
        ("authorization_parameters = { access_type = \"online\" }\n", true),
    ] {
        let text =
            format!("{SERVER}{PROVIDER}refresh_interval = \"15m\"\n{more}[identity]\nusername = \"sub\"\n");
        let found = notes(&text).iter().any(|note| note.setting == "provider[0].refresh_interval");
        assert_eq!(found, is_said, "{more}");
    }
    let text = format!("{SERVER}{PROVIDER}[identity]\nusername = \"sub\"\n");
    assert!(!notes(&text).iter().any(|note| note.setting.to_string().contains("refresh")));
}

#[test]
fn the_meaning_of_a_host_that_applications_share_is_said() {
    let said = |server: &str| {
        let notes = notes(&format!("[server]\n{server}\n{PROVIDER}"));
        let note = notes.iter().find(|note| note.setting == "server.public_url");
        note.map(ToString::to_string).unwrap_or_default()
    };
    assert_eq!(said("public_url = \"https://sso.example.com\""), "");
    let shared = "public_url = \"https://app.example.com/sso\"";
    assert!(
        said(shared).contains("learn what is typed there, administrators' passwords too"),
        "{}",
        said(shared)
    );
    let apart = said(&format!("{shared}\nadmin_url = \"https://admin.example.com\""));
    assert!(apart.contains("note: ") && apart.contains("accepted at `admin_url` alone"), "{apart}");
}

#[test]
fn a_provider_names_the_networks_of_its_logouts() {
    let parse = |value: &str| {
        let text = format!("{PROVIDER}logout_from = [{value}]\n");
        Config::parse(&text, "claimgate.toml", Path::new(""), &Extensions::builtin())
    };
    let config = parse("\"192.0.2.7\", \"2001:db8::/32\"").unwrap();
    let networks: Vec<_> = config.providers[0].logout_from.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.7/32", "2001:db8::/32"]);
    let error = parse("\"192.0.2.7\", \"::/0\"").unwrap_err().to_string();
    assert!(error.contains("5:29: provider[0].logout_from[1]: every client would have the share"), "{error}");
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

// finding: S20, U-k14, U-h16
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
        (
            format!("{PROVIDER}[[identity.team]]\ngroup = \"a\"\nteam = \"A\"\n"),
            "identity.team",
            "`groups` is missing, so these rules match no group and give no team; write `groups`",
        ),
        (
            format!("{PROVIDER}[provider.identity]\ndeny_unmatched = true\n"),
            "provider[0].identity.deny_unmatched",
            "every person is refused",
        ),
    ] {
        let notes = notes(&format!("{SERVER}{text}"));
        let found = notes.iter().find(|note| note.setting == setting);
        let found = found.unwrap_or_else(|| panic!("{notes:?} should name {setting}"));
        assert!(found.severity == Severity::Warning && found.to_string().contains(said), "{found}");
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

/// Every file that a setting names: what is wrong with it is said at the line of the setting.
#[test]
fn the_files_that_settings_name_are_judged_at_their_line() {
    let folder = Folder::new();
    folder.write("text", "some text");
    folder.write("other-keys.json", json!({"keys": [{"kty": "oct", "k": "AAAA"}]}).to_string());
    std::fs::create_dir(folder.path("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path("fifo")).status().unwrap().success());
    for (line, provider, said) in [
        ("database = \"none/claimgate.db\"", "", "3:12: server.database: the folder "),
        ("database = \"folder\"", "", "is a folder; name a file in it [config.file]"),
        ("database = \"text\"", "", "is not a database; name another file"),
        ("database = \"fifo\"", "", "is not a database; name another file"),
        ("tls_certificate = \"text\"\ntls_key = \"none\"", "", "4:11: server.tls_key: "),
        ("tls_certificate = \"text\"\ntls_key = \"text\"", "", "3:19: server.tls_certificate: "),
        ("", "jwks_file = \"none\"", "8:13: provider[0].jwks_file: "),
        ("", "jwks_file = \"folder\"", "is a folder; name a file [config.file]"),
        ("", "jwks_file = \"text\"", "[key.json] [config.file]"),
        ("", "jwks_file = \"fifo\"", "is no regular file; name one [config.file]"),
        ("", "ca_file = \"none\"", "8:11: provider[0].ca_file: "),
        ("", "ca_file = \"folder\"", "is a folder; name a file [config.file]"),
        ("", "ca_file = \"text\"", "8:11: provider[0].ca_file: "),
        // Those that are read when the file is loaded.
        ("verify_secret_file = \"none\"", "", "3:22: server.verify_secret_file: "),
        ("", "private_key_file = \"folder\"", "8:20: provider[0].private_key_file: "),
    ] {
        let file = folder.write("claimgate.toml", format!("{SERVER}{line}\n{PROVIDER}{provider}\n"));
        let ran = run(&["config", "check", &file]);
        assert_eq!((ran.code, ran.out.contains("valid")), (2, false), "{}{}", ran.out, ran.err);
        assert!(ran.err.starts_with(&format!("error: {file}:")) && ran.err.contains(said), "{}", ran.err);
    }
    let file = folder.write("claimgate.toml", format!("{SERVER}{PROVIDER}jwks_file = \"other-keys.json\"\n"));
    let ran = run(&["config", "check", &file]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains(":7:13: provider[0].jwks_file: warning: "), "{}", ran.out);
    assert!(ran.out.contains("holds no key that fits `algorithms`"), "{}", ran.out);
}

#[test]
fn a_program_reads_the_findings_as_json() {
    let folder = Folder::new();
    let check = |text: String| {
        let file = folder.write("claimgate.toml", text);
        let ran = run(&["config", "check", "--format", "json", &file]);
        assert!(!ran.out.trim_end().contains('\n'), "{}", ran.out);
        (ran.code, ran.json(), file)
    };
    let (code, read, file) =
        check(format!("{SERVER}listen = \"x\"\n{}", PROVIDER.replace("client_id = \"crm\"\n", "")));
    assert_eq!((code, &read["file"], &read["valid"]), (2, &json!(file), &json!(false)));
    let of = |setting: &str| {
        let all = read["findings"].as_array().unwrap();
        all.iter().find(|found| found["setting"] == setting).cloned().unwrap_or_default()
    };
    assert_eq!(
        of("provider[0].client_id"),
        json!({
            "severity": "error", "code": "config.value", "file": file, "line": 4, "column": 1,
            "setting": "provider[0].client_id", "message": "is missing", "remedy": "write the client's id at the provider",
        })
    );
    assert_eq!((&of("server.listen")["line"], &of("server.listen")["column"]), (&json!(3), &json!(10)));
    let (code, read, _) = check(format!("{SERVER}metrics_from = [\"0.0.0.0/0\"]\n{PROVIDER}"));
    assert_eq!((code, &read["valid"], &read["online"]), (0, &json!(true), &json!(null)));
    let warning =
        read["findings"].as_array().unwrap().iter().find(|found| found["severity"] == "warning").unwrap();
    assert_eq!((&warning["code"], &warning["line"]), (&json!("config.warning"), &json!(3)));
    let (code, read, _) = check("[".to_owned());
    assert_eq!((code, &read["findings"][0]["code"]), (2, &json!("config.syntax")));
}

#[test]
fn the_headers_that_a_proxy_must_not_take_from_clients_are_listed() {
    let folder = Folder::new();
    let applications = "[headers]\nheader = [{ name = \"X-Person\", value = \"id\" }]\n\
        [[application]]\nname = \"wiki\"\nhosts = [\"wiki.example.com\"]\nrule = [{ allow = \"signed_in\" }]\n\
        [[application]]\nname = \"charts\"\nhosts = [\"charts.example.com\"]\nrule = [{ allow = \"signed_in\" }]\n\
        headers = { preset = \"grafana\" }\n";
    for (applications, wanted) in [
        (
            "",
            json!([{"application": "every application", "headers": ["X-Auth-User", "X-Auth-Email", "X-Auth-Teams", "X-Auth-Name"]}]),
        ),
        (
            applications,
            json!([
                {"application": "wiki", "headers": ["X-Auth-User", "X-Auth-Email", "X-Auth-Teams", "X-Auth-Name", "X-Person"]},
                {"application": "charts", "headers": ["X-WEBAUTH-USER", "X-WEBAUTH-NAME", "X-WEBAUTH-EMAIL", "X-WEBAUTH-GROUPS"]},
            ]),
        ),
    ] {
        let file = folder.write("claimgate.toml", format!("{SERVER}{PROVIDER}{applications}"));
        let ran = run(&["config", "check", "--format", "json", &file]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(document["headers"], wanted);
        let text = run(&["config", "check", &file]).out;
        for entry in wanted.as_array().unwrap() {
            let application = entry["application"].as_str().unwrap();
            let names: Vec<_> =
                entry["headers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            let line = format!(
                "{application}: gets the headers {}: let the proxy delete what clients send under these names\n",
                names.join(", ")
            );
            assert!(text.contains(&line), "{text}");
        }
    }
}

#[test]
fn headers_that_cannot_be_sent_name_their_setting() {
    for (text, said) in [
        (
            "[headers]\nheader = [{ name = \"Cookie\", value = \"id\" }]\n",
            "8:20: headers.header[0].name: `Cookie` has a meaning",
        ),
        (
            "[headers]\nheader = [{ name = \"X-A\", value = \"assertion\" }]\n",
            "headers.header[0].value: an assertion names its application",
        ),
        ("[headers]\npreset = \"autheliaa\"\n", "headers.preset"),
        ("[headers]\nheaders = []\n", "headers.headers"),
        (
            "[[application]]\nhosts = [\"a.example.com\"]\nrule = [{ allow = \"signed_in\" }]\n[application.headers]\nheader = [{ name = \"X-Auth-User\", value = \"id\" }]\n",
            "application[0].headers.header[0].name: another header has the name",
        ),
    ] {
        let text = format!("{SERVER}{PROVIDER}{text}");
        let error =
            Config::parse(&text, "claimgate.toml", Path::new(""), &Extensions::builtin()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
