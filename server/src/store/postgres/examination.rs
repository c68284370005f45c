//! What a database is, for its operator: read without changing anything.

use super::connection::Server;
use super::error::PostgresError;
use super::schema;

/// What is known of a database.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The version of PostgreSQL.
    pub version: String,
    /// Whether the connection is within TLS.
    pub is_encrypted: bool,
    /// The version of the schema, and the oldest version that a program may know to work with it; `None` without a
    /// schema.
    pub schema: Option<(i32, i32)>,
    /// The newest version of the schema that this program knows.
    pub known_schema: i32,
    /// The synchronous standbys that the server waits for; empty if none.
    pub standbys: String,
}

/// Reads what a database is.
///
/// # Errors
/// A [`PostgresError`]: it cannot be used.
pub async fn examine(server: &Server) -> Result<Facts, PostgresError> {
    let mut connection = server.connect().await?;
    let client = connection.client();
    let sql = "SELECT current_setting('server_version'), current_setting('synchronous_standby_names'),
            to_regclass('claimgate.schema_version') IS NOT NULL";
    let row = client.query_one(sql, &[]).await?;
    let schema = match row.try_get(2)? {
        true => client.query_opt("SELECT version, works_for FROM schema_version", &[]).await?,
        false => None,
    };
    Ok(Facts {
        version: row.try_get(0)?,
        is_encrypted: server.is_encrypted(),
        schema: schema.map(|row| Ok::<_, PostgresError>((row.try_get(0)?, row.try_get(1)?))).transpose()?,
        known_schema: schema::newest_version(),
        standbys: row.try_get(1)?,
    })
}
