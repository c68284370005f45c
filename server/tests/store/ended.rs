//! Logouts that end live sessions: exactly those that they name, for every reader at once, and their rows later.

use std::path::Path;

use claimgate::oidc::records::{
    LogoutRecord, LogoutRecords, LogoutTarget, Position, Records, SessionRecords, SignInRecords, StoreError,
    UserRecords,
};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::time::UnixTime;
use claimgate_server::store::{AdminRecords, SqliteStore};
use proptest::prelude::*;

use super::{NOW, open, session, who};

/// A session of a provider: the numbers of its issuer, subject and `sid`, and its `iat`.
#[derive(Clone, Copy, Debug)]
struct Signed {
    issuer: u8,
    subject: u8,
    sid: Option<u8>,
    iat: i64,
}

fn sign_in(store: &SqliteStore, id: u8, signed: Signed) {
    let user = open(store, "ada", 200, 60);
    let origin = Origin::Oidc(OidcOrigin {
        issuer: signed.issuer.to_string(),
        subject: signed.subject.to_string(),
        sid: signed.sid.map(|sid| sid.to_string()),
        issued_at: UnixTime(signed.iat),
        id_token: None,
    });
    let session = Session { origin, ..session(id, user, 60) };
    let opened = store.transact_blocking(move |records| {
        records.end_session(SessionId([200; 16]))?;
        records.open_session(&session)
    });
    opened.unwrap();
}

fn target(sid: Option<u8>, subject: Option<u8>) -> LogoutTarget {
    let subject = subject.map(|subject| subject.to_string());
    match sid {
        Some(sid) => LogoutTarget::Session { sid: sid.to_string(), subject },
        None => LogoutTarget::Subject(subject.unwrap_or_default()),
    }
}

fn log_out(store: &SqliteStore, issuer: u8, target: LogoutTarget, until: i64) -> Result<usize, StoreError> {
    store.transact_blocking(move |records| {
        records.end_logged_out(&issuer.to_string(), &target, UnixTime(until))
    })
}

fn rows(file: &Path, table: &str) -> i64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn until(condition: impl Fn() -> bool) -> bool {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !condition() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    condition()
}

fn signed() -> impl Strategy<Value = Signed> {
    (0..2_u8, 0..3_u8, proptest::option::of(0..3_u8), 0..4_i64)
        .prop_map(|(issuer, subject, sid, iat)| Signed { issuer, subject, sid, iat })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_logout_ends_the_sessions_that_it_names_and_no_other(
        sessions in proptest::collection::vec(signed(), 1..30),
        logouts in proptest::collection::vec((signed(), any::<bool>()), 1..6),
        restarts in any::<bool>(),
        renames in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("claimgate.db");
        let mut store = SqliteStore::open_for_server(&file).unwrap();
        let mut live: Vec<(u8, Signed)> = (0..).zip(sessions).collect();
        for (id, signed) in &live {
            sign_in(&store, *id, *signed);
        }
        if renames {
            store.transact_blocking(|records| records.rename_issuer("1", "0")).unwrap();
            live.iter_mut().for_each(|(_, signed)| signed.issuer = 0);
        }
        for (logout, with_subject) in logouts {
            let named = logout.sid.is_none() || with_subject;
            let ends = |signed: &Signed| {
                let by_subject = named && signed.subject == logout.subject && signed.iat <= logout.iat;
                signed.issuer == logout.issuer
                    && match logout.sid {
                        Some(sid) => signed.sid == Some(sid) || (by_subject && signed.sid.is_none()),
                        None => by_subject,
                    }
            };
            let expected = live.iter().filter(|(_, signed)| ends(signed)).count();
            live.retain(|(_, signed)| !ends(signed));
            let target = target(logout.sid, named.then_some(logout.subject));
            prop_assert_eq!(log_out(&store, logout.issuer, target, logout.iat), Ok(expected));
            if restarts {
                store.close();
                store = SqliteStore::open_for_server(&file).unwrap();
            }
            for id in 0..30 {
                let is_live = live.iter().any(|(known, _)| *known == id);
                prop_assert_eq!(who(&store, id).is_some(), is_live, "{}", id);
            }
        }
        prop_assert!(until(|| rows(&file, "ended_session") == 0));
        prop_assert_eq!(usize::try_from(rows(&file, "session")), Ok(live.len()), "the rows are deleted in the end");
    }
}

const SIGNED: Signed = Signed { issuer: 0, subject: 1, sid: Some(2), iat: 5 };

