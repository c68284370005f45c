//! Faults of the database: killed in a storm, replaced by its standby, and a commit that its standby may not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use claimgate::oidc::session::SessionId;
use claimgate::time::UnixTime;
use claimgate_server::store::postgres::{PgStore, PostgresError, Server, Settings, Unsure};
use claimgate_server::store::{PresentedToken, Revocation};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::engine::{Engine, connect, runtime, with_database};
use super::nodes::{Prey, sign_in, until};
use super::people::{logout, of_sid};
use super::record::{Record, Violation, clock};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// The bound of the nodes of these tests.
const BOUND: Duration = Duration::from_secs(1);

fn settings() -> Settings {
    Settings { revocation_bound: BOUND, ..Settings::default() }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_database_is_killed_in_a_storm() {
    let Some(mut engine) = Engine::start() else { return };
    let runtime = runtime();
    let server = engine.server(&runtime.block_on(engine.new_database()));
    let node = runtime.block_on(PgStore::open(server.clone(), settings())).unwrap();
    let other = runtime.block_on(PgStore::open(server, settings())).unwrap();
    let session = runtime.block_on(sign_in(&node, "ada", Some("s")));
    let prey = runtime.block_on(Prey::of(&node, &other, 25));
    let killed = Arc::new(AtomicBool::new(false));
    let record = Arc::<Mutex<Record>>::default();
    let storms = (0..4_usize).map(|storm| {
        let (node, killed, record) = (node.clone(), Arc::clone(&killed), Arc::clone(&record));
        runtime.spawn(async move {
            for number in 0.. {
                let jti = format!("{storm}.{number}");
                let result = node.apply_logouts(&[logout(&jti, of_sid(&jti))]).await;
                if result.is_ok() {
                    record.lock().acknowledge(&jti, None);
                } else if killed.load(Ordering::Acquire) {
                    break;
                }
            }
        })
    });
    let storms: Vec<_> = storms.collect();
    let deadline = Instant::now() + PATIENCE;
    while record.lock().len() < 1000 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.store(true, Ordering::Release);
    engine.kill();
    storms.into_iter().for_each(|storm| runtime.block_on(storm).unwrap());

    // Without the database the node does not know; it signs no one out.
    let deadline = Instant::now() + PATIENCE;
    loop {
        match runtime.block_on(node.ask(session)) {
            Err(Unsure) => break,
            Ok(user) => assert!(user.is_some()),
        }
        assert!(Instant::now() < deadline);
    }
    engine.restart();
    runtime.block_on(async {
        until(&node, session, Some("ada")).await;
        // The writing connection is made again.
        while let Err(error) = node.apply_logouts(&[]).await {
            assert!(Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(20)).await;
        }
        let record = record.lock().clone();
        let record = prey.with(record, BOUND).await;
        assert_eq!(record.check(BOUND, &node).await, []);
    });
}

/// Serves by a lease that is renewed by reading, as a node without a durable beat would.
async fn serve_by_reading(server: Server, session: SessionId, served: Arc<Mutex<Record>>) {
    let connection = server.connect().await.unwrap();
    let mut lease_until = Instant::now();
    loop {
        let begun = Instant::now();
        let sql = "SELECT seq FROM ord LEFT JOIN steps USING (seq)";
        if let Ok(Ok(_)) = timeout(Duration::from_millis(400), connection.read(sql, &[])).await {
            lease_until = begun + BOUND;
        }
        let asked = clock();
        if Instant::now() < lease_until {
            served.lock().serve(session, asked);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Asks a node without a pause.
async fn serve(node: PgStore, session: SessionId, served: Arc<Mutex<Record>>) {
    loop {
        let asked = clock();
        match node.ask(session).await {
            Ok(Some(_)) => served.lock().serve(session, asked),
            Ok(None) => panic!("a node without a lease must not say that a session has ended"),
            Err(Unsure) => {}
        }
        sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn a_node_at_a_primary_that_was_replaced_stops_within_the_bound() {
    let Some(primary) = Engine::start() else { return };
    let standby = primary.start_standby();
    let runtime = runtime();
    runtime.block_on(async {
        let database = primary.new_database().await;
        let server = primary.server(&database);
        primary.require_standby().await;
        let old = PgStore::open(server.clone(), Settings { require_synchronous: true, ..settings() })
            .await
            .unwrap();
        let session = sign_in(&old, "ada", Some("s")).await;
        until(&old, session, Some("ada")).await;

        let [by_reading, by_beat] = [(); 2].map(|()| Arc::<Mutex<Record>>::default());
        let reading = tokio::spawn(serve_by_reading(server, session, Arc::clone(&by_reading)));
        let beating = tokio::spawn(serve(old.clone(), session, Arc::clone(&by_beat)));
        standby.promote();
        let new = PgStore::open(standby.server(&database), settings()).await.unwrap();
        let ended = new.apply_logouts(&[logout("1", of_sid("s"))]).await.unwrap();
        let mut record = Record::default();
        record.acknowledge("1", Some(session));
        assert_eq!(ended[0].as_ref().unwrap().sessions, 1, "the standby has what the primary acknowledged");
        let served_by = |served: &Mutex<Record>| record.clone().with_served_of(&served.lock());
        let deadline = Instant::now() + PATIENCE;
        while served_by(&by_reading).check(BOUND, &new).await.is_empty() {
            assert!(Instant::now() < deadline, "the check does not see a lease that is renewed by reading");
            sleep(Duration::from_millis(10)).await;
        }
        reading.abort();
        // By then the other would have been late too.
        sleep(BOUND).await;
        assert!(!beating.is_finished(), "it panicked");
        beating.abort();
        assert_eq!(served_by(&by_beat).check(BOUND, &new).await, []);
        assert_eq!(old.ask(session).await, Err(Unsure));
        assert!(
            old.apply_logouts(&[logout("2", of_sid("s"))]).await.is_err(),
            "no standby, no acknowledgement"
        );
    });
}

#[test]
fn a_standby_that_commits_do_not_wait_for_is_seen_to_lose_what_was_acknowledged() {
    let Some(mut primary) = Engine::start() else { return };
    let mut standby = primary.start_standby();
    let runtime = runtime();
    let database = runtime.block_on(primary.new_database());
    let old = runtime.block_on(PgStore::open(primary.server(&database), settings())).unwrap();
    runtime.block_on(primary.until_followed());
    standby.kill();
    let mut record = Record::default();
    runtime.block_on(old.apply_logouts(&[logout("1", of_sid("s"))])).unwrap();
    record.acknowledge("1", None);
    primary.kill();
    standby.restart();
    standby.promote();
    runtime.block_on(async {
        let new = PgStore::open(standby.server(&database), settings()).await.unwrap();
        let lost = record.check(BOUND, &new).await;
        assert_eq!(lost, [Violation::Lost("1".to_owned())], "the check sees what this variant loses");
    });
}

#[test]
fn a_node_that_cannot_beat_stops_within_the_bound_though_the_database_answers_the_others() {
    with_database(async |server| {
        let open = async || PgStore::open(server.clone(), settings()).await.unwrap();
        let [a, b] = [open().await, open().await];
        let session = sign_in(&a, "ada", Some("s")).await;
        until(&b, session, Some("ada")).await;
        let token =
            PresentedToken { issuer: "i", subject: Some("ada"), sid: Some("s"), issued_at: UnixTime(100) };
        let served = Arc::<Mutex<Record>>::default();
        let serving = tokio::spawn(serve(b.clone(), session, Arc::clone(&served)));
        let mut holder = connect(&server).await.unwrap();
        let beats = holder.client().transaction().await.unwrap();
        beats
            .batch_execute("SET idle_in_transaction_session_timeout = 0; SELECT FROM nodes FOR UPDATE")
            .await
            .unwrap();
        a.apply_logouts(&[logout("1", of_sid("s"))]).await.unwrap();
        let mut record = Record::default();
        record.acknowledge("1", Some(session));
        let deadline = Instant::now() + PATIENCE;
        while b.ask(session).await != Err(Unsure) {
            assert!(Instant::now() < deadline);
            sleep(Duration::from_millis(5)).await;
        }
        assert!(b.revocation(&token, 0).await.is_err(), "nor is a token judged");
        assert!(!serving.is_finished(), "it panicked");
        serving.abort();
        let record = record.with_served_of(&served.lock());
        assert_eq!(record.check(BOUND, &a).await, []);
        beats.rollback().await.unwrap();
        until(&b, session, None).await;
        assert_eq!(b.revocation(&token, 0).await, Ok(Some(Revocation::LoggedOut)));
    });
}

#[test]
fn a_commit_whose_wait_for_the_standby_was_cancelled_does_not_count() {
    let Some(primary) = Engine::start() else { return };
    let mut standby = primary.start_standby();
    runtime().block_on(async {
        let server = primary.server(&primary.new_database().await);
        let connection = connect(&server).await.unwrap();
        primary.require_standby().await;
        standby.kill();
        let superuser = primary.superuser("postgres").await;
        let deadline = Instant::now() + PATIENCE;
        let followers = "SELECT count(*) FROM pg_stat_replication";
        while superuser.query_one(followers, &[]).await.unwrap().get::<_, i64>(0) != 0 {
            assert!(Instant::now() < deadline, "the standby is still there");
            sleep(Duration::from_millis(5)).await;
        }
        let change = tokio::spawn(async move {
            connection.query("SELECT complete_step(take_position(), '{}', '{}')", &[]).await.map(drop)
        });
        let cancel =
            "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        while superuser.query_one(cancel, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline && !change.is_finished());
            sleep(Duration::from_millis(5)).await;
        }
        let result = change.await.unwrap();
        assert!(matches!(result, Err(PostgresError::NotReplicated(_))), "{result:?}");
    });
}

#[test]
fn a_server_that_cannot_serve_says_why() {
    let Some(primary) = Engine::start() else { return };
    let runtime = runtime();
    let database = runtime.block_on(primary.new_database());
    let standby = primary.start_standby();
    runtime.block_on(async {
        let refused = PgStore::open(standby.server(&database), settings()).await.err();
        assert_eq!(refused, Some(PostgresError::ReadOnly));
        let refused = PgStore::open(primary.server("missing"), settings()).await.err();
        assert!(
            matches!(&refused, Some(PostgresError::Denied(reason)) if reason.contains("does not exist")),
            "{refused:?}"
        );
    });
}
