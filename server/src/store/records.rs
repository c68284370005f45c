//! The repository of the relying party, [`Records`], on SQLite: one value per piece of work, within the
//! writer's transaction.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::bad_rows::BadRows;
use super::effects::Effects;
use super::ended_sessions::EndedSessions;
use super::error::store_error;
use super::events::sqlite as events;
use super::key::{Key, id_token_purpose, open_id_token};
use super::logout_batches;
use super::logout_records::LogoutRecords;
use super::notices;
use super::session_end::SessionEnd;
use super::session_index::{CompactUser, Effect, IndexedSession, SessionIndex, Snapshot, link_tag};
use claimgate::oidc::facts::{KeptClaims, SessionFacts};
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::{
    self, LogoutRecord, LogoutTarget, PasswordRecords, Position, Records, RenamedIssuer, SessionRecords,
    SignInRecords, StoreError, UserRecords,
};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::oidc::user::{User, UserId, UserKind};
use claimgate::time::UnixTime;

/// The records, within one piece of work.
pub struct SqliteRecords<'t> {
    pub(super) connection: &'t Connection,
    key: &'t Key,
    pub(super) effects: &'t mut Effects,
    pub(super) logouts: &'t mut LogoutRecords,
    pub(super) index: &'t SessionIndex,
    ended: &'t EndedSessions,
}

/// The columns of a user, in the order of [`read_user`].
pub(super) const USER: &str = "user.id, user.username, user.kind, user.active, user.profile, user.teams";

impl<'t> SqliteRecords<'t> {
    pub(super) fn new(
        connection: &'t Connection,
        key: &'t Key,
        effects: &'t mut Effects,
        logouts: &'t mut LogoutRecords,
        index: &'t SessionIndex,
        ended: &'t EndedSessions,
    ) -> Self {
        Self { connection, key, effects, logouts, index, ended }
    }

    pub(super) fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute(parameters);
        run().map_err(|error| store_error(&error))
    }

    pub(super) fn query_first<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let run = || self.connection.prepare_cached(sql)?.query_row(parameters, read).optional();
        run().map_err(|error| store_error(&error))
    }

    /// Runs a `DELETE … RETURNING id` on sessions. Returns the number of sessions deleted.
    fn delete_sessions(&mut self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        let run = || -> rusqlite::Result<(usize, Vec<SessionId>)> {
            let (mut count, mut ended, mut bad) = (0, Vec::new(), BadRows::default());
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                count += 1;
                // A session whose identifier cannot be read is in no index.
                ended.extend(bad.read(row.get(0)).map(SessionId));
            }
            bad.report("session");
            Ok((count, ended))
        };
        let (count, ended) = run().map_err(|error| store_error(&error))?;
        ended.into_iter().for_each(|id| self.effects.push(Effect::Ended(id)));
        Ok(count)
    }

    /// Tells the index whose tokens to refuse, if the update of a user switches the user off or on.
    fn follow_activity(&mut self, user: &User) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM user WHERE id = ?1 AND active <> ?2";
        if self.query_first(sql, params![user.id.0, user.active], |_| Ok(()))?.is_some() {
            let sql = "SELECT issuer, subject FROM link WHERE user = ?1";
            let links = self.query_all("link", sql, [user.id.0], read_link)?;
            self.effects.push(Effect::Activity { links, active: user.active });
        }
        Ok(())
    }

    /// Has the index refuse the tokens of links to users who are switched off, or (`active`) of none of these links:
    /// they are about to be deleted.
    pub(super) fn follow_inactive_links(
        &mut self,
        which: &str,
        parameters: impl rusqlite::Params,
        active: bool,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT link.issuer, link.subject FROM link JOIN user ON user.id = link.user
            WHERE user.active = 0 AND {which}"
        );
        let links = self.query_all("link", &sql, parameters, read_link)?;
        if !links.is_empty() {
            self.effects.push(Effect::Activity { links, active });
        }
        Ok(())
    }

    /// Deletes sessions that have expired. A session whose use was written in the meantime goes on, in memory too.
    pub(super) fn purge_sessions(&mut self, sessions: &[SessionId], now: UnixTime) -> Result<(), StoreError> {
        for session in sessions {
            let lives = "SELECT 1 FROM session WHERE id = ?1 AND expires > ?2";
            if self.query_first(lives, params![session.0, now.0], |_| Ok(()))?.is_none() {
                self.execute("DELETE FROM session WHERE id = ?1", params![session.0])?;
                self.effects.push(Effect::Ended(*session));
            }
        }
        Ok(())
    }

    /// Deletes logouts that are over, in memory and some on the disk. Reports whether there may be more of these.
    pub(super) fn purge_logouts(&mut self, now: UnixTime) -> Result<bool, StoreError> {
        self.effects.push(Effect::PurgedLogouts(now));
        logout_batches::purge_step(self.connection, now).map_err(|error| store_error(&error))
    }
}