/// Makes a database whose sessions 1 and 2 were ended by a server that was killed before it deleted their rows.
/// Session 3 is live.
fn killed(file: &Path) {
    let store = SqliteStore::open_for_server(file).unwrap();
    for id in 1..=3 {
        sign_in(&store, id, SIGNED);
    }
    store.close();
    let connection = rusqlite::Connection::open(file).unwrap();
    let ended = [[1; 16], [2; 16]].concat();
    connection.execute("INSERT INTO ended_session (sessions) VALUES (?1)", [ended]).unwrap();
}

#[test]
fn a_session_whose_row_is_still_there_has_ended_for_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    killed(&file);
    let command = SqliteStore::open_for_command(&file).unwrap();
    let seen = command.transact_blocking(|records| -> Result<_, StoreError> {
        let sessions = records.list_sessions(None, 10, NOW)?.len();
        let counted = records.list_users("", 10)?[0].sessions;
        let owner = records.session_owner(SessionId([1; 16]))?;
        let ended = records.end_session(SessionId([2; 16]))?;
        Ok((sessions, counted, owner.is_none(), ended.is_none()))
    });
    assert_eq!(seen, Ok((1, 1, true, true)));
    let user = command.transact_blocking(|records| records.user_by_name("ada")).unwrap().unwrap();
    let kept = command.transact_blocking(move |records| records.end_oldest_sessions(user.id, 1));
    assert_eq!(kept, Ok(0), "those that have ended are not counted");
    command.close();
    assert_eq!(rows(&file, "session"), 3);

    let server = SqliteStore::open_for_server(&file).unwrap();
    assert_eq!([1, 2, 3].map(|id| who(&server, id).is_some()), [false, false, true]);
    assert_eq!(log_out(&server, 0, target(Some(2), None), 5), Ok(1));
    assert!(until(|| rows(&file, "session") == 0 && rows(&file, "ended_session") == 0));
    server.close();
}

#[test]
fn the_rows_of_ended_sessions_are_deleted_beside_steady_work_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    killed(&file);
    let mut connection = rusqlite::Connection::open(&file).unwrap();
    let transaction = connection.transaction().unwrap();
    // 1,024,000 sessions, 64 a row.
    let sql = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 16000)
        INSERT INTO ended_session (sessions) SELECT randomblob(1024) FROM number";
    transaction.execute(sql, []).unwrap();
    transaction.commit().unwrap();
    let server = SqliteStore::open_for_server(&file).unwrap();
    for _ in 0..40 {
        server.transact_blocking(|_| Ok::<(), StoreError>(())).unwrap();
    }
    assert!(rows(&file, "ended_session") * 64 <= 1_000_000, "a step a transaction");
    server.close();
}

#[test]
fn a_user_is_removed_with_the_rows_of_sessions_that_have_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    killed(&file);
    let command = SqliteStore::open_for_command(&file).unwrap();
    let removed = command.transact_blocking(|records| -> Result<(), StoreError> {
        let ada = records.user_by_name("ada")?.unwrap();
        records.remove_user(ada.id)
    });
    assert_eq!((removed, rows(&file, "session")), (Ok(()), 0));
}

#[test]
fn a_renamed_issuer_s_sessions_end_that_its_other_name_logged_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let server = SqliteStore::open_for_server(&file).unwrap();
    let old = Signed { issuer: 0, ..SIGNED };
    sign_in(&server, 1, old);
    sign_in(&server, 2, Signed { sid: Some(3), ..old });
    sign_in(&server, 3, Signed { subject: 2, sid: None, iat: 5, ..old });
    sign_in(&server, 4, Signed { subject: 2, sid: None, iat: 6, ..old });
    sign_in(&server, 5, Signed { subject: 4, sid: Some(9), iat: 5, issuer: 1 });
    let record = |jti: &'static str, issuer: u8, target: LogoutTarget, iat: i64| {
        let (issuer, received) = (issuer.to_string(), Position(iat * 1000));
        let record =
            LogoutRecord { issuer, target, issued_at: UnixTime(iat), received, token_until: NOW, until: NOW };
        assert_eq!(server.transact_blocking(move |records| records.record_logout(jti, &record)), Ok(true));
    };
    record("a", 1, target(Some(2), None), 1);
    record("b", 1, target(None, Some(2)), 5);
    record("c", 0, target(None, Some(4)), 5);
    let command = SqliteStore::open_for_command(&file).unwrap();
    let renamed = command.transact_blocking(|records| records.rename_issuer("0", "1")).unwrap();
    assert_eq!((renamed.sessions, renamed.logouts), (4, 1));
    server.transact_blocking(|_| Ok::<(), StoreError>(())).unwrap();
    assert_eq!([1, 2, 3, 4, 5].map(|id| who(&server, id).is_some()), [false, true, false, true, false]);
    assert_eq!(rows(&file, "session"), 2);
    let newest = server.transact_blocking(|records| records.newest_logout("1", Some("7"), "4"));
    assert_eq!(newest, Ok(Some((UnixTime(5), Position(5000)))), "the server has read the copy");
}

