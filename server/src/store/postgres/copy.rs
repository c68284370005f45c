//! A SQLite store copied into an empty database of PostgreSQL, in one transaction.
//!
//! # Positions
//!
//! The positions of a SQLite store are its clock in milliseconds; those of PostgreSQL count commits. The copy has the
//! database count on from the clock: a sign-in that began before the copy is older than each logout after it.
//!
//! # Secrets of sessions
//!
//! A secret of a SQLite store has no code by which a node knows its own. Nodes therefore read the identifiers of the
//! copied sessions when they start, and refuse other secrets without a code as before.

use std::collections::HashMap;
use std::path::Path;

use tokio::runtime::Handle;
use tokio_postgres::Transaction;

use super::connection::{Connection, Server};
use super::error::{CopyError, PostgresError};
use super::keys::{KEYS, SEALING_KEY};
use super::logouts::tag;
use super::records::{LONG_TIMEOUT, Parameter, confirm, within_time};
use super::schema::{LOCK, migrate};
use super::sqlite::{Source, SourceGrant, SourceLink, SourceSession, SourceUser};
use crate::plural::count;
use crate::store::events::EventRow;
use crate::store::logout_entry::{LogoutEntry, TargetKind};
use crate::system;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::StoreError;
use claimgate::time::UnixTime;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Users, with their teams.
    pub users: u64,
    /// Passwords of these users.
    pub passwords: u64,
    /// Links of these users to subjects of providers.
    pub links: u64,
    /// Live sessions. Their cookies go on opening them.
    pub sessions: u64,
    /// Kept logouts.
    pub logouts: u64,
    /// Events.
    pub events: u64,
    /// Whether the key was copied, with which ID tokens, sign-ins under way and the keys of assertions are sealed. It is
    /// not if there is none, or if other users could read it: then these are lost.
    pub key: bool,
    /// Texts that servers keep under a name: the keys of assertions.
    pub kept: u64,
}

/// Copies a SQLite store, on which no server may run, into an empty database of PostgreSQL, on which none may run
/// either. The source keeps its rows; its schema is brought to the present version.
///
/// # Errors
/// [`CopyError`]; nothing is copied then. Whether a connection was lost before or after the commit is not known: the
/// next attempt is refused if it was after.
pub async fn copy_from_sqlite(server: &Server, file: &Path) -> Result<Copied, CopyError> {
    let (server, file, runtime) = (server.clone(), file.to_owned(), Handle::current());
    let work = move || {
        let source = Source::open(&file)?;
        let mut connection = runtime.block_on(async {
            let mut connection = server.connect().await?;
            migrate(&mut connection).await?;
            Ok::<_, PostgresError>(connection)
        })?;
        run(&source, &mut connection, &runtime)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError { reason: error.to_string() }.into()))
}

fn run(source: &Source, connection: &mut Connection, runtime: &Handle) -> Result<Copied, CopyError> {
    let begin = connection.client().transaction();
    let transaction = within_time(runtime, LONG_TIMEOUT, async { Ok(begin.await?) })?;
    let mut target = Target { transaction, runtime, now: UnixTime(0), position: 0, issuers: HashMap::new() };
    target.begin()?;
    let copied = target.fill(source)?;
    target.compare(&copied)?;
    target.commit()?;
    confirm(runtime, connection)?;
    Ok(copied)
}

/// The database to fill, within one transaction.
struct Target<'t> {
    transaction: Transaction<'t>,
    runtime: &'t Handle,
    /// The time of the copy, by the clock of this machine, which is that of the SQLite store.
    now: UnixTime,
    /// The position of the copy.
    position: i64,
    /// The numbers of the issuers.
    issuers: HashMap<String, i32>,
}

