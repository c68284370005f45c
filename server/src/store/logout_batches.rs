//! The table of logouts: a row for the logouts of one issuer in one transaction, appended to and never searched, so
//! that a storm writes few pages. It is read at the start, and where another process has written.
//!
//! A logout takes [`ENTRY_LEN`] bytes, and its row about 50 more: 25,000 logouts a second take 1.7 GB in the quarter
//! of an hour for which they are kept.

use rusqlite::{Connection, Row, params};

use super::bad_rows::BadRows;
use super::logout_entry::{ENTRY_LEN, LogoutEntry};
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::{LogoutRecord, LogoutTarget, Position};
use claimgate::time::UnixTime;

/// Most seconds after the end of a row at which one of its entries can have been received. A later time was not written.
const RECEIVED_AFTER: u64 = 86_400;

/// Most entries of one row.
const ENTRIES: usize = 512;

/// Most rows deleted in one step of a purge. A row of a storm has 256 entries on 5 pages, so that a step takes a
/// millisecond or two.
const PURGED_ROWS: i64 = 64;

/// The table.
pub(super) const TABLE: &str = "
    CREATE TABLE logout_batch (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        issuer TEXT NOT NULL,
        until INTEGER NOT NULL,
        entries BLOB NOT NULL
    );
    CREATE INDEX logout_batch_until ON logout_batch (until);
";

/// Appends entries of one issuer. Returns the position of the last row, if there is one.
pub(super) fn append(
    connection: &Connection,
    issuer: &str,
    entries: &[LogoutEntry],
) -> rusqlite::Result<Option<i64>> {
    let mut position = None;
    let mut insert =
        connection.prepare_cached("INSERT INTO logout_batch (issuer, until, entries) VALUES (?1, ?2, ?3)")?;
    for entries in entries.chunks(ENTRIES) {
        let until = entries.iter().map(|entry| entry.until.0).max();
        let bytes = entries.iter().map(|entry| entry.to_bytes()).collect::<Vec<_>>();
        insert.execute(params![issuer, until, bytes.as_flattened()])?;
        position = Some(connection.last_insert_rowid());
    }
    Ok(position)
}

/// Copies the rows of one issuer as those of another. Returns the position of the last row, if there is one.
pub(super) fn copy(connection: &Connection, old: &str, new: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "INSERT INTO logout_batch (issuer, until, entries)
        SELECT ?2, until, entries FROM logout_batch WHERE issuer = ?1 ORDER BY id";
    let copied = connection.prepare_cached(sql)?.execute([old, new])?;
    Ok((copied > 0).then(|| connection.last_insert_rowid()))
}

/// Reads the entries after a position, or those of an issuer. Calls `add` with each and its issuer. Returns the
/// position of the last row. What cannot be read is skipped and reported.
pub(super) fn read(
    connection: &Connection,
    after: i64,
    issuer: Option<&str>,
    mut add: impl FnMut(&str, &LogoutEntry),
) -> rusqlite::Result<i64> {
    let (mut position, mut bad) = (after, BadRows::default());
    let sql = "SELECT id, issuer, entries, until FROM logout_batch
        WHERE id > ?1 AND (?2 IS NULL OR issuer = ?2) ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after, issuer])?;
    while let Some(row) = rows.next()? {
        position = row.get(0)?;
        if let Some(Batch { issuer, entries, until }) = bad.read(read_row(row)) {
            for entry in entries {
                if let Some(entry) = bad.read(read_entry(entry, until)) {
                    add(issuer, &entry);
                }
            }
        }
    }
    bad.report("logout_batch");
    Ok(position)
}

/// A row of the table.
pub(super) struct Batch<'r> {
    pub(super) issuer: &'r str,
    /// The entries, to be read by [`read_entry`].
    pub(super) entries: &'r [[u8; ENTRY_LEN]],
    /// The end of the last of them.
    pub(super) until: UnixTime,
}

