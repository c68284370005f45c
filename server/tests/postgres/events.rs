//! Events in PostgreSQL, and those of sign-ins and of two nodes.

use std::sync::Arc;
use std::time::Duration;

use claimgate::oidc::records::StoreError;
use claimgate_server::store::postgres::{Administration, PgStore, Settings};
use claimgate_server::store::{
    AdminRecords, Event, EventCount, EventKind, EventLimits, EventQuery, ListedEvent, PageOrder,
};
use tokio::runtime::Runtime;

use super::engine::{Engine, connect, runtime, with_database};
use super::event_contract::{self, EventStore};
use super::people::Visit;

struct PostgresEvents {
    runtime: Arc<Runtime>,
    node: PgStore,
    administration: Administration,
}

impl EventStore for PostgresEvents {
    fn record(&self, events: Vec<Event>) {
        self.runtime.block_on(self.node.record_events(&events)).unwrap();
    }

    fn list(&self, query: EventQuery) -> Vec<ListedEvent> {
        self.runtime.block_on(self.administration.list_events(&query)).unwrap()
    }

    fn count(&self, minutes: u32) -> Vec<EventCount> {
        self.runtime.block_on(self.administration.count_events(minutes)).unwrap()
    }

    fn purge(&self, limits: EventLimits) {
        self.runtime.block_on(self.node.purge_events(limits)).unwrap();
    }

    fn administer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(self.administration.administer(work))
    }
}

#[test]
fn events_are_recorded_listed_erased_and_purged() {
    let Some(engine) = Engine::shared() else { return };
    let runtime = Arc::new(runtime());
    let store = runtime.block_on(async {
        let server = engine.server(&engine.new_database().await);
        let node = PgStore::open(server.clone(), Settings::default()).await.unwrap();
        let administration = Administration::open(server).await.unwrap();
        PostgresEvents { runtime: Arc::clone(&runtime), node, administration }
    });
    event_contract::check(&store);
}

/// A sign-in and its event are one transaction; the view that does not hold leaves no event.
#[test]
fn a_sign_in_and_its_event_are_written_together() {
    with_database(async |server| {
        let node = PgStore::open(server.clone(), Settings::default()).await.unwrap();
        let event = || Some(Event::new(EventKind::SignIn, "provider").provider("idp"));
        let visit = Visit::now(&node, "ada", Some("s"));
        let plan = visit.plan(node.view(&visit.lookup()).await.unwrap()).unwrap();
        node.write_plan(plan, event(), None).await.unwrap();
        let visit = Visit::now(&node, "grace", Some("t"));
        let stale = visit.plan(node.view(&visit.lookup()).await.unwrap()).unwrap();
        let again = Visit::now(&node, "grace", Some("t"));
        let first = again.plan(node.view(&again.lookup()).await.unwrap()).unwrap();
        node.write_plan(first, None, None).await.unwrap();
        assert!(node.write_plan(stale, event(), None).await.is_err());
        let administration = Administration::open(server).await.unwrap();
        let events =
            administration.list_events(&EventQuery { limit: 10, ..EventQuery::default() }).await.unwrap();
        assert_eq!(events.len(), 1);
        let members: Vec<_> = events[0].members().collect();
        let expected = [
            ("code", "provider"),
            ("user", "ada"),
            ("provider", "idp"),
            ("subject", "ada"),
            ("detail", "the user was created"),
        ];
        assert_eq!(members, expected);
    });
}

/// The numbers of events follow the order of their commits: a reader who asks for those after a number misses none.
#[test]
fn events_of_two_nodes_are_in_one_order() {
    with_database(async |server| {
        let nodes = [
            PgStore::open(server.clone(), Settings::default()).await.unwrap(),
            PgStore::open(server.clone(), Settings::default()).await.unwrap(),
        ];
        let recording = nodes.map(|node| {
            tokio::spawn(async move {
                for _ in 0..100 {
                    let events = [EventKind::Refusal, EventKind::Logout].map(|kind| Event::new(kind, "x"));
                    node.record_events(&events).await.unwrap();
                }
            })
        });
        let administration = Administration::open(server.clone()).await.unwrap();
        let (mut seen, mut next) = (0, 0);
        while seen < 400 {
            let is_over = recording.iter().all(tokio::task::JoinHandle::is_finished);
            let order = PageOrder::OldestFirst;
            let query = EventQuery { from: Some(next), order, limit: 1_000, ..EventQuery::default() };
            let events = administration.list_events(&query).await.unwrap();
            seen += events.len();
            next = events.last().map_or(next, |newest| newest.id + 1);
            assert!(!is_over || seen == 400, "{seen} of 400");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut connection = connect(&server).await.unwrap();
        let sql = "SELECT count(DISTINCT id), max(n) FROM events";
        let row = connection.client().query_one(sql, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (400, 200));
    });
}
