//! Rows of a database that cannot be read, for its operator. PostgreSQL keeps the types of columns; what a value has to be
//! beyond that follows from the type and is checked in every table of the schema, or is listed here.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::error::PostgresError;
use super::keys::KEYS;
use crate::plural::count;
use crate::store::EventKind;
use claimgate::oidc::seal::KEY_LEN;

/// The table of the keys, whose values alone have other lengths than identifiers and fingerprints.
const META: &str = "meta";

/// Returns the condition that selects the values of a type that cannot be read.
fn fault_of_type(kind: &str, column: &str) -> Option<String> {
    match kind {
        // Identifiers and fingerprints.
        "bytea" => Some(format!("octet_length({column}) <> 16")),
        "timestamp with time zone" => Some(format!("NOT isfinite({column})")),
        "ARRAY" => Some(format!("array_position({column}, NULL) IS NOT NULL")),
        _ => None,
    }
}

/// Returns the condition that selects the rows of a table that cannot be read although each of their values can. Users
/// are read one by one.
fn fault_of_table(table: &str) -> Option<String> {
    match table {
        META => {
            let keys = KEYS.join("', '");
            Some(format!("name IN ('{keys}') AND octet_length(value) <> {KEY_LEN}"))
        }
        "sessions" => Some(
            "issuer IS NOT NULL AND (subject IS NULL OR subject_tag IS NULL OR issued_at IS NULL)".to_owned(),
        ),
        "events" => {
            let kinds = EventKind::ALL.map(|kind| kind.number().to_string()).join(", ");
            Some(format!("kind NOT IN ({kinds}) OR least(id, n, count) < 0 OR count > {}", u32::MAX))
        }
        _ => None,
    }
}

/// Describes the rows that cannot be read, by table.
///
/// # Errors
/// A [`PostgresError`].
pub(super) async fn describe(client: &Client) -> Result<Vec<String>, PostgresError> {
    let sql = "SELECT quote_ident(c.table_name), quote_ident(c.column_name), c.data_type::text
        FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
        WHERE c.table_schema = 'claimgate' AND t.table_type = 'BASE TABLE'";
    let mut faults = BTreeMap::<String, Vec<String>>::new();
    for row in client.query(sql, &[]).await? {
        let (table, column, kind): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let of_type = fault_of_type(&kind, &column).filter(|_| table != META);
        let of_table = fault_of_table(&table);
        faults.entry(table).or_insert_with(|| of_table.into_iter().collect()).extend(of_type);
    }
    let mut described = Vec::new();
    for (table, conditions) in faults.iter().filter(|(_, conditions)| !conditions.is_empty()) {
        let condition = conditions.join(") OR (");
        let sql = format!("SELECT count(*) FROM claimgate.{table} WHERE ({condition})");
        let rows: i64 = client.query_one(&sql, &[]).await?.try_get(0)?;
        if rows > 0 {
            described.push(format!(
                "of the table {table} {} cannot be read: correct it with psql, or restore a backup",
                count(rows, "row")
            ));
        }
    }
    Ok(described)
}
