//! The writing thread: the work that waits becomes one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::changes::Changes;
use super::effects::Effects;
use super::ended_sessions::{EndedSessions, MOST_KEPT, OVERDUE_SESSIONS, SESSIONS};
use super::error::store_error;
use super::file::Lock;
use super::key::Key;
use super::logout_records::LogoutRecords;
use super::notices::Notices;
use super::records::{SqliteRecords, read_sessions};
use super::schema;
use super::search;
use super::session_index::{Effect, SessionIndex};
use claimgate::oidc::records::StoreError;

/// Most pieces of work in one transaction: limits how long the first waits for the last.
const BATCH: usize = 512;
/// Interval between checks whether another process, such as `claimgate session end`, has written.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Pause between the steps in which rows of ended sessions are deleted while no other work waits.
const CLEAN_INTERVAL: Duration = Duration::from_millis(5);
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

/// What a store is to its file.
pub(super) enum Role {
    /// The one server, whose memory follows the commands.
    Server { _lock: Lock },
    /// In memory, without another process.
    Alone,
    /// A store whose changes the server follows, and whose memory follows the others of its role.
    Beside,
    /// The same without memory.
    Command,
}

pub(super) struct Writer {
    connection: Connection,
    key: Arc<Key>,
    index: Arc<SessionIndex>,
    logouts: LogoutRecords,
    ended: EndedSessions,
    changes: Changes,
    /// The `data_version` of the file that memory includes; it changes when another process writes.
    version: i64,
    /// Whether another process has written since the last poll.
    has_news: bool,
    polled: Instant,
    /// Whether the last step of deleting rows of ended sessions failed, which is logged once.
    cleaning_fails: bool,
    /// The error of the last poll, which is logged once.
    poll_error: Option<String>,
    notices: Notices,
    /// Declared after the connection, which is closed before the lock of a server ends.
    role: Role,
}

impl Writer {
    /// Builds a writer; reads the sessions and logouts of the file.
    pub(super) fn new(
        connection: Connection,
        role: Role,
        key: Arc<Key>,
        index: Arc<SessionIndex>,
        logouts: LogoutRecords,
    ) -> Result<Self, StoreError> {
        let mut writer = Self {
            connection,
            key,
            index,
            logouts,
            ended: EndedSessions::default(),
            version: -1,
            changes: Changes::default(),
            has_news: true,
            polled: Instant::now(),
            cleaning_fails: false,
            poll_error: None,
            notices: Notices::default(),
            role,
        };
        writer.ended.define(&writer.connection).map_err(|error| store_error(&error))?;
        search::define(&writer.connection).map_err(|error| store_error(&error))?;
        if !matches!(writer.role, Role::Command) {
            writer.load().map_err(|error| store_error(&error))?;
        }
        Ok(writer)
    }

