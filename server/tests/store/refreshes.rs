//! Sessions whose tokens are refreshed, over SQLite.

use std::path::Path;
use std::time::Duration;

use claimgate::oidc::records::{LogoutRecords, LogoutTarget, Records, StoreError};
use claimgate::oidc::session::SessionId;
use claimgate::time::UnixTime;
use claimgate_server::store::{SqliteRecords, SqliteStore, Store};
use rusqlite::Connection;

use super::provider::ISSUER;
use super::refresh_contract::{self, claim, grant, sign_in};

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn sqlite_keeps_the_contract_of_refreshes() {
    block_on(refresh_contract::check(&Store::Sqlite(SqliteStore::in_memory().unwrap())));
}

fn kept(file: &Path) -> i64 {
    let beside = Connection::open(file).unwrap();
    beside.query_row("SELECT count(*) FROM refresh", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_grant_goes_with_its_session_however_that_ends() {
    type End = fn(&mut SqliteRecords<'_>) -> Result<(), StoreError>;
    let ends: [(&str, End); 4] = [
        ("sessions of a user", |records| {
            let user = records.session_owner(SessionId([1; 16]))?.unwrap();
            records.end_sessions_of(user.id).map(drop)
        }),
        ("removed user", |records| {
            let user = records.session_owner(SessionId([1; 16]))?.unwrap();
            records.remove_user(user.id)
        }),
        ("issuer", |records| records.unlink_issuer(ISSUER).map(drop)),
        ("logout by sid", |records| {
            let target = LogoutTarget::Session { sid: "sid1".to_owned(), subject: None };
            assert_eq!(records.end_logged_out(ISSUER, &target, UnixTime(0))?, 1);
            Ok(())
        }),
    ];
    for (name, end) in ends {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("claimgate.db");
        let sqlite = SqliteStore::open_for_server(&file).unwrap();
        let store = Store::Sqlite(sqlite.clone());
        block_on(sign_in(&store, 1));
        assert_eq!(kept(&file), 1, "{name}");
        sqlite.transact_blocking(end).unwrap();
        assert!(block_on(claim(&store)).is_empty(), "{name}");
        let patience = std::time::Instant::now() + Duration::from_secs(60);
        while kept(&file) > 0 {
            assert!(std::time::Instant::now() < patience, "{name}");
            std::thread::sleep(Duration::from_millis(20));
        }
        sqlite.close();
    }
}

#[test]
fn an_expired_session_is_not_refreshed_and_its_grant_is_purged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let sqlite = SqliteStore::open_for_server(&file).unwrap();
    let store = Store::Sqlite(sqlite.clone());
    block_on(sign_in(&store, 1));
    Connection::open(&file).unwrap().execute("UPDATE session SET expires = 1", []).unwrap();
    assert!(block_on(claim(&store)).is_empty());
    block_on(sqlite.purge(UnixTime(i64::MAX))).unwrap();
    assert_eq!(kept(&file), 0);
}

#[test]
fn a_grant_is_sealed_at_rest_and_read_after_a_restart_with_the_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let sqlite = SqliteStore::open_for_server(&file).unwrap();
    let store = Store::Sqlite(sqlite.clone());
    block_on(sign_in(&store, 1));
    let mut due = block_on(claim(&store)).pop().unwrap();
    assert!(block_on(store.rotate_grant(&mut due, grant("the second token"))).unwrap());
    block_on(store.put_off_refresh(&due, Duration::ZERO)).unwrap();
    let found = |needle: &str| {
        let files = std::fs::read_dir(folder.path()).unwrap().flatten();
        let mut contents = files.map(|entry| std::fs::read(entry.path()).unwrap());
        contents.any(|content| content.windows(needle.len()).any(|window| window == needle.as_bytes()))
    };
    assert!(found("sid1"), "what is not sealed is found");
    assert!(!found("the first token") && !found("the second token"));
    sqlite.close();
    let sqlite = SqliteStore::open_for_server(&file).unwrap();
    let store = Store::Sqlite(sqlite.clone());
    let due = block_on(claim(&store)).pop().unwrap();
    assert_eq!(due.grant.as_ref().unwrap().refresh_token().expose(), "the second token");
    block_on(store.put_off_refresh(&due, Duration::ZERO)).unwrap();
    sqlite.close();
    std::fs::remove_file(folder.path().join("claimgate.db.key")).unwrap();
    let store = Store::Sqlite(SqliteStore::open_for_server(&file).unwrap());
    assert!(block_on(claim(&store)).pop().unwrap().grant.is_none());
}
