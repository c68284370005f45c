//! Copies of a database: complete, for the owner alone, and put back without a trace of what was there.

use std::path::Path;

use claimgate::oidc::records::{LogoutRecord, LogoutRecords, LogoutTarget, Position};
use claimgate::time::UnixTime;
use claimgate_server::store::{AdminRecords, PresentedToken, Restored, SqliteStore, back_up, restore};

use super::{open, who};

fn users(database: &Path) -> Vec<String> {
    let store = SqliteStore::open(database).unwrap();
    let listed = store.transact_blocking(|records| records.list_users("", 100)).unwrap();
    store.close();
    listed.into_iter().map(|listed| listed.user.username).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// In a folder of all users another user can have made the link, dangling or not.
#[cfg(unix)]
#[test]
fn a_backup_follows_no_symbolic_link() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("claimgate.db");
    SqliteStore::open(&database).unwrap().close();
    let (public, private) = (folder.path().join("public"), folder.path().join("private"));
    std::fs::create_dir(&public).unwrap();
    std::fs::create_dir(&private).unwrap();
    std::fs::write(private.join("precious"), "kept").unwrap();
    for target in ["precious", "none"] {
        let copy = public.join(format!("{target}.db"));
        symlink(private.join(target), &copy).unwrap();
        let refused = back_up(&database, &copy, &mut |_, _| ()).unwrap_err();
        assert!(refused.reason.contains("this is a symbolic link"), "{refused}");
    }
    assert_eq!(std::fs::read_to_string(private.join("precious")).unwrap(), "kept");
    assert_eq!(
        (names(&private), names(&public)),
        (vec!["precious".to_owned()], vec!["none.db".to_owned(), "precious.db".to_owned()])
    );
    // A folder may be one.
    symlink(&private, folder.path().join("linked")).unwrap();
    back_up(&database, &folder.path().join("linked/copy.db"), &mut |_, _| ()).unwrap();
    assert_eq!(names(&private), ["copy.db", "precious"]);
}

// finding: A1
#[test]
fn a_backup_is_made_beside_a_server_and_put_back_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let (database, copy) = (folder.path().join("claimgate.db"), folder.path().join("copy.db"));
    let server = SqliteStore::open_for_server(&database).unwrap();
    open(&server, "u1", 1, 60);
    let mut steps = Vec::new();
    back_up(&database, &copy, &mut |done, all| steps.push((done, all))).unwrap();
    assert!(steps.last().is_some_and(|(done, all)| done == all && *all > 0), "{steps:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    open(&server, "late", 2, 60);
    let logout = LogoutRecord {
        issuer: "i".to_owned(),
        target: LogoutTarget::Subject("s".to_owned()),
        issued_at: UnixTime(100),
        received: Position(0),
        token_until: UnixTime(i64::MAX),
        until: UnixTime(i64::MAX),
    };
    server.transact_blocking(move |records| records.record_logout("j", &logout)).unwrap();
    let refused = restore(&copy, &database, &mut |_, _| ()).unwrap_err();
    assert!(refused.reason.contains("a server runs on this database"), "{refused}");
    server.close();

    let restored = restore(&copy, &database, &mut |_, _| ());
    assert_eq!(restored, Ok(Restored { users: 1, sessions: 1, logouts: Some(1) }));
    assert_eq!(users(&database), ["u1"]);
    assert_eq!(names(folder.path()), ["claimgate.db", "claimgate.db.key", "claimgate.db.lock", "copy.db"]);
    let server = SqliteStore::open_for_server(&database).unwrap();
    assert_eq!((who(&server, 1), who(&server, 2)), (None, None), "a session may have ended since the backup");
    let token = PresentedToken { issuer: "i", subject: Some("s"), sid: None, issued_at: UnixTime(100) };
    assert!(server.revocation(&token, 0).unwrap().is_some(), "a logout since the backup is not forgotten");
    server.close();
    assert_eq!(users(&copy), ["u1"], "the backup is still one");
}

