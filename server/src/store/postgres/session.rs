//! A connection that is made when it is needed, and made anew after it was lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Server};
use super::error::PostgresError;

/// Wait after the first failure before the next attempt to connect; doubled with each further one that follows soon.
/// Meanwhile work fails at once.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// Longest wait between attempts to connect. Limits how many connections are given up, and left to the server, while
/// it does not answer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// A connection, with the name of the database and of its history that it reads and writes. A server keeps its
/// history for as long as it runs, so the name holds for the connection's life.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) history: String,
}

/// Waits for what the database does, no longer than `most`. Then the connection is to be dropped: the outcome is not
/// known.
///
/// # Errors
/// The error of the work; [`PostgresError::Lost`] if it takes longer.
pub(super) async fn within<T>(
    most: Duration,
    work: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    let silent = || PostgresError::Lost(format!("no answer within {} ms", most.as_millis()));
    timeout(most, work).await.unwrap_or_else(|_| Err(silent()))
}

impl Session {
    async fn open(server: &Server) -> Result<Self, PostgresError> {
        let connection = server.connect().await?;
        let rows = connection.read("SELECT history()", &[]).await?;
        let history = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
        Ok(Self { connection, history })
    }
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    failure: Option<Failure>,
}

/// The last failure, of an attempt to connect or of work.
struct Failure {
    error: PostgresError,
    at: Instant,
    backoff: Duration,
}

/// A place for one connection.
pub(super) struct Slot {
    server: Server,
    state: Mutex<State>,
}

impl Slot {
    pub(super) fn new(server: Server) -> Self {
        Self { server, state: Mutex::default() }
    }

    /// Waits for the place, in the order of arrival.
    pub(super) async fn lock(&self) -> Held<'_> {
        Held { server: &self.server, state: self.state.lock().await }
    }
}

/// A place that is held.
pub(super) struct Held<'s> {
    server: &'s Server,
    state: MutexGuard<'s, State>,
}

impl Held<'_> {
    /// Returns the connection; connects if there is none, if it was lost, or if it leads to another history than the
    /// one that is followed.
    ///
    /// # Errors
    /// [`PostgresError`] of the attempt to connect, or of the one before for a time that grows with each failure.
    pub(super) async fn session(&mut self, followed: Option<&str>) -> Result<Arc<Session>, PostgresError> {
        let is_followed = |session: &Session| followed.is_none_or(|history| session.history == history);
        if let Some(session) = &self.state.session
            && !session.connection.is_lost()
            && is_followed(session)
        {
            return Ok(Arc::clone(session));
        }
        self.state.session = None;
        if let Some(failure) = &self.state.failure
            && failure.at.elapsed() < failure.backoff
        {
            return Err(failure.error.clone());
        }
        let opened = Session::open(self.server).await.and_then(|session| {
            if is_followed(&session) { Ok(session) } else { Err(PostgresError::OtherHistory) }
        });
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                self.state.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Drops a connection that does not answer, or that did not do what it was asked to.
    pub(super) fn discard(&mut self, session: &Arc<Session>, error: &PostgresError) {
        if self.state.session.as_ref().is_some_and(|held| Arc::ptr_eq(held, session)) {
            self.state.session = None;
            self.fail(error);
        }
    }

    fn fail(&mut self, error: &PostgresError) {
        let recent = self.state.failure.as_ref().filter(|failure| failure.at.elapsed() < LONGEST_BACKOFF * 2);
        let backoff = recent.map_or(FIRST_BACKOFF, |failure| (failure.backoff * 2).min(LONGEST_BACKOFF));
        self.state.failure = Some(Failure { error: error.clone(), at: Instant::now(), backoff });
    }
}
