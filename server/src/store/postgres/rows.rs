//! Rows as values.

use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use super::error::PostgresError;
use claimgate::oidc::user::{User, UserId, UserKind};

/// Reads a user from the columns `id, username, kind, active, profile, teams`, the first of which is `first`; `None` if
/// `id` is NULL.
pub(super) fn read_user(row: &Row, first: usize) -> Result<Option<User>, PostgresError> {
    let Some(id) = row.try_get(first)? else { return Ok(None) };
    let kind: &str = row.try_get(first + 2)?;
    let kind = UserKind::from_name(kind)
        .ok_or_else(|| PostgresError::Unreadable(format!("no kind of user is named {kind:?}")))?;
    Ok(Some(User {
        id: UserId(id),
        username: row.try_get(first + 1)?,
        kind,
        active: row.try_get(first + 3)?,
        profile: read_json(row, first + 4)?,
        teams: read_json(row, first + 5)?,
    }))
}

fn read_json<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, PostgresError> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| PostgresError::Unreadable(error.to_string()))
}

/// Writes a value as the JSON that [`read_user`] reads.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, PostgresError> {
    serde_json::to_string(value).map_err(|error| PostgresError::Unreadable(error.to_string()))
}
