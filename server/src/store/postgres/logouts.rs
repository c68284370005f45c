//! Logouts as batches, and what they mean for tokens that are presented.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::PostgresError;
use super::node::PgStore;
use crate::store::logged_out::{LoggedOut, sid_alone};
use crate::store::logout_entry::jti_fingerprint;
use crate::store::{PresentedToken, Revocation};
use crate::system;
use claimgate::oidc::backchannel::{Ended, Replayed, ValidatedLogout};
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::frontchannel::FrontChannelLogout;
use claimgate::oidc::records::{LogoutTarget, StoreError};
use claimgate::oidc::user::UserId;

/// Longest time that the record of a logout is kept: a year, more than any token lives.
const LONGEST_RETENTION: Duration = Duration::from_secs(366 * 86_400);
/// Shortest time between two lines of the log about users that cannot be read.
const OWNERS_PAUSE: Duration = Duration::from_secs(60);

/// A logout to apply.
#[derive(Clone, Debug)]
pub struct Logout {
    /// The provider's issuer.
    pub issuer: String,
    /// The token's `jti`.
    pub jti: String,
    /// The sessions that it names.
    pub target: LogoutTarget,
    /// The token's `iat`, by the provider's clock.
    pub issued_at: i64,
    /// The latest `iat` of an ID token whose session ends by its subject.
    pub issued_until: i64,
    /// How long the record is kept, in seconds.
    pub retention: i64,
}

impl From<&ValidatedLogout> for Logout {
    fn from(logout: &ValidatedLogout) -> Self {
        Self {
            issuer: logout.record().issuer.clone(),
            jti: logout.jti().to_owned(),
            target: logout.target().clone(),
            issued_at: logout.record().issued_at.0,
            issued_until: logout.issued_until().0,
            retention: i64::try_from(logout.retention().as_secs()).unwrap_or(i64::MAX),
        }
    }
}

impl From<&FrontChannelLogout> for Logout {
    fn from(logout: &FrontChannelLogout) -> Self {
        let record = logout.record();
        Self {
            issuer: record.issuer.clone(),
            jti: logout.jti().to_owned(),
            target: record.target.clone(),
            issued_at: record.issued_at.0,
            issued_until: record.issued_at.0,
            retention: i64::try_from(logout.retention().as_secs()).unwrap_or(i64::MAX),
        }
    }
}

/// The parameters of the function `log_out`: one element for each logout.
#[derive(Default)]
struct Columns {
    issuers: Vec<String>,
    issuer_of: Vec<i32>,
    jtis: Vec<Vec<u8>>,
    sids: Vec<Option<Vec<u8>>>,
    subjects: Vec<Option<Vec<u8>>>,
    issued_at: Vec<i64>,
    issued_until: Vec<i64>,
    retention: Vec<i64>,
}

impl Columns {
    fn push(&mut self, logout: &Logout) {
        let known = self.issuers.iter().position(|issuer| *issuer == logout.issuer);
        let issuer = known.unwrap_or_else(|| {
            self.issuers.push(logout.issuer.clone());
            self.issuers.len() - 1
        });
        let (sid, subject) = match &logout.target {
            LogoutTarget::Session { sid, subject } => (Some(sid), subject.as_ref()),
            LogoutTarget::Subject(subject) => (None, Some(subject)),
        };
        // The arrays of the database begin with 1.
        self.issuer_of.push(i32::try_from(issuer + 1).unwrap_or(i32::MAX));
        self.jtis.push(jti_tag(&logout.issuer, &logout.jti));
        self.sids.push(sid.map(|sid| tag(sid)));
        self.subjects.push(subject.map(|subject| tag(subject)));
        self.issued_at.push(logout.issued_at);
        self.issued_until.push(logout.issued_until);
        self.retention
            .push(logout.retention.min(i64::try_from(LONGEST_RETENTION.as_secs()).unwrap_or(i64::MAX)));
    }
}

/// Returns the fingerprint under which a value of a token is looked up.
pub(super) fn tag(value: &str) -> Vec<u8> {
    Fingerprint::of(value).0.to_vec()
}

/// Returns the fingerprint of an issuer's `jti`.
pub(super) fn jti_tag(issuer: &str, jti: &str) -> Vec<u8> {
    jti_fingerprint(issuer, jti).0.to_vec()
}

/// Logs that the events of logouts lack the users, at most once within [`OWNERS_PAUSE`].
fn report_unknown_owners(error: &PostgresError) {
    static REPORTED: Mutex<Option<Instant>> = Mutex::new(None);
    let mut reported = REPORTED.lock();
    if reported.is_none_or(|at| at.elapsed() >= OWNERS_PAUSE) {
        *reported = Some(Instant::now());
        tracing::warn!(%error, "the users of logged-out sessions cannot be read: the log of events does not name them");
    }
}

impl PgStore {
    /// Applies logouts in one transaction: each ends the sessions that it names, and is recorded. A replayed one has
    /// no effect, and does not affect the others.
    ///
    /// # Errors
    /// [`StoreError`]: one for all.
    pub async fn log_out(
        &self,
        logouts: &[ValidatedLogout],
    ) -> Result<Vec<Result<Ended, Replayed>>, StoreError> {
        let logouts: Vec<Logout> = logouts.iter().map(Logout::from).collect();
        Ok(self.apply_logouts(&logouts).await?)
    }

