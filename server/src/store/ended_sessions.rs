//! Sessions that logouts have ended, whose rows are deleted later.
//!
//! A logout that ends a session appends the session's identifier, 16 bytes, to a table. Deleting the session's row
//! would change a page of its table and one of each index. Each query on sessions leaves out those that are named
//! here, by the function `is_ended`; memory has dropped them. The writing thread deletes the rows in short steps: at
//! once while no other work waits, a few a second beside other work, and as many as are added where [`MOST_KEPT`]
//! wait.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::bad_rows::BadRows;
use claimgate::oidc::session::SessionId;

/// The table.
pub(super) const TABLE: &str = "
    CREATE TABLE ended_session (id INTEGER PRIMARY KEY AUTOINCREMENT, sessions BLOB NOT NULL);
    -- Memory finds the sessions that a logout names.
    DROP INDEX IF EXISTS session_sid;
    DROP INDEX IF EXISTS session_subject;
";

/// Most sessions named by one row, and most whose rows are deleted in one step, each with some pages of the indexes.
pub(super) const SESSIONS: usize = 64;

/// Most sessions whose rows are deleted in one step while more than [`MOST_KEPT`] wait: one `fsync` for more of them.
pub(super) const OVERDUE_SESSIONS: usize = 1_024;

/// Most sessions whose rows wait to be deleted beside other work: limits their memory to 40 MiB. Beyond that the
/// writing thread deletes after each transaction at least as many as it has added.
pub(super) const MOST_KEPT: usize = 1_000_000;

/// Reads the sessions that a row names, from its column `column`.
pub(super) fn read_row<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r [[u8; 16]]> {
    match row.get_ref(column)?.as_blob()?.as_chunks() {
        (ids, []) => Ok(ids),
        _ => {
            let reason = "part of an identifier is missing".into();
            Err(rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, reason))
        }
    }
}

/// The sessions that have ended and whose rows are there. A clone is the same sessions.
#[derive(Clone, Default)]
pub(super) struct EndedSessions(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    ended: HashSet<SessionId>,
    /// Those that the present transaction has ended, in their order.
    pending: Vec<SessionId>,
    /// The newest row of the table that `ended` includes.
    newest_row: i64,
    /// The newest row that the present transaction has written.
    written: Option<i64>,
}

impl EndedSessions {
    /// Makes the sessions known to SQL, as the function `is_ended`.
    pub(super) fn define(&self, connection: &Connection) -> rusqlite::Result<()> {
        let ended = self.clone();
        connection.create_scalar_function("is_ended", 1, FunctionFlags::SQLITE_UTF8, move |context| {
            let id = context.get_raw(0).as_blob().ok().and_then(|id| id.try_into().ok());
            Ok(id.is_some_and(|id| ended.contains(SessionId(id))))
        })
    }

    fn contains(&self, id: SessionId) -> bool {
        let state = self.0.lock();
        !state.ended.is_empty() && state.ended.contains(&id)
    }

    /// Returns the number of sessions whose rows are to be deleted.
    pub(super) fn len(&self) -> usize {
        self.0.lock().ended.len()
    }

    /// Ends a session in the present transaction. Returns `false` if it has ended before.
    pub(super) fn end(&self, id: SessionId) -> bool {
        let mut state = self.0.lock();
        let is_new = state.ended.insert(id);
        if is_new {
            state.pending.push(id);
        }
        is_new
    }

    /// Returns the present state, to roll back to.
    pub(super) fn savepoint(&self) -> usize {
        self.0.lock().pending.len()
    }

    /// Undoes what the present transaction has ended since a savepoint.
    pub(super) fn rollback_to(&self, savepoint: usize) {
        let State { ended, pending, .. } = &mut *self.0.lock();
        for id in pending.drain(savepoint..) {
            ended.remove(&id);
        }
    }

    /// Writes what the present transaction has ended.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut state = self.0.lock();
        let State { pending, written, .. } = &mut *state;
        for sessions in pending.chunks(SESSIONS) {
            let ids = sessions.iter().map(|id| id.0).collect::<Vec<_>>();
            connection
                .prepare_cached("INSERT INTO ended_session (sessions) VALUES (?1)")?
                .execute([ids.as_flattened()])?;
            *written = Some(connection.last_insert_rowid());
        }
        Ok(())
    }

    /// Ends the present transaction. If it is durable, its rows are known.
    pub(super) fn finish(&self, committed: bool) {
        let mut state = self.0.lock();
        let written = state.written.take().filter(|_| committed);
        state.newest_row = written.unwrap_or(state.newest_row);
        if committed {
            state.pending.clear();
        }
    }

    /// Reads the rows of the table that other processes have written since. What cannot be read is skipped and
    /// reported: the sessions that such a row names live again.
    pub(super) fn read_new_rows(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut state = self.0.lock();
        let sql = "SELECT id, sessions FROM ended_session WHERE id > ?1 ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let (mut rows, mut bad) = (statement.query([state.newest_row])?, BadRows::default());
        while let Some(row) = rows.next()? {
            state.newest_row = row.get(0)?;
            let ids = bad.read(read_row(row, 1)).unwrap_or_default();
            state.ended.extend(ids.iter().map(|id| SessionId(*id)));
        }
        bad.report("ended_session");
        Ok(())
    }

    /// Deletes the rows of some sessions, the first ended first, within a transaction: those of as many rows of the
    /// table as name `most` together. Returns them; they are to be [`forgotten`](Self::forget) once that is durable. Rows
    /// that cannot be read stay, for `claimgate doctor`.
    pub(super) fn clean_step(connection: &Connection, most: usize) -> rusqlite::Result<Vec<SessionId>> {
        let (mut cleaned, mut last) = (Vec::new(), None::<i64>);
        let mut statement =
            connection.prepare_cached("SELECT id, sessions FROM ended_session ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let Ok(ids) = read_row(row, 1) else { continue };
            if last.is_some() && cleaned.len() + ids.len() > most {
                break;
            }
            cleaned.extend(ids.iter().map(|id| SessionId(*id)));
            last = Some(row.get(0)?);
        }
        drop(rows);
        let sql = "DELETE FROM ended_session
            WHERE id <= ?1 AND typeof(sessions) = 'blob' AND length(sessions) % 16 = 0";
        connection.prepare_cached(sql)?.execute([last])?;
        let mut delete = connection.prepare_cached("DELETE FROM session WHERE id = ?1")?;
        for id in &cleaned {
            delete.execute(params![id.0])?;
        }
        Ok(cleaned)
    }

    /// Forgets sessions whose rows are deleted; all, if none is left in the table.
    pub(super) fn forget(&self, cleaned: &[SessionId]) {
        let mut state = self.0.lock();
        if cleaned.is_empty() {
            state.ended.clear();
        }
        for id in cleaned {
            state.ended.remove(id);
        }
        if state.ended.is_empty() {
            state.ended = HashSet::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn a_step_takes_rows_until_it_has_its_number_of_sessions() {
        let connection = schema::open_in_memory().expect("a database");
        let insert = |sessions: usize| {
            let sql = "INSERT INTO ended_session (sessions) VALUES (?1)";
            connection.execute(sql, [vec![7; sessions * 16]]).expect("an append");
        };
        (0..100).for_each(|_| insert(1));
        [63, 2, SESSIONS].into_iter().for_each(insert);
        let step = || EndedSessions::clean_step(&connection, SESSIONS).expect("a table").len();
        assert_eq!([step(), step(), step(), step(), step()], [64, 36, 63, 2, 64]);
        assert_eq!(step(), 0);
    }
}
