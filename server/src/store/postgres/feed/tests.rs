//! The feed in every order of what happens around it.

use std::collections::BTreeMap;

use super::*;
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::user::UserKind;
use claimgate::time::UnixTime;

const SESSION: SessionId = SessionId([7; 16]);
const OTHER: SessionId = SessionId([8; 16]);

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn ada(name: &str) -> User {
    User {
        id: UserId(1),
        username: name.to_owned(),
        kind: UserKind::Regular,
        active: true,
        profile: BTreeMap::new(),
        teams: BTreeMap::new(),
    }
}

/// A session of Ada, whose authentication and claims are kept.
fn live(name: &str) -> LiveSession {
    let claims = KeptClaims::from_json(Some(r#"{"acr":["mfa"]}"#.to_owned()));
    LiveSession { user: ada(name), facts: SessionFacts { authenticated: Some(UnixTime(7)), claims } }
}

fn found(name: &str) -> Option<Found> {
    let hour = Duration::from_secs(3600);
    Some(Found { session: live(name), remaining: hour, lifetime: hour })
}

fn reading(head: i64, steps: Vec<Step>) -> Reading {
    Reading { history: "one/1".to_owned(), head, steps }
}

/// A feed that is at position 5, and has a lease from 0.
fn feed() -> Feed {
    let feed = Feed::new(at(1000));
    assert!(
        !feed.complete_beat(feed.begin_beat(at(0)), reading(5, Vec::new())),
        "the first reading follows nothing"
    );
    feed
}

fn fill(feed: &Feed, id: SessionId) {
    let ticket = feed.begin_read(at(1)).expect("the lease lasts");
    assert_eq!(feed.settle(ticket, id, 5, found("ada"), || at(2)), Settled::Known(Some(live("ada"))));
    assert_eq!(feed.answer(id, || at(3)), Answer::Live(live("ada")));
}

/// Fills the cache without regard to positions: a fill beside its invalidation.
fn settle_beside(feed: &Feed, position: i64, found: Option<Found>) {
    let ticket = Ticket { applied: i64::MIN, ..feed.begin_read(at(1)).expect("the lease lasts") };
    let before = std::mem::replace(&mut feed.state.lock().applied, i64::MIN);
    feed.settle(ticket, SESSION, position, found, || at(2));
    feed.state.lock().applied = before;
}

/// The database's side of a history: one change at position 6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    /// The session ends.
    End,
    /// Its user gets another name.
    Rename,
}

/// What happens around one change. The events of each list keep their order; the lists are interleaved in every way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Commit,
    Beat,
    Apply,
    Send,
    Snapshot,
    Settle,
}

const LISTS: [&[Event]; 3] =
    [&[Event::Commit], &[Event::Beat, Event::Apply], &[Event::Send, Event::Snapshot, Event::Settle]];

fn interleavings(lists: [&[Event]; 3]) -> Vec<Vec<Event>> {
    if lists.iter().all(|list| list.is_empty()) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for index in 0..lists.len() {
        let Some((first, rest)) = lists[index].split_first() else { continue };
        let mut left = lists;
        left[index] = rest;
        for mut tail in interleavings(left) {
            tail.insert(0, *first);
            all.push(tail);
        }
    }
    all
}

