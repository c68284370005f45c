//! The operations of the server as whole decisions, over SQLite: each is one call of the store.

use std::time::Duration;

use claimgate::oidc::backchannel::{self, Ended, Replayed, ValidatedLogout};
use claimgate::oidc::password::{self, Authenticated, Candidate, PasswordSignInError};
use claimgate::oidc::records::{SessionRecords, StoreError};
use claimgate::oidc::session::{NewSession, Origin, SessionId};
use claimgate::oidc::sign_in::{self, Person, SignInError, SignInPolicy, SignedIn};

use super::{AdminRecords, SqliteStore};
use crate::system;

impl SqliteStore {
    /// Completes a sign-in through a provider. `fields` are the mapping's profile fields.
    ///
    /// # Errors
    /// A [`SignInError`]; nothing has changed then.
    pub async fn sign_in(
        &self,
        person: Person,
        fields: Vec<String>,
        policy: SignInPolicy,
        session: NewSession,
    ) -> Result<SignedIn, SignInError> {
        self.transact(move |records| {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            sign_in::complete(records, &person, &fields, &policy, session, system::now())
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

    /// Opens the session of a user who proved a password, for `lifetime` seconds.
    ///
    /// # Errors
    /// A [`PasswordSignInError`]; nothing has changed then.
    pub async fn open_session(
        &self,
        authenticated: Authenticated,
        session: NewSession,
        lifetime: Duration,
    ) -> Result<(), PasswordSignInError> {
        self.transact(move |records| authenticated.open(records, session, lifetime, system::now())).await
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
