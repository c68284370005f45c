//! The inspection of a database: what is wrong with the file and its rows. It changes nothing.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::bad_rows::UNREADABLE;
use super::events::sqlite as events;
use super::file;
use super::logout_batches::read_row;
use super::records::{USER, read_user};
use super::schema;
use crate::plural::count;
use claimgate::identity::{IdentityError, Normalisation, normal_username};
use claimgate::oidc::records::StoreError;

/// What an inspection found.
#[derive(Debug, Default)]
pub struct Inspection {
    /// What is in order, one fact each.
    pub good: Vec<String>,
    /// What is wrong, and what to do, one fault each.
    pub problems: Vec<String>,
}

/// Inspects a database file, beside a server that may run. `normalisation` is that of usernames given by hand.
///
/// # Errors
/// [`StoreError`]: the file does not exist or cannot be read as a database.
pub fn inspect(database: &Path, normalisation: Normalisation) -> Result<Inspection, StoreError> {
    let failed = |error: rusqlite::Error| StoreError { reason: format!("{}: {error}", database.display()) };
    let connection =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let mut found = Inspection::default();
    found.rights(database);
    found.version(&connection).map_err(failed)?;
    found.integrity(&connection).map_err(failed)?;
    let users = format!("SELECT {USER}, user.id FROM user");
    found.rows(&connection, "user", &users, |row| read_user(row).map(drop)).map_err(failed)?;
    let sessions = "SELECT id, user, expires, created, rowid FROM session";
    found.rows(&connection, "session", sessions, read_session).map_err(failed)?;
    let is_older = schema::version(&connection).map_err(failed)? < schema::newest_version();
    // A database of an earlier version, which the next start migrates, may be without these.
    let is_there = |table| Ok(!is_older || connection.table_exists(None, table)?);
    if is_there("logout_batch").map_err(failed)? {
        let logouts = "SELECT id, issuer, entries, id FROM logout_batch";
        found.rows(&connection, "logout_batch", logouts, |row| read_row(row).map(drop)).map_err(failed)?;
    }
    if is_there("ended_session").map_err(failed)? {
        let ended = "SELECT sessions, id FROM ended_session";
        found.rows(&connection, "ended_session", ended, read_ended).map_err(failed)?;
    }
    if is_there("event").map_err(failed)? {
        let events = format!("SELECT {}, id FROM event", events::COLUMNS);
        found.rows(&connection, "event", &events, |row| events::read_row(row).map(drop)).map_err(failed)?;
    }
    found.usernames(&connection, normalisation).map_err(failed)?;
    Ok(found)
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<()> {
    row.get::<_, [u8; 16]>(0)?;
    (1..4).try_for_each(|column| row.get::<_, i64>(column).map(drop))
}

fn read_ended(row: &Row<'_>) -> rusqlite::Result<()> {
    match row.get_ref(0)?.as_blob()?.as_chunks::<16>().1 {
        [] => Ok(()),
        _ => Err(rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Blob,
            "part of an identifier is missing".into(),
        )),
    }
}

/// Returns what is wrong with a username that is kept: the form that sign-ins look up in its place, or why it has
/// none.
pub(super) fn username_fault(
    name: &str,
    normalisation: Normalisation,
) -> Option<Result<String, IdentityError>> {
    // `lossy_ascii` shortens names from claims; of a name that is there it would also change the prefix.
    let normalisation = match normalisation {
        Normalisation::None => Normalisation::None,
        _ => Normalisation::Default,
    };
    Some(normal_username(name, normalisation)).filter(|normal| normal.as_deref() != Ok(name))
}

impl Inspection {
    fn rights(&mut self, database: &Path) {
        let before = self.problems.len();
        for file in file::files_of(database) {
            if let Some(mode) = file::open_to_others(&file) {
                let file = file.display();
                self.problems.push(format!("other users have rights to {file} (mode {mode:o}): chmod 600"));
            }
        }
        if self.problems.len() == before {
            self.good.push("the files are for their owner alone".to_owned());
        }
    }

    fn version(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let (version, known) = (schema::version(connection)?, schema::newest_version());
        if version > known {
            self.problems.push(schema::too_new(version, known));
        } else {
            self.good.push(format!("the schema has version {version} of {known}"));
        }
        Ok(())
    }

    fn integrity(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let damage = schema::damage(connection)?;
        let orphans = connection.prepare("PRAGMA foreign_key_check")?.query_map([], |_| Ok(()))?.count();
        if let Some(damage) = &damage {
            self.problems.push(format!("the file is damaged ({damage}): restore a backup"));
        }
        if orphans > 0 {
            self.problems.push(format!("rows without their user: {orphans}; restore a backup"));
        }
        if damage.is_none() && orphans == 0 {
            self.good.push("SQLite finds no damage".to_owned());
        }
        Ok(())
    }

    /// Reads all rows of a table; the last column is the row's number.
    fn rows(
        &mut self,
        connection: &Connection,
        table: &str,
        sql: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let (mut rows_read, before) = (0_u64, self.problems.len());
        let mut statement = connection.prepare(sql)?;
        let number = statement.column_count() - 1;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            rows_read += 1;
            if let Err(error) = read(row) {
                let id: i64 = row.get(number)?;
                let (what, remedy) = match (table, row.get::<_, String>(1)) {
                    ("user", Ok(name)) => (format!(", {name:?},"), UNREADABLE),
                    _ => (String::new(), "restore a backup, or correct it with SQLite"),
                };
                self.problems.push(format!(
                    "row {id} of the table {table}{what} cannot be read and is skipped ({error}): {remedy}"
                ));
            }
        }
        if self.problems.len() == before {
            self.good.push(format!("table {table}: {} can be read", count(rows_read, "row")));
        }
        Ok(())
    }

    /// Checks that each username is in its normal form: sign-ins look up that form alone.
    fn usernames(&mut self, connection: &Connection, normalisation: Normalisation) -> rusqlite::Result<()> {
        let before = self.problems.len();
        let mut statement = connection.prepare("SELECT id, username FROM user ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // A name that is no text is a row that cannot be read, which is reported above.
            let Ok(name) = row.get::<_, String>(1) else { continue };
            let fault = match username_fault(&name, normalisation) {
                None => continue,
                Some(Ok(normal)) => {
                    let sql = "SELECT 'which is user ' || id FROM user WHERE username = ?1";
                    let other: Option<String> =
                        connection.query_row(sql, [&normal], |row| row.get(0)).optional()?;
                    let is_free = || "which is free; see `claimgate user rename`".to_owned();
                    format!("sign-ins look up {normal:?}, {}", other.unwrap_or_else(is_free))
                }
                Some(Err(error)) => error.to_string(),
            };
            let id: i64 = row.get(0)?;
            self.problems.push(format!("user {id}, {name:?}, breaks the rules of usernames: {fault}"));
        }
        if self.problems.len() == before {
            self.good.push("the usernames keep the rules".to_owned());
        }
        Ok(())
    }
}
