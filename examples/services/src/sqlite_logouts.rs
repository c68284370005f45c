//! Logouts in an SQLite database: the storage of a service of one process whose logouts outlive it.
//!
//! A batch is one row, appended to the end of the table: searching is done in memory, which the start fills. A service
//! of several processes has a row for each logout in a database that they share; the query is in the documentation of
//! [`LogoutStore`].

use std::sync::{Arc, Mutex, PoisonError};

use claimgate_tower::claimgate::time::UnixTime;
use claimgate_tower::{Logout, LogoutStore, MemoryLogouts, StoreError, TokenSession};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

/// Most names of sessions and subjects in memory, of some 200 bytes each.
const MOST_NAMES: usize = 4_000_000;

/// Logouts in an SQLite database, and in memory.
pub struct SqliteLogouts {
    database: Arc<Mutex<Connection>>,
    memory: MemoryLogouts,
}

/// A logout in the database.
#[derive(Serialize, Deserialize)]
struct Row {
    issuer: String,
    sid: Option<String>,
    subject: Option<String>,
    issued_at: i64,
    received_at: i64,
    keep_until: i64,
}

impl From<&Logout> for Row {
    fn from(logout: &Logout) -> Self {
        let Logout { issuer, sid, subject, issued_at, received_at, keep_until } = logout.clone();
        let (issued_at, received_at, keep_until) = (issued_at.0, received_at.0, keep_until.0);
        Self { issuer, sid, subject, issued_at, received_at, keep_until }
    }
}

impl From<Row> for Logout {
    fn from(row: Row) -> Self {
        let Row { issuer, sid, subject, issued_at, received_at, keep_until } = row;
        let [issued_at, received_at, keep_until] = [issued_at, received_at, keep_until].map(UnixTime);
        Self { issuer, sid, subject, issued_at, received_at, keep_until }
    }
}

impl SqliteLogouts {
    /// Opens the database in a file, or in memory for `:memory:`, and reads the logouts.
    ///
    /// # Errors
    /// If it cannot be opened or read, the table cannot be made, or there are more logouts than memory is for.
    pub async fn open(file: &str) -> Result<Self, StoreError> {
        let database = Connection::open(file)?;
        database.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS logouts (
                 id INTEGER PRIMARY KEY, keep_until INTEGER NOT NULL, batch TEXT NOT NULL
             ) STRICT;
             CREATE INDEX IF NOT EXISTS logouts_end ON logouts (keep_until);",
        )?;
        let memory = MemoryLogouts::new(MOST_NAMES);
        for batch in batches(&database)? {
            let rows: Vec<Row> = serde_json::from_str(&batch)?;
            memory.record(&rows.into_iter().map(Logout::from).collect::<Vec<_>>()).await?;
        }
        Ok(Self { database: Arc::new(Mutex::new(database)), memory })
    }
}

/// Reads the batches, the oldest first.
fn batches(database: &Connection) -> rusqlite::Result<Vec<String>> {
    database.prepare("SELECT batch FROM logouts ORDER BY id")?.query_map([], |row| row.get(0))?.collect()
}

/// Appends a batch, and deletes those that are over.
fn append(database: &mut Connection, batch: &str, keep_until: i64, now: i64) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    transaction.prepare_cached("DELETE FROM logouts WHERE keep_until < ?1")?.execute([now])?;
    transaction
        .prepare_cached("INSERT INTO logouts (keep_until, batch) VALUES (?1, ?2)")?
        .execute((keep_until, batch))?;
    // A session of the service's own would end here, in the same transaction.
    transaction.commit()
}

impl LogoutStore for SqliteLogouts {
    async fn record(&self, logouts: &[Logout]) -> Result<(), StoreError> {
        // If the database fails, memory refuses these tokens already, and the provider sends the logouts again.
        self.memory.record(logouts).await?;
        let rows: Vec<Row> = logouts.iter().map(Row::from).collect();
        let latest = |time: fn(&Row) -> i64| rows.iter().map(time).max().unwrap_or_default();
        let (keep_until, now) = (latest(|row| row.keep_until), latest(|row| row.received_at));
        let (batch, database) = (serde_json::to_string(&rows)?, Arc::clone(&self.database));
        // On a thread that may wait for the disk.
        let work = move || {
            append(&mut database.lock().unwrap_or_else(PoisonError::into_inner), &batch, keep_until, now)
        };
        Ok(tokio::task::spawn_blocking(work).await??)
    }

    async fn is_logged_out(&self, token: &TokenSession<'_>) -> Result<bool, StoreError> {
        self.memory.is_logged_out(token).await
    }
}
