//! Copies of a database: made beside a running server, and put back while none runs.
//!
//! A copy is written under another name, checked, made durable and then renamed: a file of the final name is whole.
//! A restoration writes through SQLite into the database that is there, in one transaction: a command that runs at
//! the same time finds the old state or the new one, and no write-ahead log of the old one is left.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::events::sqlite as events;
use super::file::{self, Lock};
use super::logout_batches;
use super::schema;
use crate::system;
use claimgate::oidc::records::StoreError;

/// Pages copied between two reports of progress: 4 MiB.
const PAGES_PER_STEP: i32 = 1024;

/// Receives the number of pages copied, and of all pages.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// What a restoration has put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The number of users.
    pub users: u32,
    /// The number of sessions that the copy held, which have ended.
    pub sessions: usize,
    /// The number of logouts recorded since the copy was made, which are kept: the tokens that they end stay refused.
    /// `None` if the database that was replaced cannot be read.
    pub logouts: Option<usize>,
}

/// Copies a database as it is at this moment to a file for its owner alone, beside a server that may run. A file of
/// that name is replaced; a symbolic link is not followed.
///
/// # Errors
/// [`StoreError`]: the database cannot be read, is damaged or belongs to a newer program; the copy cannot be written, or
/// its name is that of a symbolic link.
pub fn back_up(database: &Path, copy: &Path, progress: Progress<'_>) -> Result<(), StoreError> {
    let target = file::in_its_folder(copy);
    // In a folder of all users another user can have made it, and would choose the file to replace.
    if fs::symlink_metadata(&target).is_ok_and(|found| found.is_symlink()) {
        let reason = "this is a symbolic link: name the file that it leads to";
        return Err(StoreError { reason: format!("{}: {reason}", copy.display()) });
    }
    let temporary = Temporary::beside(&target)?;
    copy_into(&open_existing(database)?, &temporary.0, progress).map_err(of(copy))?;
    let made = open_existing(&temporary.0)?;
    let check = || -> rusqlite::Result<()> {
        // One file, without a write-ahead log.
        made.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
    };
    check().map_err(of(copy))?;
    refuse_unsound(&made)
        .map_err(|reason| StoreError { reason: format!("{}: {reason}", database.display()) })?;
    drop(made);
    temporary.rename(&target)
}

/// Replaces a database by a copy, and ends the sessions of the copy: some may have been ended since it was made. The
/// logouts that the replaced database has recorded are kept, and so are the events that are newer than the copy.
///
/// # Errors
/// [`StoreError`]: a server runs on the database; the copy cannot be read, is damaged, is no database of Claimgate,
/// belongs to a newer program, or has triggers or views of its own; the database cannot be written.
pub fn restore(copy: &Path, database: &Path, progress: Progress<'_>) -> Result<Restored, StoreError> {
    let _lock = Lock::take(database)?;
    let temporary = Temporary::beside(&file::real(database))?;
    copy_into(&open_existing(copy)?, &temporary.0, &mut |_, _| ()).map_err(of(copy))?;
    let mut source = open_existing(&temporary.0)?;
    refuse_unsound(&source)
        .map_err(|reason| StoreError { reason: format!("{}: {reason}", copy.display()) })?;
    let mut prepare = || -> rusqlite::Result<Restored> {
        schema::migrate(&mut source)?;
        let logouts = keep_logouts_and_events(&source, database).ok();
        source.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        source.execute("DELETE FROM ended_session", [])?;
        let users = source.query_row("SELECT count(*) FROM user", [], |row| row.get(0))?;
        Ok(Restored { users, sessions: source.execute("DELETE FROM session", [])?, logouts })
    };
    let restored = prepare().map_err(of(copy))?;
    refuse_foreign_code(&source)
        .map_err(|reason| StoreError { reason: format!("{}: {reason}", copy.display()) })?;
    file::restrict(database)
        .map_err(|error| StoreError { reason: format!("{}: {error}", database.display()) })?;
    copy_into(&source, database, progress).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError {
            reason: format!("{}: the file is not a database; move it away first", database.display()),
        },
        _ => of(database)(error),
    })?;
    Ok(restored)
}

