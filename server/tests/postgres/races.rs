//! Races between transactions, arranged by the order row: the test holds it until those that race wait for it, in a
//! known order. Variants that look right and are not stand beside the functions of the schema, and the same check
//! finds them.

use std::time::{Duration, Instant};

use claimgate_server::store::postgres::{Connection, Server};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;

use super::engine::{connect, with_database};

/// Ends the session of the provider's session `02`.
const LOG_OUT: &str = r"SELECT log_out(ARRAY['i'], ARRAY[1], ARRAY['\x11'::bytea], ARRAY['\x02'::bytea], ARRAY[NULL::bytea],
    ARRAY[100], ARRAY[100], ARRAY[600])";

/// Opens the session `05` of the provider's session `02` for a new user, by a view without a logout.
const SIGN_IN: &str = r"SELECT sign_in('i', 'ada', '\x01', 's', '\x02', 100, -1, NULL, NULL, true, 'ada', 'regular', '{}', '{}',
    '\x05', NULL, NULL, 3600, 100)";

/// The same with the order row locked by a part of the statement: its snapshot is older than the lock.
const SIGN_IN_OF_ONE_STATEMENT: &str = r"
    WITH locked AS (UPDATE ord SET seq = seq + 1 WHERE one RETURNING seq),
    opened AS (
        INSERT INTO sessions (id, user_id, issuer, sid_tag, issued_at, expires)
        SELECT '\x05', 1, 1, '\x02', 100, now() + interval '1 hour' FROM locked
        WHERE NOT EXISTS (SELECT FROM logouts WHERE issuer = 1 AND sid_tag = '\x02')
    )
    INSERT INTO steps (seq, ended, users) SELECT seq, '{}', '{}' FROM locked";

/// Makes the user and the issuer that [`SIGN_IN_OF_ONE_STATEMENT`] names.
const USER_ONE: &str = "SELECT issuer_number('i');
    INSERT INTO users (id, username, kind, active, profile, teams, version) VALUES (1, 'eve', 'regular', true, '{}', '{}', 0)";

type Work = JoinHandle<Result<(), tokio_postgres::Error>>;

async fn start(server: &Server, sql: &'static str) -> Work {
    let mut connection = connect(server).await.unwrap();
    tokio::spawn(async move { connection.client().batch_execute(sql).await })
}

