//! The idle time of sessions.

use std::path::Path;
use std::time::Duration;

use claimgate::oidc::records::{SignInRecords, UserRecords};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::User;
use claimgate::time::UnixTime;
use claimgate_server::store::{AdminRecords, SqliteStore};

use super::{NOW, open};

const IDLE: Duration = Duration::from_secs(1800);
const ID: SessionId = SessionId([1; 16]);

fn server(file: &Path) -> SqliteStore {
    let store = SqliteStore::open(file).unwrap();
    store.set_idle_time(Some(IDLE), NOW);
    store
}

fn at(seconds: u64) -> UnixTime {
    NOW.saturating_add(seconds)
}

fn is_live(store: &SqliteStore, seconds: u64) -> bool {
    store.session(ID, at(seconds)).is_some()
}

fn write(store: &SqliteStore, all: bool, seconds: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.write_uses(all, at(seconds))).unwrap();
}

fn purge(store: &SqliteStore, seconds: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.purge(at(seconds))).unwrap();
}

fn listed(store: &SqliteStore, seconds: u64) -> Vec<i64> {
    let list = move |records: &mut claimgate_server::store::SqliteRecords<'_>| {
        records.list_sessions(None, 9, at(seconds))
    };
    store.transact_blocking(list).unwrap().into_iter().map(|session| session.expires - NOW.0).collect()
}

#[test]
fn a_session_is_over_once_it_was_not_used_and_lives_on_while_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = server(&folder.path().join("claimgate.db"));
    open(&store, "ada", 1, 10_000);
    assert_eq!(listed(&store, 0), [1800]);
    assert!(is_live(&store, 1700));
    write(&store, false, 1700);
    assert_eq!(listed(&store, 1700), [3500], "this use was due");
    assert!(is_live(&store, 1710));
    write(&store, false, 1710);
    assert_eq!(listed(&store, 1710), [3500], "this one is not, so that a request costs no write");
    write(&store, true, 1710);
    assert_eq!(listed(&store, 1710), [3510]);
    assert!(is_live(&store, 3509));
    write(&store, false, 3509);
    for seconds in (5000..10_000).step_by(1000) {
        assert!(is_live(&store, seconds), "{seconds}");
        write(&store, false, seconds);
    }
    assert!(!is_live(&store, 10_000), "the lifetime is over");
    assert_eq!(listed(&store, 10_000), [0; 0]);
}

#[test]
fn what_is_not_written_is_lost_with_the_process_and_extends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = server(&file);
    open(&store, "ada", 1, 10_000);
    assert!(is_live(&store, 1000));
    write(&store, false, 1000);
    assert!(is_live(&store, 1100));
    drop(store);
    let store = SqliteStore::open(&file).unwrap();
    store.set_idle_time(Some(IDLE), at(1200));
    assert!(!is_live(&store, 2800), "the last use that was written was at 1000");
    assert!(is_live(&store, 2799));
    write(&store, false, 2799);
    drop(store);
    assert!(!is_live(&server(&file), 4599));
}

#[test]
fn an_idle_time_counts_for_the_sessions_that_are_there_from_when_it_is_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    open(&store, "ada", 1, 10_000);
    assert!(is_live(&store, 9000), "without an idle time");
    store.set_idle_time(Some(IDLE), NOW);
    write(&store, false, 0);
    assert_eq!(listed(&store, 0), [1800]);
    assert!(!is_live(&store, 1800));
    assert!(is_live(&store, 1799));
    store.set_idle_time(None, at(1799));
    assert!(is_live(&store, 1799));
    write(&store, false, 1799);
    assert_eq!(listed(&store, 1800), [10_000], "switched off, the lifetime counts");
}

#[test]
fn a_use_revives_no_session_that_was_ended() {
    let store = SqliteStore::in_memory().unwrap();
    store.set_idle_time(Some(IDLE), NOW);
    open(&store, "ada", 1, 10_000);
    assert!(is_live(&store, 1000));
    let end = |records: &mut claimgate_server::store::SqliteRecords<'_>| {
        claimgate::oidc::records::SessionRecords::end_session(records, ID)
    };
    store.transact_blocking(end).unwrap();
    write(&store, true, 1000);
    assert!(!is_live(&store, 1000));
    assert_eq!(listed(&store, 1000), [0; 0]);
}

#[test]
fn a_purge_leaves_a_session_whose_use_is_to_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = server(&file);
    open(&store, "ada", 1, 10_000);
    assert!(is_live(&store, 1790));
    purge(&store, 1800);
    write(&store, false, 1800);
    assert_eq!(listed(&store, 1800), [3590]);
    purge(&store, 3590);
    assert_eq!(store.live_sessions(), 0);
    drop(store);
    assert_eq!(listed(&server(&file), 0), [0; 0], "memory and file agree");
}

#[test]
fn what_only_looks_at_a_session_is_no_use_and_nor_is_a_request_of_a_user_who_is_switched_off() {
    let store = SqliteStore::in_memory().unwrap();
    store.set_idle_time(Some(IDLE), NOW);
    open(&store, "ada", 1, 10_000);
    assert_eq!(store.peek(ID, at(1700)).unwrap().user.username, "ada");
    write(&store, true, 1700);
    assert_eq!(listed(&store, 1700), [1800]);
    let switch_off = |records: &mut claimgate_server::store::SqliteRecords<'_>| {
        let ada = records.user_by_name("ada")?.unwrap();
        records.update_user(&User { active: false, ..ada }, NOW)
    };
    store.transact_blocking(switch_off).unwrap();
    assert!(!is_live(&store, 1700) && store.peek(ID, at(1700)).is_none());
    write(&store, true, 1700);
    assert_eq!(listed(&store, 1700), [1800]);
    assert!(store.peek(ID, at(1800)).is_none());
}
