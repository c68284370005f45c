//! The store of a server, over one of the two engines. A server asks and changes it by whole decisions; each is one
//! call.
//!
//! SQLite answers questions about sessions from memory, at once. PostgreSQL's answers can wait for the database, and
//! can fail: without a lease a node does not know which sessions have ended ([`Unsure`]).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::key::Key;
use super::logged_out::LoggedOut;
use super::postgres::{Administration, Logout, NodeState, PgStore, PostgresError, Server, Settings, Unsure};
use super::{
    AdminRecords, Event, EventCount, EventLimits, EventQuery, ListedEvent, ListedSession, LogoutsDropped,
    PeopleCounts, PresentedToken, Revocation, SqliteStore,
};
use crate::system;
use claimgate::oidc::backchannel::{Replayed, ValidatedLogout};
use claimgate::oidc::frontchannel::FrontChannelLogout;
use claimgate::oidc::password::{Authenticated, Candidate, PasswordSignInError};
use claimgate::oidc::random_token;
use claimgate::oidc::records::{MAX_SESSIONS_OF_USER, Position, StoreError};
use claimgate::oidc::session::{LiveSession, NewSession, Origin, SessionId};
use claimgate::oidc::user::{User, UserId};
use claimgate::time::UnixTime;

/// The store of a server. A clone is the same store.
#[derive(Clone)]
pub enum Store {
    /// A file, for one server.
    Sqlite(SqliteStore),
    /// A database, for several servers.
    Postgres(PostgresStore),
}

/// A node of a database, and the administration of the database.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) node: PgStore,
    pub(super) administration: Arc<Administration>,
    /// Runs the work that callers outside the runtime submit.
    runtime: Handle,
}