impl UserRecords for SqliteRecords<'_> {
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        self.query_first(&format!("SELECT {USER} FROM user WHERE id = ?1"), [id.0], read_user)
    }

    fn user_by_name(&mut self, username: &str) -> Result<Option<User>, StoreError> {
        self.query_first(&format!("SELECT {USER} FROM user WHERE username = ?1"), [username], read_user)
    }
}

impl SessionRecords for SqliteRecords<'_> {
    fn open_session(&mut self, session: &Session) -> Result<(), StoreError> {
        let unknown = || StoreError { reason: "the user of the session does not exist".to_owned() };
        let user = self.user(session.user)?.ok_or_else(unknown)?;
        let oidc = match &session.origin {
            Origin::Oidc(origin) => Some(origin),
            Origin::Password => None,
        };
        let purpose = id_token_purpose(session.id);
        let id_token = oidc.and_then(|origin| origin.id_token.as_ref());
        let sealed = id_token.map(|token| self.key.seal(&purpose, token));
        let latest = session.expires.0;
        let end = self.index.uses.end_after_use(session.created.0, latest);
        let sql =
            "INSERT INTO session (id, user, issuer, subject, sid, issued_at, id_token, created, expires, authenticated, claims, latest)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        self.execute(
            sql,
            params![
                session.id.0,
                session.user.0,
                oidc.map(|origin| &origin.issuer),
                oidc.map(|origin| &origin.subject),
                oidc.and_then(|origin| origin.sid.as_ref()),
                oidc.map(|origin| origin.issued_at.0),
                sealed,
                session.created.0,
                end,
                session.facts.authenticated.map(|time| time.0),
                session.facts.claims.as_json(),
                latest,
            ],
        )?;
        let origin = self.index.origin(
            oidc.map(|origin| (&*origin.issuer, &*origin.subject, origin.sid.as_deref(), origin.issued_at)),
        );
        let indexed =
            IndexedSession::new(user.id, SessionEnd::new(end, latest), origin, session.facts.clone());
        let created = Some(session.created);
        self.effects.push(Effect::Opened { id: session.id, user, session: indexed, created });
        Ok(())
    }

    fn end_session(&mut self, id: SessionId) -> Result<Option<Origin>, StoreError> {
        let sql = "DELETE FROM session WHERE id = ?1 AND NOT is_ended(id)
            RETURNING issuer, subject, sid, issued_at, id_token";
        let (key, mut bad) = (self.key, BadRows::default());
        let read = |row: &Row<'_>| -> rusqlite::Result<Origin> {
            let sealed: Option<String> = row.get(4)?;
            let Some(issuer) = row.get(0)? else { return Ok(Origin::Password) };
            let (subject, sid, issued_at) = (row.get(1)?, row.get(2)?, UnixTime(row.get(3)?));
            let id_token = sealed.and_then(|sealed| open_id_token(key, id, &sealed));
            Ok(Origin::Oidc(OidcOrigin { issuer, subject, sid, issued_at, id_token }))
        };
        // One whose origin cannot be read ends too, at this server alone.
        let ended =
            self.query_first(sql, [id.0], |row| Ok(bad.read(read(row)).unwrap_or(Origin::Password)))?;
        bad.report("session");
        self.effects.push(Effect::Ended(id));
        Ok(ended)
    }

    fn end_oldest_sessions(&mut self, user: UserId, most: u32) -> Result<usize, StoreError> {
        let sql = "DELETE FROM session WHERE rowid IN (
                SELECT rowid FROM session WHERE user = ?1 AND NOT is_ended(id) ORDER BY created DESC, rowid DESC LIMIT -1 OFFSET ?2
            ) RETURNING id";
        self.delete_sessions(sql, params![user.0, most])
    }
}

