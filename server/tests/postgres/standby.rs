//! A primary with a synchronous standby, and what counts where one is required.

use std::time::{Duration, Instant};

use claimgate_server::store::postgres::{Administration, PgStore, PostgresError, Server, Settings};
use tokio::time::sleep;
use tokio_postgres::Client;

use super::engine::{Engine, connect, runtime, with_database};
use super::nodes::{sign_in, until};
use super::people::{Visit, logout, of_sid};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

const REQUIRED: Settings = Settings { revocation_bound: Duration::from_secs(1), require_synchronous: true };

/// Sets the names of the synchronous standbys, and waits until the server has read them.
async fn set_standbys(superuser: &Client, names: &str) {
    superuser
        .batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"))
        .await
        .unwrap();
    superuser.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    let show = "SHOW synchronous_standby_names";
    while superuser.query_one(show, &[]).await.unwrap().get::<_, &str>(0) != names {
        assert!(Instant::now() < deadline, "the setting is not read");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until as many commits wait for the standby.
async fn until_waiting(superuser: &Client, wanted: i64) {
    let deadline = Instant::now() + PATIENCE;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%log_out%'";
    while superuser.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) < wanted {
        assert!(Instant::now() < deadline, "no commit waits");
        sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn nothing_is_acknowledged_after_the_standby_that_is_required_was_given_up() {
    let Some(primary) = Engine::start() else { return };
    let standby = primary.start_standby();
    let runtime = runtime();
    runtime.block_on(async {
        let server = primary.server(&primary.new_database().await);
        primary.require_standby().await;
        let node = PgStore::open(server.clone(), REQUIRED).await.unwrap();
        let session = sign_in(&node, "ada", Some("s")).await;
        until(&node, session, Some("ada")).await;
        let plan = Visit::now(&node, "grace", None).decide(&node).await.unwrap().unwrap();
        let superuser = primary.superuser("postgres").await;

        // A host that accepts a connection and says nothing does not keep a node from the other.
        standby.pause();
        let mut config = standby.config("super", "postgres");
        let silent = Server::new(config.clone(), None).connect().await.map(drop);
        assert!(
            matches!(&silent, Err(PostgresError::Connect { reason, .. }) if reason.contains("no answer")),
            "{silent:?}"
        );
        config.host_path(primary.socket().parent().unwrap());
        let hosts = Server::new(config, None);
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = hosts.connect().await {
            assert!(matches!(error, PostgresError::Connect { .. }), "{error}");
            assert!(Instant::now() < deadline, "{error}");
        }

        // The commit under way waits for a standby that does not answer, and is let go when the setting is emptied.
        let waiting = tokio::spawn({
            let node = node.clone();
            async move { node.apply_logouts(&[logout("1", of_sid("other"))]).await }
        });
        until_waiting(&superuser, 1).await;
        set_standbys(&superuser, "").await;
        assert_eq!(waiting.await.unwrap(), Err(PostgresError::NoStandby), "it is on the primary alone");

        // Those that follow are refused, and have no effect.
        let refused = node.apply_logouts(&[logout("2", of_sid("s"))]).await;
        assert_eq!(refused, Err(PostgresError::NoStandby));
        assert_eq!(node.write_plan(plan, None, None).await.unwrap_err(), PostgresError::NoStandby);
        assert!(node.end_session(session).await.is_err());
        assert!(node.use_state("state").await.is_err());
        refuse_administration(&server).await;
        let deadline = Instant::now() + PATIENCE;
        while node.ask(session).await.is_ok() {
            assert!(Instant::now() < deadline, "a node keeps its lease without a standby");
            sleep(Duration::from_millis(5)).await;
        }
        let elsewhere =
            PgStore::open(server, Settings { require_synchronous: false, ..REQUIRED }).await.unwrap();
        let ended = elsewhere.apply_logouts(&[logout("2", of_sid("s"))]).await.unwrap();
        assert_eq!(
            ended[0].as_ref().map(|ended| ended.sessions),
            Ok(1),
            "the refused one has not taken its jti"
        );

        standby.resume();
        set_standbys(&superuser, "*").await;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = node.apply_logouts(&[logout("3", of_sid("s"))]).await {
            assert!(Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(20)).await;
        }
    });
}

/// Checks that a change of many statements is refused too: before it, and at its commit.
async fn refuse_administration(server: &Server) {
    let refused = Administration::open(server.clone().require_standby(true)).await.err();
    assert_eq!(refused, Some(PostgresError::NoStandby));
    let mut connection = connect(server).await.unwrap();
    connection.client().batch_execute("SET claimgate.require_standby = on").await.unwrap();
    let step = connection.client().query("SELECT complete_step(take_position(), '{}', '{}')", &[]).await;
    assert_eq!(step.map(drop).map_err(PostgresError::from), Err(PostgresError::NoStandby));
}

#[test]
fn a_server_without_a_standby_is_refused_where_one_is_required() {
    with_database(async |server| {
        let refused = PgStore::open(server.clone(), REQUIRED).await.err();
        assert_eq!(refused, Some(PostgresError::NoStandby));
        let made = "SELECT count(*) FROM pg_namespace WHERE nspname = 'claimgate'";
        let row = server.connect().await.unwrap().client().query_one(made, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 0, "nothing is half done");
    });
}
