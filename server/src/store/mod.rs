//! The store: one SQLite file behind one writing thread, and sessions in memory for reading.
//!
//! Whoever writes hands the writer a piece of work. The writer runs what waits within one
//! transaction, makes it durable with one `fsync`, brings the memory index up to date, and only
//! then tells each caller. Nobody waits for a batch to fill. A piece that fails leaves no trace and
//! harms no other.

mod session_index;
mod listing;
mod records;
mod logout_records;
mod schema;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::User;
use claimgate::time::UnixTime;

pub use listing::{ListedSession, ListedTeam, ListedUser};
pub use records::SqliteRecords;

use session_index::Index;
use writer::{Finished, Job, Writer};

/// Pieces of work that may wait; more are refused at once, so that nobody waits in vain.
const QUEUE: usize = 4096;

/// A store. A clone is the same store.
#[derive(Clone)]
pub struct Store {
    jobs: SyncSender<Job>,
    index: Arc<Index>,
}

impl Store {
    /// Opens the database file, making or migrating it where needed.
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be opened, is no database, or is of a newer version.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::start(schema::open(file)?)
    }

    /// A store that is gone with its last clone, for tests and demonstrations.
    ///
    /// # Errors
    /// [`StoreError`], hardly ever.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::start(schema::open_in_memory()?)
    }

    fn start(connection: rusqlite::Connection) -> Result<Self, StoreError> {
        let index = Arc::new(Index::default());
        let (jobs, queue) = sync_channel(QUEUE);
        let writer = Writer::new(connection, Arc::clone(&index))?;
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| StoreError { reason: error.to_string() })?;
        Ok(Self { jobs, index })
    }

    /// Runs work in a transaction. The result comes when it is durable; an error, the work's own or
    /// the store's, means that nothing of it happened.
    ///
    /// # Errors
    /// What the work returns, or a [`StoreError`].
    pub async fn transact<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteRecords<'_>) -> Result<T, E> + Send + 'static,
    {
        self.submit(work)?.await.unwrap_or_else(|_| Err(not_done().into()))
    }

    /// [`transact`](Self::transact) for callers that may block.
    ///
    /// # Errors
    /// As there.
    pub fn transact_blocking<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteRecords<'_>) -> Result<T, E> + Send + 'static,
    {
        self.submit(work)?.blocking_recv().unwrap_or_else(|_| Err(not_done().into()))
    }

    fn submit<T, E, W>(&self, work: W) -> Result<oneshot::Receiver<Result<T, E>>, StoreError>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteRecords<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        // Whoever asked may have gone away.
        self.transact_then(work, move |result| drop(answer.send(result)))?;
        Ok(receiver)
    }

    /// [`transact`](Self::transact) for callers that wait in a way of their own: `tell` is called on
    /// the writing thread, and must be short. Where the work could not even begin it is dropped.
    pub(crate) fn transact_then<T, E, W>(
        &self,
        work: W,
        tell: impl FnOnce(Result<T, E>) + Send + 'static,
    ) -> Result<(), StoreError>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteRecords<'_>) -> Result<T, E> + Send + 'static,
    {
        let job: Job = Box::new(move |records| {
            let result = work(records);
            Finished {
                keep: result.is_ok(),
                tell: Box::new(move |committed: Result<(), StoreError>| {
                    tell(match committed {
                        Err(error) if result.is_ok() => Err(error.into()),
                        _ => result,
                    });
                }),
            }
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError { reason: "too much work is waiting".to_owned() },
            TrySendError::Disconnected(_) => not_done(),
        })
    }

    /// The user of a live session, from memory.
    #[must_use]
    pub fn session_user(&self, id: SessionId, now: UnixTime) -> Option<User> {
        self.index.user_of(id, now)
    }

    /// How many sessions are held in memory.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.index.len()
    }

    /// Forgets what has expired: sessions, `jti`s and logout marks.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn purge(&self, now: UnixTime) -> Result<(), StoreError> {
        let sessions = self.index.expired(now);
        self.transact(move |records| records.purge(&sessions, now)).await
    }
}

pub(crate) fn not_done() -> StoreError {
    StoreError { reason: "the store could not do the work".to_owned() }
}

fn failed(error: &rusqlite::Error) -> StoreError {
    StoreError { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_panics_does_not_end_the_writer() {
        let store = Store::in_memory().expect("a store");
        // A panic without the noise: a backtrace takes memory that another test here counts.
        let tell = |_: Result<(), StoreError>| std::panic::resume_unwind(Box::new("on purpose"));
        store.transact_then(|_| Ok(()), tell).expect("room in the queue");
        let after: Result<u8, StoreError> = store.transact_blocking(|_| Ok(7));
        assert_eq!(after, Ok(7));
    }
}
