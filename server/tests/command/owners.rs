//! A database of another user: what the server and the commands say, and to whom new files belong. Needs root.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::support::{Folder, Outcome, run, run_with};

/// The user id of the account that runs the service in these tests; every Unix has it.
const SERVICE: u32 = 65_534;

const CONFIG: &str = r#"
[server]
public_url = "https://sso.example.com"
database = "state/claimgate.db"

[[provider]]
issuer = "https://idp.example.com"
client_id = "crm"
"#;

/// Returns a folder with a configuration and the state folder of the service; `None` without root's rights.
fn installation() -> Option<(Folder, String)> {
    let folder = Folder::new();
    if std::fs::metadata(folder.path("")).unwrap().uid() != 0 {
        eprintln!("skipped: root alone gives files to another user");
        return None;
    }
    std::fs::set_permissions(folder.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let state = folder.path("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    chown(&state, Some(SERVICE), Some(SERVICE)).unwrap();
    let config = folder.write("claimgate.toml", CONFIG);
    Some((folder, config))
}

/// Runs the command with a user id and the group id of the same number.
fn run_as(user: u32, arguments: &[&str]) -> Outcome {
    let output =
        Command::new(env!("CARGO_BIN_EXE_claimgate")).args(arguments).uid(user).gid(user).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn owner(file: &str) -> u32 {
    std::fs::metadata(file).unwrap().uid()
}

#[test]
fn what_root_makes_in_the_folder_of_the_service_is_the_service_s() {
    let Some((folder, config)) = installation() else { return };
    let added = run(&["user", "add", "root", "--no-password", "--config", &config]);
    assert_eq!(added.code, 0, "{}", added.err);
    assert_eq!(owner(&folder.path("state/claimgate.db")), SERVICE);
    let listed = run_as(SERVICE, &["user", "list", "--config", &config]);
    assert!(listed.code == 0 && listed.out.starts_with("root"), "{}", listed.err);
    // In a folder of root's it is root's.
    let own = folder.write("own.toml", CONFIG.replace("state/", ""));
    assert_eq!(run(&["user", "add", "root", "--no-password", "--config", &own]).code, 0);
    assert_eq!(owner(&folder.path("claimgate.db")), 0);
}

#[test]
fn a_database_that_the_service_cannot_open_has_its_remedy() {
    let Some((folder, config)) = installation() else { return };
    assert_eq!(run(&["user", "add", "root", "--no-password", "--config", &config]).code, 0);
    let database = folder.path("state/claimgate.db");
    chown(&database, Some(0), Some(0)).unwrap();
    let remedy = format!("`chown nobody: {database}`, as root");
    let serve = run_as(SERVICE, &["serve", "--config", &config]);
    assert!(serve.code == 2 && serve.err.contains(&remedy), "{}", serve.err);
    for judge in [&["doctor", "--offline", "--config", &config][..], &["config", "check", &config]] {
        let said = run(judge);
        assert!(format!("{}{}", said.out, said.err).contains(&remedy), "{}{}", said.out, said.err);
    }
    let doctor = run(&["doctor", "--offline", "--config", &config]);
    assert!(doctor.code == 1 && doctor.out.contains("PROBLEM"), "{}", doctor.out);
    chown(&database, Some(SERVICE), Some(SERVICE)).unwrap();
    let doctor = run(&["doctor", "--offline", "--config", &config]);
    assert_eq!(doctor.code, 0, "{}", doctor.out);

    // An ordinary user, to whom the state folder is closed.
    let closed = run_as(SERVICE - 1, &["user", "list", "--config", &config]);
    assert!(closed.code == 2 && closed.err.contains("`runuser -u nobody -- claimgate …`"), "{}", closed.err);
    chown(folder.path("state"), Some(0), Some(0)).unwrap();
    let serve = run_as(SERVICE, &["serve", "--config", &config]);
    assert!(serve.err.contains(&format!("`chown nobody: {}", folder.path("state"))), "{}", serve.err);
    std::fs::remove_dir_all(folder.path("state")).unwrap();
    let serve = run_as(SERVICE, &["serve", "--config", &config]);
    let remedy = format!("`install -d -m 0700 -o nobody {}`", folder.path("state"));
    assert!(serve.code == 2 && serve.err.contains(&remedy), "{}", serve.err);
}

#[test]
fn init_prints_the_commands_that_work_beside_a_service() {
    let Some((folder, config)) = installation() else { return };
    std::fs::remove_file(&config).unwrap();
    let mut arguments =
        vec!["init", "--provider", "generic", "--public-url", "https://sso.example.com", "--yes"];
    arguments.extend(["--issuer", "https://idp.example.com", "--client-id", "crm", "--client-secret-stdin"]);
    arguments.extend(["--database", "state/claimgate.db", "--config", &config]);
    let ran = run_with(&arguments, b"a client secret\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    // Not of the user's name: it is `nogroup` on Debian.
    let group = Command::new("id").args(["-gn", "nobody"]).output().unwrap();
    let group = String::from_utf8(group.stdout).unwrap().trim_end().to_owned();
    for said in [
        "Next, as root:".to_owned(),
        format!("  runuser -u nobody -- claimgate user add root --kind super-admin --config {config}\n"),
        format!("  runuser -u nobody -- claimgate serve --config {config}\n"),
        format!("  chgrp {group} {0} && chmod 640 {0}\n", folder.path("client-secret")),
    ] {
        assert!(ran.out.contains(&said), "{said}: {}", ran.out);
    }
}
