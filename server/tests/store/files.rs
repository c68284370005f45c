//! The files of a database: rights, lock, one file at the end, and rows that cannot be read.

use std::path::Path;

use claimgate::oidc::records::{Records, SessionRecords, SignInRecords, StoreError, UserRecords};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate_server::store::{AdminRecords, SqliteStore};

use super::{NOW, open, session, who};

#[cfg(unix)]
fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

// finding: S14
#[cfg(unix)]
#[test]
fn other_users_lose_their_rights_to_a_database() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    SqliteStore::open(&file).unwrap().close();
    let wal = folder.path().join("claimgate.db-wal");
    std::fs::write(&wal, "").unwrap();
    for file in [&file, &wal] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let store = SqliteStore::open(&file).unwrap();
    open(&store, "ada", 1, 60);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
}

// finding: A1
#[test]
fn a_closed_database_is_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    open(&store, "ada", 1, 60);
    store.close();
    store.close();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["claimgate.db"]);
    let refused = store.transact_blocking(|records| records.user_by_name("ada"));
    assert_eq!(refused.unwrap_err().code(), "store.failed");
    assert_eq!(who(&SqliteStore::open(&file).unwrap(), 1).as_deref(), Some("ada"));
}

// finding: A1
#[test]
fn a_database_is_closed_beside_others_that_are_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let server = SqliteStore::open_for_server(&file).unwrap();
    let command = SqliteStore::open(&file).unwrap();
    open(&command, "ada", 1, 60);
    command.close();
    let copy = folder.path().join("copy.db");
    std::fs::copy(&file, &copy).unwrap();
    assert_eq!(
        who(&SqliteStore::open(&copy).unwrap(), 1).as_deref(),
        Some("ada"),
        "a copy of the one file has all"
    );
    server.close();
}

// finding: A1
#[test]
fn one_database_serves_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let server = SqliteStore::open_for_server(&file).unwrap();
    let refused = SqliteStore::open_for_server(&file).err().unwrap();
    assert!(refused.reason.contains("a server runs on this database"), "{refused}");
    open(&SqliteStore::open(&file).unwrap(), "ada", 1, 60);
    server.close();
    SqliteStore::open_for_server(&file).unwrap().close();
}

// finding: S13
#[test]
fn a_row_that_cannot_be_read_is_skipped_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    for (name, id) in [("ada", 1), ("bob", 2), ("eve", 3), ("zoe", 4)] {
        open(&store, name, id, 60);
    }
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "UPDATE user SET teams = '[broken' WHERE username = 'bob';
             UPDATE user SET kind = 'emperor' WHERE username = 'eve';
             UPDATE session SET id = x'00' WHERE user = (SELECT id FROM user WHERE username = 'zoe');
             INSERT INTO change (kind, about) SELECT 'user', id FROM user;
             INSERT INTO change (kind, about) VALUES ('user', x'00'), ('session', 'short'), ('of a later version', 1), (x'00', 1);
             INSERT INTO logout_batch (issuer, until, entries) VALUES ('i', 9000000000, x'00'), (x'00', 9000000000, zeroblob(73)),
                 ('i', 9000000000, cast(x'09' || zeroblob(72) AS BLOB));",
        )
        .unwrap();
    let restarted = SqliteStore::open(&file).unwrap();
    for store in [&store, &restarted] {
        let done = store.transact_blocking(|records| -> Result<(), StoreError> {
            let mut ada = records.user_by_name("ada")?.unwrap();
            ada.profile.insert("name".to_owned(), "Ada".to_owned());
            records.update_user(&ada, NOW)?;
            assert!(records.user_by_name("bob").is_err(), "the row itself is an error");
            let listed = records.list_users("", 10)?;
            assert_eq!(
                listed.iter().map(|listed| &listed.user.username[..]).collect::<Vec<_>>(),
                ["ada", "zoe"]
            );
            assert_eq!(records.list_teams()?.len(), 0);
            assert_eq!(records.list_sessions(None, 10, NOW)?.len(), 3);
            Ok(())
        });
        done.unwrap();
    }
    assert_eq!([1, 2, 3, 4].map(|id| who(&restarted, id).is_some()), [true, false, false, false]);
    let ended = restarted.transact_blocking(|records| -> Result<usize, StoreError> {
        let zoe = records.user_by_name("zoe")?.unwrap();
        records.end_sessions_of(zoe.id)
    });
    assert_eq!(ended, Ok(1), "a session whose identifier cannot be read is ended too");
    // The server that runs follows what others write.
    open(&restarted, "late", 5, 60);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while who(&store, 5).is_none() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!((who(&store, 5).as_deref(), who(&store, 2)), (Some("late"), None));
}

fn origin(id_token: &str) -> Origin {
    Origin::Oidc(OidcOrigin {
        issuer: "i".to_owned(),
        subject: "s".to_owned(),
        sid: None,
        issued_at: NOW,
        id_token: Some(id_token.to_owned()),
    })
}

/// Opens a session with an ID token.
fn sign_in(store: &SqliteStore, id: u8, id_token: &str) {
    let user = open(store, "ada", 100 + id, 60);
    let session = Session { origin: origin(id_token), ..session(id, user, 60) };
    store.transact_blocking(move |records| records.open_session(&session)).unwrap();
}

fn sign_out(store: &SqliteStore, id: u8) -> Option<Origin> {
    store.transact_blocking(move |records| records.end_session(SessionId([id; 16]))).unwrap()
}

