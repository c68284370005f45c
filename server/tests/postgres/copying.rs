//! A SQLite store copied into PostgreSQL: what was acknowledged there holds here.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use claimgate::identity::Normalisation;
use claimgate::oidc::accounts::{self, Administrator, NewUser, UserChanges};
use claimgate::oidc::backchannel::Replayed;
use claimgate::oidc::facts::{KeptClaims, SessionFacts};
use claimgate::oidc::records::{LogoutRecord, LogoutRecords, LogoutTarget, Position, Records, StoreError};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::oidc::user::{TeamSource, UserId, UserKind};
use claimgate::path::ClaimPath;
use claimgate::time::UnixTime;
use claimgate_server::store::postgres::{
    Administration, Copied, CopyError, Logout, PgStore, Settings, copy_from_sqlite,
};
use claimgate_server::store::{Event, EventKind, EventQuery, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

use super::engine::{connect, with_database};
use super::nodes::{sign_in, until};
use super::people::Visit;

fn now() -> UnixTime {
    UnixTime(UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap())
}

fn now_ms() -> i64 {
    UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap()
}

fn session(secret: &str, user: UserId, origin: Option<(&str, &str, Option<&str>, i64)>) -> Session {
    let origin = match origin {
        None => Origin::Password,
        Some((issuer, subject, sid, issued_at)) => Origin::Oidc(OidcOrigin {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            sid: sid.map(str::to_owned),
            issued_at: UnixTime(issued_at),
            id_token: Some("a.b.c".to_owned()),
        }),
    };
    let id = SessionId::of_secret(secret);
    let (claims, _) = KeptClaims::of(&serde_json::json!({"acr": "mfa"}), &[ClaimPath::parse("acr").unwrap()]);
    let facts = SessionFacts { authenticated: Some(now()), claims };
    Session { id, user, origin, facts, created: now(), expires: now().saturating_add(600) }
}

fn logout(issuer: &str, target: LogoutTarget) -> LogoutRecord {
    LogoutRecord {
        issuer: issuer.to_owned(),
        target,
        issued_at: UnixTime(100),
        received: Position(now_ms()),
        token_until: now().saturating_add(600),
        until: now().saturating_add(600),
    }
}

fn of_sid(sid: &str, subject: Option<&str>) -> LogoutTarget {
    LogoutTarget::Session { sid: sid.to_owned(), subject: subject.map(str::to_owned) }
}

/// Makes a store with something of each kind, and what is not to be copied: a session that has ended, one that has
/// expired, a logout that is over.
fn fill(records: &mut dyn Records) -> Result<(), StoreError> {
    let add = |records: &mut dyn Records, name: &str| {
        let new =
            NewUser::new(Administrator::OPERATOR, name, Normalisation::Default, UserKind::Regular).unwrap();
        accounts::add(records, Administrator::OPERATOR, new, now()).unwrap()
    };
    let ada = add(records, "ada");
    let grace = add(records, "grace");
    let gone = add(records, "gone");
    records.remove_user(gone.id)?;
    records.set_password(ada.id, "a hash", now())?;
    let teams = Some(["Chess".to_owned()].into());
    let profile = BTreeMap::from([("name".to_owned(), "Ada, Countess of Lovelace".to_owned())]);
    let changes = UserChanges { teams, ..UserChanges::default() };
    accounts::change(records, Administrator::OPERATOR, ada.id, changes, now()).unwrap();
    let ada = records.user(ada.id)?.unwrap();
    records.update_user(&claimgate::oidc::user::User { profile, ..ada.clone() }, now())?;
    records.link("old", "ada", ada.id)?;
    records.link("j", "grace", grace.id)?;
    for opened in [
        session("password", ada.id, None),
        session("oidc", ada.id, Some(("old", "ada", Some("s"), 200))),
        session("other", grace.id, Some(("j", "grace", None, 200))),
        session("ended", ada.id, Some(("old", "ada", Some("t"), 50))),
        Session { expires: now(), ..session("expired", ada.id, None) },
    ] {
        records.open_session(&opened)?;
    }
    assert!(records.record_logout("1", &logout("old", of_sid("t", Some("ada"))))?);
    assert!(records.record_logout("2", &logout("j", LogoutTarget::Subject("hedy".to_owned())))?);
    let over = LogoutRecord { until: now(), token_until: now(), ..logout("j", of_sid("u", None)) };
    assert!(records.record_logout("3", &over)?);
    Ok(())
}

fn sqlite_store() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open_for_server(&file).unwrap();
    store.transact_blocking(|records| fill(records)).unwrap();
    // The memory knows the sessions after their transaction, and the copy of a logout has its jti.
    store
        .transact_blocking(|records| records.end_logged_out("old", &of_sid("t", None), UnixTime(100)))
        .unwrap();
    store.transact_blocking(|records| records.rename_issuer("old", "i")).unwrap();
    for (kind, user) in
        [(EventKind::SignIn, "ada"), (EventKind::Refusal, "mallory"), (EventKind::SignIn, "ada")]
    {
        let event = Event::new(kind, "x").user(user).subject("\u{1b}\"'").client(Some([192, 0, 2, 1].into()));
        store.administer_blocking(move |records| records.record_event(&event)).unwrap();
    }
    store.administer_blocking(|records| records.keep("assertion keys", "sealed")).unwrap();
    store.close();
    (folder, file)
}

