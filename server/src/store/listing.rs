//! Lists for administrators: users, teams, sessions.

use rusqlite::params;
use serde::Serialize;

use super::bad_rows::BadRows;
use super::error::store_error;
use super::events::{Event, EventLimits, sqlite as events};
use super::grants::RefreshRecords;
use super::records::{SqliteRecords, USER, read_user};
use super::search::folded;
use crate::system;
use claimgate::oidc::records::{Records, StoreError};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::{User, UserId, UserKind};
use claimgate::time::UnixTime;

/// The name under which the keys of assertions are kept, and the purpose for which they are sealed.
pub(crate) const ASSERTION_KEYS: &str = "assertion keys";

/// A user in a list.
#[derive(Clone, Debug, Serialize)]
pub struct ListedUser {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Whether a password is set.
    pub has_password: bool,
    /// Number of provider subjects linked.
    pub links: u32,
    /// Number of sessions.
    pub sessions: u32,
}

/// The row of a user as it is written, for a user that cannot be read. A column that holds no text is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserRow {
    /// The identifier.
    pub id: UserId,
    /// The name.
    pub username: String,
    /// The name of the kind.
    pub kind: Option<String>,
    /// Whether the user may sign in.
    pub active: Option<String>,
    /// The profile, as JSON.
    pub profile: Option<String>,
    /// The teams, as JSON.
    pub teams: Option<String>,
}

/// A team in a list.
#[derive(Clone, Debug, Serialize)]
pub struct ListedTeam {
    /// The name.
    pub team: String,
    /// Number of members.
    pub members: u32,
}

/// A link in a list.
#[derive(Clone, Debug, Serialize)]
pub struct ListedLink {
    /// The provider's issuer.
    pub issuer: String,
    /// The provider's `sub`.
    pub subject: String,
}

/// A session in a list, without its secret.
#[derive(Clone, Debug, Serialize)]
pub struct ListedSession {
    /// The identifier, in hexadecimal.
    pub id: String,
    /// The user.
    pub user: UserId,
    /// The user's name.
    pub username: String,
    /// The provider's issuer; `None` after a sign-in with a password.
    pub issuer: Option<String>,
    /// The provider's `sub`.
    pub subject: Option<String>,
    /// The provider's `sid`.
    pub sid: Option<String>,
    /// Time of the sign-in, in seconds since 1970.
    pub created: i64,
    /// Time of expiry, in seconds since 1970.
    pub expires: i64,
}

/// How many users there are, and sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeopleCounts {
    /// The number of users.
    pub users: u64,
    /// The number of those who may not sign in.
    pub inactive: u64,
    /// The number of live sessions.
    pub sessions: u64,
}

/// The records for administration: those of the rules, lists and notices.
pub trait AdminRecords: Records + RefreshRecords {
    /// Returns up to `limit` users ordered by name, beginning after the name `after`. A row that cannot be read is
    /// skipped and reported, here and in the other lists.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn list_users(&mut self, after: &str, limit: u32) -> Result<Vec<ListedUser>, StoreError> {
        self.search_users("", after, limit)
    }

    /// Returns up to `limit` users whose names have `text` in them, whatever its case and the composition of its
    /// characters, as [`list_users`](Self::list_users).
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn search_users(&mut self, text: &str, after: &str, limit: u32) -> Result<Vec<ListedUser>, StoreError>;

    /// Counts users, and the sessions whose rows have not expired: of SQLite also some that have ended.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn count_people(&mut self, now: UnixTime) -> Result<PeopleCounts, StoreError>;

    /// Returns the teams that have members, ordered by name.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn list_teams(&mut self) -> Result<Vec<ListedTeam>, StoreError>;

    /// Returns up to `limit` live sessions, of one user or of all, the newest first.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn list_sessions(
        &mut self,
        user: Option<UserId>,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<ListedSession>, StoreError>;

    /// Returns up to `limit` live sessions of users whose names have `text` in them, as
    /// [`search_users`](Self::search_users) finds them, the newest first, without the first `skip`.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn search_sessions(
        &mut self,
        text: &str,
        skip: u32,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<ListedSession>, StoreError>;

    /// Returns the provider subjects that are linked to a user, by issuer.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn list_links(&mut self, user: UserId) -> Result<Vec<ListedLink>, StoreError>;

    /// Returns the row of the user with a name, whatever the other columns hold.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn user_row(&mut self, username: &str) -> Result<Option<UserRow>, StoreError>;

    /// Makes the row of a user readable, before the user is removed: inactive, and without profile and teams.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn clear_user(&mut self, user: UserId) -> Result<(), StoreError>;

    /// Leaves a notice of a change for the log of the server: which command, about which user or session.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn leave_notice(&mut self, action: &str, about: &str) -> Result<(), StoreError>;

    /// Records an event.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn record_event(&mut self, event: &Event) -> Result<(), StoreError>;

    /// Returns the text that is kept under a name, for the servers of this database. One that cannot be read is reported,
    /// and counts as none.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn kept(&mut self, name: &str) -> Result<Option<String>, StoreError>;

    /// Keeps a text under a name, in place of the one before. A secret is sealed by the caller.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn keep(&mut self, name: &str, text: &str) -> Result<(), StoreError>;
}

/// Lists the sessions that live at `?1`: of the user `?2`, or of all whose names have `?4` in them; at most `?3`, without
/// the first `?5`.
const SESSIONS: &str = "SELECT session.id, user.id, user.username, issuer, subject, sid, session.created, expires
    FROM session JOIN user ON user.id = session.user
    WHERE expires > ?1 AND NOT is_ended(session.id) AND (?2 IS NULL OR user.id = ?2) AND (?4 = '' OR instr(folded(username), ?4) > 0)
    ORDER BY session.created DESC, session.rowid DESC LIMIT ?3 OFFSET ?5";

