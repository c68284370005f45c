//! A node: its connections, what it follows, and its answers about sessions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use zeroize::Zeroizing;

use super::connection::{Connection, Server};
use super::error::PostgresError;
use super::feed::{Answer, Feed, Found, Settled};
use super::follower::Follower;
use super::keys::Keys;
use super::rows::read_user;
use super::schema::{MIGRATIONS, Migration, migrate_to, newest_of};
use super::session::{Slot, within};
use crate::store::bad_rows::BadRows;
use crate::store::key::Key;
use crate::system;
use claimgate::oidc::facts::{KeptClaims, SessionFacts};
use claimgate::oidc::records::Position;
use claimgate::oidc::session::{LiveSession, SessionId};
use claimgate::oidc::user::User;
use claimgate::time::UnixTime;

/// Connections for reading, each with many questions under way.
const READERS: usize = 4;
/// Most pieces of work that wait for the writing connection; more are refused at once.
const QUEUE: usize = 4096;
/// Longest wait for the writing connection.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a write. Then the connection is dropped: whether the write took effect is not known.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a read. Then the connection is dropped.
const READ_TIMEOUT: Duration = Duration::from_millis(400);
/// Most attempts to read a session whose answer was outdated when it came.
const READ_ATTEMPTS: usize = 3;

/// Most rows of a kind that one transaction deletes.
const PURGED_AT_ONCE: u32 = 5_000;
/// Most sessions whose rest is limited in one transaction, before which no other may begin.
const LIMITED_AT_ONCE: u32 = 500;
/// Most sessions whose uses are written in one transaction.
const WRITTEN_USES: usize = 1_000;
/// Time for which the feed is kept. A node that is further behind empties its cache.
const FEED_RETENTION: Duration = Duration::from_secs(600);

/// The default of [`Settings::revocation_bound`].
pub const REVOCATION_BOUND: Duration = Duration::from_secs(1);

/// The settings of a node.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The longest time for which any node serves a session after the logout that ends it was acknowledged. A node
    /// that cannot reach the database for so long answers no question about sessions.
    pub revocation_bound: Duration,
    /// Whether the database must have a synchronous standby, so that a failover loses nothing that was acknowledged.
    /// Without one the node has no lease, and nothing is written.
    pub require_synchronous: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { revocation_bound: REVOCATION_BOUND, require_synchronous: false }
    }
}

/// The node does not know which sessions have ended: it has no lease, or the database does not answer. The client is
/// asked to try again; it is not signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store does not say in time which sessions have ended")]
pub struct Unsure;

/// The state of a node, for its operator.
#[derive(Clone, Copy, Debug)]
pub struct NodeState {
    /// The time since the newest beat that counts was begun: what is older is known. Up to the revocation bound,
    /// questions about sessions are answered.
    pub lease_age: Duration,
    /// Whether the database had a synchronous standby at the newest beat.
    pub has_synchronous_standby: bool,
    /// The pieces of work that wait for the writing connection, or are being written.
    pub waiting: usize,
    /// The sessions in the cache.
    pub cached_sessions: usize,
}

/// A store over PostgreSQL. A clone is the same store.
#[derive(Clone)]
pub struct PgStore(Arc<Node>);

/// The questions about sessions that are under way, each with those who wait for the answer.
type Questions = Mutex<HashMap<SessionId, Vec<oneshot::Sender<Result<Option<LiveSession>, Unsure>>>>>;

struct Node {
    feed: Arc<Feed>,
    keys: Keys,
    /// The sessions that were copied from a SQLite store, ordered.
    copied: Vec<SessionId>,
    writer: Slot,
    waiting: Semaphore,
    /// Deletes what is over, beside the writes.
    upkeep: Slot,
    readers: [Slot; READERS],
    next_reader: AtomicUsize,
    questions: Questions,
    follower: AbortHandle,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl PgStore {
    /// Opens the database of a server: makes or migrates the schema, makes the keys if there are none, and follows
    /// the changes of other nodes until the last clone is dropped.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open(server: Server, settings: Settings) -> Result<Self, PostgresError> {
        Self::open_as(server, settings, MIGRATIONS).await
    }

