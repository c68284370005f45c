//! The store: acknowledged work is durable, failed work leaves no trace, memory follows the file.
#![allow(clippy::unwrap_used)]

use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::records::{
    LogoutRecord, LogoutRecords, LogoutTarget, Position, Records, SessionRecords, SignInRecords, StoreError,
    UserRecords,
};
use claimgate::oidc::session::{Origin, Session, SessionId};
use claimgate::oidc::user::{UserId, UserKind};
use claimgate::time::UnixTime;
use claimgate_server::store::SqliteStore;

#[path = "../../../tests/relying_party/contract.rs"]
mod contract;
#[path = "../../../tests/relying_party/provider.rs"]
#[expect(dead_code, reason = "the tests of the store need a part of the provider")]
mod provider;
mod bad_row_contract;
mod bad_rows;
mod changes;
mod ended;
mod event_contract;
mod events;
mod facts;
mod idle;
mod races;
mod refresh_contract;
mod refreshes;
mod revocation;
mod search_contract;

mod backup;
mod files;

const NOW: UnixTime = UnixTime(1_800_000_000);

impl contract::Database for SqliteStore {
    fn transact<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.transact_blocking(move |records| work(records))
    }
}

#[test]
fn the_store_keeps_the_contract_of_the_rules() {
    contract::check(|| SqliteStore::in_memory().unwrap());
}

fn session(id: u8, user: UserId, lifetime: u64) -> Session {
    Session {
        id: SessionId([id; 16]),
        user,
        origin: Origin::Password,
        facts: SessionFacts::default(),
        created: NOW,
        expires: NOW.saturating_add(lifetime),
    }
}

fn open(store: &SqliteStore, name: &'static str, id: u8, lifetime: u64) -> UserId {
    let opened = store.transact_blocking(move |records| -> Result<UserId, StoreError> {
        let user = match records.user_by_name(name)? {
            Some(user) => user,
            None => records.create_user(name, UserKind::Regular, NOW)?,
        };
        records.open_session(&session(id, user.id, lifetime))?;
        Ok(user.id)
    });
    opened.unwrap()
}

fn who(store: &SqliteStore, id: u8) -> Option<String> {
    store.session_user(SessionId([id; 16]), NOW).map(|user| user.username.clone())
}

#[test]
fn names_are_found_whatever_their_case_and_composition() {
    let store = SqliteStore::in_memory().unwrap();
    store.administer_blocking(search_contract::check).unwrap();
}

#[test]
fn sessions_survive_a_restart_and_expire() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    open(&store, "ada", 1, 60);
    open(&store, "ada", 2, 10);
    drop(store);
    let store = SqliteStore::open(&file).unwrap();
    assert_eq!(who(&store, 1).as_deref(), Some("ada"));
    let later = NOW.saturating_add(10);
    assert!(store.session_user(SessionId([2; 16]), later).is_none(), "at its end, not after it");
    store.transact_blocking(|records| records.end_session(SessionId([1; 16]))).unwrap();
    assert_eq!(who(&store, 1), None);
    drop(store);
    assert_eq!(who(&SqliteStore::open(&file).unwrap(), 1), None);
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    open(&store, "ada", 1, 60);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
    }
}

#[test]
fn work_that_fails_or_panics_leaves_no_trace_and_harms_no_other() {
    let store = SqliteStore::in_memory().unwrap();
    let user = open(&store, "ada", 1, 60);
    let failed = store.transact_blocking(move |records| -> Result<(), StoreError> {
        records.create_user("ghost", UserKind::Regular, NOW)?;
        records.open_session(&session(2, user, 60))?;
        records.end_session(SessionId([1; 16]))?;
        Err(StoreError { reason: "changed my mind".to_owned() })
    });
    assert_eq!(failed.unwrap_err().reason, "changed my mind");
    let panicked = store.transact_blocking(move |records| -> Result<(), StoreError> {
        records.open_session(&session(3, user, 60))?;
        panic!("a bug in a rule");
    });
    assert!(panicked.is_err());
    assert_eq!((who(&store, 1), who(&store, 2), who(&store, 3)), (Some("ada".to_owned()), None, None));
    let ghost = store.transact_blocking(|records| records.user_by_name("ghost")).unwrap();
    assert!(ghost.is_none());
    open(&store, "grace", 4, 60);
    assert_eq!(who(&store, 4).as_deref(), Some("grace"));
}

