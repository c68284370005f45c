//! The idle time of sessions, at several nodes.

use std::time::Duration;

use claimgate::oidc::session::SessionId;
use claimgate_server::store::postgres::{Answer, Connection, PgStore, Server, Settings};

use super::engine::{connect, with_database};
use super::nodes::{sign_in, until};

const HOUR: Duration = Duration::from_secs(3600);

async fn node(server: &Server, idle: Option<Duration>) -> PgStore {
    let node = PgStore::open(server.clone(), Settings::default()).await.unwrap();
    node.set_idle_time(idle);
    node
}

async fn is_live(node: &PgStore, session: SessionId) -> bool {
    node.ask(session).await.unwrap().is_some()
}

/// The seconds until a session ends, and until its lifetime does.
async fn left(connection: &mut Connection, session: SessionId) -> (f64, Option<f64>) {
    let sql = "SELECT extract(epoch FROM expires - now())::float8, extract(epoch FROM latest - now())::float8
        FROM sessions WHERE id = $1";
    let row = connection.client().query_one(sql, &[&&session.0[..]]).await.unwrap();
    (row.get(0), row.get(1))
}

#[test]
fn a_use_at_one_node_keeps_the_session_at_the_other_and_without_use_it_is_over_at_both() {
    with_database(async |server| {
        let idle = Some(Duration::from_secs(8));
        let [a, b] = [node(&server, idle).await, node(&server, idle).await];
        let session = sign_in(&a, "ada", None).await;
        assert!(is_live(&a, session).await, "in the memory of both from now on");
        for _ in 0..5 {
            assert!(is_live(&b, session).await);
            b.write_uses(true).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(a.session_user(session), Answer::Unknown, "over by what it knew");
        assert!(is_live(&a, session).await, "used at the other");
        a.write_uses(true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(8200)).await;
        assert!(!is_live(&a, session).await && !is_live(&b, session).await);
        b.write_uses(true).await.unwrap();
        assert!(!is_live(&b, session).await, "what is over stays over");
    });
}

#[test]
fn a_request_costs_no_write_and_a_use_moves_the_end_up_to_that_of_the_lifetime() {
    with_database(async |server| {
        let node = node(&server, Some(HOUR / 2)).await;
        let mut connection = connect(&server).await.unwrap();
        let session = sign_in(&node, "ada", None).await;
        let (end, latest) = left(&mut connection, session).await;
        assert!((1790.0..=1800.0).contains(&end), "opened with the idle time: {end}");
        assert!((3590.0..=3600.0).contains(&latest.unwrap()), "{latest:?}");
        let pass =
            "UPDATE sessions SET expires = expires - interval '1000 s', latest = latest - interval '1000 s'";
        connection.client().batch_execute(pass).await.unwrap();
        for _ in 0..100 {
            assert!(is_live(&node, session).await);
        }
        assert!((790.0..=800.0).contains(&left(&mut connection, session).await.0));
        node.write_uses(false).await.unwrap();
        assert!((1790.0..=1800.0).contains(&left(&mut connection, session).await.0));
        let pass =
            "UPDATE sessions SET latest = now() + interval '1000 s', expires = now() + interval '500 s'";
        connection.client().batch_execute(pass).await.unwrap();
        let other = PgStore::open(server.clone(), Settings::default()).await.unwrap();
        other.set_idle_time(Some(HOUR / 2));
        assert!(is_live(&other, session).await);
        other.write_uses(true).await.unwrap();
        assert!((990.0..=1000.0).contains(&left(&mut connection, session).await.0), "not after the lifetime");
    });
}

#[test]
fn sessions_without_the_idle_time_are_limited_once_and_read_again_by_all_nodes() {
    with_database(async |server| {
        let [old, new] = [node(&server, None).await, node(&server, Some(HOUR / 2)).await];
        let mut connection = connect(&server).await.unwrap();
        let sessions = [sign_in(&old, "ada", None).await, sign_in(&old, "grace", None).await];
        assert!(is_live(&old, sessions[0]).await);
        assert!(matches!(old.session_user(sessions[0]), Answer::Live(_)));
        assert_eq!(left(&mut connection, sessions[0]).await.1, None);
        new.purge().await.unwrap();
        for session in sessions {
            let (end, latest) = left(&mut connection, session).await;
            assert!((1790.0..=1800.0).contains(&end), "{end}");
            assert!((3590.0..=3600.0).contains(&latest.unwrap()), "{latest:?}");
        }
        // The other node's memory had the old end.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(old.session_user(sessions[0]), Answer::Unknown);
        until(&old, sessions[0], Some("ada")).await;
        let kept: i64 =
            connection.client().query_one("SELECT count(*) FROM id_tokens", &[]).await.unwrap().get(0);
        assert_eq!(kept, 2, "they have not ended");
        let steps = async |connection: &mut Connection| -> i64 {
            connection.client().query_one("SELECT max(seq) FROM steps", &[]).await.unwrap().get(0)
        };
        let before = steps(&mut connection).await;
        new.purge().await.unwrap();
        assert_eq!(steps(&mut connection).await, before, "nothing is left to limit");
    });
}

#[test]
fn a_use_revives_no_session_that_was_ended() {
    with_database(async |server| {
        let idle = Some(HOUR / 2);
        let [a, b] = [node(&server, idle).await, node(&server, idle).await];
        let session = sign_in(&a, "ada", None).await;
        assert!(is_live(&b, session).await);
        a.end_session(session).await.unwrap();
        b.write_uses(true).await.unwrap();
        until(&b, session, None).await;
        until(&a, session, None).await;
    });
}

#[test]
fn what_only_looks_at_a_session_is_no_use() {
    with_database(async |server| {
        let [a, b] = [node(&server, Some(HOUR / 2)).await, node(&server, Some(HOUR / 2)).await];
        let mut connection = connect(&server).await.unwrap();
        let session = sign_in(&a, "ada", None).await;
        let pass = "UPDATE sessions SET expires = expires - interval '1000 s'";
        connection.client().batch_execute(pass).await.unwrap();
        for _ in 0..2 {
            assert!(b.peek(session).await.unwrap().is_some(), "read, then from memory");
            b.write_uses(true).await.unwrap();
        }
        assert!((790.0..=800.0).contains(&left(&mut connection, session).await.0));
        assert!(is_live(&b, session).await);
        b.write_uses(true).await.unwrap();
        assert!((1790.0..=1800.0).contains(&left(&mut connection, session).await.0), "a use");
    });
}