impl SignInRecords for SqliteRecords<'_> {
    fn user_by_link(&mut self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let sql = format!(
            "SELECT {USER} FROM link JOIN user ON user.id = link.user WHERE issuer = ?1 AND subject = ?2"
        );
        self.query_first(&sql, [issuer, subject], read_user)
    }

    fn is_linked(&mut self, user: UserId) -> Result<bool, StoreError> {
        let found = self.query_first("SELECT 1 FROM link WHERE user = ?1 LIMIT 1", [user.0], |_| Ok(()))?;
        Ok(found.is_some())
    }

    fn link(&mut self, issuer: &str, subject: &str, user: UserId) -> Result<(), StoreError> {
        let sql = "INSERT INTO link (issuer, subject, user) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![issuer, subject, user.0])?;
        self.effects.push(Effect::Linked);
        self.follow_inactive_links("link.issuer = ?1 AND link.subject = ?2", params![issuer, subject], false)
    }

    fn create_user(&mut self, username: &str, kind: UserKind, now: UnixTime) -> Result<User, StoreError> {
        let sql = "INSERT INTO user (username, kind, active, profile, teams, created, updated)
            VALUES (?1, ?2, 1, '{}', '{}', ?3, ?3)";
        self.execute(sql, params![username, kind.name(), now.0])?;
        let id = UserId(self.connection.last_insert_rowid());
        let user = self.user(id)?;
        user.ok_or_else(|| StoreError { reason: "a user just created is missing".to_owned() })
    }

    fn update_user(&mut self, user: &User, now: UnixTime) -> Result<(), StoreError> {
        let json = |value: serde_json::Result<String>| {
            value.map_err(|error| StoreError { reason: error.to_string() })
        };
        let profile = json(serde_json::to_string(&user.profile))?;
        let teams = json(serde_json::to_string(&user.teams))?;
        let sql =
            "UPDATE user SET username = ?2, kind = ?3, active = ?4, profile = ?5, teams = ?6, updated = ?7
            WHERE id = ?1";
        let (id, kind) = (user.id.0, user.kind.name());
        self.follow_activity(user)?;
        self.execute(sql, params![id, user.username, kind, user.active, profile, teams, now.0])?;
        self.effects.push(Effect::Changed(user.clone()));
        Ok(())
    }

    fn newest_logout(
        &mut self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Result<Option<(UnixTime, Position)>, StoreError> {
        Ok(self.logouts.newest(issuer, sid, subject))
    }
}

impl PasswordRecords for SqliteRecords<'_> {
    fn password(&mut self, user: UserId) -> Result<Option<String>, StoreError> {
        let hash = self.query_first("SELECT password FROM user WHERE id = ?1", [user.0], |row| row.get(0))?;
        Ok(hash.flatten())
    }
}