fn bytes(folder: &Path) -> Vec<u8> {
    let names = ["claimgate.db", "claimgate.db-wal"];
    names.iter().flat_map(|name| std::fs::read(folder.join(name)).unwrap_or_default()).collect()
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

const ID_TOKEN: &str = "eyJhbGciOiJub25lIn0.a-token-that-is-easy-to-find.c2ln";

// finding: S14
#[test]
fn id_tokens_are_sealed_and_their_key_is_in_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open_for_server(&file).unwrap();
    for id in 1..=4 {
        sign_in(&store, id, ID_TOKEN);
    }
    assert!(sign_out(&store, 1) == Some(origin(ID_TOKEN)));
    let key_file = folder.path().join("claimgate.db.key");
    let key = std::fs::read(&key_file).unwrap();
    assert_eq!(key.len(), 32);
    #[cfg(unix)]
    assert_eq!(mode(&key_file), 0o600);
    let database = bytes(folder.path());
    assert!(!holds(&database, b"easy-to-find") && !holds(&database, &key));
    store.close();

    // A sealed token opens in its own row only.
    let connection = rusqlite::Connection::open(&file).unwrap();
    let swap = "UPDATE session SET id_token = (SELECT id_token FROM session WHERE id = ?1) WHERE id = ?2";
    connection.execute(swap, [[2_u8; 16], [3; 16]]).unwrap();
    drop(connection);
    let store = SqliteStore::open_for_server(&file).unwrap();
    assert!(sign_out(&store, 2) == Some(origin(ID_TOKEN)), "over a restart");
    let without = |origin: Option<Origin>| matches!(origin, Some(Origin::Oidc(OidcOrigin { id_token: None, issuer, .. })) if issuer == "i");
    assert!(without(sign_out(&store, 3)));
    store.close();

    // Without the key the session lives, and its sign-out has no hint.
    std::fs::remove_file(&key_file).unwrap();
    let store = SqliteStore::open_for_server(&file).unwrap();
    assert_ne!(std::fs::read(&key_file).unwrap(), key);
    assert_eq!(who(&store, 4).as_deref(), Some("ada"));
    assert!(without(sign_out(&store, 4)));
    store.close();
    std::fs::write(&key_file, "short").unwrap();
    let refused = SqliteStore::open_for_server(&file).err().unwrap();
    assert!(refused.reason.contains("claimgate.db.key: does not hold a key of 32 bytes"), "{refused}");
}

// finding: S14
#[test]
fn a_database_of_the_second_version_loses_its_key_and_its_plain_id_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    sign_in(&store, 1, ID_TOKEN);
    store.close();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
             INSERT INTO meta VALUES ('cookie key', 'a key that was in the database..');
             UPDATE session SET id_token = '{ID_TOKEN}' WHERE issuer IS NOT NULL;
             DROP TABLE notice;
             DROP TABLE logout_batch;
             DROP TABLE change;
             DROP TABLE ended_session;
             DROP TABLE event;
             DROP TABLE kept;
             ALTER TABLE session DROP COLUMN authenticated;
             ALTER TABLE session DROP COLUMN claims;
             ALTER TABLE session DROP COLUMN latest; DROP TRIGGER refresh_of_ended; DROP TABLE refresh;
             CREATE TABLE logout (id INTEGER PRIMARY KEY AUTOINCREMENT, jti BLOB, issuer TEXT, sid TEXT, subject TEXT,
                 issued_at INTEGER, received_ms INTEGER, until INTEGER NOT NULL);
             PRAGMA user_version = 2;"
        ))
        .unwrap();
    drop(connection);
    assert!(holds(&bytes(folder.path()), b"easy-to-find"));
    let store = SqliteStore::open_for_server(&file).unwrap();
    assert_eq!(who(&store, 1).as_deref(), Some("ada"));
    store.close();
    let database = bytes(folder.path());
    assert!(!holds(&database, b"easy-to-find") && !holds(&database, b"a key that was in the database"));
}

// finding: A5
#[test]
fn a_notice_of_a_command_is_read_by_the_server_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let server = SqliteStore::open_for_server(&file).unwrap();
    let command = SqliteStore::open(&file).unwrap();
    command.transact_blocking(|records| records.leave_notice("user deactivate", "ada")).unwrap();
    command.close();
    let connection = rusqlite::Connection::open(&file).unwrap();
    let count =
        || -> i64 { connection.query_row("SELECT count(*) FROM notice", [], |row| row.get(0)).unwrap() };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while count() > 0 && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(count(), 0);
    server.close();
}

#[cfg(unix)]
#[test]
fn a_database_has_one_lock_by_each_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("claimgate.db"), folder.path().join("other"));
    std::fs::create_dir(&other).unwrap();
    let symbolic = other.join("link.db");
    // It leads to a link, and the database does not exist yet.
    std::os::unix::fs::symlink("claimgate.db", folder.path().join("middle.db")).unwrap();
    std::os::unix::fs::symlink("../middle.db", &symbolic).unwrap();
    let first = SqliteStore::open_for_server(&symbolic).unwrap();
    let refused = SqliteStore::open_for_server(&file).err().unwrap();
    assert!(refused.to_string().contains("a server runs on this database"), "{refused}");
    assert!(folder.path().join("claimgate.db.key").exists(), "the key is beside the file");
    first.close();
    drop(first);
    let server = SqliteStore::open_for_server(&file).unwrap();
    let refused = SqliteStore::open_for_server(&symbolic).err().unwrap();
    assert!(refused.to_string().contains("a server runs on this database"), "{refused}");
    server.close();
    drop(server);
    std::fs::hard_link(&file, other.join("hard.db")).unwrap();
    for name in [file, other.join("hard.db")] {
        let refused = SqliteStore::open_for_server(&name).err().unwrap();
        assert!(refused.to_string().contains("more than one name"), "{refused}");
    }
}
