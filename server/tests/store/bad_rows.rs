//! One row that cannot be read, in each table, by each of its columns: at the start, and beside a running server.

use std::path::{Path, PathBuf};

use claimgate::identity::Normalisation;
use claimgate_server::store::{SqliteStore, Store, inspect};
use rusqlite::Connection;

use super::bad_row_contract::{Corruption, check, fill};
use super::refreshes::block_on;

/// The row of each table that goes bad.
const BAD: [(&str, &str); 10] = [
    ("user", "username = 'victim'"),
    ("link", "subject = 'victim'"),
    ("session", "subject = 'victim'"),
    ("notice", "id = (SELECT max(id) FROM notice)"),
    ("logout_batch", "issuer = 'victim'"),
    ("change", "seq = (SELECT max(seq) FROM change)"),
    ("ended_session", "id = (SELECT max(id) FROM ended_session)"),
    ("event", "code = 'victim'"),
    ("kept", "name = 'assertion keys'"),
    ("refresh", "sealed = 'victim'"),
];

/// Adds rows that stay.
const STAYING: &str = "
    INSERT INTO user (username, kind, active, profile, teams, password, created, updated)
        VALUES ('victim', 'regular', 1, '{}', '{}', 'a hash', 1, 1);
    INSERT INTO link SELECT 'i', 'victim', id FROM user WHERE username = 'victim';
    INSERT INTO session SELECT zeroblob(16), id, 'i', 'victim', 'victim', 1, 'sealed', 1, 9000000000, 1, '{}', 9000000000
        FROM user WHERE username = 'victim';
    INSERT INTO refresh VALUES (zeroblob(16), 'idp', 'victim', 0);
    INSERT INTO logout_batch (issuer, until, entries) VALUES ('victim', 9000000000, zeroblob(73));
    INSERT INTO event (kind, id, n, code, count) SELECT 5, max(id) + 1, 1, 'victim', 1 FROM event;";

/// Adds rows that a server reads once and deletes.
const READ_ONCE: &str = "
    INSERT INTO change (kind, about) SELECT 'user', id FROM user WHERE username = 'victim';
    INSERT INTO notice (action, about) VALUES ('user deactivate', 'victim');
    INSERT INTO ended_session (sessions) VALUES (CAST('0123456789abcdef' AS BLOB));";

/// Values that are no user, session, logout or event, although of the type of their column.
const UNREADABLE: [(&str, &str, &str); 8] = [
    ("user", "kind", "'unheard of'"),
    ("user", "profile", "'unheard of'"),
    ("user", "teams", "''"),
    ("session", "id", "x'00'"),
    ("refresh", "session", "x'00'"),
    ("logout_batch", "entries", "x'00'"),
    ("ended_session", "sessions", "x'00'"),
    ("event", "count", "-1"),
];

/// Returns what each column of each table of the schema can hold that it should not.
fn corruptions(connection: &Connection) -> Vec<Corruption> {
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY name";
    let mut statement = connection.prepare(sql).unwrap();
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut known: Vec<&str> = BAD.iter().map(|(table, _)| *table).collect();
    known.sort_unstable();
    assert_eq!(tables, known, "each table of the schema has a row that goes bad here");
    let mut all = Vec::new();
    for (table, condition) in BAD {
        let sql = "SELECT name, type, pk FROM pragma_table_info(?1)";
        let mut statement = connection.prepare(sql).unwrap();
        let mut rows = statement.query([table]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (column, declared): (String, String) = (row.get(0).unwrap(), row.get(1).unwrap());
            // The first two are of another type.
            let values: &[&'static str] = match declared.as_str() {
                "INTEGER" => &["'x'", "x'00'", "-1", "9223372036854775807", "NULL"],
                "TEXT" => &["x'00'", "CAST(x'ff' AS TEXT)", "''", "'unheard of'", "NULL"],
                "BLOB" => &["'text'", "1.5", "x'00'", "zeroblob(73)", "NULL"],
                "" => &["x'00'", "'short'", "1.5", "-1"],
                other => panic!("{table}.{column} is of a type without values here: {other}"),
            };
            all.extend(values.iter().enumerate().map(|(place, value)| Corruption {
                table,
                condition,
                column: column.clone(),
                value,
                is_unreadable: (place < 2 && !declared.is_empty())
                    || UNREADABLE.contains(&(table, column.as_str(), value)),
            }));
        }
    }
    all
}

impl Corruption {
    /// Has the row hold the value. Returns `false` if SQLite refuses it: the number that it gives a row is no value, and
    /// constraints hold.
    fn make(&self, file: &Path) -> bool {
        let Self { table, condition, column, value, .. } = self;
        let mut connection = Connection::open(file).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        let transaction = connection.transaction().unwrap();
        transaction.execute_batch(READ_ONCE).unwrap();
        let is_number: bool = transaction
            .query_row(
                "SELECT type = 'INTEGER' AND pk = 1 AND (SELECT NOT wr FROM pragma_table_list WHERE name = ?1)
                FROM pragma_table_info(?1) WHERE name = ?2",
                [table, column.as_str()],
                |row| row.get(0),
            )
            .unwrap();
        let sql = format!("UPDATE {table} SET {column} = {value} WHERE {condition}");
        match transaction.execute(&sql, []) {
            Ok(rows) => assert_eq!(rows, 1, "{sql}"),
            Err(_) => return false,
        }
        transaction.commit().unwrap();
        !is_number
    }

    fn check(&self, template: &Path, folder: &Path) -> bool {
        let what = format!("{self:?}");
        let copy = |name: &str| {
            let file = folder.join(name);
            for suffix in ["", ".key"] {
                let of = |file: &Path| PathBuf::from(format!("{}{suffix}", file.display()));
                std::fs::copy(of(template), of(&file)).unwrap();
            }
            file
        };
        let file = copy("at-the-start.db");
        if !self.make(&file) {
            return false;
        }
        let found = inspect(&file, Normalisation::Default).unwrap();
        let named = format!("of the table {}", self.table);
        if self.is_unreadable {
            assert!(found.problems.iter().any(|problem| problem.contains(&named)), "{what}: {found:?}");
        }
        let store = Store::Sqlite(SqliteStore::open_for_server(&file).unwrap());
        block_on(check(&store, 1, &what));
        store.close();

        let file = copy("beside.db");
        let store = Store::Sqlite(SqliteStore::open_for_server(&file).unwrap());
        assert!(self.make(&file));
        block_on(check(&store, 2, &what));
        block_on(check(&store, 3, &what));
        store.close();
        true
    }
}

// finding: S13
#[test]
fn one_bad_row_in_any_table_affects_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.db");
    let store = Store::Sqlite(SqliteStore::open_for_server(&template).unwrap());
    block_on(fill(&store));
    store.close();
    let connection = Connection::open(&template).unwrap();
    connection.execute_batch(STAYING).unwrap();
    let corruptions = corruptions(&connection);
    connection.close().unwrap();
    let found = inspect(&template, Normalisation::Default).unwrap();
    assert_eq!(found.problems, Vec::<String>::new(), "before any row is bad");

    let threads = 4;
    let made: usize = std::thread::scope(|scope| {
        let part = |first: usize| {
            let (corruptions, template) = (&corruptions, &template);
            scope.spawn(move || {
                let own = corruptions.iter().skip(first).step_by(threads);
                let made = own.filter(|corruption| {
                    let folder = tempfile::tempdir().unwrap();
                    corruption.check(template, folder.path())
                });
                made.count()
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().map(|part| part.join().unwrap()).sum()
    });
    assert!(made > 150, "{made}");
}