/// Reads a row from the columns id, issuer, entries and end.
pub(super) fn read_row<'r>(row: &'r Row<'_>) -> rusqlite::Result<Batch<'r>> {
    let (issuer, until) = (row.get_ref(1)?.as_str()?, UnixTime(row.get(3)?));
    let (entries, rest) = row.get_ref(2)?.as_blob()?.as_chunks();
    match rest {
        [] => Ok(Batch { issuer, entries, until }),
        _ => Err(unreadable("part of an entry is missing")),
    }
}

/// Reads an entry of a row. One whose times are beyond those of its row is not what was written: memory would keep what
/// is beside it for as long.
pub(super) fn read_entry(entry: &[u8; ENTRY_LEN], until: UnixTime) -> rusqlite::Result<LogoutEntry> {
    let entry = LogoutEntry::from_bytes(entry).ok_or_else(|| unreadable("a kind is unknown"))?;
    let newest = until.saturating_add(RECEIVED_AFTER).0.saturating_mul(1000);
    if entry.until > until || entry.received.0 > newest {
        return Err(unreadable("an entry ends after its row"));
    }
    Ok(entry)
}

fn unreadable(reason: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Blob, reason.into())
}

/// Deletes some of the rows that are over, the oldest first. Reports whether there may be more.
pub(super) fn purge_step(connection: &Connection, now: UnixTime) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM logout_batch
        WHERE id IN (SELECT id FROM logout_batch WHERE until <= ?1 ORDER BY until LIMIT ?2)";
    let deleted = connection.prepare_cached(sql)?.execute(params![now.0, PURGED_ROWS])?;
    Ok(i64::try_from(deleted) == Ok(PURGED_ROWS))
}

/// Adds the logouts of the attached database `present` that this one does not have. Returns their number.
pub(super) fn add_those_of_present(connection: &Connection) -> rusqlite::Result<usize> {
    let rows = "SELECT issuer, until, entries FROM present.logout_batch
        EXCEPT SELECT issuer, until, entries FROM main.logout_batch";
    let count = format!("SELECT ifnull(sum(length(entries)), 0) FROM ({rows})");
    let bytes: i64 = connection.query_row(&count, [], |row| row.get(0))?;
    connection.execute(&format!("INSERT INTO main.logout_batch (issuer, until, entries) {rows}"), [])?;
    Ok(usize::try_from(bytes).unwrap_or_default() / ENTRY_LEN)
}

/// Makes the table from that of earlier versions, with a row for each logout.
pub(super) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLE)?;
    let sql = "SELECT jti, issuer, sid, subject, issued_at, received_ms, until FROM logout ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let (mut entries, mut issuer) = (Vec::new(), String::new());
    let mut bad = BadRows::default();
    while let Some(row) = rows.next()? {
        let Some((its_issuer, entry)) = bad.read(read_earlier(row)) else { continue };
        if its_issuer != issuer || entries.len() == ENTRIES {
            append(connection, &issuer, &entries)?;
            entries.clear();
            issuer = its_issuer;
        }
        entries.push(entry);
    }
    append(connection, &issuer, &entries)?;
    bad.report("logout");
    drop(rows);
    drop(statement);
    connection.execute_batch("DROP TABLE logout")
}

/// Reads a logout from the columns of earlier versions. Its token's end was not kept.
fn read_earlier(row: &Row<'_>) -> rusqlite::Result<(String, LogoutEntry)> {
    let jti: Option<[u8; 16]> = row.get(0)?;
    // A row without a `jti` was once a logout that was recorded apart from it.
    let jti = Fingerprint(jti.unwrap_or_default());
    let until = UnixTime(row.get(6)?);
    let target = match (row.get(2)?, row.get(3)?) {
        (Some(sid), subject) => LogoutTarget::Session { sid, subject },
        (None, Some(subject)) => LogoutTarget::Subject(subject),
        (None, None) => return Ok((String::new(), LogoutEntry::of_jti(jti, until))),
    };
    let (issuer, issued_at, received) = (row.get(1)?, UnixTime(row.get(4)?), Position(row.get(5)?));
    let record = LogoutRecord { issuer, target, issued_at, received, token_until: until, until };
    let entry = LogoutEntry::of_fingerprint(jti, &record);
    Ok((record.issuer, entry))
}
