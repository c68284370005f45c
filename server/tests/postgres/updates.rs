//! Updates: nodes of two versions of the program side by side on one database.

use std::time::{Duration, UNIX_EPOCH};

use claimgate::oidc::facts::{KeptClaims, SessionFacts};
use claimgate::oidc::session::SessionId;
use claimgate::path::ClaimPath;
use claimgate::time::UnixTime;
use claimgate_server::store::postgres::{
    Connection, MIGRATIONS, Migration, PgStore, PostgresError, Server, Settings, migrate, migrate_to,
};

use super::engine::{Engine, connect, runtime, with_database};
use super::node_process::NodeProcess;
use super::nodes::{sign_in, until};
use super::people::Visit;
use super::record::{Record, clock};

/// The bound of the nodes of these tests.
const BOUND: Duration = Duration::from_secs(1);

/// The versions that the next program knows. Its own adds columns, an index and a table, and replaces a function by one
/// that writes to them: what an update may do while nodes of this version run.
pub(crate) const NEXT: &[Migration] = &with_next(Migration { sql: ADDITIONS, works_for: 1 });

/// The newest version that this program knows.
const NEWEST: i32 = MIGRATIONS.len() as i32;

/// Returns the versions that this program knows, and one more.
const fn with_next(next: Migration) -> [Migration; MIGRATIONS.len() + 1] {
    let mut versions = [next; MIGRATIONS.len() + 1];
    let (known, _) = versions.split_at_mut(MIGRATIONS.len());
    known.copy_from_slice(MIGRATIONS);
    versions
}

const ADDITIONS: &str = "
    ALTER TABLE logouts ADD COLUMN received timestamptz NOT NULL DEFAULT clock_timestamp();
    ALTER TABLE sessions ADD COLUMN device text;
    ALTER TABLE users ADD COLUMN language text NOT NULL DEFAULT 'en';
    CREATE INDEX sessions_device ON sessions (device) WHERE device IS NOT NULL;
    CREATE TABLE ended_by_hand (session bytea PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
    CREATE OR REPLACE FUNCTION end_session(p_session bytea)
    RETURNS TABLE (issuer text, subject text, sid text, issued_at bigint, id_token text) LANGUAGE plpgsql AS $$
    DECLARE
        q bigint;
    BEGIN
        UPDATE ord SET seq = seq + 1 WHERE one RETURNING seq INTO q;
        INSERT INTO ended_by_hand (session) VALUES (p_session) ON CONFLICT DO NOTHING;
        RETURN QUERY
            WITH gone AS (DELETE FROM sessions s WHERE s.id = p_session RETURNING s.*)
            SELECT i.name, gone.subject, gone.sid, gone.issued_at, t.sealed
            FROM gone LEFT JOIN issuers i ON i.id = gone.issuer LEFT JOIN id_tokens t ON t.session = gone.id;
        PERFORM complete_step(q, ARRAY[p_session], '{}');
    END
    $$;
";

/// Versions whose newest one this version does not work with.
const BREAKING: &[Migration] = &with_next(Migration {
    sql: "ALTER TABLE sessions RENAME COLUMN sid TO session_name",
    works_for: NEWEST + 1,
});

fn settings() -> Settings {
    Settings { revocation_bound: BOUND, ..Settings::default() }
}

async fn version(server: &Server) -> i32 {
    let mut connection = server.connect().await.unwrap();
    connection.client().query_one("SELECT version FROM schema_version", &[]).await.unwrap().get(0)
}

#[test]
fn a_rolling_update_in_a_storm_loses_nothing_and_keeps_the_bound() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let server = engine.server(&database);
        let here = PgStore::open(server.clone(), settings()).await.unwrap();
        let sessions = [("ada", "a"), ("grace", "g"), ("joan", "j")];
        let mut opened = Vec::new();
        for (name, sid) in sessions {
            opened.push(sign_in(&here, name, Some(sid)).await);
        }
        let address = engine.address(&database);
        let mut old = [0; 2].map(|_| NodeProcess::start(&[], &address, BOUND));
        let mut record = Record::default();
        for (number, node) in old.iter_mut().enumerate() {
            serve_all(node, &opened).await;
            node.begin(&format!("storm old{number}"));
        }

        // The first node of the next version migrates beside them.
        let mut newer = NodeProcess::start_newer(&address, BOUND);
        assert_eq!(version(&server).await, NEWEST + 1);
        serve_all(&mut newer, &opened).await;
        newer.begin("storm new");
        end(&mut newer, "by-new", "a", &mut record, opened[0]);
        let [mut kept, replaced] = old;
        for node in [&newer, &kept, &replaced] {
            node.until(opened[0], "over", clock()).await;
            node.until(opened[2], "live", clock()).await;
        }

        // The next one is replaced; a session ends at the one that is left.
        let replaced = replaced.kill();
        let mut second = NodeProcess::start_newer(&address, BOUND);
        serve_all(&mut second, &opened[1..]).await;
        end(&mut kept, "by-old", "g", &mut record, opened[1]);
        for node in [&newer, &kept, &second] {
            node.until(opened[1], "over", clock()).await;
            node.until(opened[2], "live", clock()).await;
        }
        // A sign-in that began at one version is completed at the other, and each serves it.
        for (begun_at, completed_at, name) in [(0, 1, "hedy"), (1, 0, "mary")] {
            let nodes = [&mut kept, &mut second];
            let begun = nodes[begun_at].ask("position");
            let session = nodes[completed_at].ask(&format!("sign-in {name} {name} {begun}"));
            let session = SessionId::from_hex(&session).expect("a session");
            for node in nodes {
                node.serve(session);
                node.until(session, "live", Duration::ZERO).await;
            }
        }
        assert!(here.end_session(opened[2]).await.unwrap().is_some());
        until(&here, opened[2], None).await;
        let by_hand = "SELECT count(*) FROM ended_by_hand";
        let mut connection = server.connect().await.unwrap();
        let row = connection.client().query_one(by_hand, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 1, "a node of the old version calls the new function");

        // An update that is taken back: a node of the old version starts on the new schema.
        let mut back = NodeProcess::start(&[], &address, BOUND);
        assert_eq!(back.ask("log-out by-back x"), "0");
        assert_eq!(version(&server).await, NEWEST + 1);
        let records = [replaced, newer.kill(), kept.kill(), second.kill(), back.kill()];
        for seen in &records {
            record = record.with_served_of(seen).with_acknowledged_of(seen);
        }
        assert!(record.len() > 100, "a storm: {}", record.len());
        assert_eq!(record.check(BOUND, &here).await, []);
    });
}

