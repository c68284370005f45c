//! The port [`Records`] on PostgreSQL, for administration: one transaction whose first statement locks the order row,
//! so that nothing else is written until it ends. What it ended and changed is one step of the feed. A transaction that
//! only reads takes no position and waits for no lock.
//!
//! A sign-in or a logout is one call of a function of the database instead: this holds the lock over many.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Transaction};

use super::connection::Connection;
use super::error::PostgresError;
use super::logouts::{jti_tag, tag};
use super::rows::{self, to_json};
use super::session::within;
use crate::store::bad_rows::BadRows;
use crate::store::events::erased_name;
use crate::store::key::{Key, id_token_purpose, open_id_token};
use crate::store::notices::names_user;
use crate::system;
use claimgate::oidc::records::{
    LogoutRecord, LogoutRecords, LogoutTarget, PasswordRecords, Position, Records, RenamedIssuer,
    SessionRecords, SignInRecords, StoreError, UserRecords,
};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::oidc::user::{User, UserId, UserKind};
use claimgate::time::UnixTime;

/// Longest wait for one statement. Then the connection is dropped: whether a commit took effect is not known.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a statement that reads or copies all logouts or sessions of an issuer, or a batch of another
/// store. Meanwhile nothing else is written.
pub(super) const LONG_TIMEOUT: Duration = Duration::from_secs(300);

/// Selects the sessions of an issuer that its kept logouts name: by `sid` all, and by subject those that are not
/// newer.
const LOGGED_OUT: &str = "issuer = $1 AND (
        EXISTS (SELECT FROM logouts AS l WHERE l.issuer = $1 AND l.sid_tag = sessions.sid_tag)
        OR EXISTS (SELECT FROM logouts AS l WHERE l.issuer = $1 AND l.subject_tag = sessions.subject_tag
            AND (l.sid_tag IS NULL OR sessions.sid_tag IS NULL) AND sessions.issued_at <= l.issued_at))";

/// Waits for one statement.
pub(super) fn wait<T>(
    runtime: &Handle,
    statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, PostgresError> {
    within_time(runtime, STATEMENT_TIMEOUT, async { Ok(statement.await?) })
}

/// Checks that the commit of a connection counts.
pub(super) fn confirm(runtime: &Handle, connection: &Connection) -> Result<(), PostgresError> {
    within_time(runtime, STATEMENT_TIMEOUT, connection.committed())
}

/// Waits for work of the database, no longer than `most`.
pub(super) fn within_time<T>(
    runtime: &Handle,
    most: Duration,
    work: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    runtime.block_on(within(most, work))
}

/// The records within one transaction.
pub(super) struct PostgresRecords<'t> {
    transaction: Transaction<'t>,
    runtime: &'t Handle,
    key: &'t Key,
    /// The position of the transaction; 0 if it only reads.
    position: i64,
    /// The sessions that it ended, for the feed.
    ended: Vec<Vec<u8>>,
    /// The users that it changed, for the feed.
    changed: BTreeSet<i64>,
    /// The sessions that it changed, for the feed.
    read_again: Vec<Vec<u8>>,
}

/// A parameter of a statement.
pub(super) type Parameter<'p> = &'p (dyn ToSql + Sync);

/// The columns of a user, in the order of [`rows::read_user`].
pub(super) const USER: &str =
    "users.id, users.username, users.kind, users.active, users.profile, users.teams";

impl<'t> PostgresRecords<'t> {
    /// Begins: takes the next position, and with it the order row.
    pub(super) fn begin(
        transaction: Transaction<'t>,
        runtime: &'t Handle,
        key: &'t Key,
    ) -> Result<Self, StoreError> {
        let mut records = Self::reading(transaction, runtime, key);
        let row = records.query_first("SELECT take_position()", &[])?;
        records.position = row.map_or(0, |row| row.get(0));
        Ok(records)
    }

    /// Begins a transaction that only reads: one in which PostgreSQL refuses to write.
    pub(super) fn reading(transaction: Transaction<'t>, runtime: &'t Handle, key: &'t Key) -> Self {
        Self {
            transaction,
            runtime,
            key,
            position: 0,
            ended: Vec::new(),
            changed: BTreeSet::new(),
            read_again: Vec::new(),
        }
    }

    pub(super) fn query(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        Ok(wait(self.runtime, self.transaction.query(sql, parameters))?)
    }

