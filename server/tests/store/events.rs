//! Events in SQLite.

use claimgate::oidc::records::StoreError;
use claimgate_server::store::{
    AdminRecords, Event, EventCount, EventKind, EventLimits, EventQuery, ListedEvent, SqliteStore, back_up,
    restore,
};

use super::event_contract::{self, EventStore};
use super::open;

impl EventStore for SqliteStore {
    fn record(&self, events: Vec<Event>) {
        runtime().block_on(self.record_events(events)).unwrap();
    }

    fn list(&self, query: EventQuery) -> Vec<ListedEvent> {
        self.list_events(query).unwrap()
    }

    fn count(&self, minutes: u32) -> Vec<EventCount> {
        self.count_events(minutes).unwrap()
    }

    fn purge(&self, limits: EventLimits) {
        runtime().block_on(self.purge_events(limits)).unwrap();
    }

    fn administer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.administer_blocking(work)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

// finding: R12
#[test]
fn events_are_recorded_listed_erased_and_purged() {
    event_contract::check(&SqliteStore::in_memory().unwrap());
    let folder = tempfile::tempdir().unwrap();
    event_contract::check(&SqliteStore::open_for_server(&folder.path().join("claimgate.db")).unwrap());
}

fn happened(code: &'static str, user: &str) -> Event {
    Event::new(EventKind::Administration, code).user(user)
}

/// What administrators did since a backup was made is known after it was put back.
#[test]
fn a_restoration_keeps_the_events_since_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (database, copy) = (folder.path().join("claimgate.db"), folder.path().join("copy.db"));
    let store = SqliteStore::open(&database).unwrap();
    store.record(vec![happened("before", "ada"), happened("before", "ada")]);
    back_up(&database, &copy, &mut |_, _| ()).unwrap();
    open(&store, "late", 1, 60);
    store.record(vec![happened("after", "late"), Event::new(EventKind::SignIn, "provider")]);
    store.close();
    restore(&copy, &database, &mut |_, _| ()).unwrap();
    let store = SqliteStore::open(&database).unwrap();
    open(&store, "other", 2, 60);
    let all = EventQuery { limit: 10, ..EventQuery::default() };
    let codes = |query: &EventQuery| {
        store.list(query.clone()).into_iter().map(|event| event.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&all), ["provider", "after", "before", "before"]);
    assert_eq!(
        codes(&EventQuery { user: Some("other".to_owned()), ..all.clone() }),
        Vec::<String>::new(),
        "a user of the same number is another person"
    );
    let limits = EventLimits { retention: std::time::Duration::from_secs(3_600), max: 2 };
    EventStore::purge(&store, limits);
    assert_eq!(codes(&all), ["provider", "after", "before"], "they are counted with the others");
}
