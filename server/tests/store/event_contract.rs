//! What both stores promise of events.

use std::time::Duration;

use claimgate::identity::Normalisation;
use claimgate::oidc::accounts::{self, Administrator, NewUser};
use claimgate::oidc::records::StoreError;
use claimgate::oidc::user::{User, UserKind};
use claimgate::time::UnixTime;
use claimgate_server::store::{
    AdminRecords, BY_COMMAND, Event, EventCount, EventKind, EventLimits, EventQuery, ListedEvent, PageOrder,
};

/// A store that records events.
pub(crate) trait EventStore {
    fn record(&self, events: Vec<Event>);
    fn list(&self, query: EventQuery) -> Vec<ListedEvent>;
    fn count(&self, minutes: u32) -> Vec<EventCount>;
    fn purge(&self, limits: EventLimits);
    fn administer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError>;
}

const NOW: UnixTime = UnixTime(1_800_000_000);

fn refusal(code: &'static str) -> Event {
    Event::new(EventKind::Refusal, code)
}

fn all() -> EventQuery {
    EventQuery { limit: 1_000, ..EventQuery::default() }
}

fn codes(events: &[ListedEvent]) -> Vec<&str> {
    events.iter().map(|event| event.code.as_str()).collect()
}

fn add_user(store: &impl EventStore, name: &'static str) -> User {
    let added = store.administer(move |records| {
        let new = NewUser::new(Administrator::OPERATOR, name, Normalisation::Default, UserKind::Regular);
        let user = accounts::add(records, Administrator::OPERATOR, new.unwrap(), NOW).unwrap();
        records.link("https://idp.example.com", &format!("sub of {name}"), user.id)?;
        Ok(user)
    });
    added.unwrap()
}

/// Checks a store without events.
pub(crate) fn check(store: &impl EventStore) {
    check_lists(store);
    check_users(store);
    check_counts(store);
    check_limits(store);
}

fn check_lists(store: &impl EventStore) {
    assert!(store.list(all()).is_empty());
    let full = Event::new(EventKind::AccessRefusal, "request.forbidden")
        .user("hedy")
        .provider("idp")
        .subject("a\0b\u{1b}[2J")
        .client(Some([192, 0, 2, 1].into()))
        .application("https://wiki.example.com")
        .rule("wiki, rule 3")
        .detail(&"x".repeat(1_000))
        .count(7);
    store.record(vec![refusal("a"), full, refusal("b").provider("other")]);
    store.record((0..5).map(|_| refusal("c")).collect());
    let listed = store.list(all());
    assert_eq!(codes(&listed), ["c", "c", "c", "c", "c", "b", "request.forbidden", "a"]);
    assert!(listed.windows(2).all(|pair| pair[0].id > pair[1].id), "each has a number of its own");
    let full = &listed[6];
    assert_eq!((full.count, full.kind), (7, EventKind::AccessRefusal));
    let members: Vec<_> = full.members().collect();
    let detail = "x".repeat(300);
    let expected = [
        ("code", "request.forbidden"),
        ("user", "hedy"),
        ("provider", "idp"),
        ("subject", "ab\u{1b}[2J"),
        ("client", "192.0.2.1"),
        ("application", "https://wiki.example.com"),
        ("rule", "wiki, rule 3"),
        ("detail", &detail),
    ];
    assert_eq!(members, expected);

    let with = |change: fn(&mut EventQuery)| {
        let mut query = all();
        change(&mut query);
        store.list(query)
    };
    let of_kind = with(|query| query.kinds = vec![EventKind::AccessRefusal, EventKind::Logout]);
    assert_eq!(codes(&of_kind), ["request.forbidden"]);
    assert_eq!(codes(&with(|query| query.provider = Some("other".to_owned()))), ["b"]);
    assert_eq!(codes(&with(|query| query.user = Some("Hedy".to_owned()))), ["request.forbidden"]);
    assert_eq!(codes(&with(|query| query.user = Some("he\0dy".to_owned()))), ["request.forbidden"]);
    assert_eq!(codes(&with(|query| query.limit = 2)), ["c", "c"]);
    let oldest = EventQuery { order: PageOrder::OldestFirst, limit: 2, ..all() };
    assert_eq!(codes(&store.list(oldest)), ["a", "request.forbidden"]);
    let after = EventQuery { from: Some(listed[5].id + 1), ..all() };
    assert_eq!(codes(&store.list(after)), ["c"; 5]);
    let before = EventQuery { before: Some(listed[6].id), ..all() };
    assert_eq!(codes(&store.list(before)), ["a"]);
}