    pub(super) fn query_first(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, parameters)?.into_iter().next())
    }

    /// Returns the number of rows that a statement changed.
    pub(super) fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<usize, StoreError> {
        let rows = wait(self.runtime, self.transaction.execute(sql, parameters))?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    fn user_where(&self, condition: &str, parameters: &[Parameter<'_>]) -> Result<Option<User>, StoreError> {
        let row = self.query_first(&format!("SELECT {USER} FROM users {condition}"), parameters)?;
        Ok(row.as_ref().map(read_user).transpose()?)
    }

    /// Has nodes that have a session in memory read it again.
    pub(super) fn read_again(&mut self, session: SessionId) {
        self.read_again.push(session.0.to_vec());
    }

    /// Deletes the sessions that a condition names. Returns the number of sessions deleted.
    fn end_where(&mut self, condition: &str, parameters: &[Parameter<'_>]) -> Result<usize, StoreError> {
        let sql = format!("DELETE FROM sessions WHERE {condition} RETURNING id");
        let statement = async { Ok(self.transaction.query(&sql, parameters).await?) };
        let rows = within_time(self.runtime, LONG_TIMEOUT, statement)?;
        self.ended.extend(rows.iter().map(|row| row.get::<_, Vec<u8>>(0)));
        Ok(rows.len())
    }

    /// Gives a new version to the users that a condition names, and names them in the feed.
    fn change_users(&mut self, condition: &str, parameter: Parameter<'_>) -> Result<(), StoreError> {
        let sql = format!("UPDATE users SET version = $2 WHERE {condition} RETURNING id");
        let rows = self.query(&sql, &[parameter, &self.position])?;
        self.changed.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
        Ok(())
    }

    /// Deletes the notices that name a user.
    fn forget_notices_of(&self, username: &str) -> Result<(), StoreError> {
        for row in self.query("SELECT id, about FROM notices", &[])? {
            if names_user(row.get(1), username) {
                self.execute("DELETE FROM notices WHERE id = $1", &[&row.get::<_, i64>(0)])?;
            }
        }
        Ok(())
    }

    /// Takes what names a person out of the events: as the user, or as the administrator of a change.
    fn erase_from_events(&self, id: UserId, username: &str) -> Result<(), StoreError> {
        let parameters: [Parameter<'_>; 3] = [&id.0, &username, &erased_name(id)];
        let sql = "UPDATE events SET username = $3, subject = NULL, client = NULL, detail = NULL
            WHERE user_id = $1 OR username = $2";
        self.execute_long(sql, &parameters)?;
        let sql = "UPDATE events SET admin = $3, client = NULL WHERE admin_id = $1 OR admin = $2";
        self.execute_long(sql, &parameters).map(drop)
    }

    fn issuer_number(&self, issuer: &str) -> Result<i32, StoreError> {
        let row = self.query_first("SELECT issuer_number($1)", &[&issuer])?;
        row.map(|row| row.get(0)).ok_or_else(|| StoreError { reason: "an issuer has no number".to_owned() })
    }

    /// Does the same as [`execute`](Self::execute), for a statement that may take long.
    fn execute_long(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<usize, StoreError> {
        let statement = async { Ok(self.transaction.execute(sql, parameters).await?) };
        let rows = within_time(self.runtime, LONG_TIMEOUT, statement)?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    /// Ends a transaction that only read.
    pub(super) fn end(self) -> Result<(), StoreError> {
        Ok(wait(self.runtime, self.transaction.commit())?)
    }

    /// Writes the step of the feed and commits.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        let changed: Vec<i64> = self.changed.iter().copied().collect();
        let parameters: [Parameter<'_>; 3] = [&self.position, &self.ended, &changed];
        wait(self.runtime, self.transaction.execute("SELECT complete_step($1, $2, $3)", &parameters))?;
        if !self.read_again.is_empty() {
            // As if they had ended: then they are read.
            self.execute(
                "UPDATE steps SET ended = ended || $2 WHERE seq = $1",
                &[&self.position, &self.read_again],
            )?;
        }
        Ok(wait(self.runtime, self.transaction.commit())?)
    }
}

impl UserRecords for PostgresRecords<'_> {
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        self.user_where("WHERE id = $1", &[&id.0])
    }

    fn user_by_name(&mut self, username: &str) -> Result<Option<User>, StoreError> {
        self.user_where("WHERE username = $1", &[&username])
    }
}

impl SessionRecords for PostgresRecords<'_> {
    fn open_session(&mut self, session: &Session) -> Result<(), StoreError> {
        let oidc = match &session.origin {
            Origin::Oidc(origin) => Some(origin),
            Origin::Password => None,
        };
        let issuer = oidc.map(|origin| self.issuer_number(&origin.issuer)).transpose()?;
        let subject = oidc.map(|origin| &origin.subject);
        let sid = oidc.and_then(|origin| origin.sid.as_ref());
        let issued_at = oidc.map(|origin| origin.issued_at.0);
        let (subject_tag, sid_tag) = (subject.map(|subject| tag(subject)), sid.map(|sid| tag(sid)));
        let lifetime = session.expires.0.saturating_sub(session.created.0);
        let id = session.id.0.as_slice();
        let sql = "INSERT INTO sessions
            (id, user_id, issuer, subject_tag, sid_tag, subject, sid, issued_at, expires, authenticated, claims)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + $9::bigint * interval '1 second',
                now() - $10::bigint * interval '1 second', $11)";
        let since = session.facts.authenticated.map(|time| session.created.0.saturating_sub(time.0));
        let claims = session.facts.claims.as_json();
        let parameters: [Parameter<'_>; 11] = [
            &id,
            &session.user.0,
            &issuer,
            &subject_tag,
            &sid_tag,
            &subject,
            &sid,
            &issued_at,
            &lifetime,
            &since,
            &claims,
        ];
        self.execute(sql, &parameters)?;
        if let Some(token) = oidc.and_then(|origin| origin.id_token.as_ref()) {
            let sealed = self.key.seal(&id_token_purpose(session.id), token);
            self.execute("INSERT INTO id_tokens (session, sealed) VALUES ($1, $2)", &[&id, &sealed])?;
        }
        Ok(())
    }

    fn end_session(&mut self, id: SessionId) -> Result<Option<Origin>, StoreError> {
        let sql = "WITH gone AS (DELETE FROM sessions WHERE id = $1 RETURNING *)
            SELECT issuers.name, gone.subject, gone.sid, gone.issued_at, id_tokens.sealed FROM gone
            LEFT JOIN issuers ON issuers.id = gone.issuer LEFT JOIN id_tokens ON id_tokens.session = gone.id";
        let row = self.query_first(sql, &[&id.0.as_slice()])?;
        self.ended.push(id.0.to_vec());
        Ok(row.map(|row| read_origin(&row, id, self.key)))
    }

    fn end_oldest_sessions(&mut self, user: UserId, most: u32) -> Result<usize, StoreError> {
        let oldest =
            "id IN (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created DESC, id DESC OFFSET $2)";
        self.end_where(oldest, &[&user.0, &i64::from(most)])
    }
}

impl SignInRecords for PostgresRecords<'_> {
    fn user_by_link(&mut self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let condition = "JOIN links ON links.user_id = users.id JOIN issuers ON issuers.id = links.issuer
            WHERE issuers.name = $1 AND links.subject_tag = $2";
        self.user_where(condition, &[&issuer, &tag(subject)])
    }

    fn is_linked(&mut self, user: UserId) -> Result<bool, StoreError> {
        Ok(self.query_first("SELECT 1 FROM links WHERE user_id = $1 LIMIT 1", &[&user.0])?.is_some())
    }

    fn link(&mut self, issuer: &str, subject: &str, user: UserId) -> Result<(), StoreError> {
        let issuer = self.issuer_number(issuer)?;
        let sql = "INSERT INTO links (issuer, subject_tag, subject, user_id) VALUES ($1, $2, $3, $4)";
        self.execute(sql, &[&issuer, &tag(subject), &subject, &user.0])?;
        self.change_users("id = $1", &user.0)
    }

    fn create_user(&mut self, username: &str, kind: UserKind, _: UnixTime) -> Result<User, StoreError> {
        let sql = format!(
            "INSERT INTO users (username, kind, active, profile, teams, version)
            VALUES ($1, $2, true, '{{}}', '{{}}', $3) RETURNING {USER}"
        );
        let row = self.query_first(&sql, &[&username, &kind.name(), &self.position])?;
        let row = row.ok_or_else(|| StoreError { reason: "a user just created is missing".to_owned() })?;
        Ok(read_user(&row)?)
    }

    fn update_user(&mut self, user: &User, _: UnixTime) -> Result<(), StoreError> {
        let (profile, teams) = (to_json(&user.profile)?, to_json(&user.teams)?);
        let sql = "UPDATE users SET username = $2, kind = $3, active = $4, profile = $5, teams = $6, updated = now()
            WHERE id = $1";
        let kind = user.kind.name();
        self.execute(sql, &[&user.id.0, &user.username, &kind, &user.active, &profile, &teams])?;
        self.change_users("id = $1", &user.id.0)
    }

    fn newest_logout(
        &mut self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Result<Option<(UnixTime, Position)>, StoreError> {
        let sql = "SELECT max(issued_at), max(seq) FROM logouts JOIN issuers ON issuers.id = logouts.issuer
            WHERE issuers.name = $1
            AND (sid_tag = $2 OR (subject_tag = $3 AND (sid_tag IS NULL OR $2::bytea IS NULL)))";
        let row = self.query_first(sql, &[&issuer, &sid.map(tag), &tag(subject)])?;
        let newest = |row: Row| Some((UnixTime(row.get::<_, Option<i64>>(0)?), Position(row.get(1))));
        Ok(row.and_then(newest))
    }
}

impl PasswordRecords for PostgresRecords<'_> {
    fn password(&mut self, user: UserId) -> Result<Option<String>, StoreError> {
        let row = self.query_first("SELECT password FROM users WHERE id = $1", &[&user.0])?;
        Ok(row.and_then(|row| row.get(0)))
    }
}

