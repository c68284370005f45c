//! Attempts on passwords, and the deletion of what is over: by the clock of the database alone.

use claimgate_server::store::postgres::Connection;

use super::engine::{connect, with_database};

async fn count(connection: &mut Connection, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    connection.client().query_one(&sql, &[]).await.unwrap().get(0)
}

#[test]
fn attempts_beyond_the_burst_wait_for_their_turn() {
    with_database(async |server| {
        let mut connection = connect(&server).await.unwrap();
        let mut allow = async |tag: &[u8]| -> bool {
            connection.client().query_one("SELECT allow_attempt($1, 3, 3600)", &[&tag]).await.unwrap().get(0)
        };
        let mut allowed = Vec::new();
        for _ in 0..5 {
            allowed.push(allow(b"ada").await);
        }
        assert_eq!(allowed, [true, true, true, false, false]);
        assert!(allow(b"grace").await, "another name has its own");
        let pass = "UPDATE attempts SET full_at = full_at - interval '1 hour'";
        connection.client().batch_execute(pass).await.unwrap();
        let sql = "SELECT allow_attempt($1, 3, 3600)";
        for expected in [true, false] {
            let allowed: bool = connection.client().query_one(sql, &[&&b"ada"[..]]).await.unwrap().get(0);
            assert_eq!(allowed, expected, "one more after an hour");
        }
    });
}

const OVER_AND_LIVE: &str = r"
    SELECT issuer_number('i');
    INSERT INTO users (id, username, kind, active, profile, teams, version) VALUES (1, 'ada', 'regular', true, '{}', '{}', 0);
    INSERT INTO sessions (id, user_id, expires) SELECT set_byte('\x00', 0, n), 1, now() - interval '1 s'
        FROM generate_series(1, 5) AS n;
    INSERT INTO sessions (id, user_id, expires) VALUES ('\xff', 1, now() + interval '1 h');
    INSERT INTO id_tokens SELECT id, 'sealed' FROM sessions;
    INSERT INTO logouts SELECT set_byte('\x00', 0, n), NULL, '\x01', 0, n, now() + (n - 1.5) * interval '1 h', 1, 1
        FROM generate_series(1, 2) AS n;
    INSERT INTO used_states VALUES ('\x01', now()), ('\x02', now() + interval '1 h');
    INSERT INTO attempts VALUES ('\x01', now()), ('\x02', now() + interval '1 h');
    INSERT INTO steps SELECT n, now() - (3 - n) * interval '1 h', '{}', '{}' FROM generate_series(1, 3) AS n;
    INSERT INTO nodes VALUES ('\x01', 1, 0, now() - interval '1 h', 1), ('\x02', 1, 0, now(), 1)";

#[test]
fn what_is_over_is_deleted_in_chunks_and_nothing_else() {
    with_database(async |server| {
        let mut connection = connect(&server).await.unwrap();
        connection.client().batch_execute(OVER_AND_LIVE).await.unwrap();
        let mut chunks = Vec::new();
        while chunks.last() != Some(&false) {
            let more = connection.client().query_one("SELECT purge(2, 600)", &[]).await.unwrap();
            chunks.push(more.get::<_, bool>(0));
        }
        assert_eq!(chunks, [true, true, false], "five sessions, two at a time");
        for table in ["sessions", "id_tokens", "logouts", "used_states", "attempts", "steps", "nodes"] {
            assert_eq!(count(&mut connection, table).await, 1, "{table}");
        }
    });
}

#[test]
fn one_node_at_a_time_deletes() {
    with_database(async |server| {
        let mut one = connect(&server).await.unwrap();
        one.client().batch_execute(OVER_AND_LIVE).await.unwrap();
        let one = one.client().transaction().await.unwrap();
        assert!(one.query_one("SELECT purge(2, 600)", &[]).await.unwrap().get::<_, bool>(0));
        let mut other = connect(&server).await.unwrap();
        assert!(!other.client().query_one("SELECT purge(2, 600)", &[]).await.unwrap().get::<_, bool>(0));
        one.commit().await.unwrap();
        assert!(other.client().query_one("SELECT purge(2, 600)", &[]).await.unwrap().get::<_, bool>(0));
    });
}