impl Target<'_> {
    fn number(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<i64, CopyError> {
        let row = async { Ok(self.transaction.query_one(sql, parameters).await?.try_get(0)?) };
        Ok(within_time(self.runtime, LONG_TIMEOUT, row)?)
    }

    fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, CopyError> {
        let done = async { Ok(self.transaction.execute(sql, parameters).await?) };
        Ok(within_time(self.runtime, LONG_TIMEOUT, done)?)
    }

    /// Keeps nodes from starting, and checks that none follows the database and that it is empty.
    fn begin(&mut self) -> Result<(), CopyError> {
        self.execute(LOCK, &[])?;
        let nodes = "SELECT count(*) FROM nodes WHERE seen > now() - interval '10 seconds'";
        if self.number(nodes, &[])? > 0 {
            return Err(CopyError::InUse);
        }
        let before = self.number("SELECT seq FROM ord WHERE one FOR UPDATE", &[])?;
        self.find_no_rows()?;
        // Counted on from a database that was used and is empty again.
        (self.now, self.position) = (system::now(), system::position().0.max(before.saturating_add(1)));
        self.execute("UPDATE ord SET seq = $1 WHERE one", &[&self.position])?;
        Ok(())
    }

    /// Checks that no table has a row that a copy could be taken for, or come upon.
    fn find_no_rows(&self) -> Result<(), CopyError> {
        let mut found = Vec::new();
        for (table, noun) in [
            ("users", "user"),
            ("links", "link"),
            ("sessions", "session"),
            ("logouts", "logout"),
            ("events", "event"),
            ("notices", "notice"),
        ] {
            let rows = self.number(&format!("SELECT count(*) FROM {table}"), &[])?;
            if rows != 0 {
                found.push(count(u64::try_from(rows).unwrap_or_default(), noun));
            }
        }
        if found.is_empty() { Ok(()) } else { Err(CopyError::NotEmpty(found.join(", "))) }
    }

    fn fill(&mut self, source: &Source) -> Result<Copied, CopyError> {
        let mut copied = Copied { key: self.copy_key(source)?, ..Copied::default() };
        copied.users = source.users(|users| {
            let passwords = users.iter().filter(|user| user.password.is_some()).count();
            copied.passwords += u64::try_from(passwords).unwrap_or(u64::MAX);
            self.add_users(users)
        })?;
        let last = source.last_user()?;
        if last > 0 {
            // No identifier is given again.
            self.number("SELECT setval(pg_get_serial_sequence('users', 'id'), $1)", &[&last])?;
        }
        copied.links = source.links(|links| self.add_links(links))?;
        let now = self.now;
        copied.sessions = source.sessions(now, |sessions| self.add_sessions(sessions, copied.key))?;
        if copied.key {
            // Without it none can be opened.
            source.grants(now, |grants| self.add_grants(grants))?;
            // Sealed with the key that was there before, if a server has used the database.
            self.execute("DELETE FROM meta WHERE name <> ALL ($1)", &[&KEYS.as_slice()])?;
            copied.kept = source.kept(|kept| self.add_kept(kept))?;
        }
        copied.logouts = source.logouts(now, |issuer, logouts| self.add_logouts(issuer, logouts))?;
        copied.events = source.events(|events| self.add_events(events))?;
        source.notices(|notices| {
            let (actions, abouts): (Vec<&str>, Vec<&str>) =
                notices.iter().map(|(action, about)| (action.as_str(), about.as_str())).unzip();
            let sql = "INSERT INTO notices (action, about) SELECT * FROM unnest($1::text[], $2::text[])";
            self.execute(sql, &[&actions, &abouts]).map(drop)
        })?;
        Ok(copied)
    }

    fn copy_key(&self, source: &Source) -> Result<bool, CopyError> {
        let Some(key) = &source.key else { return Ok(false) };
        let sql =
            "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
        self.execute(sql, &[&SEALING_KEY, &key.as_slice()])?;
        Ok(true)
    }

    /// Adds what servers keep under a name.
    fn add_kept(&self, kept: &[(String, String)]) -> Result<(), CopyError> {
        let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
        let texts: Vec<&[u8]> = kept.iter().map(|(_, text)| text.as_bytes()).collect();
        let sql = "INSERT INTO meta (name, value) SELECT * FROM unnest($1::text[], $2::bytea[])";
        self.execute(sql, &[&names, &texts]).map(drop)
    }

    fn issuer(&mut self, name: &str) -> Result<i32, CopyError> {
        if let Some(number) = self.issuers.get(name) {
            return Ok(*number);
        }
        let number = self.number("SELECT issuer_number($1)::bigint", &[&name])?;
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        self.issuers.insert(name.to_owned(), number);
        Ok(number)
    }

    fn add_users(&self, users: &[SourceUser]) -> Result<(), CopyError> {
        let sql = "INSERT INTO users (id, username, kind, active, profile, teams, password, version, created, updated)
            SELECT id, username, kind, active, profile, teams, password, $10::bigint, to_timestamp(created), to_timestamp(updated)
            FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::text[],
                $8::bigint[], $9::bigint[])
                AS u (id, username, kind, active, profile, teams, password, created, updated)";
        let text = |of: fn(&SourceUser) -> &str| users.iter().map(of).collect::<Vec<&str>>();
        let number = |of: fn(&SourceUser) -> i64| users.iter().map(of).collect::<Vec<i64>>();
        let active: Vec<bool> = users.iter().map(|user| user.active).collect();
        let passwords: Vec<Option<&str>> =
            users.iter().map(|user| user.password.as_deref().map(String::as_str)).collect();
        let parameters: [Parameter<'_>; 10] = [
            &number(|user| user.id),
            &text(|user| &user.username),
            &text(|user| &user.kind),
            &active,
            &text(|user| &user.profile),
            &text(|user| &user.teams),
            &passwords,
            &number(|user| user.created),
            &number(|user| user.updated),
            &self.position,
        ];
        self.execute(sql, &parameters).map(drop)
    }

    fn add_links(&mut self, links: &[SourceLink]) -> Result<(), CopyError> {
        let issuers = links.iter().map(|link| self.issuer(&link.issuer)).collect::<Result<Vec<i32>, _>>()?;
        let tags: Vec<Vec<u8>> = links.iter().map(|link| tag(&link.subject)).collect();
        let subjects: Vec<&str> = links.iter().map(|link| link.subject.as_str()).collect();
        let users: Vec<i64> = links.iter().map(|link| link.user).collect();
        let sql = "INSERT INTO links (issuer, subject_tag, subject, user_id)
            SELECT * FROM unnest($1::integer[], $2::bytea[], $3::text[], $4::bigint[])";
        self.execute(sql, &[&issuers, &tags, &subjects, &users]).map(drop)
    }

    /// Adds sessions; their ID tokens too if they can be opened, which is so if the key was copied.
    fn add_sessions(&mut self, sessions: &[SourceSession], has_key: bool) -> Result<(), CopyError> {
        let mut issuers = Vec::new();
        for session in sessions {
            let issuer = session.origin.as_ref().map(|origin| self.issuer(&origin.issuer));
            issuers.push(issuer.transpose()?);
        }
        let origins = || sessions.iter().map(|session| session.origin.as_ref());
        let subjects: Vec<_> = origins().map(|origin| origin.map(|origin| origin.subject.as_str())).collect();
        let sids: Vec<_> = origins().map(|origin| origin.and_then(|origin| origin.sid.as_deref())).collect();
        let issued_at: Vec<_> = origins().map(|origin| origin.map(|origin| origin.issued_at)).collect();
        let tags = |values: &[Option<&str>]| values.iter().map(|value| value.map(tag)).collect::<Vec<_>>();
        let (subject_tags, sid_tags) = (tags(&subjects), tags(&sids));
        let ids: Vec<&[u8]> = sessions.iter().map(|session| session.id.as_slice()).collect();
        let users: Vec<i64> = sessions.iter().map(|session| session.user).collect();
        // Durations: the clock of the database decides when a session is over.
        let from_now = |time: i64| time.saturating_sub(self.now.0);
        let created: Vec<i64> = sessions.iter().map(|session| from_now(session.created)).collect();
        let expires: Vec<i64> = sessions.iter().map(|session| from_now(session.expires)).collect();
        let authenticated: Vec<Option<i64>> =
            sessions.iter().map(|session| session.authenticated.map(from_now)).collect();
        let latest: Vec<Option<i64>> = sessions.iter().map(|session| session.latest.map(from_now)).collect();
        let claims: Vec<Option<&str>> = sessions.iter().map(|session| session.claims.as_deref()).collect();
        let sql = "INSERT INTO sessions
                (id, user_id, issuer, subject_tag, sid_tag, subject, sid, issued_at, created, expires, copied,
                authenticated, claims, latest)
            SELECT id, account, issuer, subject_tag, sid_tag, subject, sid, iat,
                now() + created * interval '1 second', now() + expires * interval '1 second', true,
                now() + authenticated * interval '1 second', claims,
                now() + latest * interval '1 second'
            FROM unnest($1::bytea[], $2::bigint[], $3::integer[], $4::bytea[], $5::bytea[], $6::text[], $7::text[],
                $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[])
                AS s (id, account, issuer, subject_tag, sid_tag, subject, sid, iat, created, expires, authenticated,
                claims, latest)";
        let parameters: [Parameter<'_>; 13] = [
            &ids,
            &users,
            &issuers,
            &subject_tags,
            &sid_tags,
            &subjects,
            &sids,
            &issued_at,
            &created,
            &expires,
            &authenticated,
            &claims,
            &latest,
        ];
        self.execute(sql, &parameters)?;
        let sealed = sessions.iter().filter_map(|session| {
            let origin = session.origin.as_ref().filter(|_| has_key)?;
            Some((session.id.as_slice(), origin.id_token.as_deref()?))
        });
        let (ids, sealed): (Vec<&[u8]>, Vec<&str>) = sealed.unzip();
        let sql = "INSERT INTO id_tokens (session, sealed) SELECT * FROM unnest($1::bytea[], $2::text[])";
        self.execute(sql, &[&ids, &sealed]).map(drop)
    }

    fn add_grants(&self, grants: &[SourceGrant]) -> Result<(), CopyError> {
        let sessions: Vec<&[u8]> = grants.iter().map(|grant| grant.session.as_slice()).collect();
        let providers: Vec<&str> = grants.iter().map(|grant| grant.provider.as_str()).collect();
        let sealed: Vec<&str> = grants.iter().map(|grant| grant.sealed.as_str()).collect();
        let due: Vec<i64> = grants.iter().map(|grant| grant.due.saturating_sub(self.now.0)).collect();
        let sql = "INSERT INTO refreshes (session, provider, sealed, due)
            SELECT session, provider, sealed, now() + due * interval '1 second'
            FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[]) AS g (session, provider, sealed, due)";
        self.execute(sql, &[&sessions, &providers, &sealed, &due]).map(drop)
    }

    fn add_logouts(&mut self, issuer: &str, logouts: &[LogoutEntry]) -> Result<(), CopyError> {
        let issuer = self.issuer(issuer)?;
        let bytes = |tag: Fingerprint| tag.0.to_vec();
        let jtis: Vec<Vec<u8>> = logouts.iter().map(|logout| bytes(logout.jti)).collect();
        let (mut sids, mut subjects) = (Vec::new(), Vec::new());
        for logout in logouts {
            let (mut sid, mut subject) = (None, None);
            for (kind, tag) in logout.targets() {
                match kind {
                    TargetKind::Session => sid = Some(bytes(tag)),
                    TargetKind::Subject | TargetKind::SubjectWithoutSession => subject = Some(bytes(tag)),
                }
            }
            sids.push(sid);
            subjects.push(subject);
        }
        let issued_at: Vec<i64> = logouts.iter().map(|logout| logout.issued_at.0).collect();
        let received: Vec<i64> = logouts.iter().map(|logout| logout.received.0.min(self.position)).collect();
        let kept: Vec<i64> = logouts.iter().map(|logout| logout.until.0.saturating_sub(self.now.0)).collect();
        // A renaming of an issuer has copied logouts with their jti, which is kept once.
        let sql = "WITH given AS MATERIALIZED (
                SELECT jti, sid, subject, iat, seq, kept, n::integer AS n FROM unnest(
                    $1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[])
                    WITH ORDINALITY AS g (jti, sid, subject, iat, seq, kept, n)
            ), fresh AS (
                INSERT INTO logouts (jti, sid_tag, subject_tag, issued_at, seq, until, issuer, n)
                SELECT jti, sid, subject, iat, seq, now() + kept * interval '1 second', $7::integer, n FROM given
                ON CONFLICT (jti) DO NOTHING RETURNING n
            )
            INSERT INTO logouts (sid_tag, subject_tag, issued_at, seq, until, issuer, n)
            SELECT sid, subject, iat, seq, now() + kept * interval '1 second', $7::integer, n FROM given
            WHERE n NOT IN (SELECT n FROM fresh)";
        let parameters: [Parameter<'_>; 7] = [&jtis, &sids, &subjects, &issued_at, &received, &kept, &issuer];
        self.execute(sql, &parameters).map(drop)
    }

    fn add_events(&self, events: &[EventRow]) -> Result<(), CopyError> {
        let rows = serde_json::to_string(events);
        let rows = rows.map_err(|error| PostgresError::Unreadable(error.to_string()))?;
        let sql = "INSERT INTO events SELECT * FROM json_populate_recordset(NULL::events, $1::text::json)";
        self.execute(sql, &[&rows]).map(drop)
    }

    fn commit(self) -> Result<(), CopyError> {
        let Self { transaction, runtime, .. } = self;
        Ok(within_time(runtime, LONG_TIMEOUT, async { Ok(transaction.commit().await?) })?)
    }

    /// Compares what was read with what the database holds.
    fn compare(&self, copied: &Copied) -> Result<(), CopyError> {
        let counts = [
            ("users", "SELECT count(*) FROM users", copied.users),
            ("passwords", "SELECT count(password) FROM users", copied.passwords),
            ("links", "SELECT count(*) FROM links", copied.links),
            ("sessions", "SELECT count(*) FROM sessions", copied.sessions),
            ("logouts", "SELECT count(*) FROM logouts", copied.logouts),
            ("events", "SELECT count(*) FROM events", copied.events),
        ];
        let kept = format!("SELECT count(*) FROM meta WHERE name NOT IN ('{}')", KEYS.join("', '"));
        let kept = copied.key.then_some(("kept texts", kept.as_str(), copied.kept));
        for (what, sql, read) in counts.into_iter().chain(kept) {
            let written = u64::try_from(self.number(sql, &[])?).unwrap_or_default();
            if written != read {
                return Err(CopyError::Miscounted { what, read, written });
            }
        }
        Ok(())
    }
}
