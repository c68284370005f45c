//! The command and the server's start over PostgreSQL, as processes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::engine::{Engine, connect, runtime};

/// A configuration file in a folder of its own.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
}

impl Site {
    /// Writes a configuration with a table `[store]`.
    pub(crate) fn new(store: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
[server]
public_url = "http://127.0.0.1:1"
listen = "127.0.0.1:0"
{store}

[[provider]]
issuer = "http://127.0.0.1:1"
client_id = "crm"
client_secret = "0123456789abcdef0123456789abcdef"
"#
        );
        let file = folder.path().join("claimgate.toml");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder }
    }

    /// A configuration whose store is a database of an engine.
    pub(crate) fn of(engine: &Engine, user: &str, database: &str) -> Self {
        Self::new(&format!("[store]\nurl = \"{}\"", engine.url(user, database)))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claimgate"));
        let is_check = arguments.first() == Some(&"config");
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        if is_check {
            command.arg("claimgate.toml");
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that succeeds. Returns its output.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Runs a command that fails. Returns its exit code and its message.
    fn refuses(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let ran = self.run(arguments);
        assert!(!ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stdout));
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    }
}

#[test]
fn commands_work_on_the_database_that_the_store_names() {
    let Some(engine) = Engine::shared() else { return };
    let database = runtime().block_on(engine.new_database());
    let site = Site::of(engine, &database, &database);
    assert!(site.says(&["config", "check", "--strict"]).contains("valid"));
    site.says(&["user", "add", "Ada", "--no-password"]);
    let (code, message) = site.refuses(&["user", "add", "ada", "--no-password"]);
    assert!(code == Some(1) && message.contains("taken"), "{message}");
    site.says(&["user", "deactivate", "ada"]);
    let listed: serde_json::Value =
        serde_json::from_str(&site.says(&["user", "list", "--format", "json"])).unwrap();
    assert_eq!((&listed[0]["username"], &listed[0]["active"]), (&"ada".into(), &false.into()));
    assert_eq!(site.says(&["session", "list"]), "");
    let (code, message) = site.refuses(&["provider", "rename-issuer", "--yes", "https://old", "https://new"]);
    assert!(code == Some(1) && message.contains("nothing was changed"), "{message}");
    assert!(!site.folder.path().join("claimgate.db").exists(), "no file beside the configuration");
    for command in ["backup", "restore"] {
        let (code, message) = site.refuses(&[command, "copy.db"]);
        assert!(code == Some(2) && message.contains("PostgreSQL's own tools"), "{command}: {message}");
    }
    let removed = site.says(&["user", "remove", "ada", "--yes"]);
    assert!(removed.contains("ada"), "{removed}");
}

