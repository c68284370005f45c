//! Refreshes of sessions, shared by the nodes: each claims some of those that are due. Times are the database's.

use std::time::Duration;

use tokio_postgres::Row;

use super::error::PostgresError;
use super::listing::{read_session_id, readable};
use super::node::PgStore;
use super::records::PostgresRecords;
use crate::store::grants::{CLAIMED_FOR, ClaimedRow, RefreshRecords};
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::SessionId;

/// Returns a duration in milliseconds.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl PgStore {
    /// Claims refreshes that are due, but none that another node is claiming.
    pub(in crate::store) async fn claim_refreshes(
        &self,
        provider: &str,
        most: u32,
    ) -> Result<Vec<ClaimedRow>, PostgresError> {
        let most = i64::from(most);
        let sql = "SELECT session, sealed, issuer FROM claim_refreshes($1, $2, $3)";
        let rows = self.write_beside(sql, &[&provider, &most, &milliseconds(CLAIMED_FOR)]).await?;
        let read = |row: &Row| Ok((read_session_id(row)?, row.try_get(1)?, row.try_get(2)?));
        Ok(readable("refreshes", &rows, read))
    }

    /// Keeps a sealed grant in place of another. Returns `false` if that is not there any more.
    pub(in crate::store) async fn rotate_grant(
        &self,
        session: SessionId,
        old: &str,
        new: &str,
    ) -> Result<bool, PostgresError> {
        let sql = "UPDATE refreshes SET sealed = $3 WHERE session = $1 AND sealed = $2 RETURNING true";
        Ok(!self.write_beside(sql, &[&&session.0[..], &old, &new]).await?.is_empty())
    }

    /// Sets the time until the next refresh. Returns `false` if the session does not have this sealed grant any more.
    pub(in crate::store) async fn schedule_refresh(
        &self,
        session: SessionId,
        sealed: &str,
        after: Duration,
    ) -> Result<bool, PostgresError> {
        let sql = "UPDATE refreshes SET due = now() + $3::bigint * interval '1 millisecond'
            WHERE session = $1 AND sealed = $2 RETURNING true";
        let rows = self.write_beside(sql, &[&&session.0[..], &sealed, &milliseconds(after)]).await?;
        Ok(!rows.is_empty())
    }

    /// Deletes the grants of all providers but these. Returns their number.
    pub(in crate::store) async fn forget_grants_but(
        &self,
        providers: &[String],
    ) -> Result<usize, PostgresError> {
        let sql = "DELETE FROM refreshes WHERE provider <> ALL ($1) RETURNING true";
        Ok(self.write_beside(sql, &[&providers]).await?.len())
    }
}

impl RefreshRecords for PostgresRecords<'_> {
    fn has_grant(&mut self, session: SessionId, sealed: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM refreshes WHERE session = $1 AND sealed = $2";
        Ok(self.query_first(sql, &[&session.0.as_slice(), &sealed])?.is_some())
    }

    fn issuer_of(&mut self, session: SessionId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT i.name FROM sessions s JOIN issuers i ON i.id = s.issuer WHERE s.id = $1";
        Ok(self.query_first(sql, &[&session.0.as_slice()])?.map(|row| row.get(0)))
    }

    fn schedule_refresh(&mut self, session: SessionId, after: Duration) -> Result<(), StoreError> {
        let sql =
            "UPDATE refreshes SET due = now() + $2::bigint * interval '1 millisecond' WHERE session = $1";
        self.execute(sql, &[&session.0.as_slice(), &milliseconds(after)]).map(drop)
    }

    fn kept_claims(&mut self, session: SessionId) -> Result<KeptClaims, StoreError> {
        let row = self.query_first("SELECT claims FROM sessions WHERE id = $1", &[&session.0.as_slice()])?;
        Ok(KeptClaims::from_json(row.and_then(|row| row.get(0))))
    }

    fn keep_claims(&mut self, session: SessionId, claims: &KeptClaims) -> Result<(), StoreError> {
        let id = session.0.as_slice();
        self.execute("UPDATE sessions SET claims = $2 WHERE id = $1", &[&id, &claims.as_json()])?;
        self.read_again(session);
        Ok(())
    }
}
