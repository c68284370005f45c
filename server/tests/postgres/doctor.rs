//! `claimgate doctor` over PostgreSQL: what is well, and what is wrong with a server and how it is put right.

use std::time::{Duration, Instant};

use claimgate_server::store::postgres::{PgStore, Settings};
use tokio::time::sleep;
use tokio_postgres::Client;

use super::command::Site;
use super::engine::{Engine, runtime};
use super::people::{logout, of_sid};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the doctor. Returns its exit code and its report.
fn doctor(site: &Site) -> (Option<i32>, String) {
    let ran = site.run(&["doctor", "--offline"]);
    (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
}

/// Runs the doctor until it reports a line.
async fn until_reported(site: &Site, line: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, report) = doctor(site);
        if report.contains(line) {
            assert_eq!(code, Some(1), "{report}");
            return report;
        }
        assert!(Instant::now() < deadline, "{line}: {report}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_database_without_a_fault_has_none() {
    let Some(engine) = Engine::start_durable() else { return };
    let database = runtime().block_on(engine.new_database());
    let site = Site::of(&engine, &database, &database);
    let (code, report) = doctor(&site);
    assert!(code == Some(0) && report.contains("there is no schema yet"), "{report}");
    site.says(&["user", "add", "ada", "--no-password"]);
    let (code, report) = doctor(&site);
    assert_eq!(code, Some(0), "{report}");
    for fact in [
        "ok       PostgreSQL ",
        "without TLS",
        &format!("the schema has version {0} of {0}", claimgate_server::store::postgres::MIGRATIONS.len()),
        "note     no synchronous standby",
        "ok       0 standby connections, 0 synchronous",
        "note     no server follows the database; the newest beat: never",
        "ok       no transaction waits for another",
        " of 57 connections are in use",
        " kB in all: ",
        "ok       the rows of all tables can be read, and the usernames keep the rules",
        "ok       no other user of this machine may read them",
    ] {
        assert!(report.contains(fact), "{fact}: {report}");
    }
}

#[test]
fn what_an_operator_has_to_put_right_is_a_problem_with_its_remedy() {
    // A server of its own: one of its settings concerns every database.
    let Some(engine) = Engine::start() else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let site = Site::of(&engine, &database, &database);
        let node = PgStore::open(engine.server(&database), Settings::default()).await.unwrap();
        let superuser = engine.superuser(&database).await;
        let healthy = until_reported(&site, "PROBLEM  the server runs with fsync = off").await;
        assert!(healthy.contains("ok       1 server follows it; the newest beat: 0."), "{healthy}");

        superuser.batch_execute(FAULTS).await.unwrap();
        let report = until_reported(&site, "PROBLEM  of the table users 1 row").await;
        for fault in [
            "note     1 more server seen lately, and silent now",
            "PROBLEM  of the table users 1 row cannot be read",
            r#"PROBLEM  user 2, "Ada L", breaks the rules of usernames: sign-ins look up "ada_l""#,
            "PROBLEM  of the table sessions 1 row cannot be read",
            "PROBLEM  logouts that were over 10 min ago are still there",
        ] {
            assert!(report.contains(fault), "{fault}: {report}");
        }

        end_what_others_wait_for(&engine, &database, &site, &node, &superuser).await;
        superuser.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'missing'").await.unwrap();
        superuser.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let line =
            "PROBLEM  0 standby connections, 0 synchronous: every commit waits for a standby named missing";
        until_reported(&site, line).await;
    });
}

/// Locks the order row as a person at a terminal would, and ends it as the report says.
async fn end_what_others_wait_for(
    engine: &Engine,
    database: &str,
    site: &Site,
    node: &PgStore,
    superuser: &Client,
) {
    let forgotten = engine.superuser(database).await;
    forgotten.batch_execute("BEGIN; SELECT FROM claimgate.ord FOR UPDATE").await.unwrap();
    let writing = tokio::spawn({
        let node = node.clone();
        async move {
            while node.apply_logouts(&[logout("1", of_sid("s"))]).await.is_err() {
                sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let report = until_reported(site, "SELECT pg_terminate_backend(").await;
    assert!(report.contains("PROBLEM  a transaction of process ") && report.contains(", super"), "{report}");
    let (_, rest) = report.split_once("SELECT pg_terminate_backend(").unwrap();
    let process: i32 = rest.split_once(')').unwrap().0.parse().unwrap();
    superuser.execute("SELECT pg_terminate_backend($1)", &[&process]).await.unwrap();
    writing.await.unwrap();
    let (_, report) = doctor(site);
    assert!(report.contains("ok       no transaction waits for another"), "{report}");
}

const FAULTS: &str = r"
    SET search_path = claimgate;
    INSERT INTO nodes VALUES ('\x01', 1, 0, now() - interval '1 min', 1);
    INSERT INTO users (id, username, kind, active, profile, teams, version) VALUES
        (1, 'ada', 'unheard of', true, '{}', '{}', 0), (2, 'Ada L', 'regular', true, '{}', '{}', 0);
    INSERT INTO sessions (id, user_id, expires) VALUES ('\x01', 1, now() + interval '1 h');
    INSERT INTO logouts VALUES ('\x01', NULL, '\x01', 0, 1, now() - interval '10 min 30 s', 1, 1);
    RESET search_path";
