//! The store: an SQLite file for one server (this file), or PostgreSQL for several ([`postgres`]). A server uses
//! either as one type, [`Store`].
//!
//! SQLite: one file behind one writing thread, and sessions in memory for reading.
//!
//! A caller that writes submits a piece of work. The writing thread runs all work that waits in one
//! transaction (group commit), makes it durable with one `fsync`, updates the session index, and then answers
//! each caller. No batch waits to fill. A piece of work that fails is rolled back alone.

mod backup;
mod bad_rows;
mod changes;
mod decisions;
mod effects;
mod ended_sessions;
mod engine;
mod error;
mod events;
mod file;
mod grants;
mod idle_time;
mod inspection;
mod key;
mod listing;
mod logged_out;
mod logout_batches;
mod logout_entry;
mod logout_generation;
mod logout_generations;
mod logout_records;
mod notices;
pub mod postgres;
mod records;
mod refreshes;
mod renaming;
mod schema;
mod search;
mod session_end;
mod session_index;
mod session_origins;
mod sign_ins;
mod sorted_tags;
mod subjects;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use claimgate::oidc::records::{LogoutRecord, SignInRecords, StoreError};
use claimgate::oidc::session::{LiveSession, SessionId};
use claimgate::oidc::user::{User, UserId};
use claimgate::time::UnixTime;

pub use backup::{Progress, Restored, back_up, restore};
pub use bad_rows::UNREADABLE;
pub use engine::{RevocationError, Store};
pub(crate) use error::work_lost;
pub use events::{
    BY_COMMAND, Event, EventCount, EventKind, EventLimits, EventQuery, ListedEvent, MAX_MINUTES, MAX_PAGE,
    PageOrder,
};
pub(crate) use file::{files_of, in_its_folder, real as real_file};
pub use grants::{CLAIMED_FOR, NewRefresh, RefreshRecords};
pub use inspection::{Inspection, inspect};
pub(crate) use listing::ASSERTION_KEYS;
pub use listing::{AdminRecords, ListedLink, ListedSession, ListedTeam, ListedUser, PeopleCounts, UserRow};
pub use logged_out::LoggedOut;
pub use logout_records::PresentedToken;
pub use records::SqliteRecords;
pub use refreshes::{DueRefresh, Judgement, KIND_CHANGED, Refreshed};
pub(crate) use search::folded;

use file::Lock;
use key::Key;
use logout_generations::Generations;
use logout_records::{KnownLogouts, LogoutRecords, TokenEnd};
use session_index::SessionIndex;
use subjects::KnownSubjects;
use writer::{Job, Outcome, Role, Writer};

/// Most pieces of work that wait; more are refused at once.
const QUEUE: usize = 4096;

/// Most sessions whose uses are written in one transaction.
const WRITTEN_USES: usize = 256;

/// Most sessions deleted in one step of a purge, each with some pages of the indexes.
const PURGED_SESSIONS: usize = 64;

/// Makes the key beside a database, if there is none.
///
/// # Errors
/// [`StoreError`]: the key cannot be read or made.
pub(crate) fn make_key(database: &Path) -> Result<(), StoreError> {
    Key::load(database).map(drop)
}

/// The reason that a verified token is not accepted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The provider has ended its session, or all sessions of its subject.
    LoggedOut,
    /// Its subject is linked to a user who is switched off.
    Inactive,
}

impl Revocation {
    /// Returns the stable code of this reason; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Revocation::LoggedOut => "verify.logged_out",
            Revocation::Inactive => "verify.inactive",
        }
    }
}

/// The logouts that may end a token were dropped, because more were recorded than memory holds: the token cannot be
/// judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the logouts that may end this token were dropped, because more were recorded than memory holds")]
pub struct LogoutsDropped;

/// A store over SQLite. A clone is the same store.
#[derive(Clone)]
pub struct SqliteStore {
    /// The work of the writing thread; `None` closes the store.
    jobs: SyncSender<Option<Job>>,
    index: Arc<SessionIndex>,
    logouts: KnownLogouts,
    subjects: Arc<KnownSubjects>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    key: Arc<Key>,
    /// The database file; none for a database in memory.
    file: Option<Arc<Path>>,
}

