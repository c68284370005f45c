//! The database file and its schema.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::changes;
use super::ended_sessions;
use super::error::store_error;
use super::events;
use super::file;
use super::grants;
use super::logout_batches;
use claimgate::oidc::records::StoreError;

/// A step from one version of the schema to the next.
enum Migration {
    Sql(&'static str),
    Code(fn(&Connection) -> rusqlite::Result<()>),
}

use Migration::{Code, Sql};

/// The migrations, one per version of the schema. A released one never changes.
const MIGRATIONS: &[Migration] = &[
    Sql("
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE user (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        username TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        active INTEGER NOT NULL,
        profile TEXT NOT NULL,
        teams TEXT NOT NULL,
        password TEXT,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL
    );
    CREATE TABLE link (
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        user INTEGER NOT NULL REFERENCES user (id),
        PRIMARY KEY (issuer, subject)
    ) WITHOUT ROWID;
    CREATE INDEX link_user ON link (user);
    CREATE TABLE session (
        id BLOB NOT NULL UNIQUE,
        user INTEGER NOT NULL REFERENCES user (id),
        issuer TEXT,
        subject TEXT,
        sid TEXT,
        issued_at INTEGER,
        id_token TEXT,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL
    );
    CREATE INDEX session_user ON session (user);
    CREATE INDEX session_sid ON session (issuer, sid) WHERE sid IS NOT NULL;
    CREATE INDEX session_subject ON session (issuer, subject) WHERE issuer IS NOT NULL;
    CREATE INDEX session_expires ON session (expires);
    CREATE TABLE logout_mark (
        issuer TEXT NOT NULL,
        about TEXT NOT NULL,
        value TEXT NOT NULL,
        issued_at INTEGER NOT NULL,
        received_ms INTEGER NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (issuer, about, value)
    ) WITHOUT ROWID;
    CREATE INDEX logout_mark_until ON logout_mark (until);
    CREATE TABLE jti (hash BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX jti_until ON jti (until);
"),
    Sql("
    -- Appended to, and purged from its old end: a storm of logouts writes few pages.
    CREATE TABLE logout (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        jti BLOB,
        issuer TEXT,
        sid TEXT,
        subject TEXT,
        issued_at INTEGER,
        received_ms INTEGER,
        until INTEGER NOT NULL
    );
    CREATE INDEX logout_until ON logout (until);
    INSERT INTO logout (jti, until) SELECT substr(hash, 1, 16), until FROM jti;
    -- A logout of the sessions without `sid` becomes one of a session that does not exist.
    INSERT INTO logout (issuer, sid, subject, issued_at, received_ms, until)
        SELECT issuer,
            CASE about WHEN 'session' THEN value WHEN 'subject without session' THEN '' END,
            CASE about WHEN 'session' THEN NULL ELSE value END,
            issued_at, received_ms, until
        FROM logout_mark;
    DROP TABLE jti;
    DROP TABLE logout_mark;
    -- Expired sessions are found in memory.
    DROP INDEX session_expires;
"),
    Sql("
    -- The key of the cookies is in a file of its own, and ID tokens are sealed with it.
    DROP TABLE IF EXISTS meta;
    UPDATE session SET id_token = NULL;
    CREATE TABLE notice (id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, about TEXT NOT NULL);
"),
    Sql("
    -- Whose tokens are refused is read at the start.
    CREATE INDEX IF NOT EXISTS user_inactive ON user (id) WHERE active = 0;
"),
    // The logouts of a transaction are one row.
    Code(logout_batches::migrate),
    Sql(changes::TABLE),
    Sql(ended_sessions::TABLE),
    Sql(events::sqlite::TABLE),
    Sql("CREATE TABLE kept (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;"),
    Sql("
    -- When the person authenticated, and the kept values of claims, as JSON.
    ALTER TABLE session ADD COLUMN authenticated INTEGER;
    ALTER TABLE session ADD COLUMN claims TEXT;
"),
    Sql("
    -- The end of the lifetime. `expires` is earlier where there is an idle time; NULL where it is the same.
    ALTER TABLE session ADD COLUMN latest INTEGER;
"),
    Sql(grants::TABLE),
];

/// Longest wait for another process that writes to the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a database file; creates it, or migrates it to the present schema, if needed. Other users have no rights to it
/// afterwards. A file that is no database stays as it is.
pub(super) fn open(file: &Path) -> Result<Connection, StoreError> {
    let error_of = |reason: String| StoreError { reason: format!("{}: {reason}", file.display()) };
    let restrict = || file::restrict(file).map_err(|error| error_of(error.to_string()));
    if file.exists() {
        connect(file)?;
    }
    restrict()?;
    prepare(connect(file)?).map_err(|error| error_of(error.reason))
}

/// Opens a database file, which must exist, as [`open`] does, and leaves it its rights.
pub(super) fn open_with_its_rights(file: &Path) -> Result<Connection, StoreError> {
    prepare(connect(file)?)
        .map_err(|error| StoreError { reason: format!("{}: {}", file.display(), error.reason) })
}

/// Connects to a file, and reads enough of it to know that it is a database.
pub(super) fn connect(file: &Path) -> Result<Connection, StoreError> {
    let connect = || {
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
        Ok(connection)
    };
    connect().map_err(|error: rusqlite::Error| StoreError { reason: format!("{}: {error}", file.display()) })
}

/// Opens a database in memory.
pub(super) fn open_in_memory() -> Result<Connection, StoreError> {
    prepare(Connection::open_in_memory().map_err(|error| store_error(&error))?)
}

/// Opens the file of a connection once more, for reading; `None` for a database in memory.
pub(super) fn open_beside(connection: &Connection) -> rusqlite::Result<Option<Connection>> {
    open_to_read(connection.path().filter(|file| !file.is_empty()).map(Path::new))
}

/// Opens a database file for reading; `None` for a database in memory.
pub(super) fn open_to_read(file: Option<&Path>) -> rusqlite::Result<Option<Connection>> {
    let Some(file) = file else { return Ok(None) };
    let beside = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    beside.busy_timeout(BUSY_TIMEOUT)?;
    Ok(Some(beside))
}

/// Returns what is wrong with a schema of a newer program than this one, which knows versions up to `known`.
pub(super) fn too_new(version: i64, known: i64) -> String {
    format!(
        "the schema has version {version}, and this program works with {known} at most: install the newer program"
    )
}

fn prepare(mut connection: Connection) -> Result<Connection, StoreError> {
    migrate(&mut connection).map_err(|error| store_error(&error))?;
    let version = version(&connection).map_err(|error| store_error(&error))?;
    if version > newest_version() {
        return Err(StoreError { reason: too_new(version, newest_version()) });
    }
    Ok(connection)
}

/// Brings a database to the present schema.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // WAL: other processes can read while this one writes. FULL: a commit is on the disk.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    // What a migration deletes is overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for (step, migration) in (1_i64..).zip(MIGRATIONS) {
        if step > version(&transaction)? {
            match migration {
                Sql(statements) => transaction.execute_batch(statements)?,
                Code(migrate) => migrate(&transaction)?,
            }
            transaction.pragma_update(None, "user_version", step)?;
        }
    }
    transaction.commit()?;
    // What is deleted later is overwritten where that writes no further page.
    connection.pragma_update(None, "secure_delete", "FAST")
}

/// Returns the version of the schema that this program writes.
pub(super) fn newest_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Returns the first damage that SQLite finds in the file.
pub(super) fn damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let first: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok(Some(first).filter(|first| first != "ok"))
}

/// Returns the version of the schema that a database has.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
