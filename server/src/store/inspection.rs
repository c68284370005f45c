//! The inspection of a database: what is wrong with the file and its rows. It changes nothing.

use std::path::Path;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::bad_rows::UNREADABLE;
use super::ended_sessions;
use super::events::sqlite as events;
use super::file;
use super::logout_batches::{read_entry, read_row};
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
    for table in tables(&connection).map_err(failed)? {
        found.rows(&connection, &table).map_err(failed)?;
    }
    found.usernames(&connection, normalisation).map_err(failed)?;
    Ok(found)
}

/// What a row has to say beyond the types of its columns: the columns that are read, and how.
struct Reader {
    columns: String,
    read: fn(&Row<'_>) -> rusqlite::Result<()>,
}

/// Returns what the rows of a table are read by, if that is more than its columns.
fn reader_of(table: &str) -> Option<Reader> {
    let of = |columns: &str, read| Some(Reader { columns: columns.to_owned(), read });
    match table {
        "user" => of(USER, |row| read_user(row).map(drop)),
        "session" => of("id, user, expires, created, issuer, subject, issued_at", read_session),
        "refresh" => of("session", |row| row.get::<_, [u8; 16]>(0).map(drop)),
        "logout_batch" => of("id, issuer, entries, until", |row| {
            let batch = read_row(row)?;
            batch.entries.iter().try_for_each(|entry| read_entry(entry, batch.until).map(drop))
        }),
        "ended_session" => of("sessions", |row| ended_sessions::read_row(row, 0).map(drop)),
        "event" => of(events::COLUMNS, |row| events::read_row(row).and_then(events::listed).map(drop)),
        _ => None,
    }
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<()> {
    row.get::<_, [u8; 16]>(0)?;
    (1..4).try_for_each(|column| row.get::<_, i64>(column).map(drop))?;
    if row.get_ref(4)?.data_type() != Type::Null {
        row.get_ref(5)?.as_str()?;
        row.get::<_, i64>(6)?;
    }
    Ok(())
}

/// A table of the schema.
struct Table {
    name: String,
    /// The columns, each with the type that it is declared with.
    columns: Vec<(String, String)>,
    /// What names a row: the key, or the number that SQLite gives it.
    key: Vec<String>,
}

/// Returns the tables of a database.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let sql = "SELECT name, wr FROM pragma_table_list
        WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
    let mut tables = Vec::new();
    for name in names {
        let (name, has_no_numbers) = name?;
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        let mut statement =
            connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1) ORDER BY cid")?;
        let mut rows = statement.query([&name])?;
        while let Some(row) = rows.next()? {
            let column: String = row.get(0)?;
            if has_no_numbers && row.get::<_, i64>(2)? > 0 {
                key.push(column.clone());
            }
            columns.push((column, row.get(1)?));
        }
        if key.is_empty() {
            key.push("rowid".to_owned());
        }
        tables.push(Table { name, columns, key });
    }
    Ok(tables)
}

/// Checks that the columns of a row, from the column `first`, have the types that they are declared with, or are NULL.
fn check_types(row: &Row<'_>, first: usize, columns: &[(String, String)]) -> rusqlite::Result<()> {
    for (place, (name, declared)) in columns.iter().enumerate() {
        let found = row.get_ref(first + place)?.data_type();
        let fits = match declared.as_str() {
            "INTEGER" => found == Type::Integer,
            "TEXT" => found == Type::Text && row.get_ref(first + place)?.as_str().is_ok(),
            "BLOB" => found == Type::Blob,
            _ => true,
        };
        if !fits && found != Type::Null {
            return Err(rusqlite::Error::InvalidColumnType(first + place, name.clone(), found));
        }
    }
    Ok(())
}

/// Returns a value of a key, for a person.
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
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

    /// Reads all rows of a table.
    fn rows(&mut self, connection: &Connection, table: &Table) -> rusqlite::Result<()> {
        let (mut rows_read, before) = (0_u64, self.problems.len());
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        let all: Vec<String> = table.columns.iter().map(|(name, _)| quoted(name)).collect();
        let key: Vec<String> = table.key.iter().map(quoted).collect();
        let reader = reader_of(&table.name);
        let own = reader.as_ref().map_or_else(|| "NULL".to_owned(), |reader| reader.columns.clone());
        let sql =
            format!("SELECT {own}, {}, {} FROM {}", all.join(", "), key.join(", "), quoted(&table.name));
        let mut statement = connection.prepare(&sql)?;
        let key = statement.column_count() - key.len()..statement.column_count();
        let first = key.start - all.len();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            rows_read += 1;
            let own = reader.as_ref().map_or(Ok(()), |reader| (reader.read)(row));
            if let Err(error) = own.and_then(|()| check_types(row, first, &table.columns)) {
                let name = &table.name;
                let key = key.clone().map(|column| row.get_ref(column).map(shown));
                let key = key.collect::<rusqlite::Result<Vec<_>>>()?.join(", ");
                let (what, remedy) = match (name.as_str(), row.get::<_, String>(1)) {
                    ("user", Ok(name)) => (format!(", {name:?},"), UNREADABLE),
                    _ => (String::new(), "restore a backup, or correct it with SQLite"),
                };
                self.problems.push(format!(
                    "row {key} of the table {name}{what} cannot be read and is skipped ({error}): {remedy}"
                ));
            }
        }
        if self.problems.len() == before {
            self.good.push(format!("table {}: {} can be read", table.name, count(rows_read, "row")));
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
