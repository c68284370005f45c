//! The memory that a session takes. A program of its own: the memory of the whole process is measured.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::TeamSource;
use claimgate::time::UnixTime;
use claimgate_server::store::SqliteStore;

/// As many users, with one session each. The hash tables of the index are then half full, their worst case.
const SESSIONS: u32 = 250_000;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Writes users with the usual profile and three teams, and their sessions.
fn fill(file: &std::path::Path) {
    let mut connection = rusqlite::Connection::open(file).unwrap();
    let transaction = connection.transaction().unwrap();
    let numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)";
    let users = "INSERT INTO user (id, username, kind, active, profile, teams, created, updated)
        SELECT n, printf('ada.lovelace.%07d', n), 'regular', 1,
            printf('{\"email\":\"ada.lovelace.%07d@example.com\",\"family_name\":\"Body%07d\",'
                || '\"given_name\":\"Somebody\",\"name\":\"Somebody Body%07d\"}', n, n, n),
            '{\"crm\":\"mapping\",\"sales\":\"mapping\",\"support\":\"hand\"}', 0, 0
        FROM numbers";
    let sessions = "INSERT INTO session (id, user, issuer, subject, sid, issued_at, created, expires)
        SELECT CAST(printf('%015d', n) || char(n % 64 + 32) AS BLOB), n, 'i', 's' || n, 'A' || n, 0, 0, 60 FROM numbers";
    // The last byte varies as that of a hash would: it chooses the part of the index.
    for insert in [users, sessions] {
        transaction.execute(&format!("{numbers} {insert}"), [SESSIONS]).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_session_takes_at_most_560_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    drop(SqliteStore::open(&file).unwrap());
    fill(&file);
    let before = resident_bytes();
    let store = SqliteStore::open(&file).unwrap();
    let each = resident_bytes().saturating_sub(before) / usize::try_from(SESSIONS).unwrap();
    assert_eq!(u32::try_from(store.live_sessions()), Ok(SESSIONS));
    let session = SessionId(*b"000000000000007'");
    let user = store.session_user(session, UnixTime(0)).unwrap();
    assert_eq!(user.username, "ada.lovelace.0000007");
    assert_eq!(user.email(), Some("ada.lovelace.0000007@example.com"));
    assert_eq!(user.teams.get("support"), Some(&TeamSource::Hand));
    assert!(store.session_user(session, UnixTime(60)).is_none());
    assert!((100..=560).contains(&each), "{each} bytes each");
}
