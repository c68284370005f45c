//! The rows of a SQLite store, to copy. A row that cannot be read is an error: nothing may be lost on the way.

use std::path::Path;

use rusqlite::{Connection, Row, params};
use zeroize::Zeroizing;

use super::error::CopyError;
use crate::store::ended_sessions::EndedSessions;
use crate::store::error::store_error;
use crate::store::events::{EventRow, sqlite as events};
use crate::store::file::Lock;
use crate::store::key::Key;
use crate::store::logout_batches::{Batch, read_entry, read_row};
use crate::store::logout_entry::LogoutEntry;
use crate::store::schema;
use claimgate::oidc::records::StoreError;
use claimgate::time::UnixTime;

/// Rows of a kind that are passed on together.
const BATCH: usize = 2_000;

/// A user.
pub(super) struct SourceUser {
    pub(super) id: i64,
    pub(super) username: String,
    pub(super) kind: String,
    pub(super) active: bool,
    pub(super) profile: String,
    pub(super) teams: String,
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) created: i64,
    pub(super) updated: i64,
}

/// A link.
pub(super) struct SourceLink {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) user: i64,
}

/// The provider's part of a session.
pub(super) struct SourceOrigin {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) sid: Option<String>,
    pub(super) issued_at: i64,
    /// The ID token as it is sealed.
    pub(super) id_token: Option<String>,
}

/// A session.
pub(super) struct SourceSession {
    pub(super) id: [u8; 16],
    pub(super) user: i64,
    pub(super) origin: Option<SourceOrigin>,
    pub(super) created: i64,
    pub(super) expires: i64,
    /// The end of the lifetime, if it is another.
    pub(super) latest: Option<i64>,
    pub(super) authenticated: Option<i64>,
    /// The kept values of claims, as JSON.
    pub(super) claims: Option<String>,
}

/// The grant of a session, as it is sealed.
pub(super) struct SourceGrant {
    pub(super) session: [u8; 16],
    pub(super) provider: String,
    pub(super) sealed: String,
    pub(super) due: i64,
}

/// A SQLite store that no server uses meanwhile.
pub(super) struct Source {
    connection: Connection,
    /// The key that seals its ID tokens, and the cookies of its sign-ins.
    pub(super) key: Option<Zeroizing<Vec<u8>>>,
    /// Declared after the connection, which is closed before the lock ends.
    _lock: Lock,
}

impl Source {
    /// Opens a database file, which must exist and which no server uses; brings its schema to the present version.
    pub(super) fn open(file: &Path) -> Result<Self, CopyError> {
        if !file.exists() {
            return Err(CopyError::Source(StoreError {
                reason: format!("{}: no such file", file.display()),
            }));
        }
        // So that no lock is made beside a file that is no database.
        drop(schema::connect(file)?);
        let lock = Lock::take(file)?;
        let connection = schema::open_with_its_rights(file)?;
        let key = Key::read(file)?;
        let ended = EndedSessions::default();
        ended
            .define(&connection)
            .and_then(|()| ended.read_new_rows(&connection))
            .map_err(|error| store_error(&error))?;
        Ok(Self { connection, key, _lock: lock })
    }

    /// Passes the users on, in batches. Returns their number, as do the others.
    pub(super) fn users(
        &self,
        write: impl FnMut(&[SourceUser]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let sql = "SELECT id, username, kind, active, profile, teams, password, created, updated FROM user ORDER BY id";
        let read = |row: &Row<'_>| {
            Ok(SourceUser {
                id: row.get(0)?,
                username: row.get(1)?,
                kind: row.get(2)?,
                active: row.get(3)?,
                profile: row.get(4)?,
                teams: row.get(5)?,
                password: row.get::<_, Option<String>>(6)?.map(Zeroizing::new),
                created: row.get(7)?,
                updated: row.get(8)?,
            })
        };
        self.batches("user", sql, params![], read, write)
    }

    /// Returns the greatest identifier that a user has had.
    pub(super) fn last_user(&self) -> Result<i64, CopyError> {
        let sql = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'user'";
        let last = self.connection.query_row(sql, [], |row| row.get(0));
        Ok(last.map_err(|error| store_error(&error))?)
    }

