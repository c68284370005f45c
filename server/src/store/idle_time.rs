//! The idle time of a server's sessions, over either engine.

use std::time::Duration;

use rusqlite::params;

use super::engine::Store;
use super::records::SqliteRecords;
use crate::system;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::SessionId;

impl Store {
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
            Store::Sqlite(store) => store.write_uses(all).await,
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