#[test]
fn a_command_that_looks_makes_no_schema_and_waits_for_no_lock() {
    let Some(engine) = Engine::shared() else { return };
    let database = runtime().block_on(engine.new_database());
    let site = Site::of(engine, &database, &database);
    let looks: [&[&str]; 3] = [&["session", "list"], &["user", "list"], &["log"]];
    for arguments in looks {
        let (code, message) = site.refuses(arguments);
        assert!(code == Some(2) && message.contains("holds no store yet"), "{arguments:?}: {message}");
    }
    let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = 'claimgate'";
    runtime().block_on(async {
        let superuser = engine.superuser(&database).await;
        assert_eq!(superuser.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
        site.says(&["user", "add", "ada", "--no-password"]);
        superuser.batch_execute("BEGIN; SELECT FROM claimgate.ord FOR UPDATE").await.unwrap();
        for arguments in looks {
            site.says(arguments);
        }
        let (code, message) = site.refuses(&["user", "deactivate", "ada"]);
        assert!(code == Some(2) && message.contains("`claimgate doctor` names it"), "{message}");
    });
}

#[test]
fn a_user_that_cannot_be_read_is_shown_and_removed() {
    let Some(engine) = Engine::shared() else { return };
    let database = runtime().block_on(engine.new_database());
    let site = Site::of(engine, &database, &database);
    site.says(&["user", "add", "ada", "--no-password"]);
    let damage = "UPDATE claimgate.users SET kind = 'unheard of', teams = '[broken'";
    runtime().block_on(async { engine.superuser(&database).await.batch_execute(damage).await.unwrap() });
    let shown = site.says(&["user", "show", "ada"]);
    assert!(shown.contains("teams: [broken") && shown.contains("kind: unheard of"), "{shown}");
    let (code, message) = site.refuses(&["user", "deactivate", "ada"]);
    assert!(code == Some(2) && message.contains("`claimgate user remove NAME`"), "{message}");
    let report = String::from_utf8(site.run(&["doctor", "--offline"]).stdout).unwrap();
    assert!(report.contains(": \"ada\"; `claimgate user show NAME`"), "{report}");
    assert!(site.says(&["user", "remove", "ada", "--yes"]).contains("removed ada"));
    assert_eq!(site.says(&["user", "list"]), "");
}

#[test]
fn a_server_that_cannot_start_over_postgresql_says_what_to_do() {
    let Some(engine) = Engine::shared() else { return };
    let newer = runtime().block_on(async {
        let database = engine.new_database().await;
        let mut connection = connect(&engine.server(&database)).await.unwrap();
        let client = connection.client();
        client.batch_execute("UPDATE schema_version SET version = 900, works_for = 899").await.unwrap();
        database
    });
    let standby = runtime().block_on(async {
        let database = engine.new_database().await;
        let sql = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
        engine.superuser("postgres").await.batch_execute(&sql).await.unwrap();
        database
    });
    let (secret, full, latin, database) = runtime().block_on(async {
        let [secret, full, latin, database] = [
            engine.new_database().await,
            engine.new_database().await,
            engine.new_database().await,
            engine.new_database().await,
        ];
        let superuser = engine.superuser("postgres").await;
        superuser.batch_execute(&format!("ALTER USER {full} CONNECTION LIMIT 0")).await.unwrap();
        superuser.batch_execute(&format!("DROP DATABASE {latin}")).await.unwrap();
        let sql =
            format!("CREATE DATABASE {latin} OWNER {latin} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0");
        superuser.batch_execute(&sql).await.unwrap();
        engine.require_password(&secret);
        superuser.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        (secret, full, latin, database)
    });
    let url = |url: &str| Site::new(&format!("[store]\nurl = \"{url}\""));
    let old = old_server();
    let old = format!("postgres://ada@127.0.0.1:{old}/ada");
    for (site, said) in [
        (url("postgres://ada@127.0.0.1:1/ada"), "cannot be reached at 127.0.0.1 (port 1)"),
        (url("mysql://ada@127.0.0.1/ada"), "write it as postgres://user@host/database"),
        (Site::of(engine, "stranger", "postgres"), "check the user in the URL"),
        (Site::of(engine, "super", "missing"), "make it with `createdb"),
        (Site::of(engine, &standby, &standby), "name the primary, or all hosts"),
        (Site::of(engine, &newer, &newer), "has version 900, and this program works with "),
        (url(&old), "PostgreSQL 12 is too old: version 15 or later is needed"),
        (Site::of(engine, &secret, &secret), "demands a password: write it to a file that `password_file`"),
        (Site::of(engine, &full, &full), "max_connections"),
        (Site::of(engine, &latin, &latin), "has the encoding LATIN1"),
        (
            url(&format!("postgres://ada@127.0.0.1:{}/ada?sslmode=require", server_without_tls())),
            "does not offer TLS: switch `ssl` on",
        ),
        (
            Site::new(&format!(
                "[store]\nurl = \"{}\"\nrequire_synchronous = true",
                engine.url(&database, &database)
            )),
            "is empty): name one there, or remove `require_synchronous`",
        ),
    ] {
        let (code, message) = site.refuses(&["serve", "--log-level", "error"]);
        assert!(code == Some(2) && message.contains(said), "{said}: {message}");
        let (code, message) = site.refuses(&["user", "list"]);
        assert!(code == Some(2) && message.contains(said), "{said}: {message}");
    }
}

#[test]
fn a_check_online_connects_and_names_what_is_missing() {
    let Some(engine) = Engine::shared() else { return };
    let database = runtime().block_on(engine.new_database());
    let site = Site::of(engine, &database, &database);
    let ran = site.run(&["config", "check", "--online"]);
    let report = String::from_utf8(ran.stdout).unwrap();
    assert!(report.contains("ok       PostgreSQL ") && report.contains("there is no schema yet"), "{report}");
    let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = 'claimgate'";
    let made: i64 = runtime()
        .block_on(async { engine.superuser(&database).await.query_one(sql, &[]).await.unwrap().get(0) });
    assert_eq!(made, 0, "a check changes nothing");
    let store =
        format!("[store]\nurl = \"{}\"\nrequire_synchronous = true", engine.url(&database, &database));
    let ran = Site::new(&store).run(&["config", "check", "--online"]);
    let report = String::from_utf8(ran.stdout).unwrap();
    assert!(report.contains("PROBLEM  the server has no synchronous standby"), "{report}");
}

#[test]
fn a_password_comes_from_a_file_or_the_environment_and_is_shown_nowhere() {
    let Some(engine) = Engine::shared() else { return };
    let database = runtime().block_on(async {
        let database = engine.new_database().await;
        let client = engine.superuser("postgres").await;
        engine.require_password(&database);
        let sql = format!("ALTER USER {database} PASSWORD 'open sesame'; SELECT pg_reload_conf()");
        client.batch_execute(&sql).await.unwrap();
        // The server takes the new rule when it has read its configuration.
        let deadline = Instant::now() + Duration::from_secs(20);
        while engine.server(&database).connect().await.is_ok() {
            assert!(Instant::now() < deadline, "no password is required");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        database
    });
    let url = engine.url(&database, &database);
    let site = Site::new(&format!("[store]\nurl = \"{url}\"\npassword_env = \"STORE_PASSWORD\""));
    let add = ["user", "add", "ada", "--no-password"];
    let ran = site.command(&add).env("STORE_PASSWORD", "open sesame").output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let ran = site.command(&["user", "list"]).env("STORE_PASSWORD", "close sesame").output().unwrap();
    let message = String::from_utf8(ran.stderr).unwrap();
    assert!(message.contains("`password_file`") && !message.contains("sesame"), "{message}");
    let site = Site::new(&format!("[store]\nurl = \"{url}\"\npassword_file = \"password\""));
    std::fs::write(site.folder.path().join("password"), "open sesame\n").unwrap();
    site.says(&["user", "list"]);
}

/// Answers a request for TLS as PostgreSQL does without it. Returns the port.
fn server_without_tls() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            drop(client.read(&mut [0; 8]).and_then(|_| client.write_all(b"N")));
        }
    });
    port
}