    /// Passes the links on.
    pub(super) fn links(
        &self,
        write: impl FnMut(&[SourceLink]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let sql = "SELECT issuer, subject, user FROM link ORDER BY issuer, subject";
        let read =
            |row: &Row<'_>| Ok(SourceLink { issuer: row.get(0)?, subject: row.get(1)?, user: row.get(2)? });
        self.batches("link", sql, params![], read, write)
    }

    /// Passes the live sessions on.
    pub(super) fn sessions(
        &self,
        now: UnixTime,
        write: impl FnMut(&[SourceSession]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let sql = "SELECT id, user, issuer, subject, sid, issued_at, id_token, created, expires, authenticated, claims, latest
            FROM session
            WHERE expires > ?1 AND NOT is_ended(id) ORDER BY rowid";
        let read = |row: &Row<'_>| {
            let issuer: Option<String> = row.get(2)?;
            let origin = match issuer {
                Some(issuer) => Some(SourceOrigin {
                    issuer,
                    subject: row.get(3)?,
                    sid: row.get(4)?,
                    issued_at: row.get(5)?,
                    id_token: row.get(6)?,
                }),
                None => None,
            };
            Ok(SourceSession {
                id: row.get(0)?,
                user: row.get(1)?,
                origin,
                created: row.get(7)?,
                expires: row.get(8)?,
                authenticated: row.get(9)?,
                claims: row.get(10)?,
                latest: row.get(11)?,
            })
        };
        self.batches("session", sql, params![now.0], read, write)
    }

    /// Passes the grants of live sessions on.
    pub(super) fn grants(
        &self,
        now: UnixTime,
        write: impl FnMut(&[SourceGrant]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let sql = "SELECT refresh.session, provider, sealed, due FROM refresh JOIN session ON session.id = refresh.session
            WHERE expires > ?1 AND NOT is_ended(session.id) ORDER BY refresh.session";
        let read = |row: &Row<'_>| {
            Ok(SourceGrant {
                session: row.get(0)?,
                provider: row.get(1)?,
                sealed: row.get(2)?,
                due: row.get(3)?,
            })
        };
        self.batches("refresh", sql, params![now.0], read, write)
    }

    /// Passes on the logouts that are kept, of one issuer at a time.
    pub(super) fn logouts(
        &self,
        now: UnixTime,
        mut write: impl FnMut(&str, &[LogoutEntry]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let mut count = 0;
        let sql = "SELECT id, issuer, entries, until FROM logout_batch WHERE until > ?1 ORDER BY id";
        let mut statement = self.connection.prepare(sql).map_err(|error| store_error(&error))?;
        let mut rows = statement.query([now.0]).map_err(|error| store_error(&error))?;
        while let Some(row) = rows.next().map_err(|error| store_error(&error))? {
            let failed = |error: rusqlite::Error| unreadable("logout_batch", &error);
            let Batch { issuer, entries, until } = read_row(row).map_err(failed)?;
            let entries = entries.iter().map(|entry| read_entry(entry, until).map_err(failed));
            let mut entries = entries.collect::<Result<Vec<LogoutEntry>, _>>()?;
            entries.retain(|entry| entry.until > now);
            count += u64::try_from(entries.len()).unwrap_or(u64::MAX);
            write(issuer, &entries)?;
        }
        Ok(count)
    }

    /// Passes on the notices that no server has logged yet: each names an action and what it is about.
    pub(super) fn notices(
        &self,
        write: impl FnMut(&[(String, String)]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let sql = "SELECT action, about FROM notice ORDER BY id";
        self.batches("notice", sql, params![], |row| Ok((row.get(0)?, row.get(1)?)), write)
    }

    /// Passes on what servers keep under a name, sealed: names and texts.
    pub(super) fn kept(
        &self,
        write: impl FnMut(&[(String, String)]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let sql = "SELECT name, text FROM kept ORDER BY name";
        self.batches("kept", sql, params![], |row| Ok((row.get(0)?, row.get(1)?)), write)
    }

    /// Passes the events on.
    pub(super) fn events(
        &self,
        write: impl FnMut(&[EventRow]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let sql = format!("SELECT {} FROM event ORDER BY id", events::COLUMNS);
        self.batches("event", &sql, params![], events::read_row, write)
    }

    fn batches<T>(
        &self,
        table: &'static str,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        mut write: impl FnMut(&[T]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let (mut count, mut batch) = (0, Vec::with_capacity(BATCH));
        let mut statement = self.connection.prepare(sql).map_err(|error| store_error(&error))?;
        let mut rows = statement.query(parameters).map_err(|error| store_error(&error))?;
        while let Some(row) = rows.next().map_err(|error| store_error(&error))? {
            batch.push(read(row).map_err(|error| unreadable(table, &error))?);
            count += 1;
            if batch.len() == BATCH {
                write(&batch)?;
                batch.clear();
            }
        }
        write(&batch)?;
        Ok(count)
    }
}

fn unreadable(table: &'static str, reason: &dyn std::fmt::Display) -> CopyError {
    CopyError::Unreadable { table, reason: reason.to_string() }
}