// finding: A1
#[test]
fn a_restoration_leaves_nothing_of_a_log_that_a_killed_server_left() {
    let folder = tempfile::tempdir().unwrap();
    let (database, copy) = (folder.path().join("claimgate.db"), folder.path().join("copy.db"));
    let store = SqliteStore::open(&database).unwrap();
    open(&store, "u1", 1, 60);
    back_up(&database, &copy, &mut |_, _| ()).unwrap();
    open(&store, "late", 2, 60);
    // As if the process had been killed: the log stays beside the file.
    let killed = folder.path().join("killed");
    std::fs::create_dir(&killed).unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("claimgate.db{suffix}");
        std::fs::copy(folder.path().join(&name), killed.join(&name)).unwrap();
    }
    let database = killed.join("claimgate.db");
    restore(&copy, &database, &mut |_, _| ()).unwrap();
    assert_eq!(users(&database), ["u1"]);
    restore(&copy, &folder.path().join("new.db"), &mut |_, _| ()).unwrap();
    assert_eq!(users(&folder.path().join("new.db")), ["u1"], "into an empty place too");
}

// finding: A1
#[test]
fn what_is_no_sound_backup_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let database = path("claimgate.db");
    let store = SqliteStore::open(&database).unwrap();
    for (name, id) in [("u1", 1), ("u2", 2)] {
        open(&store, name, id, 60);
    }
    store.close();
    let change = |name: &str, sql: &str| {
        std::fs::copy(&database, path(name)).unwrap();
        rusqlite::Connection::open(path(name)).unwrap().execute_batch(sql).unwrap();
    };
    change("newer.db", "PRAGMA user_version = 99");
    change("foreign.db", "PRAGMA user_version = 0");
    // Each later change of a user would make an administrator, long after the copy was looked at.
    change(
        "trigger.db",
        "CREATE TRIGGER late AFTER UPDATE ON user BEGIN UPDATE user SET kind = 'admin'; END",
    );
    let own =
        "CREATE TRIGGER refresh_of_ended AFTER DELETE ON session BEGIN UPDATE user SET kind = 'admin'; END";
    change("replaced.db", &format!("DROP TRIGGER refresh_of_ended; {own}"));
    change("view.db", "CREATE VIEW people AS SELECT * FROM user");
    std::fs::write(path("text.db"), "not a database, but long enough to look like a header of one").unwrap();
    let mut damaged = std::fs::read(&database).unwrap();
    let length = damaged.len();
    damaged[length - 3 * 4096..].fill(7);
    std::fs::write(path("damaged.db"), &damaged).unwrap();
    for (name, reason) in [
        ("missing.db", "unable to open"),
        ("text.db", "not a database"),
        ("newer.db", "the schema has version "),
        ("foreign.db", "no database of Claimgate"),
        ("damaged.db", "damaged.db: "),
        ("trigger.db", "a trigger or a view `late`"),
        ("replaced.db", "a trigger or a view `refresh_of_ended`"),
        ("view.db", "a trigger or a view `people`"),
    ] {
        let refused = restore(&path(name), &database, &mut |_, _| ()).unwrap_err();
        assert!(refused.reason.contains(reason) && refused.reason.contains(name), "{name}: {refused}");
        assert_eq!(users(&database), ["u1", "u2"], "{name}");
    }
    let text = restore(&database, &path("text.db"), &mut |_, _| ()).unwrap_err();
    assert!(text.reason.contains("move it away first"), "{text}");
    restore(&database, &path("damaged.db"), &mut |_, _| ()).unwrap();
    assert_eq!(users(&path("damaged.db")), ["u1", "u2"], "what is damaged is replaced");
    std::fs::write(path("damaged.db"), &damaged).unwrap();
    let refused = back_up(&path("damaged.db"), &path("copy.db"), &mut |_, _| ()).unwrap_err();
    assert!(refused.reason.contains("damaged.db"), "{refused}");
    assert!(!names(folder.path()).iter().any(|name| name.contains("copy.db") || name.ends_with(".tmp")));
}