const COPIED: Copied =
    Copied { users: 2, passwords: 1, links: 2, sessions: 3, logouts: 3, events: 3, key: true, kept: 1 };

#[test]
fn all_that_a_sqlite_store_has_acknowledged_holds_in_its_copy() {
    let begun = Position(now_ms());
    let (_folder, file) = sqlite_store();
    with_database(async |server| {
        assert_eq!(copy_from_sqlite(&server, &file).await, Ok(COPIED));
        let node = PgStore::open(server.clone(), Settings::default()).await.unwrap();

        // The cookies go on opening their sessions, and invented ones do not reach the database.
        for (secret, name) in [("password", Some("ada")), ("oidc", Some("ada")), ("other", Some("grace"))] {
            assert!(node.made_secret(secret), "{secret}");
            until(&node, SessionId::of_secret(secret), name).await;
        }
        for secret in ["ended", "expired", "invented", ""] {
            assert!(!node.made_secret(secret), "{secret}");
            until(&node, SessionId::of_secret(secret), None).await;
        }
        let facts = node.session(SessionId::of_secret("oidc")).await.unwrap().unwrap().facts;
        assert!(facts.authenticated.is_some_and(|time| now().0 - time.0 < 60), "{facts:?}");
        assert_eq!(facts.claims.values("acr"), Some(vec!["mfa".into()]));
        let ended = node.end_session(SessionId::of_secret("oidc")).await.unwrap();
        let Some(Origin::Oidc(origin)) = ended else { panic!("{ended:?}") };
        assert_eq!((origin.issuer.as_str(), origin.sid.as_deref()), ("i", Some("s")), "by its newer name");
        assert_eq!(origin.id_token.as_deref(), Some("a.b.c"), "the key was copied");

        // A logout that was acknowledged is a replay, and refuses what it overtook.
        for (jti, issuer) in [("1", "old"), ("2", "j")] {
            let again = Logout { issuer: issuer.to_owned(), ..super::people::logout(jti, of_sid("v", None)) };
            assert_eq!(node.apply_logouts(&[again]).await.unwrap(), [Err(Replayed)], "{jti} of {issuer}");
        }
        let overtaken = Visit { issued_at: 300, begun, ..Visit::now(&node, "ada", Some("t")) };
        for issuer in ["old", "i"] {
            let overtaken = Visit { issuer: issuer.to_owned(), ..overtaken.clone() };
            assert!(overtaken.complete(&node).await.unwrap().is_none(), "it began before the logout");
            let older = Visit { issued_at: 100, begun: node.position(), ..overtaken };
            assert!(older.complete(&node).await.unwrap().is_none(), "its token is not newer");
        }

        // Users keep their names, passwords, teams and links; a new one gets an identifier that none has had.
        let visit = Visit { issued_at: 300, ..Visit::now(&node, "ada", Some("w")) };
        let signed_in = visit.complete(&node).await.unwrap().unwrap();
        assert!(!signed_in.created && !signed_in.linked, "by the link");
        let administration = Administration::open(server.clone()).await.unwrap();
        node.record_events(&[Event::new(EventKind::SignIn, "y").user("ada")]).await.unwrap();
        let of_ada = EventQuery { user: Some("ada".to_owned()), limit: 10, ..EventQuery::default() };
        let events = administration.list_events(&of_ada).await.unwrap();
        assert_eq!(events.iter().map(|event| event.code.as_str()).collect::<Vec<_>>(), ["y", "x", "x"]);
        assert_eq!(events[1].subject.as_deref(), Some("\u{1b}\"'"));
        let users = administration.administer(|records| records.list_users("", 10)).await.unwrap();
        assert_eq!(
            users.iter().map(|user| (user.user.id.0, user.links)).collect::<Vec<_>>(),
            [(1, 1), (2, 1)]
        );
        assert!(users[0].has_password && !users[1].has_password);
        assert_eq!(users[0].user.teams.get("Chess"), Some(&TeamSource::Hand));
        assert_eq!(users[0].user.profile["name"], "Ada, Countess of Lovelace");
        let hash = administration.administer(|records| records.password(UserId(1))).await;
        assert_eq!(hash, Ok(Some("a hash".to_owned())));
        let keys = administration.look(|records| records.kept("assertion keys")).await;
        assert_eq!(keys, Ok(Some("sealed".to_owned())), "applications go on with the keys that they know");
        sign_in(&node, "hedy", None).await;
        let users = administration.administer(|records| records.list_users("grace", 10)).await.unwrap();
        assert_eq!(users[0].user.id, UserId(4), "3 was given to a user who was removed");
        let allowed = node.allow_attempt("ada", (NonZeroU32::MIN, Duration::from_secs(60))).await;
        assert_eq!(allowed, Ok(true));
    });
}

