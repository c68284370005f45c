//! Which verified tokens the store's records revoke.

use claimgate::oidc::accounts::{self, AccountError, Administrator, UserChanges};
use claimgate::oidc::records::{
    LogoutRecord, LogoutRecords, LogoutTarget, Position, SignInRecords, StoreError,
};
use claimgate::oidc::user::{UserId, UserKind};
use claimgate::time::UnixTime;
use claimgate_server::store::{PresentedToken, Revocation, SqliteStore};

use super::NOW;

const LEEWAY: u64 = 60;

fn token<'t>(subject: Option<&'t str>, sid: Option<&'t str>, age: i64) -> PresentedToken<'t> {
    PresentedToken { issuer: "i", subject, sid, issued_at: UnixTime(NOW.0 - age) }
}

fn log_out(store: &SqliteStore, jti: &'static str, target: LogoutTarget) {
    let record = LogoutRecord {
        issuer: "i".to_owned(),
        target,
        issued_at: NOW,
        received: Position(NOW.0 * 1000),
        token_until: NOW,
        until: NOW.saturating_add(600),
    };
    assert!(store.transact_blocking(move |records| records.record_logout(jti, &record)).unwrap());
}

fn by_sid(subject: Option<&str>) -> LogoutTarget {
    LogoutTarget::Session { sid: "A".to_owned(), subject: subject.map(str::to_owned) }
}

// finding: S8, O-F5
#[test]
fn a_logout_revokes_the_tokens_that_it_names() {
    let ends = |target: LogoutTarget, token: PresentedToken<'_>| {
        let store = SqliteStore::in_memory().unwrap();
        assert_eq!(store.revocation(&token, LEEWAY).unwrap(), None);
        log_out(&store, "j", target);
        store.revocation(&token, LEEWAY).unwrap() == Some(Revocation::LoggedOut)
    };
    let by_subject = || LogoutTarget::Subject("s".to_owned());
    for (target, token, expected) in [
        (by_sid(None), token(Some("s"), Some("A"), 0), true),
        (by_sid(None), token(None, Some("A"), 9), true),
        (by_sid(None), token(Some("s"), Some("A"), -60), true),
        (by_sid(None), token(Some("s"), Some("A"), -61), false),
        (by_sid(None), token(Some("s"), Some("B"), 0), false),
        (by_sid(None), token(Some("s"), None, 0), false),
        (by_sid(Some("s")), token(Some("s"), None, 0), true),
        (by_sid(Some("s")), token(Some("s"), Some("B"), 0), false),
        (by_sid(Some("s")), token(Some("t"), None, 0), false),
        (by_subject(), token(Some("s"), None, 0), true),
        (by_subject(), token(Some("s"), Some("B"), 0), true),
        (by_subject(), token(Some("s"), Some("B"), -1), false),
        (by_subject(), token(Some("t"), Some("B"), 0), false),
        (by_subject(), token(None, None, 0), false),
        (by_subject(), PresentedToken { issuer: "other", ..token(Some("s"), None, 0) }, false),
    ] {
        assert_eq!(ends(target.clone(), token), expected, "{target:?} {token:?}");
    }
}

// finding: S8
#[test]
fn a_revocation_follows_the_transaction_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    let revoked =
        |store: &SqliteStore| store.revocation(&token(None, Some("A"), 0), LEEWAY).unwrap().is_some();
    let record = LogoutRecord {
        issuer: "i".to_owned(),
        target: by_sid(None),
        issued_at: NOW,
        received: Position(0),
        token_until: NOW,
        until: NOW.saturating_add(60),
    };
    let failed = store.transact_blocking(move |records| -> Result<(), StoreError> {
        records.record_logout("j", &record)?;
        Err(StoreError { reason: "changed my mind".to_owned() })
    });
    assert!(failed.is_err() && !revoked(&store), "rolled back");
    log_out(&store, "j", by_sid(None));
    assert!(revoked(&store));
    assert!(revoked(&SqliteStore::open(&file).unwrap()), "after a restart");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.purge(NOW.saturating_add(599))).unwrap();
    assert!(revoked(&store));
    runtime.block_on(store.purge(NOW.saturating_add(600))).unwrap();
    assert!(!revoked(&store), "at the end of the record");
}

fn switch(store: &SqliteStore, user: UserId, active: bool) {
    let changes = UserChanges { active: Some(active), ..UserChanges::default() };
    let changed = store.transact_blocking(move |records| -> Result<_, AccountError> {
        accounts::change(records, Administrator::OPERATOR, user, changes, NOW)
    });
    changed.unwrap();
}

// finding: S8, O-F5
#[test]
fn a_user_who_is_switched_off_revokes_the_tokens_of_every_linked_subject() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let store = SqliteStore::open(&file).unwrap();
    let added = store.transact_blocking(|records| -> Result<UserId, StoreError> {
        let ada = records.create_user("ada", UserKind::Regular, NOW)?.id;
        records.link("i", "s", ada)?;
        records.link("i", "t", ada)?;
        let bob = records.create_user("bob", UserKind::Regular, NOW)?.id;
        records.link("i", "u", bob)?;
        Ok(ada)
    });
    let ada = added.unwrap();
    let revoked = |store: &SqliteStore| {
        ["s", "t", "u", "unknown"]
            .map(|subject| store.revocation(&token(Some(subject), None, 0), LEEWAY).unwrap())
    };
    assert_eq!(revoked(&store), [None; 4]);
    switch(&store, ada, false);
    let off = [Some(Revocation::Inactive), Some(Revocation::Inactive), None, None];
    assert_eq!(revoked(&store), off);
    assert_eq!(revoked(&SqliteStore::open(&file).unwrap()), off, "after a restart");
    let other = SqliteStore::open(&file).unwrap();
    switch(&other, ada, true);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let out = [Some(Revocation::LoggedOut), Some(Revocation::LoggedOut), None, None];
    while revoked(&store) != out && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(revoked(&store), out, "what another process writes is followed; old tokens stay refused");
    assert_eq!(
        store.revocation(&token(Some("s"), None, -1), LEEWAY).unwrap(),
        None,
        "a token issued since is accepted"
    );
}

// finding: S8
#[test]
fn a_user_who_is_unlinked_or_removed_revokes_the_tokens_issued_until_then() {
    for remove in [false, true] {
        let store = SqliteStore::in_memory().unwrap();
        let ended = store.transact_blocking(move |records| -> Result<_, AccountError> {
            let ada = records.create_user("ada", UserKind::Regular, NOW)?.id;
            records.link("i", "s", ada)?;
            let by = Administrator::OPERATOR;
            match remove {
                true => accounts::remove(records, by, ada, NOW),
                false => accounts::unlink(records, by, ada, Some("i"), NOW),
            }
        });
        assert_eq!(ended.unwrap().links, 1);
        let revoked = |age| store.revocation(&token(Some("s"), None, age), LEEWAY).unwrap();
        assert_eq!((revoked(0), revoked(-1)), (Some(Revocation::LoggedOut), None));
    }
}