impl LogoutRecords for PostgresRecords<'_> {
    fn record_logout(&mut self, jti: &str, record: &LogoutRecord) -> Result<bool, StoreError> {
        let (sid, subject) = match &record.target {
            LogoutTarget::Subject(subject) => (None, Some(subject)),
            LogoutTarget::Session { sid, subject } => (Some(sid), subject.as_ref()),
        };
        let (sid, subject) = (sid.map(|sid| tag(sid)), subject.map(|subject| tag(subject)));
        let issuer = self.issuer_number(&record.issuer)?;
        // The database's clock decides when it is over.
        let kept = record.until.0.saturating_sub(system::now().0);
        let sql = "INSERT INTO logouts (jti, sid_tag, subject_tag, issued_at, seq, until, issuer, n)
            VALUES ($1, $2, $3, $4, $5, now() + $6::bigint * interval '1 second', $7, 0)
            ON CONFLICT (jti) DO NOTHING";
        let parameters: [Parameter<'_>; 7] = [
            &jti_tag(&record.issuer, jti),
            &sid,
            &subject,
            &record.issued_at.0,
            &self.position,
            &kept,
            &issuer,
        ];
        Ok(self.execute(sql, &parameters)? == 1)
    }

    fn end_logged_out(
        &mut self,
        issuer: &str,
        target: &LogoutTarget,
        issued_until: UnixTime,
    ) -> Result<usize, StoreError> {
        let (issuer, until) = (self.issuer_number(issuer)?, issued_until.0);
        let by_subject = "issuer = $1 AND subject_tag = $2 AND issued_at <= $3";
        match target {
            LogoutTarget::Subject(subject) => self.end_where(by_subject, &[&issuer, &tag(subject), &until]),
            LogoutTarget::Session { sid, subject } => {
                let mut ended = self.end_where("issuer = $1 AND sid_tag = $2", &[&issuer, &tag(sid)])?;
                if let Some(subject) = subject {
                    let without_sid = format!("{by_subject} AND sid_tag IS NULL");
                    ended += self.end_where(&without_sid, &[&issuer, &tag(subject), &until])?;
                }
                Ok(ended)
            }
        }
    }
}