/// Why a presented token cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Logouts that may end the token were dropped from memory.
    #[error(transparent)]
    LogoutsDropped(#[from] LogoutsDropped),
    /// The database does not say in time which logouts there were.
    #[error(transparent)]
    Unsure(#[from] Unsure),
}

impl Store {
    /// Opens a database of PostgreSQL; see [`PgStore::open`]. To be called within the runtime.
    ///
    /// # Errors
    /// A [`PostgresError`].
    pub async fn open_postgres(server: Server, settings: Settings) -> Result<Self, PostgresError> {
        let server = server.require_standby(settings.require_synchronous);
        let node = PgStore::open(server.clone(), settings).await?;
        let administration = Arc::new(Administration::open(server).await?);
        Ok(Store::Postgres(PostgresStore { node, administration, runtime: Handle::current() }))
    }

    /// Finishes the work that waits and closes a database file; see [`SqliteStore::close`].
    pub fn close(&self) {
        if let Store::Sqlite(store) = self {
            store.close();
        }
    }

    /// Has further connections to PostgreSQL, those of a node that is open included, use the password and the authorities
    /// of another description of the server. SQLite has none.
    ///
    /// # Errors
    /// A [`PostgresError`]: a connection with them fails. They stay in use, and so do the connections that are there.
    pub async fn use_access_of(&self, described: &Server) -> Result<(), PostgresError> {
        match self {
            Store::Sqlite(_) => Ok(()),
            Store::Postgres(store) => store.administration.use_access_of(described).await,
        }
    }

    /// Returns the key that seals cookies.
    pub(crate) fn key(&self) -> &Key {
        match self {
            Store::Sqlite(store) => store.key(),
            Store::Postgres(store) => store.node.key(),
        }
    }

    /// Returns the position of a sign-in that begins now: a logout that arrives later has this position or a later
    /// one.
    pub(crate) fn position(&self) -> Position {
        match self {
            Store::Sqlite(_) => system::position(),
            Store::Postgres(store) => store.node.position(),
        }
    }

    /// Makes the secret of a new session.
    pub(crate) fn new_secret(&self) -> Zeroizing<String> {
        let random = Zeroizing::new(random_token(&mut system::random));
        match self {
            Store::Sqlite(_) => random,
            Store::Postgres(store) => store.node.session_secret(&random),
        }
    }

    /// Returns the identifier of the session that a secret opens; the session may have ended. `None` for a secret
    /// that was invented, where that shows without a question to the database.
    pub(crate) fn session_id(&self, secret: &str) -> Option<SessionId> {
        let is_possible = match self {
            Store::Sqlite(_) => true,
            Store::Postgres(store) => store.node.made_secret(secret),
        };
        is_possible.then(|| SessionId::of_secret(secret))
    }

    /// Returns a live session. That is a use of it.
    ///
    /// # Errors
    /// [`Unsure`].
    pub async fn session(&self, id: SessionId) -> Result<Option<LiveSession>, Unsure> {
        match self {
            Store::Sqlite(store) => Ok(store.session(id, system::now())),
            Store::Postgres(store) => store.node.session(id).await,
        }
    }

    /// Returns why a verified token is not accepted any more; see [`SqliteStore::revocation`].
    ///
    /// # Errors
    /// A [`RevocationError`]: the token cannot be judged.
    pub async fn revocation(
        &self,
        token: &PresentedToken<'_>,
        leeway: u64,
    ) -> Result<Option<Revocation>, RevocationError> {
        match self {
            Store::Sqlite(store) => Ok(store.revocation(token, leeway)?),
            Store::Postgres(store) => store.node.revocation(token, leeway).await.map_err(|error| {
                tracing::debug!(%error, "a presented token cannot be judged");
                Unsure.into()
            }),
        }
    }

    /// Returns the user that a subject is linked to.
    ///
    /// # Errors
    /// [`Unsure`].
    pub async fn user_of_subject(&self, issuer: &str, subject: &str) -> Result<Option<User>, Unsure> {
        let user = match self {
            Store::Sqlite(store) => store.user_of_subject(issuer, subject).await,
            Store::Postgres(store) => {
                store.node.user_of_subject(issuer, subject).await.map_err(StoreError::from)
            }
        };
        user.map_err(|error| {
            tracing::warn!(%error, "a user cannot be read");
            Unsure
        })
    }

    /// Marks the `state` of a sign-in as used at all servers of the database. Returns `false` if it was used at
    /// another. A server alone remembers the states that were used itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn use_state(&self, state: &str) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(_) => Ok(true),
            Store::Postgres(store) => store.node.use_state(state).await,
        }
    }

    /// Counts an attempt on the password of a username, over all servers of the database: `burst` are allowed at
    /// once, and one more after each `wait`. Returns whether it is allowed; `None` if the server is to count it
    /// itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn allow_attempt(
        &self,
        username: &str,
        (burst, wait): (NonZeroU32, Duration),
    ) -> Result<Option<bool>, StoreError> {
        match self {
            Store::Sqlite(_) => Ok(None),
            Store::Postgres(store) => store.node.allow_attempt(username, (burst, wait)).await.map(Some),
        }
    }

    /// Looks up the user who signs in with a password.
    ///
    /// # Errors
    /// [`PasswordSignInError::Store`].
    pub async fn candidate(&self, username: String) -> Result<Candidate, PasswordSignInError> {
        match self {
            Store::Sqlite(store) => store.candidate(username).await,
            Store::Postgres(store) => store.node.candidate(&username).await,
        }
    }

    /// Opens the session of a user who proved a password, for `lifetime`, and records it as an event if one is given:
    /// without the user.
    ///
    /// # Errors
    /// A [`PasswordSignInError`]; nothing has changed then.
    pub async fn open_session(
        &self,
        authenticated: Authenticated,
        session: NewSession,
        lifetime: Duration,
        event: Option<Event>,
    ) -> Result<(), PasswordSignInError> {
        match self {
            Store::Sqlite(store) => store.open_session(authenticated, session, lifetime, event).await,
            Store::Postgres(store) => store.node.open_session(&authenticated, session, lifetime, event).await,
        }
    }

    /// Returns the live sessions of a user, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<ListedSession>, StoreError> {
        match self {
            Store::Sqlite(store) => {
                let list = store.transact(move |records| {
                    records.list_sessions(Some(user), MAX_SESSIONS_OF_USER, system::now())
                });
                list.await
            }
            Store::Postgres(store) => Ok(store.node.sessions_of(user).await?),
        }
    }

    /// Ends a session. Returns its origin, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_session(&self, session: SessionId) -> Result<Option<Origin>, StoreError> {
        match self {
            Store::Sqlite(store) => store.end_session(session).await,
            Store::Postgres(store) => store.node.end_session(session).await,
        }
    }

    /// Applies a batch of logouts, and notes whose sessions they name. `answer` is called with their results, in their order, must be short, and is
    /// dropped without a call if the work could not be done. The caller need not be within the runtime.
    ///
    /// # Errors
    /// [`StoreError`]: too much work waits.
    pub(crate) fn log_out_then(
        &self,
        logouts: Vec<ValidatedLogout>,
        answer: impl FnOnce(Result<Vec<Result<LoggedOut, Replayed>>, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(store) => {
                let owners = logouts.iter().map(|logout| store.owner_named(logout.record())).collect();
                store.log_out_then(logouts, |ended| answer(ended.map(|ended| LoggedOut::all(ended, owners))))
            }
            Store::Postgres(store) => {
                let node = store.node.clone();
                drop(store.runtime.spawn(async move {
                    let logouts: Vec<Logout> = logouts.iter().map(Logout::from).collect();
                    answer(node.log_out_with_owners(&logouts).await.map_err(StoreError::from));
                }));
                Ok(())
            }
        }
    }

    /// Applies a front-channel logout. Returns its effect, once that is durable.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_out_by_front_channel(
        &self,
        logout: FrontChannelLogout,
    ) -> Result<LoggedOut, StoreError> {
        match self {
            Store::Sqlite(store) => {
                let (owner, target) = (store.owner_named(logout.record()), logout.record().target.clone());
                let sessions = store.transact(move |records| logout.apply(records)).await?;
                Ok(LoggedOut::of_session(sessions, target, owner))
            }
            Store::Postgres(store) => {
                let mut results = store.node.log_out_with_owners(&[Logout::from(&logout)]).await?;
                Ok(results.pop().and_then(Result::ok).unwrap_or(LoggedOut::NOTHING))
            }
        }
    }

    /// Runs the work of an administrator in one transaction. Returns its result once the changes are durable. After
    /// an error, of the work or of the store, nothing has changed.
    ///
    /// # Errors
    /// The error of the work, or a [`StoreError`].
    pub async fn administer<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
    {
        match self {
            Store::Sqlite(store) => store.administer(work).await,
            Store::Postgres(store) => store.administration.administer(work).await,
        }
    }

    /// Runs work that only reads in one transaction. Over PostgreSQL it waits for none that writes, and what it writes
    /// is an error.
    ///
    /// # Errors
    /// The error of the work, or a [`StoreError`].
    pub async fn look<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
    {
        match self {
            Store::Sqlite(store) => store.administer(work).await,
            Store::Postgres(store) => store.administration.look(work).await,
        }
    }

    /// Counts users and live sessions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_people(&self, now: UnixTime) -> Result<PeopleCounts, StoreError> {
        let counts = self.look(move |records| records.count_people(now)).await?;
        Ok(match self {
            Store::Sqlite(store) => {
                PeopleCounts { sessions: u64::try_from(store.live_sessions()).unwrap_or(u64::MAX), ..counts }
            }
            Store::Postgres(_) => counts,
        })
    }

    /// Records events in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_events(&self, events: Vec<Event>) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(store) => store.record_events(events).await,
            Store::Postgres(store) => Ok(store.node.record_events(&events).await?),
        }
    }

    /// Lists events, beside what is written meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_events(&self, query: EventQuery) -> Result<Vec<ListedEvent>, StoreError> {
        match self {
            Store::Sqlite(store) => on_a_thread(store, move |store| store.list_events(query)).await,
            Store::Postgres(store) => Ok(store.administration.list_events(&query).await?),
        }
    }

    /// Counts the events of each kind by minutes, those of the last `minutes`, up to
    /// [`MAX_MINUTES`](super::MAX_MINUTES).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_events(&self, minutes: u32) -> Result<Vec<EventCount>, StoreError> {
        match self {
            Store::Sqlite(store) => on_a_thread(store, move |store| store.count_events(minutes)).await,
            Store::Postgres(store) => Ok(store.administration.count_events(minutes).await?),
        }
    }

    /// Deletes what is over, in short steps, and events beyond their limits. Over PostgreSQL it also logs what commands have changed; SQLite's thread
    /// does that itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_up(&self, events: EventLimits) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(store) => {
                store.purge(system::now()).await?;
                store.purge_events(events).await
            }
            Store::Postgres(store) => {
                for notice in store.administration.take_notices().await? {
                    tracing::info!(action = notice.action, about = notice.about, "changed by a command");
                }
                store.node.purge().await?;
                Ok(store.node.purge_events(events).await?)
            }
        }
    }

    /// Reports whether a server can answer: SQLite can be written, or the node of PostgreSQL has a lease.
    pub async fn is_ready(&self) -> bool {
        match self {
            Store::Sqlite(store) => store.is_ready().await,
            Store::Postgres(store) => store.node.lease().is_some(),
        }
    }

    /// Returns the state of the node of PostgreSQL; `None` for SQLite.
    #[must_use]
    pub fn node_state(&self) -> Option<NodeState> {
        match self {
            Store::Sqlite(_) => None,
            Store::Postgres(store) => Some(store.node.state()),
        }
    }

    /// Returns the number of logouts that were dropped from memory before their end. PostgreSQL drops none.
    #[must_use]
    pub fn dropped_logouts(&self) -> u64 {
        match self {
            Store::Sqlite(store) => store.dropped_logouts(),
            Store::Postgres(_) => 0,
        }
    }

    /// Returns the number of sessions in memory.
    #[must_use]
    pub fn sessions_in_memory(&self) -> usize {
        match self {
            Store::Sqlite(store) => store.live_sessions(),
            Store::Postgres(store) => store.node.state().cached_sessions,
        }
    }
}

/// Runs work that blocks beside the runtime's own threads.
async fn on_a_thread<T: Send + 'static>(
    store: &SqliteStore,
    work: impl FnOnce(&SqliteStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.unwrap_or_else(|error| Err(StoreError { reason: error.to_string() }))
}
