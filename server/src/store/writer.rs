//! The writing thread: the work that waits becomes one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::store_error;
use super::file::Lock;
use super::key::Key;
use super::logout_records::LogoutRecords;
use super::notices::Notices;
use super::records::{SqliteRecords, read_sessions};
use super::session_index::{Effect, SessionIndex};
use claimgate::oidc::records::StoreError;

/// Most pieces of work in one transaction: limits how long the first waits for the last.
const BATCH: usize = 512;
/// Interval between checks whether another process, such as `claimgate session end`, has written.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Longest wait for other processes that use the file when it is closed; the last of them to close it then leaves
/// one file.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A piece of work, run within a transaction.
pub(super) type Job = Box<dyn FnOnce(&mut SqliteRecords<'_>) -> Outcome + Send>;

/// The outcome of a piece of work.
pub(super) struct Outcome {
    /// Whether to keep its changes.
    pub(super) keep: bool,
    /// Answers the caller, with the result of the commit.
    pub(super) answer: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

pub(super) struct Writer {
    connection: Connection,
    key: Arc<Key>,
    index: Arc<SessionIndex>,
    logouts: LogoutRecords,
    /// The `data_version` of the file that `logouts` includes; it changes when another process writes.
    version: i64,
    /// Whether another process has written since the index was read.
    index_is_stale: bool,
    polled: Instant,
    /// The error of the last poll, which is logged once.
    poll_error: Option<String>,
    /// Those of a server, which logs them.
    notices: Option<Notices>,
    /// Declared after the connection, which is closed first.
    _lock: Option<Lock>,
}

impl Writer {
    /// Builds a writer; reads the sessions and logouts of the file.
    pub(super) fn new(
        connection: Connection,
        lock: Option<Lock>,
        key: Arc<Key>,
        index: Arc<SessionIndex>,
        logouts: LogoutRecords,
    ) -> Result<Self, StoreError> {
        let mut writer = Self {
            connection,
            key,
            index,
            logouts,
            version: -1,
            index_is_stale: true,
            polled: Instant::now(),
            poll_error: None,
            notices: lock.is_some().then(Notices::default),
            _lock: lock,
        };
        let load = |writer: &mut Self| {
            writer.logouts.load(&writer.connection)?;
            writer.follow_file()
        };
        load(&mut writer).map_err(|error| store_error(&error))?;
        Ok(writer)
    }

    /// Runs until `None` arrives or the last store is dropped, then closes the database.
    pub(super) fn run(mut self, queue: &Receiver<Option<Job>>) {
        let mut closing = false;
        while !closing {
            match queue.recv_timeout(POLL_INTERVAL) {
                Ok(Some(first)) => {
                    let more = queue.try_iter().map_while(|job| {
                        closing |= job.is_none();
                        job
                    });
                    self.commit(std::iter::once(first).chain(more).take(BATCH));
                    if self.polled.elapsed() >= POLL_INTERVAL {
                        self.poll();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.poll(),
                Ok(None) | Err(RecvTimeoutError::Disconnected) => closing = true,
            }
        }
        self.close();
    }

    /// Folds the write-ahead log into the database file and empties it. SQLite removes it with the last connection.
    fn close(self) {
        let folded = self
            .connection
            .busy_timeout(CLOSE_TIMEOUT)
            .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = folded {
            tracing::warn!(%error, "the database was closed without folding its write-ahead log in");
        }
    }

    /// Runs pieces of work in one transaction, and answers each once the transaction is durable.
    fn commit(&mut self, jobs: impl Iterator<Item = Job>) {
        let mut answers = Vec::new();
        let mut effects = Vec::new();
        let mut state = self.begin();
        let start = self.logouts.savepoint();
        for job in jobs {
            if state.is_err() {
                // Dropping the work drops the caller's channel, which is the answer.
                continue;
            }
            let outcome;
            (outcome, state) = run(job, &self.connection, &self.key, &mut effects, &mut self.logouts);
            answers.extend(outcome.map(|outcome| outcome.answer));
        }
        let written = state.and_then(|()| self.logouts.write(&self.connection));
        let committed = written.and_then(|()| self.connection.execute_batch("COMMIT"));
        let committed = committed.map_err(|error| store_error(&error));
        if committed.is_ok() {
            self.logouts.commit();
            if let Some(now) = effects.iter().find_map(Effect::purged_logouts) {
                self.logouts.remove_expired(now);
            }
            self.index.apply(effects);
        } else {
            self.logouts.rollback_to(start);
            if !self.connection.is_autocommit() {
                // If this fails, the next BEGIN fails too and reports it.
                drop(self.connection.execute_batch("ROLLBACK"));
            }
        }
        for answer in answers {
            // The callback is the caller's code: the writer must survive its panic.
            if catch_unwind(AssertUnwindSafe(|| answer(committed.clone()))).is_err() {
                tracing::error!("an answer of the store was lost to a panic");
            }
        }
    }

    /// Begins a transaction. It sees the logouts of other processes; their sessions may wait for a poll.
    fn begin(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.follow_logouts()
    }

    fn poll(&mut self) {
        self.polled = Instant::now();
        let error = self.follow_file().err().map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|_| error != self.poll_error) {
            tracing::error!(%error, "the changes that other processes have made cannot be read");
        }
        self.poll_error = error;
    }

    /// Reads the logouts that another process has written, if any.
    fn follow_logouts(&mut self) -> rusqlite::Result<()> {
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if version != self.version {
            self.index_is_stale = true;
            self.logouts.read_new_rows(&self.connection)?;
            self.version = version;
        }
        Ok(())
    }

    /// Reads everything that another process has written, if anything. Sessions are read as a whole, so this
    /// is done once an interval at most.
    fn follow_file(&mut self) -> rusqlite::Result<()> {
        self.follow_logouts()?;
        if self.index_is_stale {
            self.index.replace(read_sessions(&self.connection)?);
            self.index_is_stale = false;
            if let Some(notices) = &mut self.notices {
                notices.log_new(&self.connection)?;
            }
        }
        Ok(())
    }
}

/// Runs one piece of work within the transaction, and undoes its changes unless they are to be kept. Returns
/// its outcome (`None` after a panic) and the state of the transaction, which SQLite itself rolls back when the
/// disk is full.
fn run(
    job: Job,
    connection: &Connection,
    key: &Key,
    effects: &mut Vec<Effect>,
    logouts: &mut LogoutRecords,
) -> (Option<Outcome>, rusqlite::Result<()>) {
    let (effects_before, logouts_before) = (effects.len(), logouts.savepoint());
    let execute = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(drop);
    if let Err(error) = execute("SAVEPOINT work") {
        return (None, Err(error));
    }
    let mut records = SqliteRecords::new(connection, key, effects, logouts);
    // A panic drops the caller's channel, which is the answer.
    let outcome = catch_unwind(AssertUnwindSafe(|| job(&mut records))).ok();
    let keep = outcome.as_ref().is_some_and(|outcome| outcome.keep);
    if !keep {
        effects.truncate(effects_before);
        logouts.rollback_to(logouts_before);
    }
    let state = match (connection.is_autocommit(), keep) {
        (true, _) => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
            Some("the transaction was rolled back".to_owned()),
        )),
        (false, true) => execute("RELEASE work"),
        (false, false) => execute("ROLLBACK TO work").and_then(|()| execute("RELEASE work")),
    };
    (outcome, state)
}