#[test]
fn a_logout_that_is_undone_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open_for_server(&file).unwrap();
    sign_in(&store, 1, SIGNED);
    let failed = store.transact_blocking(|records| -> Result<(), StoreError> {
        assert_eq!(records.end_logged_out("0", &target(Some(2), None), UnixTime(5))?, 1);
        assert_eq!(records.end_logged_out("0", &target(Some(2), None), UnixTime(5))?, 0, "it has ended");
        assert!(records.session_owner(SessionId([1; 16]))?.is_none(), "within the transaction");
        Err(StoreError { reason: "changed my mind".to_owned() })
    });
    assert!(failed.is_err());
    assert_eq!(who(&store, 1).as_deref(), Some("ada"));
    assert_eq!((rows(&file, "session"), rows(&file, "ended_session")), (1, 0));
    assert_eq!(log_out(&store, 0, target(Some(2), None), 5), Ok(1));
    store.close();
    assert_eq!(who(&SqliteStore::open(&file).unwrap(), 1), None);
}

#[test]
fn a_command_does_not_take_unread_sessions_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let command = SqliteStore::open_for_command(&folder.path().join("claimgate.db")).unwrap();
    let refused = log_out(&command, 0, target(Some(2), None), 5);
    assert!(refused.unwrap_err().reason.contains("does not know the sessions"));
}

#[test]
fn a_database_of_the_fourth_version_keeps_its_sessions_and_logouts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open_for_server(&file).unwrap();
    sign_in(&store, 1, SIGNED);
    store.close();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "DROP TABLE logout_batch;
             DROP TABLE change;
             DROP TABLE ended_session;
             DROP TABLE event;
             DROP TABLE kept;
             ALTER TABLE session DROP COLUMN authenticated;
             ALTER TABLE session DROP COLUMN claims;
             ALTER TABLE session DROP COLUMN latest; DROP TRIGGER refresh_of_ended; DROP TABLE refresh;
             CREATE TABLE logout (id INTEGER PRIMARY KEY AUTOINCREMENT, jti BLOB, issuer TEXT, sid TEXT, subject TEXT,
                 issued_at INTEGER, received_ms INTEGER, until INTEGER NOT NULL);
             CREATE INDEX logout_until ON logout (until);
             CREATE INDEX session_sid ON session (issuer, sid) WHERE sid IS NOT NULL;
             CREATE INDEX session_subject ON session (issuer, subject) WHERE issuer IS NOT NULL;
             INSERT INTO logout (jti, issuer, sid, subject, issued_at, received_ms, until) VALUES
                 (zeroblob(16), 'i', 's', 'ada', 10, 10001, 9000000000),
                 (x'01010101010101010101010101010101', 'another', NULL, 'ada', 20, 20001, 9000000000);
             PRAGMA user_version = 4;",
        )
        .unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, b"1:ij");
    connection.execute("UPDATE logout SET jti = ?1 WHERE issuer = 'i'", [&hash.as_ref()[..16]]).unwrap();
    drop(connection);
    let store = SqliteStore::open_for_server(&file).unwrap();
    let newest = |issuer: &'static str, sid: Option<&'static str>| {
        store.transact_blocking(move |records| records.newest_logout(issuer, sid, "ada")).unwrap()
    };
    assert_eq!(newest("i", Some("s")), Some((UnixTime(10), Position(10_001))));
    assert_eq!(newest("i", None), Some((UnixTime(10), Position(10_001))));
    assert_eq!(newest("another", Some("x")), Some((UnixTime(20), Position(20_001))));
    let replay = LogoutRecord {
        issuer: "i".to_owned(),
        target: LogoutTarget::Subject("x".to_owned()),
        issued_at: NOW,
        received: Position(0),
        token_until: NOW,
        until: NOW,
    };
    assert_eq!(store.transact_blocking(move |records| records.record_logout("j", &replay)), Ok(false));
    assert_eq!(who(&store, 1).as_deref(), Some("ada"));
    assert_eq!(log_out(&store, 0, target(Some(2), None), 5), Ok(1));
    assert_eq!(who(&store, 1), None);
}
