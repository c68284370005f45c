//! The grants by which sessions are refreshed: what is kept of them, and how they are read and written within one
//! transaction, over SQLite.

use std::time::Duration;

use rusqlite::params;

use super::records::SqliteRecords;
use super::session_index::Effect;
use crate::system;
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::refresh::StoredGrant;
use claimgate::oidc::session::SessionId;

/// The table of SQLite.
pub(super) const TABLE: &str = "
    -- Grants by session, sealed. `due` is the time of the next refresh.
    CREATE TABLE refresh (
        session BLOB PRIMARY KEY,
        provider TEXT NOT NULL,
        sealed TEXT NOT NULL,
        due INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX refresh_due ON refresh (provider, due);
    CREATE TRIGGER refresh_of_ended AFTER DELETE ON session BEGIN
        DELETE FROM refresh WHERE session = OLD.id;
    END;
";

/// How long a refresh stays claimed: longer than the calls to the provider and the writes take together. A server that
/// takes longer has stopped.
pub const CLAIMED_FOR: Duration = Duration::from_secs(120);

/// A grant to keep with a session that a sign-in opens.
#[derive(Clone, Debug)]
pub struct NewRefresh {
    /// The provider, by its id in the configuration.
    pub provider: String,
    /// The grant.
    pub grant: StoredGrant,
    /// The time until the first refresh.
    pub after: Duration,
}

/// The same, sealed.
#[derive(Clone, Debug)]
pub struct SealedGrant {
    pub(super) provider: String,
    pub(super) sealed: String,
    pub(super) after: Duration,
}

/// A row of a claimed refresh: session, sealed grant, and the present name of the issuer.
pub(super) type ClaimedRow = (SessionId, String, String);

/// What a refresh reads and writes of a session, within one transaction.
pub trait RefreshRecords {
    /// Reports whether a session has this sealed grant.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn has_grant(&mut self, session: SessionId, sealed: &str) -> Result<bool, StoreError>;

    /// Returns the present name of the issuer of a session; none for a session of a password, or that is not there.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn issuer_of(&mut self, session: SessionId) -> Result<Option<String>, StoreError>;

    /// Sets the time until the next refresh.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn schedule_refresh(&mut self, session: SessionId, after: Duration) -> Result<(), StoreError>;

    /// Returns the values of claims that a session keeps.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn kept_claims(&mut self, session: SessionId) -> Result<KeptClaims, StoreError>;

    /// Has a session keep these values of claims. That is no use of the session.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn keep_claims(&mut self, session: SessionId, claims: &KeptClaims) -> Result<(), StoreError>;
}

/// Returns the time so long from now, in seconds. A part of a second counts as one.
fn seconds_from_now(after: Duration) -> i64 {
    let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    system::now().saturating_add(seconds).0
}

impl RefreshRecords for SqliteRecords<'_> {
    fn has_grant(&mut self, session: SessionId, sealed: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM refresh JOIN session ON session.id = refresh.session
            WHERE refresh.session = ?1 AND sealed = ?2 AND expires > ?3 AND NOT is_ended(session.id)";
        let found = self.query_first(sql, params![session.0, sealed, system::now().0], |_| Ok(()))?;
        Ok(found.is_some())
    }

    fn issuer_of(&mut self, session: SessionId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT issuer FROM session WHERE id = ?1";
        Ok(self.query_first(sql, params![session.0], |row| row.get(0))?.flatten())
    }

    fn schedule_refresh(&mut self, session: SessionId, after: Duration) -> Result<(), StoreError> {
        let sql = "UPDATE refresh SET due = ?2 WHERE session = ?1";
        self.execute(sql, params![session.0, seconds_from_now(after)]).map(drop)
    }

    fn kept_claims(&mut self, session: SessionId) -> Result<KeptClaims, StoreError> {
        let sql = "SELECT claims FROM session WHERE id = ?1";
        let found = self.query_all("session", sql, params![session.0], |row| row.get(0))?;
        Ok(KeptClaims::from_json(found.into_iter().next().flatten()))
    }

    fn keep_claims(&mut self, session: SessionId, claims: &KeptClaims) -> Result<(), StoreError> {
        let sql = "UPDATE session SET claims = ?2 WHERE id = ?1";
        self.execute(sql, params![session.0, claims.as_json()])?;
        self.effects.push(Effect::KeptClaims { id: session, claims: claims.clone() });
        Ok(())
    }
}

impl SqliteRecords<'_> {
    /// Keeps the grant of a session that the same transaction has opened.
    pub(super) fn keep_grant(&mut self, session: SessionId, grant: &SealedGrant) -> Result<(), StoreError> {
        let SealedGrant { provider, sealed, after } = grant;
        let sql = "INSERT INTO refresh (session, provider, sealed, due) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, params![session.0, provider, sealed, seconds_from_now(*after)]).map(drop)
    }

    pub(super) fn claim_refreshes(
        &mut self,
        provider: &str,
        most: u32,
    ) -> Result<Vec<ClaimedRow>, StoreError> {
        let sql = "SELECT refresh.session, sealed, issuer FROM refresh JOIN session ON session.id = refresh.session
            WHERE provider = ?1 AND due <= ?2 AND expires > ?2 AND NOT is_ended(session.id) ORDER BY due LIMIT ?3";
        let read = |row: &rusqlite::Row<'_>| Ok((SessionId(row.get(0)?), row.get(1)?, row.get(2)?));
        let due = self.query_all("refresh", sql, params![provider, system::now().0, most], read)?;
        for (session, ..) in &due {
            self.schedule_refresh(*session, CLAIMED_FOR)?;
        }
        Ok(due)
    }

    pub(super) fn rotate_grant(
        &mut self,
        session: SessionId,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let sql =
            "UPDATE refresh SET sealed = ?3 WHERE session = ?1 AND sealed = ?2 AND NOT is_ended(session)";
        Ok(self.execute(sql, params![session.0, old, new])? == 1)
    }

    pub(super) fn forget_grants_but(&mut self, providers: &[String]) -> Result<usize, StoreError> {
        let names = serde_json::to_string(providers);
        let names = names.map_err(|error| StoreError { reason: error.to_string() })?;
        self.execute("DELETE FROM refresh WHERE provider NOT IN (SELECT value FROM json_each(?1))", [names])
    }
}