    /// Runs until `None` arrives or the last store is dropped, then closes the database.
    pub(super) fn run(mut self, queue: &Receiver<Option<Job>>) {
        let mut closing = false;
        while !closing {
            let hurries = self.has_to_clean() && !self.cleaning_fails;
            let wait = if hurries { CLEAN_INTERVAL } else { POLL_INTERVAL };
            match queue.recv_timeout(wait) {
                Ok(Some(first)) => {
                    let more = queue.try_iter().map_while(|job| {
                        closing |= job.is_none();
                        job
                    });
                    let before = self.ended.len();
                    self.commit(std::iter::once(first).chain(more).take(BATCH));
                    self.catch_up(before);
                    if self.polled.elapsed() >= POLL_INTERVAL {
                        self.poll();
                        self.clean();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.polled.elapsed() >= POLL_INTERVAL {
                        self.poll();
                    }
                    self.clean();
                }
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
        let mut effects = Effects::default();
        let mut state = self.begin();
        let start = (self.logouts.savepoint(), self.ended.savepoint());
        for job in jobs {
            if state.is_err() {
                // Dropping the work drops the caller's channel, which is the answer.
                continue;
            }
            let outcome;
            (outcome, state) = self.run_job(job, &mut effects);
            answers.extend(outcome.map(|outcome| outcome.answer));
        }
        let committed =
            state.and_then(|()| self.finish(effects.as_slice())).map_err(|error| store_error(&error));
        self.changes.end(committed.is_ok());
        self.ended.finish(committed.is_ok());
        if committed.is_ok() {
            self.logouts.commit();
            if let Some(now) = effects.as_slice().iter().find_map(Effect::purged_logouts) {
                self.logouts.remove_expired(now);
            }
            self.index.apply(effects.into_vec());
        } else {
            self.logouts.rollback_to(start.0);
            self.ended.rollback_to(start.1);
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

    /// Begins a transaction. It sees what other processes have changed.
    fn begin(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.follow()
    }

    /// Commits a transaction, with the rows from which other processes and the next start learn of it.
    fn finish(&mut self, effects: &[Effect]) -> rusqlite::Result<()> {
        self.logouts.write(&self.connection)?;
        self.ended.write(&self.connection)?;
        if matches!(self.role, Role::Beside | Role::Command) {
            self.changes.write(&self.connection, effects)?;
        }
        self.connection.execute_batch("COMMIT")
    }

    /// Reads sessions and logouts into memory.
    fn load(&mut self) -> rusqlite::Result<()> {
        // First, so that changes which are made meanwhile are applied afterwards.
        self.changes.skip(&self.connection)?;
        self.ended.read_new_rows(&self.connection)?;
        let Self { connection, logouts, index, .. } = self;
        match schema::open_beside(connection)? {
            // At the same time, each on a core.
            Some(beside) => std::thread::scope(|scope| {
                let logouts = scope.spawn(move || logouts.load(&beside));
                let sessions = read_sessions(connection, index).map(|sessions| index.replace(sessions));
                let logouts = logouts.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                sessions.and(logouts)
            })?,
            None => {
                logouts.load(connection)?;
                index.replace(read_sessions(connection, index)?);
            }
        }
        self.follow_file()
    }

    /// Reports whether rows of ended sessions are to be deleted.
    fn has_to_clean(&self) -> bool {
        !matches!(self.role, Role::Command) && self.ended.len() > 0
    }

    /// Deletes rows of ended sessions while more than [`MOST_KEPT`] wait, until fewer wait than `before` the last
    /// transaction.
    fn catch_up(&mut self, before: usize) {
        while self.has_to_clean() && !self.cleaning_fails && self.ended.len() > MOST_KEPT {
            self.clean();
            if self.ended.len() < before {
                return;
            }
        }
    }

    /// Deletes the rows of some sessions that have ended, if there are any.
    fn clean(&mut self) {
        if !self.has_to_clean() {
            return;
        }
        let (ended, before, was_failing) = (self.ended.clone(), self.ended.len(), self.cleaning_fails);
        let most = if before > MOST_KEPT { OVERDUE_SESSIONS } else { SESSIONS };
        let job: Job = Box::new(move |records| {
            let cleaned =
                EndedSessions::clean_step(records.connection, most).map_err(|error| store_error(&error));
            let keep = cleaned.is_ok();
            let answer = move |committed: Result<(), StoreError>| match committed.and(cleaned) {
                Ok(cleaned) => ended.forget(&cleaned),
                Err(error) if !was_failing => {
                    tracing::warn!(%error, "rows of ended sessions cannot be deleted now");
                }
                Err(_) => {}
            };
            Outcome { keep, answer: Box::new(answer) }
        });
        self.commit(std::iter::once(job));
        self.cleaning_fails = self.ended.len() >= before;
    }

    fn poll(&mut self) {
        self.polled = Instant::now();
        let error = self.follow_file().err().map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|_| error != self.poll_error) {
            tracing::error!(%error, "the changes that other processes have made cannot be read");
        }
        self.poll_error = error;
    }

    /// Applies what another process has written, if anything.
    fn follow(&mut self) -> rusqlite::Result<()> {
        if matches!(self.role, Role::Command) {
            return self.ended.read_new_rows(&self.connection);
        }
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if version != self.version {
            self.logouts.read_new_rows(&self.connection)?;
            self.ended.read_new_rows(&self.connection)?;
            // They are durable, so no rollback undoes them.
            self.index.apply(self.changes.read_new(&self.connection, &self.index)?);
            self.version = version;
            self.has_news = true;
        }
        Ok(())
    }

    /// Applies what another process has written, if anything; a server deletes the rows of these changes.
    fn follow_file(&mut self) -> rusqlite::Result<()> {
        self.follow()?;
        if self.has_news && matches!(self.role, Role::Server { .. }) {
            self.notices.log_new(&self.connection)?;
            // If they cannot be deleted now, because the disk is full, they are not applied again.
            let _ = self.changes.delete_applied(&self.connection);
        }
        self.has_news = false;
        Ok(())
    }

    /// Runs one piece of work within the transaction, and undoes its changes unless they are to be kept. Returns
    /// its outcome (`None` after a panic) and the state of the transaction, which SQLite itself rolls back when the
    /// disk is full.
    fn run_job(&mut self, job: Job, effects: &mut Effects) -> (Option<Outcome>, rusqlite::Result<()>) {
        let Self { connection, key, logouts, index, ended, .. } = self;
        let before = (effects.len(), logouts.savepoint(), ended.savepoint());
        let execute = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(drop);
        if let Err(error) = execute("SAVEPOINT work") {
            return (None, Err(error));
        }
        let mut records = SqliteRecords::new(connection, key, effects, logouts, index, ended);
        // A panic drops the caller's channel, which is the answer.
        let outcome = catch_unwind(AssertUnwindSafe(|| job(&mut records))).ok();
        let keep = outcome.as_ref().is_some_and(|outcome| outcome.keep);
        if !keep {
            effects.truncate(before.0);
            logouts.rollback_to(before.1);
            ended.rollback_to(before.2);
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
}
