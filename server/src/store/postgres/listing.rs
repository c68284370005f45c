//! Lists for administrators, from one transaction.

use tokio_postgres::Row;

use super::error::PostgresError;
use super::events::to_parameter;
use super::node::PgStore;
use super::records::{Parameter, PostgresRecords, USER, read_user};
use crate::store::bad_rows::BadRows;
use crate::store::search::Sought;
use crate::store::{
    AdminRecords, Event, ListedLink, ListedSession, ListedTeam, ListedUser, PeopleCounts, UserRow,
};
use claimgate::oidc::records::{MAX_SESSIONS_OF_USER, Records, StoreError};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::{UserId, UserKind};
use claimgate::time::UnixTime;

/// Lists the live sessions of the user `$1`, or of all whose names have `$3` in them, folded by `$5` and `$6`, the newest
/// first and at most `$2`, without the first `$4`.
const SESSIONS: &str = "SELECT sessions.id, users.id, users.username, issuers.name, subject, sid,
        extract(epoch FROM sessions.created)::double precision, extract(epoch FROM expires)::double precision
    FROM sessions JOIN users ON users.id = sessions.user_id LEFT JOIN issuers ON issuers.id = sessions.issuer
    WHERE expires > now() AND ($1::bigint IS NULL OR users.id = $1) AND strpos(translate(username, $5, $6), $3) > 0
    ORDER BY sessions.created DESC, sessions.id DESC LIMIT $2 OFFSET $4";

impl PgStore {
    /// Returns the live sessions of a user, the newest first. A row that cannot be read is skipped and reported.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<ListedSession>, PostgresError> {
        let rows = self
            .read(SESSIONS, &[&Some(user.0), &i64::from(MAX_SESSIONS_OF_USER), &"", &0i64, &"", &""])
            .await?;
        Ok(readable("sessions", &rows, read_session))
    }
}

impl PostgresRecords<'_> {
    /// Reads the rows of a table. One that cannot be read is skipped and reported.
    fn list<T>(
        &self,
        table: &str,
        sql: &str,
        parameters: &[Parameter<'_>],
        read: impl Fn(&Row) -> Result<T, PostgresError>,
    ) -> Result<Vec<T>, StoreError> {
        Ok(readable(table, &self.query(sql, parameters)?, read))
    }
}

/// Returns what the rows of a table say. One that cannot be read is skipped and reported.
pub(super) fn readable<T>(
    table: &str,
    rows: &[Row],
    read: impl Fn(&Row) -> Result<T, PostgresError>,
) -> Vec<T> {
    let mut bad = BadRows::default();
    let listed = rows.iter().filter_map(|row| bad.read(read(row))).collect();
    bad.report(table);
    listed
}