/// Waits until as many transactions wait for a lock.
async fn until_waiting(observer: &mut Connection, wanted: i64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while observer.client().query_one(sql, &[]).await.unwrap().get::<_, i64>(0) != wanted {
        assert!(Instant::now() < deadline, "{wanted} transactions do not wait for a lock");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs two statements that wait for the order row, the first before the second. Returns their results, and whether
/// the session is open in the end.
async fn race(
    server: &Server,
    statements: [&'static str; 2],
) -> ([Result<(), tokio_postgres::Error>; 2], bool) {
    let mut observer = connect(server).await.unwrap();
    let mut holder = connect(server).await.unwrap();
    let held = holder.client().transaction().await.unwrap();
    held.batch_execute("SELECT take_position()").await.unwrap();
    let first = start(server, statements[0]).await;
    until_waiting(&mut observer, 1).await;
    let second = start(server, statements[1]).await;
    until_waiting(&mut observer, 2).await;
    held.rollback().await.unwrap();
    let results = [first.await.unwrap(), second.await.unwrap()];
    let sql = r"SELECT EXISTS (SELECT FROM sessions WHERE id = '\x05')";
    (results, observer.client().query_one(sql, &[]).await.unwrap().get(0))
}

#[test]
fn a_logout_ends_the_session_of_a_sign_in_that_races_with_it_in_either_order() {
    with_database(async |server| {
        let ([logout, sign_in], open) = race(&server, [LOG_OUT, SIGN_IN]).await;
        assert!(logout.is_ok() && !open);
        assert_eq!(sign_in.unwrap_err().code().map(SqlState::code), Some("CG001"), "its view is stale");
    });
    with_database(async |server| {
        let ([sign_in, logout], open) = race(&server, [SIGN_IN, LOG_OUT]).await;
        assert!(sign_in.is_ok() && logout.is_ok() && !open);
    });
}

#[test]
fn a_sign_in_that_locks_within_its_only_statement_is_seen_to_outlive_the_logout() {
    with_database(async |server| {
        connect(&server).await.unwrap().client().batch_execute(USER_ONE).await.unwrap();
        let ([logout, sign_in], open) = race(&server, [LOG_OUT, SIGN_IN_OF_ONE_STATEMENT]).await;
        assert!(logout.is_ok() && sign_in.is_ok() && open, "the check sees what this variant does");
    });
}

/// Writes two changes, the first of which commits after the second could have, while a follower reads what is newer
/// than it has seen. Returns the changes that the follower has seen.
async fn follow(server: &Server, [first, second, read]: [&'static str; 3]) -> Vec<i64> {
    let mut follower = connect(server).await.unwrap();
    let mut observer = connect(server).await.unwrap();
    let mut slow = connect(server).await.unwrap();
    let slow = slow.client().transaction().await.unwrap();
    slow.batch_execute(first).await.unwrap();
    let quick = start(server, second).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    // The second commits, or waits for the first.
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while !quick.is_finished() && observer.client().query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0
    {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut seen = Vec::new();
    let mut last = 0_i64;
    for commit in [None, Some(slow)] {
        if let Some(slow) = commit {
            slow.commit().await.unwrap();
            while !quick.is_finished() {
                assert!(Instant::now() < deadline);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        for row in follower.client().query(read, &[&last]).await.unwrap() {
            last = row.get(0);
            seen.push(row.get(1));
        }
    }
    quick.await.unwrap().unwrap();
    seen
}

#[test]
fn the_feed_has_no_gap_that_is_filled_later() {
    with_database(async |server| {
        let seen = follow(
            &server,
            [
                "SELECT complete_step(take_position(), '{}', ARRAY[1])",
                "SELECT complete_step(take_position(), '{}', ARRAY[2])",
                "SELECT seq, users[1] FROM steps WHERE seq > $1 ORDER BY seq",
            ],
        );
        assert_eq!(seen.await, [1, 2]);
    });
}

#[test]
fn a_feed_in_the_order_of_a_sequence_is_seen_to_miss_a_change() {
    with_database(async |server| {
        let mut connection = connect(&server).await.unwrap();
        let table = "CREATE TABLE loose (seq bigserial PRIMARY KEY, change bigint)";
        connection.client().batch_execute(table).await.unwrap();
        let seen = follow(
            &server,
            [
                "INSERT INTO loose (change) VALUES (1)",
                "INSERT INTO loose (change) VALUES (2)",
                "SELECT seq, change FROM loose WHERE seq > $1 ORDER BY seq",
            ],
        );
        assert_eq!(seen.await, [2], "the check sees what this variant misses");
    });
}

#[test]
fn a_jti_is_taken_once_whatever_the_batch_and_the_node() {
    with_database(async |server| {
        let sql = r"SELECT fresh FROM log_out(ARRAY['i', 'j'], ARRAY[1, 1, 2], ARRAY['\x11', '\x11', '\x12']::bytea[],
            ARRAY['\x02', '\x02', '\x02']::bytea[], ARRAY[NULL, NULL, NULL]::bytea[], ARRAY[100, 100, 100],
            ARRAY[100, 100, 100], ARRAY[600, 600, 600])";
        for expected in [vec![1, 3], Vec::new()] {
            let mut connection = connect(&server).await.unwrap();
            let row = connection.client().query_one(sql, &[]).await.unwrap();
            assert_eq!(row.get::<_, Vec<i32>>(0), expected);
        }
    });
}