impl records::LogoutRecords for SqliteRecords<'_> {
    fn record_logout(&mut self, jti: &str, record: &LogoutRecord) -> Result<bool, StoreError> {
        Ok(self.logouts.record(jti, record))
    }

    fn record_repeatable_logout(&mut self, jti: &str, record: &LogoutRecord) -> Result<bool, StoreError> {
        Ok(self.logouts.record_repeatable(jti, record))
    }

    fn end_logged_out(
        &mut self,
        issuer: &str,
        target: &LogoutTarget,
        issued_until: UnixTime,
    ) -> Result<usize, StoreError> {
        let named = self.index.named(issuer, target, issued_until).ok_or_else(|| StoreError {
            reason: "a command does not know the sessions that a logout ends".to_owned(),
        })?;
        let mut found = self.index.find(&named);
        let opened = self.effects.opened().filter(|(_, session)| named.includes(&session.origin));
        found.extend(opened.map(|(id, _)| id));
        let before = self.effects.len();
        for session in found {
            if !self.effects.has_ended(session) && self.ended.end(session) {
                self.effects.push(Effect::Ended(session));
            }
        }
        Ok(self.effects.len() - before)
    }
}

impl Records for SqliteRecords<'_> {
    fn session_owner(&mut self, id: SessionId) -> Result<Option<User>, StoreError> {
        let sql = format!(
            "SELECT {USER} FROM session JOIN user ON user.id = session.user
            WHERE session.id = ?1 AND NOT is_ended(session.id)"
        );
        self.query_first(&sql, [id.0], read_user)
    }

    fn end_sessions_of(&mut self, user: UserId) -> Result<usize, StoreError> {
        self.delete_sessions(
            "DELETE FROM session WHERE user = ?1 AND NOT is_ended(id) RETURNING id",
            [user.0],
        )
    }

    fn has_other_super_admin(&mut self, user: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM user WHERE kind = ?2 AND active <> 0 AND password IS NOT NULL AND id <> ?1 LIMIT 1";
        let parameters = params![user.0, UserKind::SuperAdmin.name()];
        Ok(self.query_first(sql, parameters, |_| Ok(()))?.is_some())
    }

    fn set_password(&mut self, user: UserId, hash: &str, now: UnixTime) -> Result<(), StoreError> {
        let sql = "UPDATE user SET password = ?2, updated = ?3 WHERE id = ?1";
        self.execute(sql, params![user.0, hash, now.0]).map(drop)
    }

    fn subjects_of(
        &mut self,
        user: UserId,
        issuer: Option<&str>,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT issuer, subject FROM link WHERE user = ?1 AND (?2 IS NULL OR issuer = ?2)";
        self.query_all("link", sql, params![user.0, issuer], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn unlink(&mut self, user: UserId, issuer: Option<&str>) -> Result<usize, StoreError> {
        let which = "link.user = ?1 AND (?2 IS NULL OR link.issuer = ?2)";
        self.follow_inactive_links(which, params![user.0, issuer], true)?;
        self.effects.push(Effect::Linked);
        let sql = "DELETE FROM link WHERE user = ?1 AND (?2 IS NULL OR issuer = ?2)";
        self.execute(sql, params![user.0, issuer])
    }

    fn unlink_issuer(&mut self, issuer: &str) -> Result<(usize, usize), StoreError> {
        self.follow_inactive_links("link.issuer = ?1", [issuer], true)?;
        self.effects.push(Effect::Linked);
        let links = self.execute("DELETE FROM link WHERE issuer = ?1", [issuer])?;
        let sessions = self.delete_sessions(
            "DELETE FROM session WHERE issuer = ?1 AND NOT is_ended(id) RETURNING id",
            [issuer],
        )?;
        Ok((links, sessions))
    }

    fn users_linked_apart(&mut self, old: &str, new: &str) -> Result<Vec<UserId>, StoreError> {
        let sql = "SELECT before.user FROM link AS before JOIN link AS after USING (subject)
            WHERE before.issuer = ?1 AND after.issuer = ?2 AND before.user <> after.user ORDER BY before.user";
        self.query_all("link", sql, [old, new], |row| row.get(0).map(UserId))
    }

    fn rename_issuer(&mut self, old: &str, new: &str) -> Result<RenamedIssuer, StoreError> {
        self.rename(old, new)
    }

    fn remove_user(&mut self, id: UserId) -> Result<(), StoreError> {
        // What is deleted from here on is overwritten, until the database is closed.
        self.connection.pragma_update(None, "secure_delete", true).map_err(|error| store_error(&error))?;
        self.end_sessions_of(id)?;
        // Those that have ended, and whose rows are still there.
        self.execute("DELETE FROM session WHERE user = ?1", [id.0])?;
        self.unlink(id, None)?;
        if let Some(user) = self.user(id)? {
            notices::forget(self.connection, &user.username).map_err(|error| store_error(&error))?;
            events::erase(self.connection, id, &user.username).map_err(|error| store_error(&error))?;
        }
        self.execute("DELETE FROM user WHERE id = ?1", [id.0]).map(drop)
    }
}

/// Reads a user from the columns of [`USER`].
pub(super) fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        username: row.get(1)?,
        kind: read_kind(row)?,
        active: row.get(3)?,
        profile: read_json(row, 4)?,
        teams: read_json(row, 5)?,
    })
}

