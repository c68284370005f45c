//! [`Records`] on SQLite, within the writer's transaction.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failed;
use super::logout_records::{MOST, Remembered, jti_tag};
use super::session_index::{Effect, Entry, KeptUser};
use claimgate::oidc::records::{LogoutRecord, LogoutTarget, Records, StoreError};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::oidc::user::{User, UserId, UserKind};
use claimgate::time::UnixTime;

/// The records, within one transaction.
pub struct SqliteRecords<'t> {
    pub(super) connection: &'t Connection,
    effects: &'t mut Vec<Effect>,
    remembered: &'t mut Remembered,
}

const USER: &str = "user.id, user.username, user.kind, user.active, user.profile, user.teams";

impl<'t> SqliteRecords<'t> {
    pub(super) fn new(
        connection: &'t Connection,
        effects: &'t mut Vec<Effect>,
        remembered: &'t mut Remembered,
    ) -> Self {
        Self { connection, effects, remembered }
    }

    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute(parameters);
        run().map_err(|error| failed(&error))
    }

    fn first<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let run = || self.connection.prepare_cached(sql)?.query_row(parameters, read).optional();
        run().map_err(|error| failed(&error))
    }

    fn end(&mut self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        let run = || -> rusqlite::Result<Vec<SessionId>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let ended = statement.query_map(parameters, |row| row.get(0).map(SessionId))?;
            ended.collect()
        };
        let ended = run().map_err(|error| failed(&error))?;
        let count = ended.len();
        self.effects.extend(ended.into_iter().map(Effect::Ended));
        Ok(count)
    }

    /// A value kept under a name, made where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn meta(&mut self, name: &str, make: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let known = self.first("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))?;
        if let Some(value) = known {
            return Ok(value);
        }
        let value = make();
        self.execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", params![name, value])?;
        Ok(value)
    }

    pub(super) fn purge(&mut self, sessions: &[SessionId], now: UnixTime) -> Result<(), StoreError> {
        for session in sessions {
            self.execute("DELETE FROM session WHERE id = ?1 AND expires <= ?2", params![session.0, now.0])?;
        }
        self.execute("DELETE FROM logout WHERE until <= ?1", [now.0])?;
        self.effects.push(Effect::Expired(now));
        Ok(())
    }
}

