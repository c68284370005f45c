//! `claimgate log`.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use claimgate_server::store::{Event, EventKind, SqliteStore};

use super::support::{Folder, run};

const CONFIG: &str = r#"
[server]
public_url = "https://sso.example.com"

[[provider]]
issuer = "https://idp.example.com"
client_id = "crm"
"#;

/// A database with the events of two commands and of a server.
struct Site {
    folder: Folder,
    config: String,
}

impl Site {
    fn new() -> Self {
        let folder = Folder::new();
        let config = folder.write("claimgate.toml", CONFIG);
        Self { folder, config }
    }

    fn run(&self, arguments: &[&str]) -> super::support::Outcome {
        run(&[arguments, &["--config", &self.config]].concat())
    }

    fn log(&self, arguments: &[&str]) -> String {
        let ran = self.run(&[&["log"], arguments].concat());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        ran.out
    }

    /// Records events as a server does.
    fn record(&self, events: Vec<Event>) {
        let store = SqliteStore::open(Path::new(&self.folder.path("claimgate.db"))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(store.record_events(events)).unwrap();
        store.close();
    }
}

/// What follows the time in a line.
fn told(line: &str) -> &str {
    line.split_once("Z  ").unwrap().1
}

// finding: R12
#[test]
fn what_commands_have_changed_is_in_the_log() {
    let site = Site::new();
    for command in [
        &["user", "add", "Ada", "--no-password"][..],
        &["user", "rename", "ada", "ada.lovelace"],
        &["user", "deactivate", "ada.lovelace"],
        &["session", "end", "--user", "ada.lovelace"],
    ] {
        assert_eq!(site.run(command).code, 0, "{command:?}");
    }
    // What is refused has changed nothing.
    assert_eq!(site.run(&["user", "deactivate", "unknown"]).code, 1);
    let log = site.log(&[]);
    let lines: Vec<&str> = log.lines().map(told).collect();
    let expected = [
        "administration  code=\"user add\"  user=ada  by=(command)",
        "administration  code=\"user rename\"  user=ada.lovelace  by=(command)  detail=\"was ada\"",
        "administration  code=\"user deactivate\"  user=ada.lovelace  by=(command)",
        "administration  code=\"session end\"  user=ada.lovelace  by=(command)",
    ];
    assert_eq!(lines, expected);
    assert_eq!(site.run(&["user", "remove", "ada.lovelace", "--yes"]).code, 0);
    let log = site.log(&["--kind", "administration", "--format", "json"]);
    assert!(!log.contains("ada"), "{log}");
    assert_eq!(log.matches("(removed user 1)").count(), 4, "{log}");
    assert!(
        log.lines().last().unwrap().contains(r#""code":"user remove","by":"(command)","detail":"user 1""#)
    );
}

#[test]
fn events_are_selected_and_shown_safely() {
    let site = Site::new();
    site.record(Vec::new());
    assert_eq!(site.log(&[]), "");
    let refusal = Event::new(EventKind::Refusal, "sign_in.unknown").provider("idp");
    site.record(vec![
        refusal.clone().user("a\u{1b}[2J\nforged\u{202e}").count(3),
        Event::new(EventKind::SignIn, "password").user("root").client(Some([192, 0, 2, 1].into())),
        refusal,
    ]);
    let log = site.log(&[]);
    assert_eq!(log.lines().count(), 3);
    let shown = "refusal  code=sign_in.unknown  user=a\\u{1b}[2J\\u{a}forged\\u{202e}  provider=idp  count=3";
    assert_eq!(told(log.lines().next().unwrap()), shown);
    let sign_in = site.log(&["--kind", "sign_in,logout"]);
    assert_eq!(told(sign_in.trim_end()), "sign_in  code=password  user=root  client=192.0.2.1");
    assert_eq!(site.log(&["--provider", "idp", "--limit", "1", "--since", "1h"]).lines().count(), 1);
    assert_eq!(site.log(&["--until", "1h"]), "");
    assert_eq!(site.log(&["--user", "root", "--since", "2020-01-01T00:00:00Z"]).lines().count(), 1);
    let json = site.log(&["--format", "json", "--limit", "2"]);
    let newest: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(newest["kind"], "refusal");
    assert!(newest["id"].is_i64() && newest["time"].is_string() && newest.get("user").is_none(), "{newest}");
    for wrong in [&["--kind", "sign-in"][..], &["--since", "yesterday"], &["--follow", "--until", "1h"]] {
        assert_eq!(site.run(&[&["log"], wrong].concat()).code, 2, "{wrong:?}");
    }
}

/// `--follow` prints what there is, then what comes.
#[test]
fn further_events_are_followed() {
    let site = Site::new();
    site.record(vec![Event::new(EventKind::Logout, "before")]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_claimgate"))
        .args(["log", "--follow", "--kind", "logout", "--config", &site.config])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(told(&lines.next().unwrap().unwrap()), "logout  code=before");
    site.record(vec![Event::new(EventKind::Refusal, "other"), Event::new(EventKind::Logout, "after")]);
    assert_eq!(told(&lines.next().unwrap().unwrap()), "logout  code=after");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_configuration_can_do_without_events() {
    let site = Site::new();
    let without = site.folder.write("without.toml", format!("{CONFIG}\n[events]\nenabled = false\n"));
    assert_eq!(run(&["user", "add", "ada", "--no-password", "--config", &without]).code, 0);
    assert_eq!(site.log(&[]), "");
    for (setting, said) in [
        ("retention = \"5m\"", "must be from 1 hour to 10 years"),
        ("max = 1", "must be from 1000 to 10000000"),
        ("keep = 1", "unknown setting"),
    ] {
        let wrong = site.folder.write("wrong.toml", format!("{CONFIG}\n[events]\n{setting}\n"));
        let ran = run(&["log", "--config", &wrong]);
        assert!(ran.code == 2 && ran.err.contains(said), "{setting}: {}", ran.err);
    }
}
