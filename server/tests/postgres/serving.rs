//! `claimgate serve` as a process: what its probe reports, what it logs, and a password that changes beneath it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::command::Site;
use super::engine::{Engine, runtime};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs. It is killed when this value is dropped.
struct Serving {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    address: String,
}

impl Serving {
    /// Starts the server of a site, and waits until it listens.
    fn start(site: &Site) -> Self {
        let mut child =
            site.command(&["serve"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::<Mutex<Vec<Value>>>::default();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    // A message that is no line of the log is kept as a text.
                    log.lock().push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
                }
            }
        });
        let mut serving = Self { child, log, address: String::new() };
        let listening = serving.until_logged("listening");
        serving.address = listening["address"].as_str().unwrap().to_owned();
        serving
    }

    /// Waits for a line of the log with a message.
    fn until_logged(&self, message: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.log.lock().iter().find(|line| line["message"] == message).cloned();
            if let Some(line) = found {
                return line;
            }
            assert!(Instant::now() < deadline, "{message:?} is not in {:?}", self.log.lock());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks `/readyz`. Returns the status and the report.
    fn readiness(&self) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    fn until_status(&self, wanted: u16) {
        let deadline = Instant::now() + PATIENCE;
        while self.readiness().0 != wanted {
            assert!(Instant::now() < deadline, "{:?} {:?}", self.readiness(), self.log.lock());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns the members of the report that `/api/openapi.json` describes: those over PostgreSQL alone, and the others.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/openapi.json");
    let document: Value = serde_json::from_slice(&std::fs::read(document).unwrap()).unwrap();
    let properties =
        |schema: &str| document["components"]["schemas"][schema]["properties"].as_object().unwrap();
    let (over_postgres, mut always): (BTreeSet<_>, BTreeSet<_>) =
        properties("Readiness").keys().cloned().partition(|member| {
            let meaning = properties("Readiness")[member]["description"].as_str().unwrap();
            meaning.starts_with("Over PostgreSQL")
        });
    always.extend(properties("ProviderState").keys().map(|member| format!("providers.ID.{member}")));
    (over_postgres, always)
}

/// Returns the members of a report, those of a provider as `providers.ID.…`.
fn members(report: &Value) -> BTreeSet<String> {
    let mut members: BTreeSet<String> = report.as_object().unwrap().keys().cloned().collect();
    for provider in report["providers"].as_object().unwrap().values() {
        members.extend(provider.as_object().unwrap().keys().map(|member| format!("providers.ID.{member}")));
    }
    members
}

#[test]
fn the_probe_reports_what_the_reference_describes() {
    let Some(engine) = Engine::shared() else { return };
    let database = runtime().block_on(engine.new_database());
    let (over_postgres, always) = documented();
    assert!(always.contains("store") && over_postgres.contains("lease_age"), "{always:?} {over_postgres:?}");
    let serving = Serving::start(&Site::new(""));
    let (status, report) = serving.readiness();
    assert_eq!((status, members(&report)), (200, always.clone()), "over SQLite");
    let provider = &report["providers"]["oidc"];
    assert_eq!(
        (&report["store"], &provider["discovered"], &provider["keys"]),
        (&true.into(), &false.into(), &0.into())
    );
    assert!(provider["keys_age"].is_null(), "{report}");
    let serving = Serving::start(&Site::of(engine, &database, &database));
    serving.until_status(200);
    let (_, report) = serving.readiness();
    assert_eq!(members(&report), always.union(&over_postgres).cloned().collect(), "over PostgreSQL");
    assert!(
        report["lease_age"].as_f64().unwrap() < 1.0 && report["synchronous_standby"] == false,
        "{report}"
    );
}

#[test]
fn a_change_by_a_command_is_in_the_log_of_one_server() {
    let Some(engine) = Engine::shared() else { return };
    let database = runtime().block_on(engine.new_database());
    let site = Site::of(engine, &database, &database);
    site.says(&["user", "add", "ada", "--no-password"]);
    // A server reads what was left for it when it starts, and once a minute.
    let first = Serving::start(&site);
    let line = first.until_logged("changed by a command");
    assert_eq!((&line["action"], &line["about"]), (&"user add".into(), &"ada".into()), "{line}");
    let second = Serving::start(&site);
    second.until_status(200);
    let again = second.log.lock().iter().any(|line| line["message"] == "changed by a command");
    assert!(!again, "each change is logged once");
}

#[test]
fn new_connections_prove_the_password_of_a_reload() {
    let Some(engine) = Engine::shared() else { return };
    let runtime = runtime();
    let database = runtime.block_on(engine.new_database());
    let superuser = runtime.block_on(engine.superuser("postgres"));
    let execute = |sql: &str| runtime.block_on(superuser.batch_execute(sql)).unwrap();
    let change = |password: &str| execute(&format!("ALTER USER {database} PASSWORD '{password}'"));
    let disconnect = || {
        execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{database}'"
        ))
    };
    engine.require_password(&database);
    change("the first one");
    execute("SELECT pg_reload_conf()");
    let deadline = Instant::now() + PATIENCE;
    while runtime.block_on(engine.server(&database).connect()).is_ok() {
        assert!(Instant::now() < deadline, "no password is required");
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = engine.url(&database, &database);
    let site = Site::new(&format!("[store]\nurl = \"{url}\"\npassword_file = \"password\""));
    let file = site.folder.path().join("password");
    std::fs::write(&file, "the first one\n").unwrap();
    let serving = Serving::start(&site);
    serving.until_status(200);

    change("the second one");
    assert_eq!(serving.readiness().0, 200, "the connections that are open go on");
    disconnect();
    serving.until_status(503);
    std::fs::write(&file, "a wrong one\n").unwrap();
    serving.hang_up();
    let line = serving.until_logged(
        "a new connection to [store] fails with the password and the ca_file as they are now; connections that are open go on",
    );
    assert!(line["error"].as_str().unwrap().contains("password_file"), "{line}");
    std::fs::write(&file, "the second one\n").unwrap();
    serving.hang_up();
    serving.until_status(200);
    let log = format!("{:?}", serving.log.lock());
    assert!(
        ["the first one", "the second one", "a wrong one"].iter().all(|secret| !log.contains(secret)),
        "{log}"
    );
    assert!(!log.contains("takes effect at the next start"), "{log}");
}