    /// Applies logouts as [`log_out`](Self::log_out) does.
    ///
    /// # Errors
    /// [`PostgresError`]: one for all.
    pub async fn apply_logouts(
        &self,
        logouts: &[Logout],
    ) -> Result<Vec<Result<Ended, Replayed>>, PostgresError> {
        let mut columns = Columns::default();
        logouts.iter().for_each(|logout| columns.push(logout));
        let Columns { issuers, issuer_of, jtis, sids, subjects, issued_at, issued_until, retention } =
            &columns;
        let sql = "SELECT fresh, ended_by FROM log_out($1, $2, $3, $4, $5, $6, $7, $8)";
        let rows = self
            .write(sql, &[issuers, issuer_of, jtis, sids, subjects, issued_at, issued_until, retention])
            .await?;
        let row =
            rows.first().ok_or_else(|| PostgresError::Unreadable("logouts have no result".to_owned()))?;
        let (fresh, ended_by): (Vec<i32>, Vec<i32>) = (row.try_get(0)?, row.try_get(1)?);
        let mut results: Vec<Result<Ended, Replayed>> = vec![Err(Replayed); logouts.len()];
        let index = |number: i32| usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        for number in fresh.into_iter().filter_map(index).filter(|number| *number < logouts.len()) {
            results[number] = Ok(Ended { sessions: 0, target: None });
        }
        for number in ended_by.into_iter().filter_map(index) {
            if let Some(Ok(ended)) = results.get_mut(number) {
                ended.sessions += 1;
                ended.target.get_or_insert_with(|| logouts[number].target.clone());
            }
        }
        Ok(results)
    }

    /// Applies logouts as [`log_out`](Self::log_out) does, and returns with each the user of the session that it names by
    /// `sid` alone; none if the users cannot be read, which affects no logout.
    ///
    /// # Errors
    /// [`PostgresError`]: one for all.
    pub async fn log_out_with_owners(
        &self,
        logouts: &[Logout],
    ) -> Result<Vec<Result<LoggedOut, Replayed>>, PostgresError> {
        let owners = self.owners(logouts).await.unwrap_or_else(|error| {
            report_unknown_owners(&error);
            vec![None; logouts.len()]
        });
        Ok(LoggedOut::all(self.apply_logouts(logouts).await?, owners))
    }

    /// Returns for each logout the user of the session that it names by `sid` alone.
    async fn owners(&self, logouts: &[Logout]) -> Result<Vec<Option<UserId>>, PostgresError> {
        let named = logouts.iter().enumerate();
        let named = named.filter_map(|(at, logout)| Some((at, &logout.issuer, sid_alone(&logout.target)?)));
        let mut owners = vec![None; logouts.len()];
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            return Ok(owners);
        }
        let sql = "SELECT named.at, s.user_id FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS named (issuer, tag, at)
            JOIN issuers i ON i.name = named.issuer JOIN sessions s ON s.sid_tag = named.tag AND s.issuer = i.id";
        let issuers: Vec<&str> = named.iter().map(|(_, issuer, _)| issuer.as_str()).collect();
        let tags: Vec<Vec<u8>> = named.iter().map(|(_, _, sid)| tag(sid)).collect();
        for row in self.read(sql, &[&issuers, &tags]).await? {
            let (at, user): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let place = usize::try_from(at - 1).ok().and_then(|at| named.get(at));
            if let Some((at, ..)) = place {
                owners[*at] = Some(UserId(user));
            }
        }
        Ok(owners)
    }

    /// Returns why a verified token is not accepted any more: its session or subject was logged out at or after its
    /// `iat` (by `sid` within `leeway` seconds), or its user is switched off.
    ///
    /// # Errors
    /// [`StoreError`]: the token cannot be judged.
    pub async fn revocation(
        &self,
        token: &PresentedToken<'_>,
        leeway: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        let sql = "WITH i AS (SELECT id AS number FROM issuers WHERE name = $1)
            SELECT EXISTS (SELECT FROM i JOIN links k ON k.issuer = i.number AND k.subject_tag = $2
                    JOIN users u ON u.id = k.user_id AND NOT u.active),
                EXISTS (SELECT FROM i JOIN logouts l ON l.issuer = i.number AND l.sid_tag = $3
                    WHERE $4 <= l.issued_at + $5)
                OR EXISTS (SELECT FROM i JOIN logouts l ON l.issuer = i.number AND l.subject_tag = $2
                    WHERE (l.sid_tag IS NULL OR $3::bytea IS NULL) AND $4 <= l.issued_at)";
        let lease_until = self.lease_until();
        let (subject, sid) = (token.subject.map(tag), token.sid.map(tag));
        let leeway = i64::try_from(leeway).unwrap_or(i64::MAX / 2);
        let rows = self.read(sql, &[&token.issuer, &subject, &sid, &token.issued_at.0, &leeway]).await?;
        // A primary that was replaced goes on answering reads.
        if system::boot_time() >= lease_until {
            return Err(PostgresError::NoLease.into());
        }
        let row =
            rows.first().ok_or_else(|| PostgresError::Unreadable("a token has no answer".to_owned()))?;
        let inactive = row.try_get(0).map_err(PostgresError::from)?;
        let logged_out: bool = row.try_get(1).map_err(PostgresError::from)?;
        Ok(if inactive { Some(Revocation::Inactive) } else { logged_out.then_some(Revocation::LoggedOut) })
    }
}