/// Has a node serve sessions, and waits until it does.
async fn serve_all(node: &mut NodeProcess, sessions: &[SessionId]) {
    for session in sessions {
        node.serve(*session);
    }
    // Those that have ended meanwhile are not live anywhere.
    node.until(*sessions.last().unwrap(), "live", Duration::ZERO).await;
}

/// Ends a session by a logout at a node, and notes it.
fn end(node: &mut NodeProcess, jti: &str, sid: &str, record: &mut Record, session: SessionId) {
    assert_eq!(node.ask(&format!("log-out {jti} {sid}")), "1");
    record.acknowledge(jti, Some(session));
}

#[test]
fn a_version_that_does_not_work_with_a_running_node_waits_until_that_has_stopped() {
    with_database(async |server| {
        let old = PgStore::open(server.clone(), settings()).await.unwrap();
        let session = sign_in(&old, "ada", Some("s")).await;
        let refused = PgStore::open_as(server.clone(), settings(), BREAKING).await.err();
        let expected = PostgresError::OlderNode { version: NEWEST + 1, needed: NEWEST + 1, oldest: NEWEST };
        assert_eq!(refused, Some(expected.clone()));
        assert!(expected.to_string().contains("stop that server"), "{expected}");
        assert_eq!(version(&server).await, NEWEST, "nothing is half done");
        until(&old, session, Some("ada")).await;

        drop(old);
        let mut connection = connect(&server).await.unwrap();
        let later = "UPDATE nodes SET seen = seen - interval '11 s'";
        connection.client().batch_execute(later).await.unwrap();
        let new = PgStore::open_as(server.clone(), settings(), BREAKING).await.unwrap();
        assert_eq!(version(&server).await, NEWEST + 1);
        let refused = migrate(&mut connection).await;
        assert_eq!(refused, Err(PostgresError::NewerSchema { found: NEWEST + 1, known: NEWEST }));
        let row = connection.client().query_one("SELECT max(schema) FROM nodes", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), NEWEST + 1, "a node says what its program knows");
        drop(new);
    });
}

#[test]
fn sessions_of_both_versions_of_the_sign_in_are_served_by_a_node_of_this_one() {
    with_database(async |server| {
        // A database of the first version, which this program migrates.
        let mut connection = server.connect().await.unwrap();
        migrate_to(&mut connection, &MIGRATIONS[..1]).await.unwrap();
        let user = "INSERT INTO users (id, username, kind, active, profile, teams, version)
            VALUES (7, 'ada', 'regular', true, '{}', '{}', 0)";
        connection.client().batch_execute(user).await.unwrap();
        let old = [1_u8, 2].map(|id| SessionId([id; 16]));
        sign_in_by_the_first_version(&mut connection, old[0]).await;
        let node = PgStore::open(server.clone(), settings()).await.unwrap();
        assert_eq!(version(&server).await, NEWEST);
        // As a node of the first version goes on calling it.
        sign_in_by_the_first_version(&mut connection, old[1]).await;
        for session in old {
            until(&node, session, Some("ada")).await;
            let facts = node.session(session).await.unwrap().unwrap().facts;
            assert_eq!(facts, SessionFacts::default(), "nothing is known of its sign-in");
        }

        // Both of another node see what a session keeps.
        let paths = [ClaimPath::parse("acr").unwrap()];
        let claims = KeptClaims::of(&serde_json::json!({"acr": "mfa"}), &paths).0;
        let now = UnixTime(0).saturating_add(UNIX_EPOCH.elapsed().unwrap().as_secs());
        let authenticated = now.saturating_sub(1000);
        let visit = Visit::now(&node, "grace", None);
        let visit = Visit {
            facts: SessionFacts { authenticated: Some(authenticated), claims: claims.clone() },
            ..visit
        };
        visit.complete(&node).await.unwrap().unwrap();
        let other = PgStore::open(server.clone(), settings()).await.unwrap();
        for node in [&node, &other] {
            until(node, visit.session.id, Some("grace")).await;
            let facts = node.session(visit.session.id).await.unwrap().unwrap().facts;
            assert_eq!(facts.claims, claims);
            let apart = facts.authenticated.unwrap().0 - authenticated.0;
            assert!(apart.abs() <= 2, "{apart} s apart");
        }
    });
}

/// Opens a session of the user 7 as a program of the first version does.
async fn sign_in_by_the_first_version(connection: &mut Connection, session: SessionId) {
    let sql = "SELECT sign_in(NULL, NULL, NULL, NULL, NULL, NULL, -1, 7, 0, false, NULL, NULL, NULL, NULL, $1, NULL, NULL,
        600, 100)";
    let id = session.0.to_vec();
    let user: i64 = connection.client().query_one(sql, &[&id]).await.unwrap().get(0);
    assert_eq!(user, 7);
}