    /// Opens the database as a program that knows these versions of the schema.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open_as(
        server: Server,
        settings: Settings,
        migrations: &[Migration],
    ) -> Result<Self, PostgresError> {
        let server = server.require_standby(settings.require_synchronous);
        let mut connection = server.connect().await?;
        migrate_to(&mut connection, migrations).await?;
        let keys = Keys::load(&connection).await?;
        let copied = copied_sessions(&connection).await?;
        let feed = Arc::new(Feed::new(settings.revocation_bound));
        let follower = Follower::new(server.clone(), Arc::clone(&feed), newest_of(migrations));
        follower.beat().await?;
        Ok(Self(Arc::new(Node {
            feed,
            keys,
            copied,
            writer: Slot::new(server.clone()),
            waiting: Semaphore::new(QUEUE),
            upkeep: Slot::new(server.clone()),
            readers: std::array::from_fn(|_| Slot::new(server.clone())),
            next_reader: AtomicUsize::new(0),
            questions: Questions::default(),
            follower: tokio::spawn(follower.run()).abort_handle(),
        })))
    }

    /// Returns the key that the nodes share.
    pub(crate) fn key(&self) -> &Key {
        &self.0.keys.sealing
    }

    /// Returns the secret of a session from a random text: with a code, so that an invented secret is refused without
    /// a question to the database.
    #[must_use]
    pub fn session_secret(&self, random: &str) -> Zeroizing<String> {
        self.0.keys.secrets.authenticate(random)
    }

    /// Reports whether a node of this database made a session's secret, or the SQLite store that was copied into it.
    #[must_use]
    pub fn made_secret(&self, secret: &str) -> bool {
        self.0.keys.secrets.is_authentic(secret)
            || self.0.copied.binary_search(&SessionId::of_secret(secret)).is_ok()
    }

    /// Returns the position of a sign-in that begins now.
    #[must_use]
    pub fn position(&self) -> Position {
        Position(self.0.feed.next_position())
    }

    /// Returns how long the lease lasts: the time for which questions about sessions are answered if the database is
    /// not reached from now on. `None` without a lease.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        self.lease_until().checked_sub(system::boot_time()).filter(|left| !left.is_zero())
    }

    /// Returns the state of the node.
    #[must_use]
    pub fn state(&self) -> NodeState {
        let Node { feed, waiting, .. } = &*self.0;
        NodeState {
            lease_age: feed.lease_age(system::boot_time()),
            has_synchronous_standby: feed.has_standby(),
            waiting: QUEUE - waiting.available_permits(),
            cached_sessions: feed.cached_sessions(),
        }
    }

    /// Returns the end of the lease, by the clock that goes on while the machine is suspended.
    pub(super) fn lease_until(&self) -> Duration {
        self.0.feed.lease_until()
    }

    /// Answers a question about a session from memory; that is a use of the session. [`session`](Self::session) answers
    /// where this does not.
    #[must_use]
    pub fn session_user(&self, id: SessionId) -> Answer {
        self.0.feed.answer(id, system::boot_time)
    }

    /// Returns the user of a live session, as [`session`](Self::session) does.
    ///
    /// # Errors
    /// [`Unsure`].
    pub async fn ask(&self, id: SessionId) -> Result<Option<User>, Unsure> {
        Ok(self.session(id).await?.map(|session| session.user))
    }

    /// Returns a live session; `None` if the session has ended, or never was, or its user is not active. That is a use
    /// of the session. Reads the database if the session is not in memory, once for all who ask at a time.
    ///
    /// # Errors
    /// [`Unsure`].
    pub async fn session(&self, id: SessionId) -> Result<Option<LiveSession>, Unsure> {
        match self.session_user(id) {
            Answer::Live(session) => return Ok(Some(session)),
            Answer::Unsure => return Err(Unsure),
            Answer::Unknown => {}
        }
        let session = self.read_once(id).await?;
        if session.is_some() {
            self.0.feed.note_use(id, system::boot_time());
        }
        Ok(session)
    }

    /// Returns a live session, as [`session`](Self::session) does. That is no use of the session.
    ///
    /// # Errors
    /// [`Unsure`].
    pub async fn peek(&self, id: SessionId) -> Result<Option<LiveSession>, Unsure> {
        match self.0.feed.peek(id, system::boot_time) {
            Answer::Live(session) => Ok(Some(session)),
            Answer::Unsure => Err(Unsure),
            Answer::Unknown => self.read_once(id).await,
        }
    }

    /// Reads a session from the database, once for all who ask at a time.
    async fn read_once(&self, id: SessionId) -> Result<Option<LiveSession>, Unsure> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut questions = self.0.questions.lock();
            let waiting = questions.entry(id).or_default();
            waiting.push(answer);
            waiting.len() == 1
        };
        if is_first {
            // A task of its own: the first client may leave before the answer comes.
            let node = Arc::clone(&self.0);
            tokio::spawn(async move {
                let result = node.read_session(id).await;
                let waiting = node.questions.lock().remove(&id).unwrap_or_default();
                for answer in waiting {
                    drop(answer.send(result.clone()));
                }
            });
        }
        answered.await.unwrap_or(Err(Unsure))
    }

    /// Sets the idle time: a session is over once it was not used for so long, at any node. Nodes have the same.
    pub fn set_idle_time(&self, idle: Option<Duration>) {
        self.0.feed.set_idle_time(idle);
    }

    /// Returns the idle time in seconds.
    pub(super) fn idle_seconds(&self) -> Option<i64> {
        self.0.feed.idle_seconds()
    }

    /// Returns the interval at which all uses are to be written.
    pub(crate) fn use_step(&self) -> Duration {
        self.0.feed.use_step()
    }

    /// Writes the uses of sessions at this node that are due, or (`all`) all, in steps.
    ///
    /// # Errors
    /// [`PostgresError`]: those that are not written wait for the next time.
    pub async fn write_uses(&self, all: bool) -> Result<(), PostgresError> {
        let feed = &self.0.feed;
        let ends = feed.take_ends(all);
        for (number, chunk) in ends.chunks(WRITTEN_USES).enumerate() {
            if let Err(error) = self.write_ends(chunk).await {
                feed.give_back_ends(&ends[number * WRITTEN_USES..]);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write_ends(&self, ends: &[(SessionId, i64)]) -> Result<(), PostgresError> {
        let begun = system::boot_time();
        let now = i64::try_from(begun.as_millis()).unwrap_or(i64::MAX);
        let ids: Vec<&[u8]> = ends.iter().map(|(id, _)| &id.0[..]).collect();
        let left: Vec<i64> = ends.iter().map(|(_, end)| end.saturating_sub(now)).collect();
        let sql = "SELECT session, remaining FROM use_sessions($1, $2)";
        for row in self.write_beside(sql, &[&ids, &left]).await? {
            let id: &[u8] = row.try_get(0)?;
            if let Ok(id) = id.try_into() {
                self.0.feed.note_end(SessionId(id), begun, row.try_get(1)?);
            }
        }
        Ok(())
    }

    /// Removes a session that this node has ended from memory: the person who signed out sees it at once.
    pub(super) fn forget(&self, session: SessionId) {
        self.0.feed.forget(session, system::boot_time());
    }

    /// Deletes what is over, in steps; the clock is the database's. Returns at once while another node does so. Limits the
    /// rest of sessions that were opened without the idle time.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn purge(&self) -> Result<(), PostgresError> {
        let most = i32::try_from(PURGED_AT_ONCE).unwrap_or(i32::MAX);
        let retention = i64::try_from(FEED_RETENTION.as_secs()).unwrap_or(i64::MAX);
        while self.keep_up("SELECT purge($1, $2)", &[&most, &retention]).await? {}
        if let Some(idle) = self.0.feed.idle_seconds() {
            let most = i32::try_from(LIMITED_AT_ONCE).unwrap_or(i32::MAX);
            while self.keep_up("SELECT limit_sessions($1, $2)", &[&most, &idle]).await? {}
        }
        Ok(())
    }

    /// Runs a statement that deletes some of what is over, beside the writes. Returns its result: whether there may be
    /// more.
    pub(super) async fn keep_up(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<bool, PostgresError> {
        let rows = self.write_beside(sql, parameters).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
    }

    /// Runs a statement that writes beside the decisions, without the order row.
    pub(super) async fn write_beside(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        self.0.write(&self.0.upkeep, sql, parameters).await
    }

    /// Runs a statement on the writing connection, one at a time.
    pub(super) async fn write(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let _turn = self.0.waiting.try_acquire().map_err(|_| PostgresError::Busy)?;
        self.0.write(&self.0.writer, sql, parameters).await
    }

    /// Runs a statement that changes nothing on one of the reading connections.
    pub(super) async fn read(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        self.0.read(sql, parameters).await
    }
}

/// Reads the identifiers of the sessions that were copied from a SQLite store.
async fn copied_sessions(connection: &Connection) -> Result<Vec<SessionId>, PostgresError> {
    let sql = "SELECT string_agg(id, '') FROM sessions WHERE copied AND octet_length(id) = 16";
    let rows = connection.read(sql, &[]).await?;
    let ids: Option<Vec<u8>> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
    let ids = ids.unwrap_or_default();
    let mut copied: Vec<SessionId> = ids.as_chunks().0.iter().map(|id| SessionId(*id)).collect();
    copied.sort_unstable();
    Ok(copied)
}

impl Node {
    async fn write(
        &self,
        slot: &Slot,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let mut held = timeout(QUEUE_TIMEOUT, slot.lock()).await.map_err(|_| PostgresError::Busy)?;
        let session = held.session(self.feed.history().as_deref()).await?;
        let result = within(WRITE_TIMEOUT, session.connection.query(sql, parameters)).await;
        if let Err(
            error @ (PostgresError::Lost(_) | PostgresError::NotReplicated(_) | PostgresError::ReadOnly),
        ) = &result
        {
            held.discard(&session, error);
        }
        result
    }

    async fn read(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let slot = &self.readers[self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS];
        let session = slot.lock().await.session(self.feed.history().as_deref()).await?;
        let answer = async {
            // A new connection, far away, needs as long for this as for the answer.
            within(READ_TIMEOUT, session.connection.prepare(sql)).await?;
            within(READ_TIMEOUT, session.connection.read(sql, parameters)).await
        };
        let result = answer.await;
        if let Err(error @ PostgresError::Lost(_)) = &result {
            slot.lock().await.discard(&session, error);
        }
        result
    }

    async fn read_session(&self, id: SessionId) -> Result<Option<LiveSession>, Unsure> {
        for _ in 0..READ_ATTEMPTS {
            let ticket = self.feed.begin_read(system::boot_time()).ok_or(Unsure)?;
            let (position, found) = match self.find_session(id).await {
                Ok(found) => found,
                // Another connection may answer.
                Err(PostgresError::Lost(_)) => continue,
                Err(error) => {
                    tracing::warn!(%error, "a session cannot be read");
                    return Err(Unsure);
                }
            };
            let settled = self.feed.settle(ticket, id, position, found, system::boot_time);
            if let Settled::Known(session) = settled {
                return Ok(session);
            }
        }
        Err(Unsure)
    }

    /// Reads a session and the position of the snapshot that shows it. A row that cannot be read is reported, and opens
    /// no session.
    async fn find_session(&self, id: SessionId) -> Result<(i64, Option<Found>), PostgresError> {
        let sql = "SELECT o.seq, extract(epoch FROM s.expires - now())::double precision,
                u.id, u.username, u.kind, u.active, u.profile, u.teams,
                extract(epoch FROM now() - s.authenticated)::bigint, s.claims,
                extract(epoch FROM s.latest - now())::double precision
            FROM ord o LEFT JOIN (sessions s JOIN users u ON u.id = s.user_id AND u.active)
                ON s.id = $1 AND s.expires > now() AND isfinite(s.expires)
                AND isfinite(coalesce(s.latest, s.expires)) AND isfinite(coalesce(s.authenticated, s.expires))
            WHERE o.one";
        let rows = self.read(sql, &[&&id.0[..]]).await?;
        let row =
            rows.first().ok_or_else(|| PostgresError::Unreadable("the order row is missing".to_owned()))?;
        let mut bad = BadRows::default();
        let found = bad.read(read_found(row)).flatten();
        bad.report("sessions");
        Ok((row.try_get(0)?, found))
    }
}

/// Reads what [`Node::find_session`] found, if anything.
fn read_found(row: &Row) -> Result<Option<Found>, PostgresError> {
    let Some(user) = read_user(row, 2)? else { return Ok(None) };
    let remaining = Duration::try_from_secs_f64(row.try_get(1)?).unwrap_or_default();
    // By the clock of this node, which the rules compare it with.
    let since: Option<i64> = row.try_get(8)?;
    let authenticated = since.map(|since| UnixTime(system::now().0.saturating_sub(since)));
    let facts = SessionFacts { authenticated, claims: KeptClaims::from_json(row.try_get(9)?) };
    let lifetime: Option<f64> = row.try_get(10)?;
    let lifetime = lifetime.and_then(|left| Duration::try_from_secs_f64(left).ok());
    let lifetime = lifetime.unwrap_or(remaining);
    Ok(Some(Found { session: LiveSession { user, facts }, remaining, lifetime }))
}
