//! The files of a database: rights, lock, one file at the end, and rows that cannot be read.

use std::path::Path;

use claimgate::oidc::records::{Records, StoreError};
use claimgate_server::store::Store;

use super::{NOW, open, who};

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
    Store::open(&file).unwrap().close();
    let wal = folder.path().join("claimgate.db-wal");
    std::fs::write(&wal, "").unwrap();
    for file in [&file, &wal] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let store = Store::open(&file).unwrap();
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
    let store = Store::open(&file).unwrap();
    open(&store, "ada", 1, 60);
    store.close();
    store.close();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["claimgate.db"]);
    let refused = store.transact_blocking(|records| records.user_by_name("ada"));
    assert_eq!(refused.unwrap_err().code(), "store.failed");
    assert_eq!(who(&Store::open(&file).unwrap(), 1).as_deref(), Some("ada"));
}

// finding: A1
#[test]
fn a_database_is_closed_beside_others_that_are_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let server = Store::open_for_server(&file).unwrap();
    let command = Store::open(&file).unwrap();
    open(&command, "ada", 1, 60);
    command.close();
    let copy = folder.path().join("copy.db");
    std::fs::copy(&file, &copy).unwrap();
    assert_eq!(
        who(&Store::open(&copy).unwrap(), 1).as_deref(),
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
    let server = Store::open_for_server(&file).unwrap();
    let refused = Store::open_for_server(&file).err().unwrap();
    assert!(refused.reason.contains("a server runs on this database"), "{refused}");
    open(&Store::open(&file).unwrap(), "ada", 1, 60);
    server.close();
    Store::open_for_server(&file).unwrap().close();
}

// finding: S13
#[test]
fn a_row_that_cannot_be_read_is_skipped_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = Store::open(&file).unwrap();
    for (name, id) in [("ada", 1), ("bob", 2), ("eve", 3), ("zoe", 4)] {
        open(&store, name, id, 60);
    }
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "UPDATE user SET teams = '[broken' WHERE username = 'bob';
             UPDATE user SET kind = 'emperor' WHERE username = 'eve';
             UPDATE session SET id = x'00' WHERE user = (SELECT id FROM user WHERE username = 'zoe');
             INSERT INTO logout (jti, issuer, sid, until) VALUES (x'00', 'i', x'01', 9000000000);",
        )
        .unwrap();
    let restarted = Store::open(&file).unwrap();
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
    // The server that runs follows what others write.
    open(&restarted, "late", 5, 60);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while who(&store, 5).is_none() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!((who(&store, 5).as_deref(), who(&store, 2)), (Some("late"), None));
}