/// An event is found under each name of its user, and names none of them once the user is erased.
fn check_users(store: &impl EventStore) {
    let (ada, boss) = (add_user(store, "ada"), add_user(store, "boss"));
    let logout = Event::new(EventKind::Logout, "back_channel");
    store.record(vec![
        Event::new(EventKind::SignIn, "provider").user("ada").subject("sub of ada"),
        logout
            .clone()
            .subject_of("https://idp.example.com", "sub of ada")
            .client(Some([192, 0, 2, 2].into())),
        logout.subject_of("https://idp.example.com", "another"),
        Event::new(EventKind::Administration, "user passwd").user_id(ada.id).by("boss"),
        refusal("password.wrong").user("boss").client(Some([192, 0, 2, 3].into())),
    ]);
    let of = |name: &str| store.list(EventQuery { user: Some(name.to_owned()), ..all() });
    assert_eq!(codes(&of("ada")), ["user passwd", "back_channel", "provider"]);
    assert_eq!(codes(&of("boss")), ["password.wrong", "user passwd"], "what an administrator has done, too");
    let renamed = ada.clone();
    store
        .administer(move |records| {
            records.update_user(&User { username: "ada.lovelace".to_owned(), ..renamed }, NOW)?;
            records.record_event(
                &Event::new(EventKind::Administration, "user rename")
                    .by(BY_COMMAND)
                    .user("ada.lovelace")
                    .detail("was ada"),
            )
        })
        .unwrap();
    assert_eq!(of("ada.lovelace").len(), 4, "under the new name, those of the earlier one too");
    assert_eq!(of("ada").len(), 3, "what was recorded stays as it was");

    let undone = store.administer(|records| -> Result<(), StoreError> {
        records.record_event(&Event::new(EventKind::Administration, "undone"))?;
        Err(StoreError { reason: "on purpose".to_owned() })
    });
    assert!(undone.is_err());
    let before = store.list(all()).len();
    for id in [ada.id, boss.id] {
        store.administer(move |records| records.remove_user(id)).unwrap();
    }
    let listed = store.list(all());
    assert_eq!(listed.len(), before, "that it has happened stays known; and what was undone is not there");
    let text = serde_json::to_string(&listed).unwrap();
    for erased in ["ada", "boss", "sub of", "192.0.2.2", "192.0.2.3"] {
        assert!(!text.contains(erased), "{erased}: {text}");
    }
    assert!(text.contains(&format!("(removed user {})", ada.id.0)), "{text}");
    assert!(text.contains("hedy") && text.contains("another"), "others stay: {text}");
}

fn check_counts(store: &impl EventStore) {
    store.record(vec![Event::new(EventKind::Logout, "dropped").count(1_000)]);
    let counts = store.count(5);
    let of = |kind| counts.iter().filter(|count| count.kind == kind).map(|count| count.count).sum::<u64>();
    let expected: u64 = store
        .list(all())
        .iter()
        .filter(|event| event.kind == EventKind::Logout)
        .map(|event| u64::from(event.count))
        .sum();
    assert_eq!((of(EventKind::Logout), of(EventKind::AccessRefusal)), (expected, 7));
    assert!(expected > 1_000);
    assert!(counts.iter().all(|count| count.minute % 60 == 0 && count.minute > NOW.0 - 400_000_000));
}

/// Refusals, which strangers cause, displace no other events; what is too old goes.
fn check_limits(store: &impl EventStore) {
    let month = Duration::from_secs(30 * 86_400);
    let others = || {
        let kinds = vec![EventKind::SignIn, EventKind::Logout, EventKind::Administration];
        store.list(EventQuery { kinds, ..all() }).len()
    };
    let before = others();
    for _ in 0..3 {
        store.record((0..900).map(|_| refusal("many")).collect());
    }
    store.record(vec![refusal("newest")]);
    store.purge(EventLimits { retention: month, max: 10 });
    let kinds = vec![EventKind::Refusal];
    let kept = store.list(EventQuery { kinds, ..all() });
    assert_eq!((codes(&kept)[0], kept.len()), ("newest", 10));
    assert_eq!(others(), before);
    store.record(vec![refusal("one more")]);
    store.purge(EventLimits { retention: month, max: 10 });
    assert_eq!(store.list(EventQuery { kinds: vec![EventKind::Refusal], ..all() }).len(), 10);
    store.purge(EventLimits { retention: Duration::ZERO, max: 10 });
    assert!(store.list(all()).is_empty());
    store.record(vec![refusal("after all")]);
    assert_eq!(store.list(all()).len(), 1);
}
