//! The stores behind one interface, for tests that run on each.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use claimgate::oidc::records::{LogoutRecord, Position, Records, RenamedIssuer, StoreError, view};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::sign_in::SignedIn;
use claimgate::time::UnixTime;
use claimgate_server::store::SqliteStore;
use claimgate_server::store::postgres::{
    Administration, Connection, Logout, PgStore, Server, Settings, Unsure,
};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::engine::connect;
use super::nodes;
use super::people::Visit;

/// Longest wait for the next beat of a node.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node of a store under test.
pub(crate) trait TestedNode {
    /// Returns the position of a sign-in that begins now, after all that was written.
    async fn caught_up_position(&self) -> Position;

    /// Signs in; `None` if a logout overtook the sign-in.
    async fn sign_in(&self, visit: &Visit) -> Option<SignedIn>;

    /// Applies logouts. Returns for each the number of sessions that ended, `None` for a replay; and their position.
    async fn log_out(&self, logouts: &[Logout]) -> (Vec<Option<usize>>, Position);

    /// Ends a session. Returns whether it was there.
    async fn end(&self, session: SessionId) -> bool;

    async fn name_of(&self, session: SessionId) -> Result<Option<String>, Unsure>;

    /// Waits until a session is that of a user, or of none.
    async fn until(&self, session: SessionId, wanted: Option<&str>);

    async fn rename(&self, old: &str, new: &str) -> RenamedIssuer;
}

fn now() -> UnixTime {
    UnixTime(UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap())
}

/// The one node of a SQLite store. Its positions are a number that counts logouts.
pub(crate) struct SqliteNode {
    store: SqliteStore,
    position: Arc<AtomicI64>,
}

impl SqliteNode {
    pub(crate) fn new(store: SqliteStore) -> Self {
        Self { store, position: Arc::default() }
    }
}

impl TestedNode for SqliteNode {
    async fn caught_up_position(&self) -> Position {
        Position(self.position.load(Ordering::Relaxed) + 1)
    }

    async fn sign_in(&self, visit: &Visit) -> Option<SignedIn> {
        let visit = visit.clone();
        let work = move |records: &mut dyn Records| {
            let Some(plan) = visit.plan(view(records, &visit.lookup())?) else { return Ok(None) };
            plan.write(records, now()).map(Some)
        };
        self.store.transact(move |records| -> Result<_, StoreError> { work(records) }).await.unwrap()
    }

    async fn log_out(&self, logouts: &[Logout]) -> (Vec<Option<usize>>, Position) {
        let received = Position(self.position.fetch_add(1, Ordering::Relaxed) + 1);
        let logouts = logouts.to_vec();
        let apply = move |records: &mut dyn Records, logout: Logout| {
            let until = now().saturating_add(logout.retention.unsigned_abs());
            let Logout { issuer, jti, target, issued_at, issued_until, .. } = logout;
            let record = LogoutRecord {
                issuer,
                target,
                issued_at: UnixTime(issued_at),
                received,
                token_until: until,
                until,
            };
            if !records.record_logout(&jti, &record)? {
                return Ok(None);
            }
            records.end_logged_out(&record.issuer, &record.target, UnixTime(issued_until)).map(Some)
        };
        let work = move |records: &mut dyn Records| {
            logouts.into_iter().map(|logout| apply(records, logout)).collect::<Result<Vec<_>, StoreError>>()
        };
        (self.store.transact(move |records| work(records)).await.unwrap(), received)
    }

    async fn end(&self, session: SessionId) -> bool {
        self.store.end_session(session).await.unwrap().is_some()
    }

    async fn name_of(&self, session: SessionId) -> Result<Option<String>, Unsure> {
        Ok(self.store.session_user(session, now()).map(|user| user.username))
    }

    async fn until(&self, session: SessionId, wanted: Option<&str>) {
        assert_eq!(self.name_of(session).await, Ok(wanted.map(str::to_owned)), "at once");
    }

    async fn rename(&self, old: &str, new: &str) -> RenamedIssuer {
        let (old, new) = (old.to_owned(), new.to_owned());
        self.store.transact(move |records| records.rename_issuer(&old, &new)).await.unwrap()
    }
}

/// A node on PostgreSQL.
pub(crate) struct PostgresNode {
    node: PgStore,
    administration: Administration,
    observer: Mutex<Connection>,
}

impl PostgresNode {
    pub(crate) async fn open(server: &Server) -> Self {
        Self {
            node: PgStore::open(server.clone(), Settings::default()).await.unwrap(),
            administration: Administration::open(server.clone()).await.unwrap(),
            observer: Mutex::new(connect(server).await.unwrap()),
        }
    }

    async fn head(&self) -> i64 {
        self.observer.lock().await.client().query_one("SELECT seq FROM ord", &[]).await.unwrap().get(0)
    }
}

impl TestedNode for PostgresNode {
    async fn caught_up_position(&self) -> Position {
        let (head, deadline) = (self.head().await, Instant::now() + PATIENCE);
        while self.node.position().0 <= head {
            assert!(Instant::now() < deadline, "the node does not follow");
            sleep(Duration::from_millis(5)).await;
        }
        self.node.position()
    }

    async fn sign_in(&self, visit: &Visit) -> Option<SignedIn> {
        visit.complete(&self.node).await.unwrap()
    }

    async fn log_out(&self, logouts: &[Logout]) -> (Vec<Option<usize>>, Position) {
        let results = self.node.apply_logouts(logouts).await.unwrap();
        let results = results.into_iter().map(|result| result.ok().map(|ended| ended.sessions));
        (results.collect(), Position(self.head().await))
    }

    async fn end(&self, session: SessionId) -> bool {
        self.node.end_session(session).await.unwrap().is_some()
    }

    async fn name_of(&self, session: SessionId) -> Result<Option<String>, Unsure> {
        Ok(self.node.ask(session).await?.map(|user| user.username))
    }

    async fn until(&self, session: SessionId, wanted: Option<&str>) {
        nodes::until(&self.node, session, wanted).await;
    }

    async fn rename(&self, old: &str, new: &str) -> RenamedIssuer {
        let (old, new) = (old.to_owned(), new.to_owned());
        self.administration.administer(move |records| records.rename_issuer(&old, &new)).await.unwrap()
    }
}
