//! What administrators look at.

use rusqlite::params;
use serde::Serialize;

use super::failed;
use super::records::{SqliteRecords, read_user};
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::{User, UserId};
use claimgate::time::UnixTime;

/// A user in a list.
#[derive(Clone, Debug, Serialize)]
pub struct ListedUser {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Whether a password is set.
    pub has_password: bool,
    /// How many provider subjects are linked.
    pub links: u32,
    /// How many sessions are live.
    pub sessions: u32,
}

/// A team in a list.
#[derive(Clone, Debug, Serialize)]
pub struct ListedTeam {
    /// Its name.
    pub team: String,
    /// How many users are in it.
    pub members: u32,
}

/// A session in a list. It opens nothing.
#[derive(Clone, Debug, Serialize)]
pub struct ListedSession {
    /// Its identifier, in hexadecimal.
    pub id: String,
    /// Whose it is.
    pub user: UserId,
    /// The same, by name.
    pub username: String,
    /// The provider; none for the password door.
    pub issuer: Option<String>,
    /// The provider's `sub`.
    pub subject: Option<String>,
    /// The provider's `sid`.
    pub sid: Option<String>,
    /// When it was opened, in seconds since 1970.
    pub created: i64,
    /// When it ends by itself, in seconds since 1970.
    pub expires: i64,
}

impl SqliteRecords<'_> {
    /// Users in the order of their names, beginning after one.
    ///
    /// # Errors
    /// [`StoreError`], as everywhere here.
    pub fn list_users(&mut self, after: &str, limit: u32) -> Result<Vec<ListedUser>, StoreError> {
        let sql = "SELECT id, username, kind, active, profile, teams, password IS NOT NULL,
                (SELECT count(*) FROM link WHERE link.user = user.id),
                (SELECT count(*) FROM session WHERE session.user = user.id)
            FROM user WHERE username > ?1 ORDER BY username LIMIT ?2";
        self.rows(sql, params![after, limit], |row| {
            Ok(ListedUser {
                user: read_user(row)?,
                has_password: row.get(6)?,
                links: row.get(7)?,
                sessions: row.get(8)?,
            })
        })
    }

    /// Teams that anybody is in, by name.
    ///
    /// # Errors
    /// As above.
    pub fn list_teams(&mut self) -> Result<Vec<ListedTeam>, StoreError> {
        let sql = "SELECT json_each.key, count(*) FROM user, json_each(user.teams)
            GROUP BY json_each.key ORDER BY json_each.key";
        self.rows(sql, [], |row| Ok(ListedTeam { team: row.get(0)?, members: row.get(1)? }))
    }

    /// Live sessions, newest first; those of one user, or all.
    ///
    /// # Errors
    /// As above.
    pub fn list_sessions(
        &mut self,
        user: Option<UserId>,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let sql = "SELECT session.id, user.id, user.username, issuer, subject, sid, session.created, expires
            FROM session JOIN user ON user.id = session.user
            WHERE expires > ?1 AND (?2 IS NULL OR user.id = ?2)
            ORDER BY session.created DESC, session.rowid DESC LIMIT ?3";
        self.rows(sql, params![now.0, user.map(|id| id.0), limit], |row| {
            Ok(ListedSession {
                id: SessionId(row.get(0)?).to_string(),
                user: UserId(row.get(1)?),
                username: row.get(2)?,
                issuer: row.get(3)?,
                subject: row.get(4)?,
                sid: row.get(5)?,
                created: row.get(6)?,
                expires: row.get(7)?,
            })
        })
    }

    /// Whose session it is; none where there is no such session.
    ///
    /// # Errors
    /// As above.
    pub fn session_owner(&mut self, id: SessionId) -> Result<Option<User>, StoreError> {
        let sql = "SELECT user.id, user.username, user.kind, user.active, user.profile, user.teams
            FROM session JOIN user ON user.id = session.user WHERE session.id = ?1";
        Ok(self.rows(sql, [id.0], read_user)?.pop())
    }

    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let run = || -> rusqlite::Result<Vec<T>> {
            self.connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
        };
        run().map_err(|error| failed(&error))
    }
}
