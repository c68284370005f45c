//! The idle time of a server's sessions, over either engine.

use std::time::Duration;

use rusqlite::params;

use super::engine::Store;
use super::postgres::Unsure;
use super::records::SqliteRecords;
use crate::system;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::{LiveSession, SessionId};

impl Store {
    /// Returns a live session. That is no use of it.
    ///
    /// # Errors
    /// [`Unsure`].
    pub async fn peek(&self, id: SessionId) -> Result<Option<LiveSession>, Unsure> {
        match self {
            Store::Sqlite(store) => Ok(store.peek(id, system::now())),
            Store::Postgres(store) => store.node.peek(id).await,
        }
    }

    /// Sets the idle time: a session is over once it was not used for so long.
    pub fn set_idle_time(&self, idle: Option<Duration>) {
        match self {
            Store::Sqlite(store) => store.set_idle_time(idle, system::now()),
            Store::Postgres(store) => store.node.set_idle_time(idle),
        }
    }

    /// Returns the interval at which all uses of sessions are to be written; those that are due are written sooner.
    pub(crate) fn use_step(&self) -> Duration {
        match self {
            Store::Sqlite(store) => store.use_step(),
            Store::Postgres(store) => store.node.use_step(),
        }
    }

    /// Writes the uses of sessions that are due, or (`all`) all.
    ///
    /// # Errors
    /// [`StoreError`]: those that are not written wait for the next time.
    pub async fn write_uses(&self, all: bool) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(store) => store.write_uses(all, system::now()).await,
            Store::Postgres(store) => Ok(store.node.write_uses(all).await?),
        }
    }
}

impl SqliteRecords<'_> {
    /// Writes the ends of sessions, and those of their lifetimes.
    pub(super) fn move_ends(&mut self, ends: &[(SessionId, i64, i64)]) -> Result<(), StoreError> {
        for (id, end, latest) in ends {
            let sql = "UPDATE session SET expires = ?2, latest = ?3 WHERE id = ?1";
            self.execute(sql, params![id.0, end, latest])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use claimgate::oidc::facts::SessionFacts;
    use claimgate::oidc::records::{SessionRecords, SignInRecords};
    use claimgate::oidc::session::{Origin, Session};
    use claimgate::oidc::user::UserKind;
    use claimgate::time::UnixTime;

    use super::super::SqliteStore;
    use super::*;

    const ID: SessionId = SessionId([1; 16]);

    /// Opens a session at 0 whose lifetime ends at 10,000.
    fn open(records: &mut SqliteRecords<'_>) -> Result<(), StoreError> {
        let user = records.create_user("ada", UserKind::Regular, UnixTime(0))?.id;
        let (origin, facts) = (Origin::Password, SessionFacts::default());
        let (created, expires) = (UnixTime(0), UnixTime(10_000));
        records.open_session(&Session { id: ID, user, origin, facts, created, expires })
    }

    #[test]
    fn a_session_that_is_opened_while_the_idle_time_is_set_is_limited_too() {
        let store = SqliteStore::in_memory().expect("a store");
        let reloading = store.clone();
        let work = move |records: &mut SqliteRecords<'_>| {
            open(records)?;
            // The end of the session is decided, and memory does not have the session yet.
            reloading.set_idle_time(Some(Duration::from_secs(1800)), UnixTime(0));
            Ok::<(), StoreError>(())
        };
        store.transact_blocking(work).expect("a session");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(store.write_uses(false, UnixTime(1))).expect("a write");
        assert!(store.session(ID, UnixTime(1800)).is_none(), "it was never used");
    }

    #[test]
    fn a_purge_while_a_use_is_written_keeps_the_session_in_memory() {
        let store = SqliteStore::in_memory().expect("a store");
        store.set_idle_time(Some(Duration::from_secs(1800)), UnixTime(0));
        store.transact_blocking(open).expect("a session");
        assert!(store.session(ID, UnixTime(1700)).is_some());
        let ends = store.index.take_ends(true);
        let moved = ends.clone();
        let write = move |records: &mut SqliteRecords<'_>| records.move_ends(&moved);
        store.transact_blocking(write).expect("a write");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(store.purge(UnixTime(1800))).expect("a purge");
        store.index.note_ends(&ends, UnixTime(1800));
        assert!(store.session(ID, UnixTime(3499)).is_some(), "memory has what the file has");
        runtime.block_on(store.purge(UnixTime(3500))).expect("a purge");
        assert_eq!(store.live_sessions(), 1, "the use at 3499 waits");
        store.index.take_ends(true);
        runtime.block_on(store.purge(UnixTime(3500))).expect("a purge");
        assert_eq!(store.live_sessions(), 0);
    }
}