fn read_session(row: &rusqlite::Row<'_>) -> rusqlite::Result<ListedSession> {
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
}

impl AdminRecords for SqliteRecords<'_> {
    fn search_users(&mut self, text: &str, after: &str, limit: u32) -> Result<Vec<ListedUser>, StoreError> {
        let sql = format!(
            "SELECT {USER}, password IS NOT NULL,
                (SELECT count(*) FROM link WHERE link.user = user.id),
                (SELECT count(*) FROM session WHERE session.user = user.id AND NOT is_ended(session.id))
            FROM user WHERE username > ?1 AND (?3 = '' OR instr(folded(username), ?3) > 0) ORDER BY username LIMIT ?2"
        );
        self.query_all("user", &sql, params![after, limit, folded(text)], |row| {
            Ok(ListedUser {
                user: read_user(row)?,
                has_password: row.get(6)?,
                links: row.get(7)?,
                sessions: row.get(8)?,
            })
        })
    }

    fn count_people(&mut self, _: UnixTime) -> Result<PeopleCounts, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM user), (SELECT count(*) FROM user WHERE active = 0),
            (SELECT count(*) FROM session)";
        let counts = self.query_all("user", sql, [], |row| {
            let count = |column| row.get::<usize, u32>(column).map(u64::from);
            Ok(PeopleCounts { users: count(0)?, inactive: count(1)?, sessions: count(2)? })
        })?;
        Ok(counts.first().copied().unwrap_or_default())
    }

    fn list_teams(&mut self) -> Result<Vec<ListedTeam>, StoreError> {
        let sql = "SELECT json_each.key, count(*)
            FROM user, json_each(iif(json_valid(user.teams), user.teams, '{}'))
            GROUP BY json_each.key ORDER BY json_each.key";
        self.query_all("user", sql, [], |row| Ok(ListedTeam { team: row.get(0)?, members: row.get(1)? }))
    }

    fn list_sessions(
        &mut self,
        user: Option<UserId>,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<ListedSession>, StoreError> {
        self.query_all("session", SESSIONS, params![now.0, user.map(|id| id.0), limit, "", 0], read_session)
    }

    fn search_sessions(
        &mut self,
        text: &str,
        skip: u32,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let all = None::<i64>;
        self.query_all("session", SESSIONS, params![now.0, all, limit, folded(text), skip], read_session)
    }

    fn list_links(&mut self, user: UserId) -> Result<Vec<ListedLink>, StoreError> {
        let sql = "SELECT issuer, subject FROM link WHERE user = ?1 ORDER BY issuer, subject";
        self.query_all("link", sql, [user.0], |row| {
            Ok(ListedLink { issuer: row.get(0)?, subject: row.get(1)? })
        })
    }

    fn user_row(&mut self, username: &str) -> Result<Option<UserRow>, StoreError> {
        let sql =
            "SELECT id, username, kind, CAST(active AS TEXT), profile, teams FROM user WHERE username = ?1";
        let text = |row: &rusqlite::Row<'_>, column| row.get::<usize, Option<String>>(column).ok().flatten();
        self.query_first(sql, [username], |row| {
            Ok(UserRow {
                id: UserId(row.get(0)?),
                username: row.get(1)?,
                kind: text(row, 2),
                active: text(row, 3),
                profile: text(row, 4),
                teams: text(row, 5),
            })
        })
    }

    fn clear_user(&mut self, user: UserId) -> Result<(), StoreError> {
        // What was there is overwritten, as by a removal.
        self.connection.pragma_update(None, "secure_delete", true).map_err(|error| store_error(&error))?;
        let sql = "UPDATE user SET kind = ?2, active = 0, profile = '{}', teams = '{}' WHERE id = ?1";
        self.execute(sql, params![user.0, UserKind::default().name()]).map(drop)
    }

    fn leave_notice(&mut self, action: &str, about: &str) -> Result<(), StoreError> {
        self.execute("INSERT INTO notice (action, about) VALUES (?1, ?2)", [action, about]).map(drop)
    }

    fn record_event(&mut self, event: &Event) -> Result<(), StoreError> {
        self.add_events(std::slice::from_ref(event))
    }

    fn kept(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let found =
            self.query_all("kept", "SELECT text FROM kept WHERE name = ?1", [name], |row| row.get(0))?;
        Ok(found.into_iter().next())
    }

    fn keep(&mut self, name: &str, text: &str) -> Result<(), StoreError> {
        self.execute("INSERT OR REPLACE INTO kept (name, text) VALUES (?1, ?2)", [name, text]).map(drop)
    }
}

impl SqliteRecords<'_> {
    /// Deletes some events beyond the limits. Reports whether there may be more.
    pub(super) fn purge_events(&mut self, limits: EventLimits) -> Result<bool, StoreError> {
        events::purge_step(self.connection, limits, system::micros()).map_err(|error| store_error(&error))
    }

    /// Records events.
    pub(super) fn add_events(&mut self, added: &[Event]) -> Result<(), StoreError> {
        events::append(self.connection, added, system::micros()).map_err(|error| store_error(&error))
    }

    pub(super) fn query_all<T>(
        &self,
        table: &str,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let run = || -> rusqlite::Result<Vec<T>> {
            let (mut found, mut bad) = (Vec::new(), BadRows::default());
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                found.extend(bad.read(read(row)));
            }
            bad.report(table);
            Ok(found)
        };
        run().map_err(|error| store_error(&error))
    }
}
