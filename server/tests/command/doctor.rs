//! `claimgate doctor` beside the database: the configuration, the report for programs, and what is not asked.
#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::support::{Folder, run, run_with};

const CONFIG: &str = r#"
[server]
public_url = "https://sso.example.com"
trusted_proxies = ["127.0.0.1"]

[[provider]]
issuer = "https://idp.example.com"
client_id = "crm"
client_secret_file = "client-secret"
"#;

fn folder(config: &str) -> (Folder, String) {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let secret = folder.write("client-secret", "a secret");
    std::fs::set_permissions(secret, PermissionsExt::from_mode(0o600)).unwrap();
    let config = folder.write("claimgate.toml", config);
    (folder, config)
}

fn add_root(config: &str) {
    let ran = run_with(
        &["user", "add", "root", "--kind", "super-admin", "--password-stdin", "--config", config],
        b"a long enough password\n",
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
}

fn lines(report: &Value, severity: &str) -> Vec<Value> {
    let lines = report["report"].as_array().unwrap().iter();
    lines.filter(|line| line["severity"] == severity).cloned().collect()
}

#[test]
fn a_sound_installation_has_no_problem_and_the_report_is_for_programs_too() {
    let (_folder, config) = folder(CONFIG);
    add_root(&config);
    let text = run(&["doctor", "--offline", "--config", &config]);
    assert_eq!(text.code, 0, "{}{}", text.out, text.err);
    for said in [
        "  ok       a server starts with it\n",
        "limits of the system, for a server that is started from here\n",
        " open files, for ",
        " MiB are free on the disk of the database",
        "public URL https://sso.example.com\n",
        "the session's cookie, __Host-claimgate, is Secure, and for sso.example.com alone\n",
    ] {
        assert!(text.out.contains(said), "{said}: {}", text.out);
    }
    assert!(!text.out.contains("provider oidc"), "no one is asked: {}", text.out);
    let ran = run(&["doctor", "--offline", "--format", "json", "--config", &config]);
    let report = ran.json();
    assert_eq!((ran.code, report["problems"].as_u64()), (0, Some(0)), "{report}");
    assert_eq!(report["report"].as_array().unwrap().len(), text.out.lines().count());
    let shared =
        CONFIG.replace("trusted", "cookie_domain = \"example.com\"\nlisten = \"0.0.0.0:80\"\n# trusted");
    let (_folder, config) = folder(&shared);
    add_root(&config);
    let ran = run(&["doctor", "--offline", "--config", &config]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    for said in [
        "__Secure-claimgate, is Secure, and sent to every host of example.com",
        "trusted_proxies is empty",
        "listens on 0.0.0.0:80",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
}

#[test]
fn a_problem_has_its_remedy_and_does_not_hide_the_others() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, config) = folder(CONFIG);
    std::fs::set_permissions(folder.path("client-secret"), PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(folder.path("claimgate.db"), "no database").unwrap();
    std::fs::set_permissions(folder.path("claimgate.db"), PermissionsExt::from_mode(0o600)).unwrap();
    let ran = run(&["doctor", "--offline", "--format", "json", "--config", &config]);
    assert_eq!(ran.code, 2, "it cannot be read: {}", ran.err);
    let report = ran.json();
    let problems = lines(&report, "problem");
    assert_eq!(report["problems"].as_u64(), Some(3), "{report}");
    assert!(problems[0]["message"].as_str().unwrap().contains("is not a database"), "{report}");
    assert!(problems[1]["message"].as_str().unwrap().contains("claimgate.db"), "{report}");
    assert!(problems[1]["remedy"].as_str().unwrap().contains("restore a backup"), "{report}");
    assert!(problems[2]["message"].as_str().unwrap().contains("client-secret (mode 644)"), "{report}");
    assert_eq!(problems[2]["remedy"], "chmod 600");
    assert!(!lines(&report, "ok").is_empty());

    let (_folder, config) = folder_with_fault();
    add_root(&config);
    let ran = run(&["doctor", "--offline", "--config", &config]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    let fault = ran.out.lines().find(|line| line.contains("PROBLEM")).unwrap();
    assert!(fault.contains("client_secret_file") && fault.contains("configuration.md"), "{fault}");
    assert!(ran.out.contains("are not checked without it") && !ran.out.contains("public URL"), "{}", ran.out);
}

#[test]
fn before_the_first_start_there_is_no_database_and_offline_that_is_no_problem() {
    let (folder, config) = folder(CONFIG);
    let absent = format!("{} does not exist", folder.path("claimgate.db"));
    let remedy = "`claimgate serve` or `claimgate user add` makes it, or `database` names another file";
    let ran = run(&["doctor", "--offline", "--config", &config]);
    assert!(ran.code == 0 && ran.err.is_empty(), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains(&format!("  note     {absent}: {remedy}\n")), "{}", ran.out);
    assert!(ran.out.contains("public URL https://sso.example.com\n"), "it goes on: {}", ran.out);
    // No provider and no server is there to be asked.
    let (folder, config) = self::folder(&CONFIG.replace("https://idp.example.com", "https://127.0.0.1:9"));
    let absent = format!("{} does not exist", folder.path("claimgate.db"));
    let ran = run(&["doctor", "--config", &config]);
    assert_eq!((ran.code, ran.err), (2, format!("error: {absent}: {remedy}\n")));
    assert!(ran.out.contains(&format!("  PROBLEM  {absent}; {remedy}\n")), "{}", ran.out);
    assert!(!std::path::Path::new(&folder.path("claimgate.db")).exists());
}

fn folder_with_fault() -> (Folder, String) {
    folder(&CONFIG.replace("client-secret", "absent"))
}

/// Under systemd no command has the service's credentials.
#[test]
fn a_secret_of_the_service_alone_is_no_problem() {
    let credential = "/run/credentials/claimgate.service/client-secret";
    let (_folder, config) = folder(&CONFIG.replace("client-secret", credential));
    add_root(&config);
    let ran = run(&["doctor", "--offline", "--config", &config]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(
        ran.out.contains("note     ") && ran.out.contains("systemd passes it to the service alone"),
        "{}",
        ran.out
    );
}
