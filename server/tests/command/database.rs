//! The database file as the command leaves it.
#![allow(clippy::unwrap_used)]

use super::support::{Folder, run};

const CONFIG: &str = r#"
[server]
public_url = "https://sso.example.com"

[[provider]]
issuer = "https://idp.example.com"
client_id = "crm"
client_secret = "0123456789abcdef0123456789abcdef"
"#;

fn usernames(config: &str) -> Vec<String> {
    let listed = run(&["user", "list", "--format", "json", "--config", config]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    let listed = listed.json();
    let name = |user: &serde_json::Value| user["username"].as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().map(name).collect()
}

fn add(config: &str, name: &str) {
    let ran = run(&["user", "add", name, "--no-password", "--config", config]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

// finding: A1
#[test]
fn a_command_leaves_everything_in_one_file() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    add(&config, "r1");
    assert!(!std::path::Path::new(&folder.path("claimgate.db-wal")).exists());
    std::fs::copy(folder.path("claimgate.db"), folder.path("copy.db")).unwrap();
    add(&config, "late");
    std::fs::copy(folder.path("copy.db"), folder.path("claimgate.db")).unwrap();
    assert_eq!(usernames(&config), ["r1"]);
}

// finding: S13
#[test]
fn a_broken_row_does_not_stop_the_command() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    for name in ["one", "two"] {
        add(&config, name);
    }
    let connection = rusqlite::Connection::open(folder.path("claimgate.db")).unwrap();
    connection.execute("UPDATE user SET teams = '[broken' WHERE username = 'one'", []).unwrap();
    drop(connection);
    let ran = run(&["user", "deactivate", "two", "--config", &config]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let listed = run(&["user", "list", "--config", &config]);
    assert_eq!(listed.code, 0);
    assert!(listed.out.starts_with("two  regular  inactive"), "{}", listed.out);
    assert!(listed.err.contains("cannot be read") && listed.err.contains("rows=1"), "{}", listed.err);
    let of_one = |words: &[&str]| run(&[&["user"], words, &["one", "--config", &config]].concat());
    let shown = of_one(&["show"]);
    assert!(shown.code == 0 && shown.out.contains("teams: [broken"), "{}{}", shown.out, shown.err);
    let changed = of_one(&["deactivate"]);
    assert!(changed.code == 2 && changed.err.contains("`claimgate user remove NAME`"), "{}", changed.err);
    let removed = of_one(&["remove", "--yes"]);
    assert!(removed.code == 0 && removed.out.contains("removed one"), "{}{}", removed.out, removed.err);
    assert_eq!(of_one(&["show"]).code, 1, "there is no such user");
    assert!(!run(&["user", "list", "--config", &config]).err.contains("cannot be read"));
}

// finding: S13, S14, D8
#[cfg(unix)]
#[test]
fn doctor_reports_what_is_wrong_and_changes_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let set = |name: &str, mode| {
        std::fs::set_permissions(folder.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set("claimgate.toml", 0o600);
    let doctor = || run(&["doctor", "--offline", "--config", &config]);
    assert_eq!(doctor().code, 0, "there is no database yet, and none is made");
    assert!(!std::path::Path::new(&folder.path("claimgate.db")).exists());
    for name in ["one", "two", "three", "four", "four-too"] {
        add(&config, name);
    }
    let ran = doctor();
    assert_eq!((ran.code, ran.out.contains("PROBLEM")), (0, false), "{}{}", ran.out, ran.err);

    let database = folder.path("claimgate.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    let set_aside = |from: &str, to: &str, version: i64| {
        let tables = ["logout_batch", "ended_session"]
            .map(|table| format!("ALTER TABLE {table}{from} RENAME TO {table}{to};"));
        connection.execute_batch(&format!("{} PRAGMA user_version = {version}", tables.concat())).unwrap();
    };
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    set_aside("", "_", 4);
    let ran = doctor();
    assert_eq!(
        (ran.code, ran.out.contains("PROBLEM")),
        (0, false),
        "of an earlier version: {}{}",
        ran.out,
        ran.err
    );
    set_aside("_", "", version);
    connection
        .execute_batch(
            "UPDATE user SET teams = '[broken' WHERE username = 'one';
             UPDATE user SET username = 'tw' || char(8203) || 'o' WHERE username = 'two';
             UPDATE user SET username = 'Three' WHERE username = 'three';
             UPDATE user SET username = 'Four' WHERE username = 'four-too';
             PRAGMA foreign_keys = OFF;
             INSERT INTO link (issuer, subject, user) VALUES ('i', 's', 99);
             INSERT INTO logout_batch (issuer, until, entries) VALUES ('i', 9000000000, x'00');
             INSERT INTO ended_session (sessions) VALUES (x'00');",
        )
        .unwrap();
    connection.close().unwrap();
    set("claimgate.db", 0o640);
    set("claimgate.toml", 0o644);
    let ran = doctor();
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let problems: Vec<&str> = ran.out.lines().filter(|line| line.contains("PROBLEM")).collect();
    for said in [
        "claimgate.db (mode 640)",
        "rows without their user: 1",
        "row 1 of the table user, \"one\", cannot be read",
        "`claimgate user remove NAME` removes the user",
        "row 1 of the table logout_batch cannot be read",
        "row 1 of the table ended_session cannot be read",
        "breaks the rules of usernames: the username holds U+200B",
        "breaks the rules of usernames: sign-ins look up \"three\", which is free",
        "sign-ins look up \"four\", which is user 4",
        "claimgate.toml (mode 644)",
    ] {
        assert!(problems.iter().any(|line| line.contains(said)), "{said}\n{}", ran.out);
    }
    assert_eq!(problems.len(), 9, "{}", ran.out);
    assert!(ran.err.contains("store.problems"), "{}", ran.err);
    let mode = std::fs::metadata(&database).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "doctor changes nothing");
}

// finding: S14
#[cfg(unix)]
#[test]
fn rights_of_other_users_are_reported() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let set = |name: &str, mode| {
        std::fs::set_permissions(folder.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    add(&config, "ada");
    set("claimgate.db", 0o644);
    let listed = run(&["user", "list", "--config", &config]);
    assert!(listed.err.contains("claimgate.db") && listed.err.contains("644"), "{}", listed.err);
    let again = run(&["user", "list", "--config", &config]);
    assert_eq!(again.err, "");

    let warned = |name: &str| {
        let checked = run(&["config", "check", &config]);
        assert_eq!(checked.code, 0, "{}", checked.err);
        checked.out.contains(&format!("warning: {} holds a secret", folder.path(name)))
    };
    set("claimgate.toml", 0o644);
    assert!(warned("claimgate.toml"));
    set("claimgate.toml", 0o640);
    assert!(!warned("claimgate.toml"));
    folder.write("secret", "0123456789abcdef0123456789abcdef");
    set("secret", 0o644);
    folder.write(
        "claimgate.toml",
        CONFIG.replace(
            "client_secret = \"0123456789abcdef0123456789abcdef\"",
            "client_secret_file = \"secret\"",
        ),
    );
    assert!(warned("secret") && !warned("claimgate.toml"));
    set("secret", 0o600);
    assert!(!warned("secret"));
}

/// What the server trusts: the configuration, a key set that it names, the database with its key, and their folder.
#[cfg(unix)]
#[test]
fn files_that_other_users_may_change_are_reported() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.write("keys.json", r#"{"keys":[]}"#);
    let config = folder.write("claimgate.toml", format!("{CONFIG}jwks_file = \"keys.json\"\n"));
    add(&config, "ada");
    folder.write("claimgate.db.key", [7; 32]);
    let set = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path(name), mode).unwrap();
    };
    let names = ["claimgate.toml", "keys.json", "claimgate.db", "claimgate.db.key"];
    names.into_iter().for_each(|name| set(name, 0o600));
    let reported = |fault: &str| {
        let checked = run(&["config", "check", &config]);
        assert_eq!(checked.code, 0, "{}", checked.err);
        let warned = checked.out.lines().any(|line| line.contains("warning: ") && line.contains(fault));
        let doctor = run(&["doctor", "--offline", "--config", &config]);
        assert_eq!(doctor.code, i32::from(doctor.out.contains("PROBLEM")), "{}{}", doctor.out, doctor.err);
        let found = doctor.out.lines().any(|line| line.contains("PROBLEM") && line.contains(fault));
        (warned, found, checked.out)
    };
    let (warned, found, out) = reported("");
    assert!(!found, "{out}");
    assert!(!warned || !out.contains("may change"), "{out}");
    for (name, place) in [
        ("claimgate.toml", "claimgate.toml:1:1: warning: "),
        ("keys.json", "claimgate.toml:9:13: provider[0].jwks_file: warning: "),
        ("claimgate.db", "claimgate.toml:2:1: server.database: warning: "),
        ("claimgate.db.key", "claimgate.toml:2:1: server.database: warning: "),
    ] {
        set(name, 0o602);
        let (warned, found, out) =
            reported(&format!("every user of this machine may change {} (mode 602)", folder.path(name)));
        assert!(warned && found && out.contains(place), "{name}: {out}");
        set(name, 0o600);
    }
    set("", 0o777);
    let (warned, found, out) = reported("every user of this machine may replace");
    assert!(warned && found, "{out}");
    set("", 0o1777);
    let (warned, found, out) = reported("every user of this machine may replace");
    assert!(!warned && !found, "{out}");
}

// finding: A1
#[test]
fn a_backup_is_restored_by_the_command() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let with = |arguments: &[&str]| run(&[arguments, &["--config", &config]].concat());
    let copy = folder.path("copy.db");
    assert_eq!(with(&["backup", &copy]).code, 2, "there is no database yet");
    add(&config, "u1");
    let (here, missing) = (folder.path(""), folder.path("missing/copy.db"));
    for (arguments, said) in [
        (&["backup", &here][..], "is a folder: name a file in it"),
        (&["backup", "--replace", &here], "is a folder: name a file in it"),
        (&["backup", &missing], "missing does not exist: make it, or name a file elsewhere"),
        (&["restore", "--yes", &here], "is a folder: name the file of the backup"),
        (&["restore", "--yes", &missing], "copy.db does not exist"),
    ] {
        let refused = with(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}");
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    assert_eq!(usernames(&config), ["u1"]);
    let copied = with(&["backup", &copy]);
    assert_eq!((copied.code, copied.err.as_str()), (0, ""), "{}", copied.err);
    assert!(copied.out.ends_with("copy.db\n"), "{}", copied.out);
    assert!(with(&["backup", &copy]).err.contains("--replace"));
    assert_eq!(with(&["backup", "--replace", &copy]).code, 0);
    assert!(with(&["backup", "--replace", &folder.path("claimgate.db")]).err.contains("the database itself"));
    add(&config, "late");
    let asked = with(&["restore", &copy]);
    assert_eq!((asked.code, usernames(&config).len()), (2, 2));
    assert!(asked.err.contains("--yes"), "{}", asked.err);
    let restored = with(&["restore", "--yes", &copy]);
    assert_eq!(restored.code, 0, "{}", restored.err);
    assert!(restored.out.starts_with("restored 1 user to "), "{}", restored.out);
    assert_eq!(usernames(&config), ["u1"]);
}

// finding: A4
#[test]
fn people_follow_a_provider_that_changes_its_name_and_can_be_renamed_unlinked_and_removed() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let with = |arguments: &[&str]| run(&[arguments, &["--config", &config]].concat());
    for name in ["ada", "erase-me-please"] {
        add(&config, name);
    }
    let database = folder.path("claimgate.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .execute_batch(
            "INSERT INTO link SELECT 'https://old.example.com', 'subject-' || id, id FROM user;
             INSERT INTO session (id, user, issuer, subject, issued_at, created, expires)
                 SELECT randomblob(16), user, issuer, subject, 1, 1, 9000000000 FROM link;",
        )
        .unwrap();
    connection.close().unwrap();

    let rename = ["provider", "rename-issuer", "https://old.example.com", "https://new.example.com"];
    let asked = with(&rename);
    assert_eq!(asked.code, 2);
    assert!(
        asked.err.contains("gives 2 links, 2 sessions and 0 logout records of https://old"),
        "{}",
        asked.err
    );
    assert!(asked.err.contains("Nothing was changed"), "{}", asked.err);
    let renamed = with(&[&rename[..], &["--yes"]].concat());
    assert_eq!(renamed.out, "renamed 2 links, 2 sessions and 0 logout records\n", "{}", renamed.err);
    let shown = with(&["user", "show", "ada", "--format", "json"]).json();
    assert_eq!(shown["links"][0]["issuer"], "https://new.example.com");
    assert_eq!(shown["sessions"][0]["issuer"], "https://new.example.com");

    assert_eq!(with(&["user", "rename", "ada", "Lovelace"]).out, "renamed ada to lovelace\n");
    assert_eq!(with(&["user", "rename", "lovelace", "erase-me-please"]).code, 1);
    let unlinked = with(&["user", "unlink", "lovelace", "--issuer", "https://old.example.com", "--yes"]);
    assert_eq!((unlinked.code, unlinked.out.as_str()), (1, ""), "{}", unlinked.err);
    assert!(unlinked.err.contains("lovelace has no link to the issuer https://old"), "{}", unlinked.err);
    assert_eq!(with(&["user", "unlink", "lovelace"]).code, 2);
    assert_eq!(with(&["user", "unlink", "lovelace", "--yes"]).out, "1 link deleted; 1 session ended\n");
    assert!(with(&["user", "unlink", "lovelace"]).err.contains("has no link, so nothing was changed"));
    let shown = with(&["user", "show", "lovelace"]).out;
    assert!(shown.starts_with("lovelace  regular  active\n") && !shown.contains("linked"), "{shown}");

    let asked = with(&["provider", "unlink", "https://new.example.com"]);
    assert!(
        asked.err.contains("deletes 1 link to https://new.example.com and ends 1 session."),
        "{}",
        asked.err
    );
    for unknown in [
        &["provider", "unlink", "https://other.example.com"][..],
        &["provider", "unlink", "https://other.example.com", "--yes"],
        &["provider", "rename-issuer", "https://other.example.com", "https://new.example.com"],
        &["provider", "rename-issuer", "https://other.example.com", "https://new.example.com", "--yes"],
    ] {
        let refused = with(unknown);
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{}", refused.err);
        assert!(refused.err.starts_with("error[request.not_found]: no link"), "{}", refused.err);
        assert!(refused.err.contains("of the issuer https://other.example.com, so nothing was changed"));
    }
    let ended = with(&["session", "end", "00000000000000000000000000000000"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("there is no live session with this identifier"), "{}", ended.err);
    let asked = with(&["user", "remove", "erase-me-please"]);
    assert_eq!(asked.code, 2);
    assert!(
        asked.err.contains("erases the user erase-me-please with 1 link and 1 session."),
        "{}",
        asked.err
    );
    let removed = with(&["user", "remove", "erase-me-please", "--yes"]);
    assert_eq!(removed.out, "removed erase-me-please; 1 link deleted; 1 session ended\n", "{}", removed.err);
    assert_eq!(usernames(&config), ["lovelace"]);
    let bytes = std::fs::read(&database).unwrap();
    let trace = bytes.windows(15).any(|window| window == b"erase-me-please");
    assert!(!trace, "what was deleted is overwritten");
    assert_eq!(with(&["user", "remove", "erase-me-please", "--yes"]).code, 1);
}

/// A database that root makes by looking would be closed to the service.
#[test]
fn only_the_server_and_a_first_user_make_a_database() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let with = |arguments: &[&str]| run(&[arguments, &["--config", &config]].concat());
    for arguments in [&["log"][..], &["user", "list"], &["session", "list"], &["user", "deactivate", "ada"]] {
        let ran = with(arguments);
        assert!(
            ran.code == 2 && ran.err.contains("claimgate.db does not exist: `claimgate serve`"),
            "{}",
            ran.err
        );
        assert!(!std::path::Path::new(&folder.path("claimgate.db")).exists(), "{arguments:?}");
    }
    assert_eq!(with(&["user", "add", "ada", "--no-password"]).code, 0);
    assert_eq!(with(&["user", "list"]).code, 0);
}