impl Records for PostgresRecords<'_> {
    fn session_owner(&mut self, id: SessionId) -> Result<Option<User>, StoreError> {
        let condition = "JOIN sessions ON sessions.user_id = users.id
            WHERE sessions.id = $1 AND sessions.expires > now()";
        self.user_where(condition, &[&id.0.as_slice()])
    }

    fn end_sessions_of(&mut self, user: UserId) -> Result<usize, StoreError> {
        self.end_where("user_id = $1", &[&user.0])
    }

    fn has_other_super_admin(&mut self, user: UserId) -> Result<bool, StoreError> {
        let sql =
            "SELECT 1 FROM users WHERE kind = $2 AND active AND password IS NOT NULL AND id <> $1 LIMIT 1";
        Ok(self.query_first(sql, &[&user.0, &UserKind::SuperAdmin.name()])?.is_some())
    }

    fn set_password(&mut self, user: UserId, hash: &str, _: UnixTime) -> Result<(), StoreError> {
        self.execute("UPDATE users SET password = $2, updated = now() WHERE id = $1", &[&user.0, &hash])?;
        self.change_users("id = $1", &user.0)
    }

    fn subjects_of(
        &mut self,
        user: UserId,
        issuer: Option<&str>,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT issuers.name, links.subject FROM links JOIN issuers ON issuers.id = links.issuer
            WHERE user_id = $1 AND ($2::text IS NULL OR issuers.name = $2) ORDER BY issuers.name, links.subject";
        Ok(self.query(sql, &[&user.0, &issuer])?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn unlink(&mut self, user: UserId, issuer: Option<&str>) -> Result<usize, StoreError> {
        let sql = "DELETE FROM links USING issuers WHERE issuers.id = links.issuer AND user_id = $1
            AND ($2::text IS NULL OR issuers.name = $2)";
        let links = self.execute(sql, &[&user.0, &issuer])?;
        self.change_users("id = $1", &user.0)?;
        Ok(links)
    }

    fn unlink_issuer(&mut self, issuer: &str) -> Result<(usize, usize), StoreError> {
        let issuer = self.issuer_number(issuer)?;
        self.change_users("id IN (SELECT user_id FROM links WHERE issuer = $1)", &issuer)?;
        let links = self.execute("DELETE FROM links WHERE issuer = $1", &[&issuer])?;
        Ok((links, self.end_where("issuer = $1", &[&issuer])?))
    }

    fn users_linked_apart(&mut self, old: &str, new: &str) -> Result<Vec<UserId>, StoreError> {
        let sql = "SELECT before.user_id FROM links AS before JOIN links AS after USING (subject_tag)
            JOIN issuers AS old ON old.id = before.issuer JOIN issuers AS new ON new.id = after.issuer
            WHERE old.name = $1 AND new.name = $2 AND before.user_id <> after.user_id ORDER BY before.user_id";
        Ok(self.query(sql, &[&old, &new])?.iter().map(|row| UserId(row.get(0))).collect())
    }

    fn rename_issuer(&mut self, old: &str, new: &str) -> Result<RenamedIssuer, StoreError> {
        let (old, new) = (self.issuer_number(old)?, self.issuer_number(new)?);
        self.change_users("id IN (SELECT user_id FROM links WHERE issuer = $1)", &old)?;
        // Two links of one subject become one.
        let twice = "DELETE FROM links AS twice WHERE issuer = $1 AND EXISTS
            (SELECT FROM links WHERE issuer = $2 AND subject_tag = twice.subject_tag)";
        let merged = self.execute(twice, &[&old, &new])?;
        let links = self.execute("UPDATE links SET issuer = $2 WHERE issuer = $1", &[&old, &new])? + merged;
        let sessions =
            self.execute_long("UPDATE sessions SET issuer = $2 WHERE issuer = $1", &[&old, &new])?;
        // A logout stays under its former name too, with its jti.
        let copy = "INSERT INTO logouts (sid_tag, subject_tag, issued_at, seq, until, issuer, n)
            SELECT sid_tag, subject_tag, issued_at, seq, until, $2::integer, n FROM logouts WHERE issuer = $1
            AND (sid_tag IS NOT NULL OR subject_tag IS NOT NULL)";
        let logouts = self.execute_long(copy, &[&old, &new])?;
        self.end_where(LOGGED_OUT, &[&new])?;
        Ok(RenamedIssuer { links, sessions, logouts })
    }

    fn remove_user(&mut self, id: UserId) -> Result<(), StoreError> {
        self.end_sessions_of(id)?;
        self.unlink(id, None)?;
        if let Some(user) = self.user(id)? {
            self.forget_notices_of(&user.username)?;
            self.erase_from_events(id, &user.username)?;
        }
        self.execute("DELETE FROM users WHERE id = $1", &[&id.0]).map(drop)
    }
}

/// Reads the origin of a session that has ended from the columns issuer, subject, `sid`, `iat` and ID token. One that
/// cannot be read is reported, and the session has ended at this server alone.
pub(super) fn read_origin(row: &Row, session: SessionId, key: &Key) -> Origin {
    let mut bad = BadRows::default();
    let read = || -> Result<_, PostgresError> {
        let sealed: Option<String> = row.try_get(4)?;
        let Some(issuer) = row.try_get(0)? else { return Ok(Origin::Password) };
        let (subject, sid, issued_at) = (row.try_get(1)?, row.try_get(2)?, UnixTime(row.try_get(3)?));
        let id_token = sealed.and_then(|sealed| open_id_token(key, session, &sealed));
        Ok(Origin::Oidc(OidcOrigin { issuer, subject, sid, issued_at, id_token }))
    };
    let origin = bad.read(read()).unwrap_or(Origin::Password);
    bad.report("sessions");
    origin
}

/// Reads a user from the columns of [`USER`].
pub(super) fn read_user(row: &Row) -> Result<User, PostgresError> {
    let user = rows::read_user(row, 0)?;
    user.ok_or_else(|| PostgresError::Unreadable("a user without an identifier".to_owned()))
}