/// Adds the logouts that a database has recorded to those of a copy, and the events that are newer. Returns the number
/// of the logouts.
fn keep_logouts_and_events(copy: &Connection, database: &Path) -> rusqlite::Result<usize> {
    // It may be of an earlier version.
    schema::migrate(&mut Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?)?;
    let file = database.to_str().ok_or(rusqlite::Error::InvalidPath(database.to_owned()))?;
    copy.execute("ATTACH DATABASE ?1 AS present", [file])?;
    let kept = logout_batches::add_those_of_present(copy);
    let events = events::add_those_of_present(copy);
    copy.execute("DETACH DATABASE present", [])?;
    events.and(kept)
}

fn of(file: &Path) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| StoreError { reason: format!("{}: {error}", file.display()) }
}

/// Opens a database that exists, without migrating it.
fn open_existing(database: &Path) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(of(database))?;
    connection.busy_timeout(schema::BUSY_TIMEOUT).map_err(of(database))?;
    Ok(connection)
}

/// Copies a whole database into another in one transaction of each, and folds the write-ahead log in.
fn copy_into(source: &Connection, target: &Path, progress: Progress<'_>) -> rusqlite::Result<()> {
    // An open transaction keeps the source at one state, or the copy would begin anew after each write.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
    let mut target = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    target.busy_timeout(schema::BUSY_TIMEOUT)?;
    let backup = Backup::new(source, &mut target)?;
    loop {
        let step = backup.step(PAGES_PER_STEP)?;
        let state = backup.progress();
        let pages = |count: i32| u64::try_from(count).unwrap_or_default();
        progress(pages(state.pagecount - state.remaining), pages(state.pagecount));
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
    drop(backup);
    source.execute_batch("COMMIT")?;
    target.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)
}

/// Returns why a copy is not to be relied on.
fn refuse_unsound(copy: &Connection) -> Result<(), String> {
    let (version, known) = (schema::version(copy), schema::newest_version());
    match version.map_err(|error| error.to_string())? {
        0 => return Err("this is no database of Claimgate".to_owned()),
        newer if newer > known => return Err(schema::too_new(newer, known)),
        _ => {}
    }
    match schema::damage(copy).map_err(|error| error.to_string())? {
        Some(damage) => Err(format!("the database is damaged: {damage}")),
        None => Ok(()),
    }
}

/// Returns why a copy of the present schema is not restored: it has triggers or views of its own, which could change, at any
/// later time, what the server writes or reads.
fn refuse_foreign_code(copy: &Connection) -> Result<(), String> {
    let code = |database: &Connection| -> rusqlite::Result<Vec<(String, Option<String>)>> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view')";
        database.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let own = schema::open_in_memory().map_err(|error| error.reason)?;
    let own = code(&own).map_err(|error| error.to_string())?;
    let found = code(copy).map_err(|error| error.to_string())?;
    match found.iter().find(|found| !own.contains(found)) {
        Some((name, _)) => Err(format!(
            "it has a trigger or a view `{}` that is not Claimgate's: restore another copy, or remove it by `sqlite3`",
            name.escape_debug()
        )),
        None => Ok(()),
    }
}

/// A file that is removed when this is dropped, unless it was renamed.
struct Temporary(PathBuf);

impl Temporary {
    /// Creates a file in the folder of another, for its owner alone.
    fn beside(target: &Path) -> Result<Self, StoreError> {
        let mut random = [0; 8];
        system::random(&mut random);
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{:016x}.tmp", u64::from_be_bytes(random)));
        let name = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let created = file::owner_only(&mut options).open(&name);
        created.map_err(|error| StoreError { reason: format!("{}: {error}", name.display()) })?;
        Ok(Self(name))
    }

    /// Makes the file durable under its final name.
    fn rename(self, target: &Path) -> Result<(), StoreError> {
        let rename = || -> io::Result<()> {
            File::open(&self.0)?.sync_all()?;
            fs::rename(&self.0, target)?;
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        rename().map_err(|error| StoreError { reason: format!("{}: {error}", target.display()) })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            // It is gone if it was renamed.
            drop(fs::remove_file(file::beside(&self.0, suffix)));
        }
    }
}