/// Answers as PostgreSQL 12 does, up to its version. No such version is installed. Returns the port.
fn old_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], body].concat()
    };
    let ready = message(b'Z', b"I");
    let started = [message(b'R', &[0; 4]), ready.clone()].concat();
    let column = |name: &str, oid: u32, size: u16, format: u16| {
        let body = [
            &1_u16.to_be_bytes()[..],
            name.as_bytes(),
            &[0; 7],
            &oid.to_be_bytes(),
            &size.to_be_bytes(),
            &[0xff; 4],
            &format.to_be_bytes(),
        ];
        message(b'T', &body.concat())
    };
    let row = |value: &[u8]| {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        message(b'D', &[&1_u16.to_be_bytes()[..], &length, value].concat())
    };
    let done = message(b'C', b"SELECT 1\0");
    // `SHOW transaction_read_only`, then the version as a prepared statement.
    let writable = [column("t", 25, u16::MAX, 0), row(b"off"), done.clone(), ready.clone()].concat();
    let prepared =
        [message(b'1', &[]), message(b't', &[0; 2]), column("v", 23, 4, 0), ready.clone()].concat();
    let version = [message(b'2', &[]), row(&12_i32.to_be_bytes()), done, ready].concat();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            for answer in [&started, &writable, &prepared, &version] {
                // Each request arrives as one piece.
                let read = client.read(&mut [0; 4096]);
                if read.is_err() || client.write_all(answer).is_err() {
                    break;
                }
            }
            drop(client.read(&mut [0; 4096]));
        }
    });
    port
}

#[test]
fn a_database_file_is_copied_into_an_empty_database_once() {
    let Some(engine) = Engine::shared() else { return };
    let database = runtime().block_on(engine.new_database());
    let (before, site) = (Site::new(""), Site::of(engine, &database, &database));
    before.says(&["user", "add", "ada", "--no-password"]);
    before.says(&["user", "add", "grace", "--no-password"]);
    let file = before.folder.path().join("claimgate.db");
    let copy = ["store", "copy", file.to_str().unwrap()];
    let (code, message) = before.refuses(&copy);
    assert_eq!(code, Some(2));
    assert!(message.contains("names no PostgreSQL: write `[store]`"), "{message}");
    let (code, message) = site.refuses(&["store", "copy", "missing.db"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("missing.db: no such file"), "{message}");
    let rights = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let other = site.folder.path().join("notes");
    std::fs::write(&other, "no database").unwrap();
    for path in [&file, &other] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let (code, message) = site.refuses(&["store", "copy", "notes"]);
    assert!(code == Some(2) && message.contains("notes: file is not a database"), "{message}");
    assert!(rights(&other) == 0o644 && !site.folder.path().join("notes.lock").exists());
    assert!(
        site.says(&copy)
            .starts_with("copied 2 users, 0 passwords, 0 links, 0 sessions, 0 logouts and 2 events from ")
    );
    assert_eq!(rights(&file), 0o644, "the file keeps its rights");
    let users = site.says(&["user", "list"]);
    assert!(users.contains("ada") && users.contains("grace"), "{users}");
    let (code, message) = site.refuses(&copy);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("holds data of a store (2 users, 2 events, 2 notices): name an empty one"),
        "{message}"
    );
}