// finding: A12
#[test]
fn without_the_setting_the_database_is_in_the_state_folder_of_the_service() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let state = Folder::new();
    let add = |state: &str, name: &str, config: &str| {
        let ran = std::process::Command::new(env!("CARGO_BIN_EXE_claimgate"))
            .args(["user", "add", name, "--no-password", "--config", config])
            .env("STATE_DIRECTORY", state)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stderr).unwrap()
    };
    let exists = |folder: &Folder, name: &str| std::path::Path::new(&folder.path(name)).exists();
    let said = add(&format!("{}:/elsewhere", state.path("")), "ada", &config);
    assert!(said.contains("claimgate.db did not exist"), "{said}");
    assert!(exists(&state, "claimgate.db") && !exists(&folder, "claimgate.db"));
    add("relative", "ada", &config);
    assert!(exists(&folder, "claimgate.db"));
    let named = folder.write("named.toml", CONFIG.replace("[[", "database = \"own.db\"\n\n[["));
    add(&state.path(""), "ada", &named);
    assert!(exists(&folder, "own.db"));
}

#[cfg(unix)]
#[test]
fn a_file_that_is_no_database_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let file = folder.write("claimgate.db", "a text of more than a few bytes that is no database");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = run(&["user", "list", "--config", &config]);
    assert!(ran.code == 2 && ran.err.contains("file is not a database"), "{}", ran.err);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
}
