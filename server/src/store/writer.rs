//! The one thread that writes: what waits becomes one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::failed;
use super::logout_records::Remembered;
use super::records::{SqliteRecords, load};
use super::session_index::{Effect, Index};
use claimgate::oidc::records::StoreError;

/// Most pieces of work in one transaction: bounds how long the first waits for the last.
const BATCH: usize = 512;
/// How often to look whether another process has written, such as `claimgate session end`.
const LOOK: Duration = Duration::from_millis(500);

/// A piece of work, run within a transaction.
pub(super) type Job = Box<dyn FnOnce(&mut SqliteRecords<'_>) -> Finished + Send>;

/// Work that was done: whether to keep it, and how to tell whoever asked.
pub(super) struct Finished {
    pub(super) keep: bool,
    pub(super) tell: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

pub(super) struct Writer {
    connection: Connection,
    index: Arc<Index>,
    remembered: Remembered,
    seen_version: i64,
    looked: Instant,
}

impl Writer {
    pub(super) fn new(connection: Connection, index: Arc<Index>) -> Result<Self, StoreError> {
        let remembered = Remembered::default();
        let mut writer = Self { connection, index, remembered, seen_version: -1, looked: Instant::now() };
        writer.remembered.follow(&writer.connection).map_err(|error| failed(&error))?;
        writer.follow_others().map_err(|error| failed(&error))?;
        Ok(writer)
    }

    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        loop {
            match queue.recv_timeout(LOOK) {
                Ok(first) => {
                    self.commit(std::iter::once(first).chain(queue.try_iter()).take(BATCH));
                    if self.looked.elapsed() >= LOOK {
                        self.look();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn commit(&mut self, jobs: impl Iterator<Item = Job>) {
        let mut finished = Vec::new();
        let mut effects = Vec::new();
        let mut outcome = self.begin();
        for job in jobs {
            if outcome.is_err() {
                // Not run: whoever waits learns it by the dropped channel.
                continue;
            }
            let (done, state) = run(&self.connection, job, &mut effects, &mut self.remembered);
            finished.extend(done.map(|done| done.tell));
            outcome = state;
        }
        let committed = outcome.and_then(|()| self.connection.execute_batch("COMMIT"));
        let committed = committed.map_err(|error| failed(&error));
        if committed.is_ok() {
            self.remembered.keep();
            if let Some(now) = effects.iter().find_map(Effect::expired) {
                self.remembered.forget_expired(now);
            }
            self.index.follow(effects);
        } else {
            self.remembered.undo(0);
            if !self.connection.is_autocommit() {
                // Where this fails too, the next BEGIN does, and says so.
                drop(self.connection.execute_batch("ROLLBACK"));
            }
        }
        for tell in finished {
            // It runs code of whoever asked; the writer must outlive it.
            if catch_unwind(AssertUnwindSafe(|| tell(committed.clone()))).is_err() {
                tracing::error!("an answer of the store was lost to a panic");
            }
        }
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.remembered.follow(&self.connection)
    }

    fn look(&mut self) {
        self.looked = Instant::now();
        // An error here shows again, and is told, at the next write.
        drop(self.follow_others());
    }

    /// Loads sessions and users where another process has written since.
    fn follow_others(&mut self) -> rusqlite::Result<()> {
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if version != self.seen_version {
            let (sessions, users) = load(&self.connection)?;
            self.index.replace(sessions, users);
            self.seen_version = version;
        }
        Ok(())
    }
}

/// Runs one piece of work within the transaction; what it leaves is undone unless it is to be kept.
/// The second result says whether the transaction still stands: a full disk makes SQLite roll it
/// back by itself.
fn run(
    connection: &Connection,
    job: Job,
    effects: &mut Vec<Effect>,
    remembered: &mut Remembered,
) -> (Option<Finished>, rusqlite::Result<()>) {
    let before = (effects.len(), remembered.here());
    let execute = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(drop);
    if let Err(error) = execute("SAVEPOINT work") {
        return (None, Err(error));
    }
    let mut records = SqliteRecords::new(connection, effects, remembered);
    let done = catch_unwind(AssertUnwindSafe(|| job(&mut records)));
    let kept = done.as_ref().is_ok_and(|done| done.keep);
    if !kept {
        effects.truncate(before.0);
        remembered.undo(before.1);
    }
    let state = match (connection.is_autocommit(), kept) {
        (true, _) => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
            Some("the transaction was rolled back".to_owned()),
        )),
        (false, true) => execute("RELEASE work"),
        (false, false) => execute("ROLLBACK TO work").and_then(|()| execute("RELEASE work")),
    };
    // Work that panicked has dropped its way of telling; whoever waits learns it by that.
    (done.ok(), state)
}