#[test]
fn a_constraint_that_breaks_is_an_error_and_not_the_end() {
    let store = SqliteStore::in_memory().unwrap();
    open(&store, "ada", 1, 60);
    let twice =
        store.transact_blocking(|records| records.create_user("ada", UserKind::Regular, NOW).map(drop));
    assert_eq!(twice.unwrap_err().code(), "store.failed");
    let without_user = store.transact_blocking(|records| records.open_session(&session(2, UserId(99), 60)));
    assert!(without_user.is_err());
    assert_eq!(who(&store, 1).as_deref(), Some("ada"));
}

#[test]
fn what_another_process_writes_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let server = SqliteStore::open(&file).unwrap();
    let ada = open(&server, "ada", 1, 60);
    let command = SqliteStore::open(&file).unwrap();
    command.transact_blocking(move |records| records.end_sessions_of(ada)).unwrap();
    open(&command, "grace", 2, 60);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while (who(&server, 1).is_some() || who(&server, 2).is_none()) && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!((who(&server, 1), who(&server, 2)), (None, Some("grace".to_owned())));
}

#[test]
fn a_deactivated_user_has_no_session_even_before_it_ends() {
    let store = SqliteStore::in_memory().unwrap();
    let ada = open(&store, "ada", 1, 60);
    let deactivated = store.transact_blocking(move |records| -> Result<(), StoreError> {
        let mut user = records.user(ada)?.unwrap();
        user.active = false;
        records.update_user(&user, NOW)
    });
    deactivated.unwrap();
    assert_eq!(who(&store, 1), None);
}

#[test]
fn purging_forgets_what_is_over_and_keeps_the_rest() {
    let store = SqliteStore::in_memory().unwrap();
    open(&store, "ada", 1, 60);
    open(&store, "ada", 2, 600);
    let remember = |issuer: &str, jti: &'static str| {
        let issuer = issuer.to_owned();
        let record = LogoutRecord { issuer, ..logout(LogoutTarget::Subject("ada".to_owned()), NOW.0) };
        store.transact_blocking(move |records| records.record_logout(jti, &record))
    };
    let seen = || remember("i", "j");
    assert!(seen().unwrap());
    assert!(!seen().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.purge(NOW.saturating_add(60))).unwrap();
    assert_eq!(store.live_sessions(), 1);
    assert_eq!(who(&store, 2).as_deref(), Some("ada"));
    assert!(seen().unwrap(), "a jti is forgotten with its token's lifetime");
    assert!(remember("ij", "").unwrap(), "issuer and jti do not run together");
}

fn logout(target: LogoutTarget, issued_at: i64) -> LogoutRecord {
    LogoutRecord {
        issuer: "i".to_owned(),
        target,
        issued_at: UnixTime(issued_at),
        received: Position(issued_at * 1000),
        token_until: NOW.saturating_add(60),
        until: NOW.saturating_add(60),
    }
}

fn remember(store: &SqliteStore, jti: &'static str, record: LogoutRecord) -> bool {
    store.transact_blocking(move |records| records.record_logout(jti, &record)).unwrap()
}

fn newest(store: &SqliteStore, sid: Option<&'static str>) -> Option<(UnixTime, Position)> {
    store.transact_blocking(move |records| records.newest_logout("i", sid, "ada")).unwrap()
}

#[test]
fn a_logout_that_is_undone_is_forgotten_and_what_was_there_before_is_not() {
    let store = SqliteStore::in_memory().unwrap();
    let of_ada = || LogoutTarget::Subject("ada".to_owned());
    assert!(remember(&store, "first", logout(of_ada(), 10)));
    let undone = store.transact_blocking(move |records| -> Result<(), StoreError> {
        assert!(records.record_logout("second", &logout(of_ada(), 20))?);
        assert!(!records.record_logout("second", &logout(of_ada(), 20))?, "within one transaction too");
        assert_eq!(records.newest_logout("i", None, "ada")?, Some((UnixTime(20), Position(20_000))));
        Err(StoreError { reason: "changed my mind".to_owned() })
    });
    assert!(undone.is_err());
    assert_eq!(newest(&store, None), Some((UnixTime(10), Position(10_000))));
    assert!(!remember(&store, "first", logout(of_ada(), 30)));
    assert_eq!(newest(&store, None), Some((UnixTime(10), Position(10_000))), "a replay records nothing");
    assert!(remember(&store, "second", logout(of_ada(), 5)));
    assert_eq!(newest(&store, None), Some((UnixTime(10), Position(10_000))), "the newest counts");
}