impl Records for SqliteRecords<'_> {
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        self.first(&format!("SELECT {USER} FROM user WHERE id = ?1"), [id.0], read_user)
    }

    fn user_by_name(&mut self, username: &str) -> Result<Option<User>, StoreError> {
        self.first(&format!("SELECT {USER} FROM user WHERE username = ?1"), [username], read_user)
    }

    fn user_by_link(&mut self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let sql = format!(
            "SELECT {USER} FROM link JOIN user ON user.id = link.user WHERE issuer = ?1 AND subject = ?2"
        );
        self.first(&sql, [issuer, subject], read_user)
    }

    fn is_linked(&mut self, user: UserId) -> Result<bool, StoreError> {
        let found = self.first("SELECT 1 FROM link WHERE user = ?1 LIMIT 1", [user.0], |_| Ok(()))?;
        Ok(found.is_some())
    }

    fn link(&mut self, issuer: &str, subject: &str, user: UserId) -> Result<(), StoreError> {
        let sql = "INSERT INTO link (issuer, subject, user) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![issuer, subject, user.0]).map(drop)
    }

    fn create_user(&mut self, username: &str, kind: UserKind, now: UnixTime) -> Result<User, StoreError> {
        let sql = "INSERT INTO user (username, kind, active, profile, teams, created, updated)
            VALUES (?1, ?2, 1, '{}', '{}', ?3, ?3)";
        self.execute(sql, params![username, kind.name(), now.0])?;
        let id = UserId(self.connection.last_insert_rowid());
        let user = self.user(id)?;
        user.ok_or_else(|| StoreError { reason: "a user just made is not there".to_owned() })
    }

    fn update_user(&mut self, user: &User, now: UnixTime) -> Result<(), StoreError> {
        let json = |value: serde_json::Result<String>| {
            value.map_err(|error| StoreError { reason: error.to_string() })
        };
        let profile = json(serde_json::to_string(&user.profile))?;
        let teams = json(serde_json::to_string(&user.teams))?;
        let sql =
            "UPDATE user SET kind = ?2, active = ?3, profile = ?4, teams = ?5, updated = ?6 WHERE id = ?1";
        self.execute(sql, params![user.id.0, user.kind.name(), user.active, profile, teams, now.0])?;
        self.effects.push(Effect::Changed(user.clone()));
        Ok(())
    }

    fn password(&mut self, user: UserId) -> Result<Option<String>, StoreError> {
        let hash = self.first("SELECT password FROM user WHERE id = ?1", [user.0], |row| row.get(0))?;
        Ok(hash.flatten())
    }

    fn set_password(&mut self, user: UserId, hash: &str, now: UnixTime) -> Result<(), StoreError> {
        let sql = "UPDATE user SET password = ?2, updated = ?3 WHERE id = ?1";
        self.execute(sql, params![user.0, hash, now.0]).map(drop)
    }

    fn open_session(&mut self, session: &Session) -> Result<(), StoreError> {
        let user = self.user(session.user)?;
        let user = user.ok_or_else(|| StoreError { reason: "a session of nobody".to_owned() })?;
        let oidc = match &session.origin {
            Origin::Oidc(origin) => Some(origin),
            Origin::Password => None,
        };
        let sql =
            "INSERT INTO session (id, user, issuer, subject, sid, issued_at, id_token, created, expires)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        self.execute(
            sql,
            params![
                session.id.0,
                session.user.0,
                oidc.map(|origin| &origin.issuer),
                oidc.map(|origin| &origin.subject),
                oidc.and_then(|origin| origin.sid.as_ref()),
                oidc.map(|origin| origin.issued_at.0),
                oidc.map(|origin| &origin.id_token),
                session.created.0,
                session.expires.0,
            ],
        )?;
        self.effects.push(Effect::Opened { id: session.id, user, expires: session.expires });
        Ok(())
    }

    fn end_session(&mut self, id: SessionId) -> Result<Option<Origin>, StoreError> {
        let sql = "DELETE FROM session WHERE id = ?1 RETURNING issuer, subject, sid, issued_at, id_token";
        let ended = self.first(sql, [id.0], |row| {
            let Some(issuer) = row.get(0)? else { return Ok(Origin::Password) };
            Ok(Origin::Oidc(OidcOrigin {
                issuer,
                subject: row.get(1)?,
                sid: row.get(2)?,
                issued_at: UnixTime(row.get(3)?),
                id_token: row.get(4)?,
            }))
        })?;
        self.effects.push(Effect::Ended(id));
        Ok(ended)
    }

    fn end_sessions_of(&mut self, user: UserId) -> Result<usize, StoreError> {
        self.end("DELETE FROM session WHERE user = ?1 RETURNING id", [user.0])
    }

    fn end_logged_out(
        &mut self,
        issuer: &str,
        target: &LogoutTarget,
        issued_until: UnixTime,
    ) -> Result<usize, StoreError> {
        let by_subject = "DELETE FROM session
            WHERE issuer = ?1 AND subject = ?2 AND issued_at <= ?3 RETURNING id";
        let by_sid = "DELETE FROM session
            WHERE issuer = ?1 AND sid = ?2 AND issued_at <= ?3 RETURNING id";
        let without_sid = "DELETE FROM session
            WHERE issuer = ?1 AND subject = ?2 AND sid IS NULL AND issued_at <= ?3 RETURNING id";
        match target {
            LogoutTarget::Subject(subject) => self.end(by_subject, params![issuer, subject, issued_until.0]),
            LogoutTarget::Session { sid, subject } => {
                let mut ended = self.end(by_sid, params![issuer, sid, issued_until.0])?;
                if let Some(subject) = subject {
                    ended += self.end(without_sid, params![issuer, subject, issued_until.0])?;
                }
                Ok(ended)
            }
        }
    }

    fn remember_logout(&mut self, jti: &str, mark: &LogoutRecord) -> Result<bool, StoreError> {
        if self.remembered.knows(&mark.issuer, jti) {
            return Ok(false);
        }
        if self.remembered.is_full() {
            return Err(StoreError { reason: format!("{MOST} logouts are remembered already") });
        }
        let (sid, subject) = match &mark.target {
            LogoutTarget::Subject(subject) => (None, Some(subject)),
            LogoutTarget::Session { sid, subject } => (Some(sid), subject.as_ref()),
        };
        let sql = "INSERT INTO logout (jti, issuer, sid, subject, issued_at, received_ms, until)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let tag = jti_tag(&mark.issuer, jti);
        let (issued_at, until) = (mark.issued_at.0, mark.until.0);
        self.execute(sql, params![tag, mark.issuer, sid, subject, issued_at, mark.received_ms, until])?;
        self.remembered.add(self.connection.last_insert_rowid(), jti, mark);
        Ok(true)
    }

    fn newest_logout(
        &mut self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Result<Option<(UnixTime, i64)>, StoreError> {
        Ok(self.remembered.newest_logout(issuer, sid, subject))
    }
}

pub(super) fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    let json = |column: usize| -> rusqlite::Result<String> { row.get(column) };
    let broken = |column: usize, error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    };
    let kind: String = row.get(2)?;
    Ok(User {
        id: UserId(row.get(0)?),
        username: row.get(1)?,
        kind: UserKind::from_name(&kind).ok_or(rusqlite::Error::InvalidQuery)?,
        active: row.get(3)?,
        profile: serde_json::from_str(&json(4)?).map_err(|error| broken(4, error))?,
        teams: serde_json::from_str(&json(5)?).map_err(|error| broken(5, error))?,
    })
}

/// Everything that the memory index holds.
pub(super) type Live = (Vec<(SessionId, Entry)>, Vec<(UserId, KeptUser)>);

/// All sessions, and the users they belong to.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Live> {
    let mut sessions = connection.prepare("SELECT id, user, expires FROM session")?;
    let sessions = sessions.query_map([], |row| {
        let entry = Entry { user: UserId(row.get(1)?), expires: UnixTime(row.get(2)?) };
        Ok((SessionId(row.get(0)?), entry))
    })?;
    let sessions = sessions.collect::<rusqlite::Result<_>>()?;
    let sql = format!("SELECT {USER} FROM user WHERE id IN (SELECT user FROM session)");
    let mut users = connection.prepare(&sql)?;
    let users = users.query_map([], |row| {
        // Read whole once, so that what is broken shows now.
        let User { id, kind, active, .. } = read_user(row)?;
        let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        Ok((id, KeptUser::new(kind, active, text(1)?, text(4)?, text(5)?)))
    })?;
    let users = users.collect::<rusqlite::Result<_>>()?;
    Ok((sessions, users))
}
