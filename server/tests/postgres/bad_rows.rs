//! One row that cannot be read, in each table, by each of its columns: beside a node, and when another starts.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use claimgate::identity::Normalisation;
use claimgate_server::store::postgres::{PgStore, Server, Settings, inspect};
use claimgate_server::store::{Event, EventKind, Store};
use tokio_postgres::Client;

use super::bad_row_contract::{Corruption, check, fill};
use super::engine::{Engine, runtime};
use super::nodes::{sign_in, until};
use super::people::{logout, of_sid};

/// The row of each table that goes bad.
const BAD: [(&str, &str); 14] = [
    ("meta", "name = 'assertion keys'"),
    ("steps", "seq = (SELECT max(seq) FROM steps)"),
    ("nodes", r"id = '\x00112233445566778899aabbccddeeff'"),
    ("issuers", "name = 'victim'"),
    ("users", "username = 'victim'"),
    ("links", "subject = 'victim'"),
    ("sessions", "subject = 'victim'"),
    ("id_tokens", "session IN (SELECT id FROM sessions WHERE subject = 'victim')"),
    ("logouts", "seq = (SELECT min(seq) FROM logouts)"),
    ("notices", "about = 'victim'"),
    ("used_states", "true"),
    ("attempts", "true"),
    ("events", "code = 'victim'"),
    ("refreshes", "sealed = 'victim'"),
];

/// The tables that hold one row, without which there is no store: the order row and the version.
const WITHOUT: [&str; 2] = ["ord", "schema_version"];

const ROWS: &str = r"
    INSERT INTO nodes VALUES ('\x00112233445566778899aabbccddeeff', 1, 0, now() - interval '1 min', 5);
    INSERT INTO issuers (name) VALUES ('victim');
    INSERT INTO notices (action, about) VALUES ('user deactivate', 'victim');
    INSERT INTO refreshes SELECT id, 'idp', 'victim', now() FROM sessions WHERE subject = 'victim';";

/// Values of a type that the program does not know.
const UNREADABLE: [(&str, &str, &str); 5] = [
    ("users", "kind", "'unheard of'"),
    ("users", "profile", "'unheard of'"),
    ("users", "teams", "'unheard of'"),
    ("sessions", "subject", "NULL"),
    ("events", "kind", "-1"),
];