/// Runs the events, then a last beat. Returns what the node answers about the session from memory.
fn run(
    events: &[Event],
    change: Change,
    settle: impl Fn(&Feed, Option<Ticket>, i64, Option<Found>),
) -> Answer {
    let feed = feed();
    let mut head = 5;
    let mut ticket = None;
    let mut beat = None;
    let mut snapshot = None;
    let step = || match change {
        Change::End => Step { position: 6, ended: vec![SESSION], users: Vec::new() },
        Change::Rename => Step { position: 6, ended: Vec::new(), users: vec![UserId(1)] },
    };
    let read = |applied: i64, head: i64| reading(head, (applied < head).then(step).into_iter().collect());
    for event in events {
        match event {
            Event::Commit => head = 6,
            Event::Beat => {
                let begun = feed.begin_beat(at(1));
                beat = Some((begun, read(begun.applied(), head)));
            }
            Event::Apply => {
                let (begun, reading) = beat.take().expect("the beat was read before it ends");
                assert!(feed.complete_beat(begun, reading));
            }
            Event::Send => ticket = feed.begin_read(at(1)),
            Event::Snapshot => {
                let found = match (head, change) {
                    (6, Change::End) => None,
                    (6, Change::Rename) => found("grace"),
                    _ => found("ada"),
                };
                snapshot = Some((head, found));
            }
            Event::Settle => {
                let (position, found) = snapshot.take().expect("the query was sent before it is settled");
                settle(&feed, ticket, position, found);
            }
        }
    }
    let last = feed.begin_beat(at(3));
    let reading = read(last.applied(), head);
    assert!(feed.complete_beat(last, reading));
    feed.answer(SESSION, || at(4))
}

fn is_stale(answer: &Answer, change: Change) -> bool {
    match change {
        Change::End => matches!(answer, Answer::Live(_)),
        Change::Rename => *answer == Answer::Live(live("ada")),
    }
}

#[test]
fn in_no_order_of_events_does_a_fill_outlive_the_change() {
    let orders = interleavings(LISTS);
    assert_eq!(orders.len(), 60);
    let mut kept = 0;
    for order in &orders {
        for change in [Change::End, Change::Rename] {
            let answer = run(order, change, |feed, ticket, position, found| {
                feed.settle(
                    ticket.expect("a read begins before its query"),
                    SESSION,
                    position,
                    found,
                    || at(2),
                );
            });
            assert!(!is_stale(&answer, change), "{change:?} {order:?}");
            kept += usize::from(answer != Answer::Unknown);
        }
    }
    assert!(kept > 0, "some fill is kept");
}

#[test]
fn a_fill_beside_its_invalidation_is_seen_by_the_checker() {
    let mut stale = 0;
    for order in interleavings(LISTS) {
        for change in [Change::End, Change::Rename] {
            let answer = run(&order, change, |feed, _, position, found| settle_beside(feed, position, found));
            stale += usize::from(is_stale(&answer, change));
        }
    }
    assert!(stale > 0);
}

#[test]
fn nothing_is_answered_without_a_lease() {
    let feed = Feed::new(at(1000));
    assert_eq!(feed.answer(SESSION, || at(0)), Answer::Unsure);
    assert!(feed.begin_read(at(0)).is_none());
    let beat = feed.begin_beat(at(100));
    feed.complete_beat(beat, reading(5, Vec::new()));
    fill(&feed, SESSION);
    assert_eq!(
        feed.answer(SESSION, || at(1099)),
        Answer::Live(live("ada")),
        "from the moment before the beat"
    );
    assert_eq!(feed.answer(SESSION, || at(1100)), Answer::Unsure);
    assert_eq!(feed.answer(OTHER, || at(1100)), Answer::Unsure);
    let late = feed.begin_read(at(1099)).expect("the lease lasts");
    assert_eq!(feed.settle(late, SESSION, 5, found("ada"), || at(1100)), Settled::Outdated);
}

#[test]
fn a_slow_beat_does_not_shorten_the_lease_and_extends_it_from_its_beginning_only() {
    let feed = feed();
    let slow = feed.begin_beat(at(100));
    let quick = feed.begin_beat(at(300));
    feed.complete_beat(quick, reading(5, Vec::new()));
    feed.complete_beat(slow, reading(5, Vec::new()));
    assert_eq!(feed.lease_until(), at(1300));
}

#[test]
fn a_read_from_an_older_snapshot_than_the_feed_is_not_told() {
    let feed = feed();
    let ticket = feed.begin_read(at(1)).expect("the lease lasts");
    assert_eq!(feed.settle(ticket, SESSION, 4, found("ada"), || at(2)), Settled::Outdated, "an old primary");
    let ticket = feed.begin_read(at(1)).expect("the lease lasts");
    assert_eq!(feed.settle(ticket, SESSION, 5, None, || at(2)), Settled::Known(None));
    assert_eq!(feed.answer(SESSION, || at(2)), Answer::Unknown);
}

