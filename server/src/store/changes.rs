//! The changes that commands have made, for the memory of a server that runs beside them: written with each change,
//! applied one by one, then deleted. Nothing is read anew as a whole.
//!
//! A change names what it concerns; the server reads that row as it is by then, so that applying a change twice, or a
//! later state for an earlier change, is right too.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::bad_rows::BadRows;
use super::records::{SESSION as SESSION_COLUMNS, USER, read_session, read_user};
use super::session_index::{Effect, SessionIndex};
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::{User, UserId};

/// The table.
pub(super) const TABLE: &str = "
    CREATE TABLE change (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, about NOT NULL);
";

const SESSION: &str = "session";
const USER_CHANGED: &str = "user";
const ACTIVE: &str = "subject active";
const INACTIVE: &str = "subject inactive";
const RENAMED: &str = "issuer";
const LINKED: &str = "links";

/// The changes of the table that memory includes.
#[derive(Default)]
pub(super) struct Changes {
    applied: i64,
    /// Those that the present transaction has written.
    written: Option<i64>,
}

impl Changes {
    /// Counts the changes until now as applied: what they concern is read afterwards.
    pub(super) fn skip(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let newest = "SELECT ifnull(max(seq), 0) FROM change";
        self.applied = connection.query_row(newest, [], |row| row.get(0))?;
        Ok(())
    }

    /// Writes the effects of the present transaction as changes, for other processes.
    pub(super) fn write(&mut self, connection: &Connection, effects: &[Effect]) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached("INSERT INTO change (kind, about) VALUES (?1, ?2)")?;
        let mut write = |kind: &str, about: Value| {
            insert.execute(params![kind, about])?;
            self.written = Some(connection.last_insert_rowid());
            Ok::<(), rusqlite::Error>(())
        };
        for effect in effects {
            match effect {
                Effect::Opened { id, .. } | Effect::Ended(id) | Effect::KeptClaims { id, .. } => {
                    write(SESSION, id.0.to_vec().into())?
                }
                Effect::RenamedIssuer { old, new } => write(RENAMED, format!("{old}\n{new}").into())?,
                Effect::Linked => write(LINKED, Value::Integer(0))?,
                Effect::Changed(user) => write(USER_CHANGED, user.id.0.into())?,
                Effect::Activity { links, active } => {
                    for link in links {
                        write(if *active { ACTIVE } else { INACTIVE }, link.0.to_vec().into())?;
                    }
                }
                // These are the memory of one process.
                Effect::Unreadable(_) | Effect::PurgedLogouts(_) => {}
            }
        }
        Ok(())
    }

    /// Ends the present transaction. If it is durable, its changes are those of this process, and applied.
    pub(super) fn end(&mut self, committed: bool) {
        let written = self.written.take().filter(|_| committed);
        self.applied = written.unwrap_or(self.applied);
    }

    /// Reads the changes that other processes have made since, as effects. What cannot be read is skipped and
    /// reported.
    pub(super) fn read_new(
        &mut self,
        connection: &Connection,
        index: &SessionIndex,
    ) -> rusqlite::Result<Vec<Effect>> {
        let mut statement =
            connection.prepare_cached("SELECT seq, kind, about FROM change WHERE seq > ?1 ORDER BY seq")?;
        let mut rows = statement.query([self.applied])?;
        let (mut effects, mut bad) = (Vec::new(), BadRows::default());
        // If the reading fails half-way, all are read again.
        let mut newest = self.applied;
        while let Some(row) = rows.next()? {
            newest = row.get(0)?;
            let change = read_change(connection, row, index, &mut bad);
            effects.extend(bad.read(change).flatten());
        }
        self.applied = newest;
        bad.report("change");
        Ok(effects)
    }

    /// Deletes the changes that are applied.
    pub(super) fn delete_applied(&self, connection: &Connection) -> rusqlite::Result<usize> {
        connection.prepare_cached("DELETE FROM change WHERE seq <= ?1")?.execute([self.applied])
    }
}

/// Reads a change; `None` for one without an effect.
fn read_change(
    connection: &Connection,
    row: &Row<'_>,
    index: &SessionIndex,
    bad: &mut BadRows,
) -> rusqlite::Result<Option<Effect>> {
    let kind: String = row.get(1)?;
    let links = || -> rusqlite::Result<_> { Ok(vec![Fingerprint(row.get(2)?)]) };
    Ok(match kind.as_str() {
        SESSION => {
            let id = SessionId(row.get(2)?);
            let opened = bad.read(read_opened(connection, id, index)).flatten();
            Some(opened.unwrap_or(Effect::Ended(id)))
        }
        USER_CHANGED => {
            let id = UserId(row.get(2)?);
            match bad.read(read_changed(connection, id)) {
                // The sessions of a user who was removed have ended.
                Some(user) => user.map(Effect::Changed),
                None => Some(Effect::Unreadable(id)),
            }
        }
        RENAMED => {
            let about: String = row.get(2)?;
            about
                .split_once('\n')
                .map(|(old, new)| Effect::RenamedIssuer { old: old.to_owned(), new: new.to_owned() })
        }
        LINKED => Some(Effect::Linked),
        ACTIVE => Some(Effect::Activity { links: links()?, active: true }),
        INACTIVE => Some(Effect::Activity { links: links()?, active: false }),
        _ => None,
    })
}

fn read_opened(
    connection: &Connection,
    id: SessionId,
    index: &SessionIndex,
) -> rusqlite::Result<Option<Effect>> {
    let sql = format!(
        "SELECT {USER}, {SESSION_COLUMNS} FROM session JOIN user ON user.id = session.user
        WHERE session.id = ?1 AND NOT is_ended(session.id)"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let opened = statement.query_row([id.0], |row| {
        let (user, session) = (read_user(row)?, read_session(row, 7, index)?);
        Ok(Effect::Opened { id, user, session, created: None })
    });
    opened.optional()
}

fn read_changed(connection: &Connection, id: UserId) -> rusqlite::Result<Option<User>> {
    let sql = format!("SELECT {USER} FROM user WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id.0], read_user).optional()
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn a_reading_that_fails_half_way_loses_no_change() {
        let connection = schema::open_in_memory().expect("a database");
        let run = |sql: &str| connection.execute_batch(sql).expect("a statement");
        run("INSERT INTO change (kind, about) VALUES ('issuer', 'a' || char(10) || 'b'), ('issuer', 'c' || char(10) || 'd');
             ALTER TABLE change RENAME TO whole;
             CREATE VIEW change AS SELECT seq, about,
                 CASE seq WHEN 2 THEN abs(-9223372036854775807 - 1) ELSE kind END AS kind FROM whole");
        let (mut changes, index) = (Changes::default(), SessionIndex::default());
        assert!(changes.read_new(&connection, &index).is_err(), "the second overflows");
        run("DROP VIEW change; ALTER TABLE whole RENAME TO change");
        assert_eq!(changes.read_new(&connection, &index).expect("a table").len(), 2);
        assert_eq!(changes.read_new(&connection, &index).expect("a table").len(), 0);
    }
}
