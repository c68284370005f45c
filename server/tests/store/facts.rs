//! What a session keeps of its sign-in, over a restart and beside another process.

use std::time::{Duration, Instant};

use claimgate::oidc::facts::{KeptClaims, SessionFacts};
use claimgate::oidc::records::{SessionRecords, SignInRecords, StoreError};
use claimgate::oidc::session::{Session, SessionId};
use claimgate::oidc::user::UserKind;
use claimgate::path::ClaimPath;
use claimgate::time::UnixTime;
use claimgate_server::store::SqliteStore;
use serde_json::json;

use super::{NOW, session};

fn facts() -> SessionFacts {
    let paths = ["acr", "$.roles[*]"].map(|path| ClaimPath::parse(path).unwrap());
    let (claims, _) = KeptClaims::of(&json!({"acr": "mfa", "roles": ["a", "b"]}), &paths);
    SessionFacts { authenticated: Some(UnixTime(NOW.0 - 1000)), claims }
}

fn open(store: &SqliteStore, id: u8, facts: SessionFacts) {
    let opened = store.transact_blocking(move |records| -> Result<(), StoreError> {
        let user = records.create_user(&format!("user{id}"), UserKind::Regular, NOW)?;
        records.open_session(&Session { facts, ..session(id, user.id, 60) })
    });
    opened.unwrap();
}

fn kept(store: &SqliteStore, id: u8) -> Option<SessionFacts> {
    store.session(SessionId([id; 16]), NOW).map(|session| session.facts)
}

#[test]
fn facts_are_kept_over_a_restart_and_followed_from_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let server = SqliteStore::open(&file).unwrap();
    open(&server, 1, facts());
    assert_eq!(kept(&server, 1), Some(facts()));
    let command = SqliteStore::open(&file).unwrap();
    assert_eq!(kept(&command, 1), Some(facts()));
    open(&command, 2, facts());
    let end = Instant::now() + Duration::from_secs(60);
    while kept(&server, 2).is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(kept(&server, 2), Some(facts()));
    assert_eq!(server.session(SessionId([1; 16]), NOW.saturating_add(60)), None, "it has expired");
}

#[test]
fn a_session_of_an_earlier_version_keeps_nothing_of_its_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    open(&store, 1, facts());
    store.close();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "ALTER TABLE session DROP COLUMN authenticated; ALTER TABLE session DROP COLUMN claims;
            ALTER TABLE session DROP COLUMN latest; DROP TRIGGER refresh_of_ended; DROP TABLE refresh;
            PRAGMA user_version = 9;",
        )
        .unwrap();
    drop(connection);
    let store = SqliteStore::open(&file).unwrap();
    assert_eq!(kept(&store, 1), Some(SessionFacts::default()));
}