#[test]
fn a_read_under_way_brings_no_session_back_that_this_node_has_ended() {
    for applied_before in [false, true] {
        let feed = feed();
        let before = feed.begin_beat(at(1));
        let under_way = feed.begin_read(at(1)).expect("the lease lasts");
        // The session ends at position 6, after the snapshot of the read and before its answer.
        feed.forget(SESSION, at(2));
        assert!(feed.complete_beat(before, reading(5, Vec::new())), "it began before the end");
        assert_eq!(feed.state.lock().forgotten.len(), 1);
        let next = || {
            let step = Step { position: 6, ended: vec![SESSION], users: Vec::new() };
            assert!(feed.complete_beat(feed.begin_beat(at(3)), reading(6, vec![step])));
            assert!(feed.state.lock().forgotten.is_empty(), "its step is applied");
        };
        if applied_before {
            next();
        }
        let settled = feed.settle(under_way, SESSION, 5, found("ada"), || at(4));
        if !applied_before {
            assert_eq!(settled, Settled::Known(None));
            assert_eq!(feed.answer(SESSION, || at(5)), Answer::Unknown);
            next();
        }
        assert_eq!(feed.answer(SESSION, || at(6)), Answer::Unknown, "nothing is kept");
    }
}

#[test]
fn a_session_expires_by_the_time_that_was_left_when_it_was_read() {
    let feed = feed();
    let ticket = feed.begin_read(at(10)).expect("the lease lasts");
    let short = Found { session: live("ada"), remaining: at(50), lifetime: at(50) };
    feed.settle(ticket, SESSION, 5, Some(short), || at(20));
    assert_eq!(feed.answer(SESSION, || at(59)), Answer::Live(live("ada")));
    assert_eq!(feed.answer(SESSION, || at(60)), Answer::Unknown);
}

#[test]
fn a_step_removes_what_it_names_and_nothing_else() {
    let feed = feed();
    fill(&feed, SESSION);
    fill(&feed, OTHER);
    let step = |position, ended, users| Step { position, ended, users };
    let steps = vec![step(6, vec![SESSION], Vec::new()), step(7, Vec::new(), vec![UserId(2)])];
    assert!(feed.complete_beat(feed.begin_beat(at(4)), reading(7, steps)));
    assert_eq!(feed.answer(SESSION, || at(5)), Answer::Unknown);
    assert_eq!(feed.answer(OTHER, || at(5)), Answer::Live(live("ada")));
    assert!(
        feed.complete_beat(feed.begin_beat(at(6)), reading(8, vec![step(8, Vec::new(), vec![UserId(1)])]))
    );
    assert_eq!(feed.answer(OTHER, || at(7)), Answer::Unknown, "its user has changed");
    assert_eq!(feed.next_position(), 9);
}

#[test]
fn the_cache_is_emptied_where_the_feed_does_not_continue() {
    let step = |position| Step { position, ended: Vec::new(), users: Vec::new() };
    let other = Reading { history: "one/2".to_owned(), head: 5, steps: Vec::new() };
    for (case, next) in [
        ("another history", other),
        ("a store that lost a position", reading(4, Vec::new())),
        ("a step is missing", reading(7, vec![step(7)])),
        ("steps that were purged", reading(20_000, Vec::new())),
        ("the newest step is missing", reading(7, vec![step(6)])),
    ] {
        let feed = feed();
        fill(&feed, SESSION);
        let under_way = feed.begin_read(at(3)).expect("the lease lasts");
        let head = next.head;
        assert!(!feed.complete_beat(feed.begin_beat(at(4)), next), "{case}");
        assert_eq!(feed.answer(SESSION, || at(5)), Answer::Unknown, "{case}");
        assert_eq!(
            feed.settle(under_way, SESSION, head, found("ada"), || at(6)),
            Settled::Outdated,
            "{case}"
        );
        assert_eq!(feed.answer(SESSION, || at(7)), Answer::Unknown, "{case}");
        assert_eq!(feed.next_position(), head + 1);
    }
}