#[test]
fn logouts_are_remembered_over_a_restart_and_from_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let (one, other) = (SqliteStore::open(&file).unwrap(), SqliteStore::open(&file).unwrap());
    let of_session = || LogoutTarget::Session { sid: "s".to_owned(), subject: Some("ada".to_owned()) };
    assert!(remember(&one, "first", logout(of_session(), 10)));
    assert!(!remember(&other, "first", logout(of_session(), 10)), "at once, not half a second later");
    assert!(remember(&other, "second", logout(of_session(), 20)));
    for store in [one, other, SqliteStore::open(&file).unwrap()] {
        assert!(!remember(&store, "second", logout(of_session(), 20)));
        assert_eq!(newest(&store, Some("s")), Some((UnixTime(20), Position(20_000))));
        assert_eq!(
            newest(&store, None),
            Some((UnixTime(20), Position(20_000))),
            "a session without sid is meant too"
        );
        assert_eq!(newest(&store, Some("another")), None);
    }
}

#[test]
fn a_database_of_the_first_version_keeps_its_logouts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    drop(SqliteStore::open(&file).unwrap());
    // As the first version left it.
    let connection = rusqlite::Connection::open(&file).unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, b"1:iused");
    connection
        .execute_batch(
            "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
             INSERT INTO meta VALUES ('cookie key', x'00');
             DROP TABLE notice;
             DROP TABLE logout_batch;
             DROP TABLE change;
             DROP TABLE ended_session;
             DROP TABLE event;
             DROP TABLE kept;
             ALTER TABLE session DROP COLUMN authenticated;
             ALTER TABLE session DROP COLUMN claims;
             ALTER TABLE session DROP COLUMN latest; DROP TRIGGER refresh_of_ended; DROP TABLE refresh;
             CREATE INDEX session_expires ON session (expires);
             CREATE TABLE logout_mark (issuer TEXT, about TEXT, value TEXT, issued_at INTEGER,
                 received_ms INTEGER, until INTEGER, PRIMARY KEY (issuer, about, value)) WITHOUT ROWID;
             CREATE TABLE jti (hash BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
             INSERT INTO logout_mark VALUES ('i', 'session', 's', 10, 10000, 9000000000),
                 ('i', 'subject without session', 'ada', 20, 20000, 9000000000);
             PRAGMA user_version = 1;",
        )
        .unwrap();
    connection.execute("INSERT INTO jti VALUES (?1, 9000000000)", [hash.as_ref()]).unwrap();
    drop(connection);
    let store = SqliteStore::open(&file).unwrap();
    assert_eq!(newest(&store, Some("s")), Some((UnixTime(10), Position(10_000))));
    assert_eq!(newest(&store, None), Some((UnixTime(20), Position(20_000))));
    assert!(!remember(&store, "used", logout(LogoutTarget::Subject("ada".to_owned()), 30)));
    assert!(remember(&store, "unused", logout(LogoutTarget::Subject("ada".to_owned()), 30)));
}

#[test]
fn a_file_that_is_no_database_or_a_newer_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    std::fs::write(&file, "not a database, but long enough to look like a header of one").unwrap();
    let error = SqliteStore::open(&file).err().unwrap();
    assert!(error.reason.contains("claimgate.db") && error.reason.contains("not a database"), "{error}");
    assert!(SqliteStore::open(&folder.path().join("no/such/folder.db")).is_err());
    let newer = folder.path().join("newer.db");
    drop(SqliteStore::open(&newer).unwrap());
    let connection = rusqlite::Connection::open(&newer).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(SqliteStore::open(&newer).err().unwrap().reason.contains("newer"));
}

#[test]
fn many_at_once_are_each_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("claimgate.db")).unwrap();
    let ada = open(&store, "ada", 0, 60);
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0..25_u8 {
                    let mut id = [thread; 16];
                    id[0] = number;
                    id[1] = 200;
                    let session = Session { id: SessionId(id), ..session(1, ada, 60) };
                    store.transact_blocking(move |records| records.open_session(&session)).unwrap();
                    assert!(store.session_user(SessionId(id), NOW).is_some(), "acknowledged and not there");
                }
            });
        }
    });
    assert_eq!(store.live_sessions(), 201);
}