impl SqliteStore {
    /// Opens the database file, beside a server that may run; creates or migrates it if needed. Other users lose
    /// their rights to the file. The key of the database is not read: sessions are for the server to open, and an
    /// ID token that a server has stored cannot be read.
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be opened or made its owner's alone, is not a database, or has a newer
    /// schema.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::start(schema::open(file)?, Role::Beside, Key::temporary(), KnownLogouts::default())
    }

    /// Opens the database file of a command, as [`open`](Self::open) does, without reading the sessions and logouts
    /// into memory: [`session_user`](Self::session_user) finds none.
    ///
    /// # Errors
    /// [`StoreError`], as for [`open`](Self::open).
    pub fn open_for_command(file: &Path) -> Result<Self, StoreError> {
        Self::start(schema::open(file)?, Role::Command, Key::temporary(), KnownLogouts::default())
    }

    /// Opens the database file of a server, as [`open`](Self::open) does, and locks it: one database serves one
    /// server. Reads the key beside it, or makes it.
    ///
    /// # Errors
    /// [`StoreError`], as for [`open`](Self::open); a server runs on the database; the key cannot be read or made.
    pub fn open_for_server(file: &Path) -> Result<Self, StoreError> {
        Self::open_locked(file, KnownLogouts::default())
    }

    /// Opens the database file of a server, as [`open_for_server`](Self::open_for_server) does, whose logouts in memory
    /// take at most `logout_memory` bytes.
    ///
    /// # Errors
    /// Those of [`open_for_server`](Self::open_for_server).
    pub fn open_within(file: &Path, logout_memory: usize) -> Result<Self, StoreError> {
        let generations = Generations::within(logout_memory);
        Self::open_locked(file, KnownLogouts { generations, ..KnownLogouts::default() })
    }

    fn open_locked(file: &Path, logouts: KnownLogouts) -> Result<Self, StoreError> {
        let lock = Lock::take(file)?;
        let connection = schema::open(file)?;
        Self::start(connection, Role::Server { _lock: lock }, Key::load(file)?, logouts)
    }

    /// Opens a store in memory, for tests and demonstrations. It is lost with its last clone.
    ///
    /// # Errors
    /// [`StoreError`]: the thread or the database cannot be started.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::start(schema::open_in_memory()?, Role::Alone, Key::temporary(), KnownLogouts::default())
    }

    fn start(
        connection: rusqlite::Connection,
        role: Role,
        key: Key,
        logouts: KnownLogouts,
    ) -> Result<Self, StoreError> {
        let file = connection.path().filter(|file| !file.is_empty()).map(|file| Arc::from(Path::new(file)));
        let key = Arc::new(key);
        let index = Arc::new(SessionIndex::default());
        let (jobs, queue) = sync_channel(QUEUE);
        let records = LogoutRecords::new(logouts.clone());
        let writer = Writer::new(connection, role, Arc::clone(&key), Arc::clone(&index), records)?;
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| StoreError { reason: error.to_string() })?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok(Self { jobs, index, logouts, subjects: Arc::default(), thread, key, file })
    }

    /// Finishes the work that waits and closes the database: everything is in the one file then. Later work is
    /// refused. Blocks the thread.
    pub fn close(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // A send fails, and so does joining, if the thread has ended already.
            drop(self.jobs.send(None));
            drop(thread.join());
        }
    }

    /// Runs work in a transaction. Returns its result once the changes are durable. After an error, of the
    /// work or of the store, nothing has changed.
    ///
    /// # Errors
    /// The error of the work, or a [`StoreError`].
    pub async fn transact<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteRecords<'_>) -> Result<T, E> + Send + 'static,
    {
        self.submit(work)?.await.unwrap_or_else(|_| Err(work_lost().into()))
    }

    /// Does the same as [`transact`](Self::transact), blocking the thread.
    ///
    /// # Errors
    /// The error of the work, or a [`StoreError`].
    pub fn transact_blocking<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteRecords<'_>) -> Result<T, E> + Send + 'static,
    {
        self.submit(work)?.blocking_recv().unwrap_or_else(|_| Err(work_lost().into()))
    }

    fn submit<T, E, W>(&self, work: W) -> Result<oneshot::Receiver<Result<T, E>>, StoreError>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteRecords<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        // A send fails if the caller has stopped waiting.
        self.transact_then(work, move |result| drop(answer.send(result)))?;
        Ok(receiver)
    }

    /// Does the same as [`transact`](Self::transact), with a callback: `answer` is called on the writing thread
    /// and must be short. It is dropped without a call if the work could not begin, or panicked.
    pub(crate) fn transact_then<T, E, W>(
        &self,
        work: W,
        answer: impl FnOnce(Result<T, E>) + Send + 'static,
    ) -> Result<(), StoreError>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteRecords<'_>) -> Result<T, E> + Send + 'static,
    {
        let job: Job = Box::new(move |records| {
            let result = work(records);
            Outcome {
                keep: result.is_ok(),
                answer: Box::new(move |committed: Result<(), StoreError>| {
                    answer(match committed {
                        Err(error) if result.is_ok() => Err(error.into()),
                        _ => result,
                    });
                }),
            }
        });
        self.jobs.try_send(Some(job)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError { reason: "too much work is waiting".to_owned() },
            TrySendError::Disconnected(_) => work_lost(),
        })
    }

    /// Returns the key of the database.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Returns a live session, from memory. That is a use of the session.
    #[must_use]
    pub fn session(&self, id: SessionId, now: UnixTime) -> Option<LiveSession> {
        self.index.session(id, now)
    }

    /// Returns a live session, from memory. That is no use of the session.
    #[must_use]
    pub fn peek(&self, id: SessionId, now: UnixTime) -> Option<LiveSession> {
        self.index.peek(id, now)
    }

    /// Returns the user of a live session, from memory. That is a use of the session.
    #[must_use]
    pub fn session_user(&self, id: SessionId, now: UnixTime) -> Option<User> {
        self.session(id, now).map(|session| session.user)
    }

    /// Sets the idle time: a session is over once it was not used for so long. Sessions that are there end no later than
    /// so long after `now` without a further use.
    pub fn set_idle_time(&self, idle: Option<Duration>, now: UnixTime) {
        self.index.set_idle_time(idle, now);
    }

    /// Returns the interval at which all uses are to be written.
    pub(crate) fn use_step(&self) -> Duration {
        self.index.uses.step()
    }

    /// Writes the uses of sessions that are due, or (`all`) all, in short steps: other work comes between them. Where the
    /// idle time was shortened meanwhile, what is written ends no later than so long after `now`, by a further write.
    ///
    /// # Errors
    /// [`StoreError`]: those that are not written wait for the next time.
    pub async fn write_uses(&self, all: bool, now: UnixTime) -> Result<(), StoreError> {
        let ends = self.index.take_ends(all);
        for (number, chunk) in ends.chunks(WRITTEN_USES).enumerate() {
            let moved = chunk.to_vec();
            if let Err(error) = self.transact(move |records| records.move_ends(&moved)).await {
                self.index.give_back_ends(&ends[number * WRITTEN_USES..]);
                return Err(error);
            }
            self.index.note_ends(chunk, now);
        }
        Ok(())
    }

    /// Returns the user of the session that a logout names by `sid` alone, from memory.
    pub(super) fn owner_named(&self, logout: &LogoutRecord) -> Option<UserId> {
        logged_out::sid_alone(&logout.target)?;
        let named = self.index.named(&logout.issuer, &logout.target, UnixTime(i64::MAX))?;
        self.index.owner(&named)
    }

    /// Returns the user that a subject is linked to: from memory if it was asked before, and no user or link has
    /// changed since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user_of_subject(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let version = self.index.users_version();
        if let Some(user) = self.subjects.get(issuer, subject, version) {
            return Ok(user);
        }
        let person = (issuer.to_owned(), subject.to_owned());
        let user: Result<_, StoreError> =
            self.transact(move |records| records.user_by_link(&person.0, &person.1)).await;
        let user = user?;
        self.subjects.keep(issuer, subject, version, user.clone());
        Ok(user)
    }

    /// Returns why a verified token is not accepted any more, from memory: its session or subject was logged out
    /// at or after its `iat` (by `sid` within `leeway` seconds), or its user is switched off.
    ///
    /// # Errors
    /// [`LogoutsDropped`].
    pub fn revocation(
        &self,
        token: &PresentedToken<'_>,
        leeway: u64,
    ) -> Result<Option<Revocation>, LogoutsDropped> {
        if token.subject.is_some_and(|subject| self.index.is_inactive(token.issuer, subject)) {
            return Ok(Some(Revocation::Inactive));
        }
        match self.logouts.end_of(token, leeway) {
            TokenEnd::NotEnded => Ok(None),
            TokenEnd::Ended => Ok(Some(Revocation::LoggedOut)),
            TokenEnd::Unknown => Err(LogoutsDropped),
        }
    }

    /// Returns the number of logouts that were dropped from memory before their end, because it was full.
    #[must_use]
    pub fn dropped_logouts(&self) -> u64 {
        self.logouts.dropped()
    }

    /// Returns the number of sessions in memory.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.index.len()
    }

    /// Deletes expired sessions and logouts, in short steps: other work comes between them.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn purge(&self, now: UnixTime) -> Result<(), StoreError> {
        for sessions in self.index.expired(now).chunks(PURGED_SESSIONS) {
            let sessions = sessions.to_vec();
            self.transact(move |records| records.purge_sessions(&sessions, now)).await?;
        }
        while self.transact(move |records| records.purge_logouts(now)).await? {}
        Ok(())
    }

    /// Deletes events beyond the limits, in short steps: other work comes between them.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn purge_events(&self, limits: EventLimits) -> Result<(), StoreError> {
        while self.transact(move |records| records.purge_events(limits)).await? {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_panics_does_not_end_the_writer() {
        let store = SqliteStore::in_memory().expect("a store");
        let answer = |_: Result<(), StoreError>| panic!("on purpose");
        store.transact_then(|_| Ok(()), answer).expect("room in the queue");
        let after: Result<u8, StoreError> = store.transact_blocking(|_| Ok(7));
        assert_eq!(after, Ok(7));
    }
}
