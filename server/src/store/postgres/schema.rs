//! The schema, in versions.

use super::connection::Connection;
use super::error::PostgresError;

/// A version of the schema.
struct Migration {
    sql: &'static str,
    /// The oldest version that a program may have been made for to work with this one: during an update old and new
    /// nodes run beside each other.
    works_for: i32,
}

/// The versions. A released one never changes.
const MIGRATIONS: &[Migration] = &[Migration { sql: include_str!("migrations/1.sql"), works_for: 1 }];

/// The lock under which one node at a time changes the schema.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('claimgate schema', 0))";

/// Returns the newest version that this program knows.
pub(super) fn newest_version() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Brings the schema to the version of this program, in one transaction. A newer one stays as it is if this program
/// works with it.
///
/// # Errors
/// [`PostgresError::NewerSchema`], or another [`PostgresError`]; nothing is changed then.
pub async fn migrate(connection: &mut Connection) -> Result<(), PostgresError> {
    let known = newest_version();
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
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.batch_execute(migration.sql).await?;
        transaction.batch_execute("DELETE FROM schema_version").await?;
        let sql = "INSERT INTO schema_version VALUES ($1, $2)";
        transaction.execute(sql, &[&version, &migration.works_for]).await?;
    }
    transaction.commit().await?;
    connection.committed().await
}