#[test]
fn a_sign_in_that_began_before_the_copy_is_older_than_each_logout_after_it() {
    let (_folder, file) = sqlite_store();
    with_database(async |server| {
        let begun = Position(now_ms());
        copy_from_sqlite(&server, &file).await.unwrap();
        let node = PgStore::open(server, Settings::default()).await.unwrap();
        let visit = Visit { issued_at: 300, begun, ..Visit::now(&node, "joan", Some("x")) };
        node.apply_logouts(&[super::people::logout("9", of_sid("x", None))]).await.unwrap();
        assert!(visit.complete(&node).await.unwrap().is_none());
    });
}

#[test]
fn nothing_is_copied_into_a_database_that_is_in_use_or_not_empty() {
    let (_folder, file) = sqlite_store();
    with_database(async |server| {
        let node = PgStore::open(server.clone(), Settings::default()).await.unwrap();
        assert_eq!(copy_from_sqlite(&server, &file).await, Err(CopyError::InUse));
        drop(node);
        let mut connection = connect(&server).await.unwrap();
        connection.client().batch_execute("DELETE FROM nodes").await.unwrap();
        assert_eq!(
            copy_from_sqlite(&server, &file).await,
            Ok(COPIED),
            "a server has followed it and written nothing"
        );
        assert_eq!(
            copy_from_sqlite(&server, &file).await,
            Err(not_empty("2 users, 2 links, 3 sessions, 3 logouts, 3 events"))
        );
    });
}

fn not_empty(rows: &str) -> CopyError {
    CopyError::NotEmpty(rows.to_owned())
}

#[test]
fn a_database_is_empty_by_its_rows() {
    let (_folder, file) = sqlite_store();
    with_database(async |server| {
        let administration = Administration::open(server.clone()).await.unwrap();
        administration.administer(|records| records.leave_notice("user remove", "ada")).await.unwrap();
        assert_eq!(copy_from_sqlite(&server, &file).await, Err(not_empty("1 notice")));
        administration.take_notices().await.unwrap();
        let count = "SELECT seq FROM ord";
        let before: i64 =
            connect(&server).await.unwrap().client().query_one(count, &[]).await.unwrap().get(0);
        assert!(before > 0, "it was written to");
        assert_eq!(copy_from_sqlite(&server, &file).await, Ok(COPIED));
    });
}

#[test]
fn a_source_that_is_missing_in_use_or_damaged_leaves_the_target_empty() {
    let (folder, file) = sqlite_store();
    with_database(async |server| {
        let source = async |file: &Path| match copy_from_sqlite(&server, file).await {
            Err(CopyError::Source(error)) => error.reason,
            other => panic!("{other:?}"),
        };
        assert!(source(&folder.path().join("missing.db")).await.contains("no such file"));
        assert!(!folder.path().join("missing.db").exists(), "nor is it made");
        let running = SqliteStore::open_for_server(&file).unwrap();
        assert!(source(&file).await.contains("a server runs"));
        running.close();
        drop(running);

        for (damage, mend, table) in [
            (
                "UPDATE user SET active = 'maybe' WHERE id = 2",
                "UPDATE user SET active = 1 WHERE id = 2",
                "user",
            ),
            ("UPDATE session SET created = 'x'", "UPDATE session SET created = 1", "session"),
            (
                "INSERT INTO logout_batch VALUES (99, 'i', 9000000000, zeroblob(72))",
                "DELETE FROM logout_batch WHERE id = 99",
                "logout_batch",
            ),
        ] {
            let sqlite = Connection::open(&file).unwrap();
            sqlite.execute_batch(damage).unwrap();
            let error = copy_from_sqlite(&server, &file).await.unwrap_err();
            assert!(matches!(error, CopyError::Unreadable { table: named, .. } if named == table), "{error}");
            sqlite.execute_batch(mend).unwrap();
        }
        assert_eq!(copy_from_sqlite(&server, &file).await, Ok(COPIED), "nothing was there");
    });
}

#[test]
fn without_its_key_a_store_is_copied_without_what_the_key_seals() {
    let (_folder, file) = sqlite_store();
    std::fs::remove_file(file.with_extension("db.key")).unwrap();
    with_database(async |server| {
        assert_eq!(copy_from_sqlite(&server, &file).await, Ok(Copied { key: false, kept: 0, ..COPIED }));
        let node = PgStore::open(server, Settings::default()).await.unwrap();
        let Ok(Some(Origin::Oidc(origin))) = node.end_session(SessionId::of_secret("oidc")).await else {
            panic!("a session");
        };
        assert_eq!(origin.id_token, None);
    });
}
