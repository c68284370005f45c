//! Logouts in an SQLite database: the storage of a service that outlives its process.

use std::sync::{Arc, Mutex, PoisonError};

use claimgate_tower::LogoutStore;
use claimgate_tower::logouts::{Logout, StoreError, TokenSession};
use rusqlite::{Connection, params};

/// Logouts in an SQLite database.
pub struct SqliteLogouts(Arc<Mutex<Connection>>);

impl SqliteLogouts {
    /// Opens the database in a file, or in memory for `:memory:`.
    ///
    /// # Errors
    /// If it cannot be opened, or the table cannot be made.
    pub fn open(file: &str) -> Result<Self, StoreError> {
        let database = Connection::open(file)?;
        database.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA cache_size = -65536;
             CREATE TABLE IF NOT EXISTS logouts (
                 issuer TEXT NOT NULL, sid TEXT, subject TEXT,
                 issued_at INTEGER NOT NULL, keep_until INTEGER NOT NULL
             ) STRICT;
             CREATE INDEX IF NOT EXISTS logouts_sid ON logouts (issuer, sid);
             CREATE INDEX IF NOT EXISTS logouts_subject ON logouts (issuer, subject);
             CREATE INDEX IF NOT EXISTS logouts_end ON logouts (keep_until);",
        )?;
        Ok(Self(Arc::new(Mutex::new(database))))
    }

    /// Runs a query on a thread that may wait.
    async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.0);
        let work = move || query(&mut database.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(tokio::task::spawn_blocking(work).await??)
    }
}

impl LogoutStore for SqliteLogouts {
    async fn record(&self, logouts: &[Logout]) -> Result<(), StoreError> {
        let logouts = logouts.to_vec();
        self.run(move |database| {
            let transaction = database.transaction()?;
            if let Some(now) = logouts.iter().map(|logout| logout.received_at.0).max() {
                transaction.execute("DELETE FROM logouts WHERE keep_until < ?1", [now])?;
            }
            let mut insert = transaction.prepare_cached("INSERT INTO logouts VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for Logout { issuer, sid, subject, issued_at, keep_until, .. } in &logouts {
                insert.execute(params![issuer, sid, subject, issued_at.0, keep_until.0])?;
            }
            drop(insert);
            // A session of the service's own would end here, in the same transaction.
            transaction.commit()
        })
        .await
    }

    async fn is_logged_out(&self, token: &TokenSession<'_>) -> Result<bool, StoreError> {
        let [issuer, sid, subject] =
            [Some(token.issuer), token.sid, token.subject].map(|name| name.map(str::to_owned));
        let issued_at = token.issued_at.0;
        self.run(move |database| {
            database.query_row(
                "SELECT EXISTS (SELECT 1 FROM logouts WHERE issuer = ?1 AND (
                     (sid = ?2 AND issued_at + 60 >= ?4)
                  OR (subject = ?3 AND issued_at >= ?4 AND (sid IS NULL OR ?2 IS NULL))))",
                params![issuer, sid, subject, issued_at],
                |row| row.get(0),
            )
        })
        .await
    }
}
