//! Nodes in processes of their own: stopped, killed, and with clocks a day apart.

use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use claimgate::oidc::session::SessionId;
use claimgate_server::store::postgres::{PgStore, Settings};
use tokio::time::sleep;

use super::engine::{Engine, connect, runtime, skip_fault};
use super::node_process::NodeProcess;
use super::nodes::{Prey, sign_in};
use super::people::{logout, of_sid};
use super::record::{Record, clock};

/// The bound of the nodes of these tests.
const BOUND: Duration = Duration::from_secs(1);
/// How many logouts are acknowledged before a node is killed.
const ACKNOWLEDGED: usize = 1000;
/// How long a node is stopped.
const STOPPED: Duration = Duration::from_secs(5);

fn settings() -> Settings {
    Settings { revocation_bound: BOUND, ..Settings::default() }
}

#[test]
fn a_node_that_was_stopped_serves_nothing_that_ended_meanwhile() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let here = PgStore::open(engine.server(&database), settings()).await.unwrap();
        let ended = sign_in(&here, "ada", Some("s")).await;
        let live = sign_in(&here, "grace", Some("t")).await;
        let mut node = NodeProcess::start(&[], &engine.address(&database), BOUND);
        for session in [ended, live] {
            node.serve(session);
            node.until(session, "live", Duration::ZERO).await;
        }
        node.stop();
        here.apply_logouts(&[logout("1", of_sid("s"))]).await.unwrap();
        let mut record = node.record();
        record.acknowledge("1", Some(ended));
        let acknowledged = clock();
        sleep(STOPPED).await;
        node.resume();
        node.until(live, "live", acknowledged).await;
        node.until(ended, "over", acknowledged).await;
        let served = node.record();
        assert_eq!(record.with_served_of(&served).check(BOUND, &here).await, []);
    });
}

#[test]
fn a_node_that_is_killed_in_a_storm_loses_nothing_that_it_acknowledged() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let here = PgStore::open(engine.server(&database), settings()).await.unwrap();
        let other = PgStore::open(engine.server(&database), settings()).await.unwrap();
        let prey = Prey::of(&here, &other, 25).await;
        let mut node = NodeProcess::start(&[], &engine.address(&database), BOUND);
        for storm in 0..4 {
            node.begin(&format!("storm {storm}"));
        }
        while node.record().len() < ACKNOWLEDGED {
            sleep(Duration::from_millis(5)).await;
        }
        let record: Record = node.kill();
        let record = prey.with(record, BOUND).await;
        assert_eq!(record.check(BOUND, &here).await, []);
    });
}

/// Starts a node whose clock is `days` ahead; `None`, with a line that says so, without `faketime`.
fn start_ahead(days: i64, address: &str) -> Option<NodeProcess> {
    let Ok(output) = Command::new("faketime").arg("--version").output() else {
        skip_fault("`faketime` is not installed (Debian: faketime)");
        return None;
    };
    assert!(output.status.success());
    let offset = format!("{days:+}d");
    // The stopwatch of a machine goes on when its clock is set.
    let front = ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", "faketime", "-f", &offset];
    let node = NodeProcess::start(&front, address, BOUND);
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let ahead = node.started - now - days * 86_400;
    assert!(ahead.abs() < 120, "its clock is {ahead} s off");
    Some(node)
}

#[test]
fn nodes_whose_clocks_are_a_day_apart_agree() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let server = engine.server(&database);
        let address = engine.address(&database);
        let here = PgStore::open(server.clone(), settings()).await.unwrap();
        let (Some(mut ahead), Some(mut behind)) = (start_ahead(1, &address), start_ahead(-1, &address)) else {
            return;
        };
        let id = |reply: String| SessionId::from_hex(&reply).expect("a session");
        let sessions = [id(ahead.ask("sign-in ada a")), id(behind.ask("sign-in grace b"))];
        assert_eq!(ahead.ask("use state"), "true");
        assert_eq!(behind.ask("use state"), "false");
        assert_eq!(behind.ask("log-out 1 c"), "0");
        for node in [&mut ahead, &mut behind] {
            assert_eq!(node.ask("purge"), "purged");
            for session in sessions {
                node.serve(session);
                node.until(session, "live", Duration::ZERO).await;
            }
            assert_eq!(node.ask("log-out 1 c"), "Replayed", "the record is still there");
            assert_eq!(node.ask("use state"), "false");
        }
        let mut connection = connect(&server).await.unwrap();
        let sql = "SELECT count(*) FROM sessions WHERE expires BETWEEN now() + interval '59 min' AND now() + interval '60 min'";
        assert_eq!(connection.client().query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 2);

        // A sign-in that began before a logout is refused, and one that began after it is not, whatever the clocks.
        let before = ahead.ask("position");
        assert_eq!(behind.ask("log-out 2 d"), "0");
        assert_eq!(behind.ask(&format!("sign-in joan d {before}")), "refused");
        assert_eq!(ahead.ask(&format!("sign-in joan d {before}")), "refused");
        let applied: i64 = before.parse().unwrap();
        let after = loop {
            let position = ahead.ask("position");
            if position.parse::<i64>().unwrap() > applied {
                break position;
            }
            sleep(Duration::from_millis(20)).await;
        };
        assert!(SessionId::from_hex(&behind.ask(&format!("sign-in joan d {after}"))).is_some());

        // The end of a session reaches both in time.
        assert_eq!(ahead.ask("log-out 3 a"), "1");
        let mut record = Record::default();
        record.acknowledge("3", Some(sessions[0]));
        let since = clock();
        for node in [&ahead, &behind] {
            node.until(sessions[0], "over", since).await;
            node.until(sessions[1], "live", since).await;
            record = record.with_served_of(&node.record());
        }
        assert_eq!(record.check(BOUND, &here).await, []);
    });
}