impl AdminRecords for PostgresRecords<'_> {
    fn search_users(&mut self, text: &str, after: &str, limit: u32) -> Result<Vec<ListedUser>, StoreError> {
        let sql = format!(
            "SELECT {USER}, password IS NOT NULL,
                (SELECT count(*) FROM links WHERE links.user_id = users.id),
                (SELECT count(*) FROM sessions WHERE sessions.user_id = users.id)
            FROM users WHERE username > $1 AND strpos(translate(username, $4, $5), $3) > 0 ORDER BY username LIMIT $2"
        );
        let Sought { text, from, to } = Sought::of(text);
        self.list("users", &sql, &[&after, &i64::from(limit), &text, &from, &to], |row| {
            Ok(ListedUser {
                user: read_user(row)?,
                has_password: row.try_get(6)?,
                links: read_count(row, 7)?,
                sessions: read_count(row, 8)?,
            })
        })
    }

    fn count_people(&mut self, _: UnixTime) -> Result<PeopleCounts, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM users WHERE NOT active),
            (SELECT count(*) FROM sessions WHERE expires > now())";
        let counts = self.list("users", sql, &[], |row| {
            let count = |column| {
                Ok::<u64, PostgresError>(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or_default())
            };
            Ok(PeopleCounts { users: count(0)?, inactive: count(1)?, sessions: count(2)? })
        })?;
        Ok(counts.first().copied().unwrap_or_default())
    }

    fn list_teams(&mut self) -> Result<Vec<ListedTeam>, StoreError> {
        let sql = "SELECT team, count(*) FROM users, team_names(users.teams) AS team
            GROUP BY team ORDER BY team COLLATE \"C\"";
        self.list("users", sql, &[], |row| {
            Ok(ListedTeam { team: row.try_get(0)?, members: read_count(row, 1)? })
        })
    }

    fn list_sessions(
        &mut self,
        user: Option<UserId>,
        limit: u32,
        _: UnixTime,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let parameters: [Parameter<'_>; 6] =
            [&user.map(|user| user.0), &i64::from(limit), &"", &0i64, &"", &""];
        self.list("sessions", SESSIONS, &parameters, read_session)
    }

    fn search_sessions(
        &mut self,
        text: &str,
        skip: u32,
        limit: u32,
        _: UnixTime,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let Sought { text, from, to } = Sought::of(text);
        let parameters: [Parameter<'_>; 6] =
            [&None::<i64>, &i64::from(limit), &text, &i64::from(skip), &from, &to];
        self.list("sessions", SESSIONS, &parameters, read_session)
    }

    fn list_links(&mut self, user: UserId) -> Result<Vec<ListedLink>, StoreError> {
        let links = self.subjects_of(user, None)?;
        Ok(links.into_iter().map(|(issuer, subject)| ListedLink { issuer, subject }).collect())
    }

    fn user_row(&mut self, username: &str) -> Result<Option<UserRow>, StoreError> {
        let sql = "SELECT id, username, kind, active::text, profile, teams FROM users WHERE username = $1";
        let row = self.query_first(sql, &[&username])?;
        let text = |row: &Row, column| row.try_get::<usize, Option<String>>(column).ok().flatten();
        Ok(row.map(|row| UserRow {
            id: UserId(row.get(0)),
            username: row.get(1),
            kind: text(&row, 2),
            active: text(&row, 3),
            profile: text(&row, 4),
            teams: text(&row, 5),
        }))
    }

    fn clear_user(&mut self, user: UserId) -> Result<(), StoreError> {
        let sql = "UPDATE users SET kind = $2, active = false, profile = '{}', teams = '{}' WHERE id = $1";
        self.execute(sql, &[&user.0, &UserKind::default().name()]).map(drop)
    }

    fn leave_notice(&mut self, action: &str, about: &str) -> Result<(), StoreError> {
        self.execute("INSERT INTO notices (action, about) VALUES ($1, $2)", &[&action, &about]).map(drop)
    }

    fn record_event(&mut self, event: &Event) -> Result<(), StoreError> {
        let event = to_parameter(std::slice::from_ref(event));
        self.query("SELECT add_events($1)", &[&event]).map(drop)
    }

    fn kept(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let found = self.list("meta", "SELECT value FROM meta WHERE name = $1", &[&name], |row| {
            let no_text = |_| PostgresError::Unreadable(format!("`{name}` is no text"));
            String::from_utf8(row.try_get(0)?).map_err(no_text)
        })?;
        Ok(found.into_iter().next())
    }

    fn keep(&mut self, name: &str, text: &str) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
        self.execute(sql, &[&name, &text.as_bytes()]).map(drop)
    }
}

fn read_session(row: &Row) -> Result<ListedSession, PostgresError> {
    Ok(ListedSession {
        id: read_session_id(row)?.to_string(),
        user: UserId(row.try_get(1)?),
        username: row.try_get(2)?,
        issuer: row.try_get(3)?,
        subject: row.try_get(4)?,
        sid: row.try_get(5)?,
        created: read_seconds(row, 6)?,
        expires: read_seconds(row, 7)?,
    })
}

/// Reads the identifier of a session from the first column.
pub(super) fn read_session_id(row: &Row) -> Result<SessionId, PostgresError> {
    let id: &[u8] = row.try_get(0)?;
    let id = id.try_into().map_err(|_| {
        PostgresError::Unreadable("the identifier of a session does not have its length".to_owned())
    })?;
    Ok(SessionId(id))
}

fn read_count(row: &Row, column: usize) -> Result<u32, PostgresError> {
    Ok(u32::try_from(row.try_get::<_, i64>(column)?).unwrap_or(u32::MAX))
}

/// Reads seconds since 1970, rounded down. `infinity` is a time of PostgreSQL and none here.
fn read_seconds(row: &Row, column: usize) -> Result<i64, PostgresError> {
    let seconds: f64 = row.try_get(column)?;
    if !seconds.is_finite() {
        return Err(PostgresError::Unreadable("a time is infinite".to_owned()));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast saturates, and a time of PostgreSQL is far within"
    )]
    Ok(seconds.floor() as i64)
}