/// Returns what each column of each table of the schema can hold that it should not.
async fn corruptions(client: &Client) -> Vec<Corruption> {
    let sql = "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES',
            coalesce(identity_generation = 'ALWAYS', false)
        FROM information_schema.columns WHERE table_schema = 'claimgate' ORDER BY 1, ordinal_position";
    let columns = client.query(sql, &[]).await.unwrap();
    let tables: BTreeSet<String> = columns.iter().map(|row| row.get(0)).collect();
    let known = BAD.iter().map(|(table, _)| *table).chain(WITHOUT).map(str::to_owned).collect();
    assert_eq!(tables, known, "each table of the schema has a row that goes bad here");
    let mut all = Vec::new();
    for row in columns {
        let (table, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let Some((table, condition)) = BAD.into_iter().find(|(known, _)| *known == table) else { continue };
        // With whether no row of the program has them.
        let mut values: Vec<(&'static str, bool)> = match kind.as_str() {
            "bytea" => vec![(r"'\x00'", table != "meta")],
            "text" => vec![("'unheard of'", false)],
            "smallint" | "integer" | "bigint" => vec![("-1", false)],
            "timestamp with time zone" => vec![("'infinity'", true), ("'-infinity'", true)],
            "ARRAY" => vec![("'{NULL}'", true)],
            "boolean" => vec![("false", false)],
            other => panic!("{table}.{column} is of a type without values here: {other}"),
        };
        values.extend(row.get::<_, bool>(3).then_some(("NULL", false)));
        // A number that only the database gives is no value.
        let is_given = row.get::<_, bool>(4);
        all.extend(values.into_iter().filter(|_| !is_given).map(|(value, is_unreadable)| {
            let is_unreadable = is_unreadable || UNREADABLE.contains(&(table, column.as_str(), value));
            Corruption { table, condition, column: column.clone(), value, is_unreadable }
        }));
    }
    all
}

impl Corruption {
    /// Has the row hold the value.
    async fn make(&self, client: &Client) {
        let Self { table, condition, column, value, .. } = self;
        // A step is read once: it goes bad before it can be.
        let step = if *table == "steps" { "SELECT complete_step(take_position(), '{}', '{}');" } else { "" };
        let sql = format!(
            "SET search_path = claimgate; BEGIN; SET LOCAL session_replication_role = replica; {step}
            UPDATE {table} SET {column} = {value} WHERE {condition}; COMMIT"
        );
        client.batch_execute(&sql).await.unwrap();
    }

    async fn check(&self, engine: &Engine, template: &str) {
        let what = format!("{self:?}");
        let database = engine.copy_of(template).await;
        let server = Server::new(engine.config(template, &database), None);
        let open = async || Store::open_postgres(server.clone(), Settings::default()).await;
        let beside = open().await.unwrap();
        ready(&beside).await;
        let superuser = engine.superuser(&database).await;
        self.make(&superuser).await;
        if self.is_unreadable {
            let found = inspect(&server, Normalisation::Default).await.unwrap();
            let named = format!("of the table {}", self.table);
            assert!(
                found.bad_rows.iter().any(|fault| fault.contains(&named)),
                "{what}: {:?}",
                found.bad_rows
            );
        }
        check(&beside, 1, &what).await;
        drop(beside);
        let started = open().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        ready(&started).await;
        check(&started, 2, &what).await;
        drop((started, superuser));
        engine.remove(&database).await;
    }
}

async fn ready(store: &Store) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !store.is_ready().await {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Makes a database with a row in each table that can go bad.
async fn template(engine: &Engine) -> String {
    let database = engine.new_database().await;
    let store = Store::open_postgres(engine.server(&database), Settings::default()).await.unwrap();
    let node = PgStore::open(engine.server(&database), Settings::default()).await.unwrap();
    node.apply_logouts(&[logout("victim", of_sid("another"))]).await.unwrap();
    let session = sign_in(&node, "victim", Some("victim")).await;
    until(&node, session, Some("victim")).await;
    node.use_state("victim").await.unwrap();
    assert!(node.allow_attempt("victim", (NonZeroU32::MIN, Duration::from_secs(60))).await.unwrap());
    fill(&store).await;
    store.record_events(vec![Event::new(EventKind::Administration, "victim")]).await.unwrap();
    let superuser = engine.superuser(&database).await;
    superuser.batch_execute(&format!("SET search_path = claimgate; {ROWS}")).await.unwrap();
    let found = inspect(&engine.server(&database), Normalisation::Default).await.unwrap();
    assert_eq!(found.bad_rows, Vec::<String>::new(), "before any row is bad");
    database
}

#[test]
fn one_bad_row_in_any_table_affects_nothing_but_itself() {
    let Some(engine) = Engine::start() else { return };
    let runtime = runtime();
    let (template, corruptions) = runtime.block_on(async {
        let template = template(&engine).await;
        let client = engine.superuser(&template).await;
        (template, corruptions(&client).await)
    });
    assert!(corruptions.len() > 90, "{}", corruptions.len());
    runtime.block_on(async {
        let part = async |first: usize| {
            for corruption in corruptions.iter().skip(first).step_by(4) {
                corruption.check(&engine, &template).await;
            }
        };
        tokio::join!(part(0), part(1), part(2), part(3));
    });
}

#[test]
fn a_key_of_another_length_stops_the_start_and_says_what_to_do() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        for name in ["sealing key", "session key"] {
            let database = engine.new_database().await;
            let server = engine.server(&database);
            drop(PgStore::open(server.clone(), Settings::default()).await.unwrap());
            let superuser = engine.superuser(&database).await;
            let sql = "UPDATE claimgate.meta SET value = '\\x00' WHERE name = $1";
            superuser.execute(sql, &[&name]).await.unwrap();
            let refused = PgStore::open(server.clone(), Settings::default()).await.err().unwrap().to_string();
            assert!(refused.contains(&format!("the {name} does not have its length")), "{refused}");
            let (_, remedy) = refused.split_once("run ").unwrap();
            let (remedy, _) = remedy.split_once(" while").unwrap();
            superuser.batch_execute(remedy).await.unwrap();
            PgStore::open(server, Settings::default()).await.unwrap();
        }
    });
}
