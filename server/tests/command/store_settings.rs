//! The table `[store]`: what its settings mean, and its errors.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use claimgate_config::{Config, Extensions, Store};

use super::support::{Folder, run};

const SERVER: &str = "[server]\npublic_url = \"https://sso.example.com\"\n";
const PROVIDER: &str =
    "[[provider]]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\nclient_secret = \"s\"\n";

fn store(settings: &str) -> Store {
    let text = format!("{SERVER}{settings}{PROVIDER}");
    let config = Config::parse(&text, "claimgate.toml", Path::new(""), &Extensions::builtin()).unwrap();
    config.server.unwrap().store
}

fn error(text: &str) -> String {
    Config::parse(text, "claimgate.toml", Path::new(""), &Extensions::builtin()).unwrap_err().to_string()
}

#[test]
fn the_data_is_in_a_file_or_in_postgresql() {
    let Store::Sqlite(sqlite) = store("database = \"x.db\"\n") else { panic!("SQLite") };
    assert_eq!((sqlite.file.as_path(), sqlite.logout_memory), (Path::new("x.db"), 1 << 30));
    let Store::Sqlite(sqlite) = store("logout_memory = 8_589_934_592\n") else { panic!("SQLite") };
    assert_eq!(sqlite.logout_memory, 8 << 30);
    let Store::Postgres(postgres) = store("[store]\nurl = \"postgres://u@h/d\"\npassword = \"p\"\n") else {
        panic!("PostgreSQL")
    };
    assert_eq!((postgres.url.as_str(), postgres.password.unwrap().expose()), ("postgres://u@h/d", "p"));
    assert_eq!((postgres.revocation_bound, postgres.require_synchronous), (Duration::from_secs(1), false));
    let text = "[store]\nurl = \"postgres://u@h/d\"\nrevocation_bound = \"1m\"\nrequire_synchronous = true\n";
    let Store::Postgres(postgres) = store(text) else { panic!("PostgreSQL") };
    assert_eq!((postgres.revocation_bound, postgres.require_synchronous), (Duration::from_secs(60), true));
}

#[test]
fn each_fault_of_the_store_has_its_place() {
    let url = "url = \"postgres://u@h/d\"\n";
    for (text, said) in [
        (
            format!("{SERVER}database = \"x.db\"\n[store]\n{url}{PROVIDER}"),
            "3:12: server.database: names an SQLite file, and [store] names PostgreSQL",
        ),
        (
            format!("{SERVER}logout_memory = 268_435_456\n[store]\n{url}{PROVIDER}"),
            "3:17: server.logout_memory: bounds logouts in a server's memory, and PostgreSQL keeps them",
        ),
        (format!("{SERVER}logout_memory = 268_435_455\n{PROVIDER}"), "3:17: server.logout_memory: must be"),
        (format!("{SERVER}logout_memory = 1_099_511_627_777\n{PROVIDER}"), "server.logout_memory: must be"),
        (format!("{SERVER}logout_memory = -1\n{PROVIDER}"), "3:17: server.logout_memory: "),
        (format!("{SERVER}[store]\n{PROVIDER}"), "3:1: store.url: is missing; write the address"),
        (format!("[store]\n{url}{PROVIDER}"), "1:1: store: needs [server]"),
        (
            format!("{SERVER}[store]\n{url}revocation_bound = 0\n{PROVIDER}"),
            "5:20: store.revocation_bound: must be",
        ),
        (
            format!("{SERVER}[store]\n{url}revocation_bound = \"11m\"\n{PROVIDER}"),
            "store.revocation_bound: must be",
        ),
        (
            format!("{SERVER}[store]\n{url}password = \"a\"\npassword_env = \"B\"\n{PROVIDER}"),
            "5:12: store.password: write only one of password, password_file and password_env",
        ),
        (
            format!("{SERVER}[store]\n{url}password_file = \"none\"\n{PROVIDER}"),
            "5:17: store.password_file: none: ",
        ),
        (
            format!("{SERVER}[store]\n{url}password = 12345\n{PROVIDER}"),
            "5:12: store.password: must be a text in quotes",
        ),
        (
            format!("{SERVER}[store]\n{url}user = \"u\"\n{PROVIDER}"),
            "5:1: store.user: unknown setting of [store]",
        ),
        (format!("{SERVER}[[store]]\n{url}{PROVIDER}"), "write [store] in single brackets"),
    ] {
        let error = error(&text);
        assert!(error.contains(said), "{said}: {error}");
        assert!(!error.contains("12345"), "{error}");
    }
}

#[test]
fn a_check_judges_the_url_and_the_certificates_without_connecting() {
    let folder = Folder::new();
    folder.write("text", "some text");
    let remote = "url = \"postgres://u@db.example.com/d\"";
    for (settings, said) in [
        ("url = \"mysql://u@h/d\"".to_owned(), "4:7: store.url: the URL of PostgreSQL is not usable"),
        (
            "url = \"postgres://u:p@h/d\"".to_owned(),
            "4:7: store.url: the URL of PostgreSQL is not usable: it holds a password",
        ),
        (
            "url = \"postgres://u@h/d?sslmode=disable\"".to_owned(),
            "sends passwords and sessions to another machine",
        ),
        (format!("{remote}\nca_file = \"none\""), "5:11: store.ca_file: "),
        (format!("{remote}\nca_file = \"text\""), "5:11: store.ca_file: "),
    ] {
        let file = folder.write("claimgate.toml", format!("{SERVER}[store]\n{settings}\n{PROVIDER}"));
        let ran = run(&["config", "check", &file]);
        assert_eq!((ran.code, ran.out.contains("valid")), (2, false), "{}{}", ran.out, ran.err);
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
        assert_eq!(ran.err.matches("error").count(), 1, "one fault: {}", ran.err);
    }
    let file = folder.write("claimgate.toml", format!("{SERVER}[store]\n{remote}\n{PROVIDER}"));
    let ran = run(&["config", "check", &file]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[cfg(unix)]
#[test]
fn a_password_that_every_user_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let secret = folder.write("password", "p\n");
    let store = "[store]\nurl = \"postgres://u@localhost/d\"\npassword_file = \"password\"\n";
    let file = folder.write("claimgate.toml", format!("{SERVER}{store}{PROVIDER}"));
    let check = |mode| {
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
        run(&["config", "check", &file]).out
    };
    assert!(check(0o644).contains("5:17: store.password_file: warning: "), "{}", check(0o644));
    assert!(!check(0o600).contains("store.password_file"), "{}", check(0o600));
    let secrets = Config::secret_files(Path::new(&file)).unwrap();
    assert!(secrets.contains(&Path::new(&secret).to_owned()), "{secrets:?}");
}
