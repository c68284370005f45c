//! The schema, in versions.

use super::connection::Connection;
use super::error::PostgresError;

/// A version of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Makes it from the version before.
    pub sql: &'static str,
    /// The oldest version that a program may have been made for to work with this one: during an update old and new
    /// nodes run beside each other.
    pub works_for: i32,
}

/// The versions that this program knows. A released one never changes.
pub const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("migrations/1.sql"), works_for: 1 },
    Migration { sql: include_str!("migrations/2.sql"), works_for: 1 },
    Migration { sql: include_str!("migrations/3.sql"), works_for: 1 },
    Migration { sql: include_str!("migrations/4.sql"), works_for: 1 },
    Migration { sql: include_str!("migrations/5.sql"), works_for: 1 },
];

/// The lock under which one node at a time changes the schema.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('claimgate schema', 0))";

/// Keeps nodes from writing until the end of the transaction, so that no lock on a table is waited for in a circle:
/// what writes holds the order row first, and what is over is deleted under a lock of its own.
const LOCK_WRITERS: &str = "SELECT pg_advisory_xact_lock(hashtextextended('claimgate purge', 0));
    SELECT FROM ord WHERE one FOR UPDATE";

/// Finds the oldest program among the nodes that run, by the newest version that it knows.
const OLDEST_NODE: &str = "SELECT min(schema) FROM nodes WHERE seen > now() - interval '10 seconds'";

/// Returns the newest of some versions.
pub(super) fn newest_of(migrations: &[Migration]) -> i32 {
    i32::try_from(migrations.len()).unwrap_or(i32::MAX)
}

/// Returns the newest version that this program knows.
pub(super) fn newest_version() -> i32 {
    newest_of(MIGRATIONS)
}

/// Reports whether there is a schema of a version. Makes nothing.
///
/// # Errors
/// A [`PostgresError`].
pub(super) async fn exists(connection: &mut Connection) -> Result<bool, PostgresError> {
    let sql = "SELECT to_regclass('claimgate.schema_version') IS NOT NULL";
    Ok(connection.client().query_one(sql, &[]).await?.try_get(0)?)
}

/// Brings the schema to the version of this program; see [`migrate_to`].
///
/// # Errors
/// Those of [`migrate_to`].
pub async fn migrate(connection: &mut Connection) -> Result<(), PostgresError> {
    migrate_to(connection, MIGRATIONS).await
}

/// Brings the schema to the last of the versions that a program knows, in one transaction; the nodes that run go on.
/// A newer one stays as it is if the program works with it.
///
/// # Errors
/// [`PostgresError::NewerSchema`]; [`PostgresError::OlderNode`] if a node runs whose program does not work with the
/// version; or another [`PostgresError`]. Nothing is changed then.
pub async fn migrate_to(connection: &mut Connection, migrations: &[Migration]) -> Result<(), PostgresError> {
    let known = newest_of(migrations);
    let transaction = connection.client().transaction().await?;
    // Another node may need long for a large change.
    transaction.batch_execute("SET LOCAL lock_timeout = 0").await?;
    transaction.batch_execute(LOCK).await?;
    transaction
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS claimgate;
            CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL, works_for integer NOT NULL);",
        )
        .await?;
    let row = transaction.query_opt("SELECT version, works_for FROM schema_version", &[]).await?;
    let (found, works_for) = row.map_or((0, 0), |row| (row.get(0), row.get(1)));
    if works_for > known {
        return Err(PostgresError::NewerSchema { found, known });
    }
    if 0 < found && found < known {
        let needed = migrations.last().map_or(0, |migration| migration.works_for);
        let oldest: Option<i32> = transaction.query_one(OLDEST_NODE, &[]).await?.try_get(0)?;
        if let Some(oldest) = oldest.filter(|oldest| *oldest < needed) {
            return Err(PostgresError::OlderNode { version: known, needed, oldest });
        }
        transaction.batch_execute(LOCK_WRITERS).await?;
    }
    for (version, migration) in (1..).zip(migrations).filter(|(version, _)| *version > found) {
        transaction.batch_execute(migration.sql).await?;
        transaction.batch_execute("DELETE FROM schema_version").await?;
        let sql = "INSERT INTO schema_version VALUES ($1, $2)";
        transaction.execute(sql, &[&version, &migration.works_for]).await?;
    }
    transaction.commit().await?;
    connection.committed().await
}
