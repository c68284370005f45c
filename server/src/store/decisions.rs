//! The operations of the server as whole decisions, over SQLite: each is one call of the store.

use std::time::Duration;

use rusqlite::Connection;

use claimgate::oidc::backchannel::{self, Ended, Replayed, ValidatedLogout};
use claimgate::oidc::password::{self, Authenticated, Candidate, PasswordSignInError};
use claimgate::oidc::records::{SessionRecords, StoreError};
use claimgate::oidc::session::{NewSession, Origin, SessionId};
use claimgate::oidc::sign_in::{self, Person, SignInError, SignInPolicy, SignedIn};
use claimgate::oidc::sync::Change;

use super::error::store_error;
use super::events::sqlite as events;
use super::grants::SealedGrant;
use super::schema;
use super::{AdminRecords, Event, EventCount, EventQuery, ListedEvent, MAX_MINUTES, SqliteStore};
use crate::system;

impl SqliteStore {
    /// Completes a sign-in through a provider, keeps its grant if there is one, and records it as an event. `fields` are the mapping's profile fields.
    ///
    /// # Errors
    /// A [`SignInError`]; nothing has changed then.
    pub async fn sign_in(
        &self,
        person: Person,
        fields: Vec<String>,
        policy: SignInPolicy,
        session: NewSession,
        event: Option<Event>,
        grant: Option<SealedGrant>,
    ) -> Result<SignedIn, SignInError> {
        self.transact(move |records| {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let signed_in = sign_in::complete(records, &person, &fields, &policy, session, system::now())?;
            if let Some(grant) = grant {
                records.keep_grant(session.id, &grant)?;
            }
            if let Some(event) = event {
                let kind = signed_in.changes.iter().find_map(|change| match change {
                    Change::SetKind { from, to } => Some(event.of_kind(&signed_in.user, *from, *to)),
                    _ => None,
                });
                let events: Vec<Event> =
                    kind.into_iter().chain([event.of_sign_in(&person, &signed_in)]).collect();
                records.add_events(&events)?;
            }
            Ok(signed_in)
        })
        .await
    }

    /// Looks up the user who signs in with a password.
    ///
    /// # Errors
    /// [`PasswordSignInError::Store`].
    pub async fn candidate(&self, username: String) -> Result<Candidate, PasswordSignInError> {
        self.transact(move |records| password::look_up(records, &username)).await
    }

    /// Opens the session of a user who proved a password, for `lifetime` seconds, and records it as an event.
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
        self.transact(move |records| {
            let username = authenticated.user().username.clone();
            authenticated.open(records, session, lifetime, system::now())?;
            if let Some(event) = event {
                records.add_events(&[event.user(&username)])?;
            }
            Ok(())
        })
        .await
    }

    /// Ends a session. Returns its origin, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_session(&self, session: SessionId) -> Result<Option<Origin>, StoreError> {
        self.transact(move |records| records.end_session(session)).await
    }

    /// Applies a batch of logouts. `answer` is called with their results, in their order, on the writing thread, and
    /// must be short; it is dropped without a call if the work could not begin.
    pub(crate) fn log_out_then(
        &self,
        logouts: Vec<ValidatedLogout>,
        answer: impl FnOnce(Result<Vec<Result<Ended, Replayed>>, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.transact_then(move |records| backchannel::apply_all(records, &logouts), answer)
    }

    /// Records events in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_events(&self, events: Vec<Event>) -> Result<(), StoreError> {
        self.transact(move |records| records.add_events(&events)).await
    }

    /// Lists events. Reads the file beside the writing thread. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list_events(&self, query: EventQuery) -> Result<Vec<ListedEvent>, StoreError> {
        self.read_beside(move |connection| events::list(connection, &query))
    }

    /// Counts the events of each kind by minutes, those of the last `minutes`, up to [`MAX_MINUTES`]. Reads the file
    /// beside the writing thread. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count_events(&self, minutes: u32) -> Result<Vec<EventCount>, StoreError> {
        let minute = 60_000_000;
        let from = (system::micros() / minute - i64::from(minutes.clamp(1, MAX_MINUTES)) + 1) * minute;
        self.read_beside(move |connection| events::counts(connection, from))
    }

    /// Reads the file on a connection of its own, in one transaction; a database in memory on the writing thread's.
    fn read_beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match schema::open_to_read(self.file.as_deref()) {
            Ok(Some(beside)) => beside
                .unchecked_transaction()
                .and_then(|snapshot| read(&snapshot))
                .map_err(|error| store_error(&error)),
            Ok(None) => self.transact_blocking(move |records| {
                read(records.connection).map_err(|error| store_error(&error))
            }),
            Err(error) => Err(store_error(&error)),
        }
    }

    /// Reports whether the store can be written.
    pub async fn is_ready(&self) -> bool {
        self.transact(|_| Ok::<(), StoreError>(())).await.is_ok()
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
        self.transact(move |records| work(records)).await
    }

    /// Does the same as [`administer`](Self::administer), blocking the thread.
    ///
    /// # Errors
    /// The error of the work, or a [`StoreError`].
    pub fn administer_blocking<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
    {
        self.transact_blocking(move |records| work(records))
    }
}