fn read_kind(row: &Row<'_>) -> rusqlite::Result<UserKind> {
    let kind: String = row.get(2)?;
    UserKind::from_name(&kind).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            2,
            Type::Text,
            format!("no kind of user is named {kind:?}").into(),
        )
    })
}

fn read_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// The columns of a session, of which those after the first are read by [`read_session`].
pub(super) const SESSION: &str = "session.id, session.user, session.expires, session.issuer, session.subject, session.sid, session.issued_at, session.authenticated, session.claims, session.latest";

/// Reads a session for the index from the columns of [`SESSION`] without its identifier, which begin at `first`.
pub(super) fn read_session(
    row: &Row<'_>,
    first: usize,
    index: &SessionIndex,
) -> rusqlite::Result<IndexedSession> {
    let text = |column: usize| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
    let origin = match (text(first + 2)?, text(first + 3)?) {
        (Some(issuer), Some(subject)) => {
            Some((issuer, subject, text(first + 4)?, UnixTime(row.get(first + 5)?)))
        }
        _ => None,
    };
    let (user, end): (_, i64) = (UserId(row.get(first)?), row.get(first + 1)?);
    let latest: Option<i64> = row.get(first + 8)?;
    let facts = SessionFacts {
        authenticated: row.get::<_, Option<i64>>(first + 6)?.map(UnixTime),
        claims: KeptClaims::from_json(row.get(first + 7)?),
    };
    Ok(IndexedSession::new(user, SessionEnd::new(end, latest.unwrap_or(end)), index.origin(origin), facts))
}

/// Reads all sessions, and the users they belong to. A row that cannot be read is skipped and reported: it opens
/// no session.
pub(super) fn read_sessions(connection: &Connection, index: &SessionIndex) -> rusqlite::Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    let mut bad = BadRows::default();
    let sql = format!("SELECT {USER} FROM user WHERE id IN (SELECT user FROM session)");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let user = || -> rusqlite::Result<_> {
            // Parses the JSON, so that a broken row is reported now.
            let User { id, kind, active, .. } = read_user(row)?;
            let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            Ok((id, CompactUser::new(kind, active, text(1)?, text(4)?, text(5)?)))
        };
        snapshot.users.extend(bad.read(user()));
    }
    bad.report("user");
    let mut bad = BadRows::default();
    let mut statement =
        connection.prepare(&format!("SELECT {SESSION} FROM session WHERE NOT is_ended(id)"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let session =
            || -> rusqlite::Result<_> { Ok((SessionId(row.get(0)?), read_session(row, 1, index)?)) };
        if let Some((id, session)) = bad.read(session()) {
            snapshot.add_session(id, session);
        }
    }
    bad.report("session");
    let sql = "SELECT issuer, subject FROM user JOIN link ON link.user = user.id WHERE active = 0";
    let mut bad = BadRows::default();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        snapshot.inactive.extend(bad.read(read_link(row)));
    }
    bad.report("link");
    Ok(snapshot)
}

/// Reads the issuer and the subject of a link.
fn read_link(row: &Row<'_>) -> rusqlite::Result<Fingerprint> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    Ok(link_tag(text(0)?, text(1)?))
}
