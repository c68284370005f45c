//! The behaviour that the rules expect of every [`Records`]. Run on the double in memory and, by
//! `server/tests/store`, on SQLite.

use std::time::Duration;

use claimgate::identity::Normalisation;
use claimgate::oidc::accounts::{self, AccountError, Administrator, NewUser, UserChanges};
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::frontchannel::NamedSession;
use claimgate::oidc::records::{LogoutRecord, LogoutTarget, Position, Records, RenamedIssuer, StoreError};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};
use claimgate::time::UnixTime;

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A store under test.
pub(crate) trait Database {
    /// Runs one transaction, and discards it if `work` fails.
    fn transact<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>;
}

/// Checks the whole contract, each part on a store of its own.
pub(crate) fn check<D: Database>(new: impl Fn() -> D) {
    users_are_kept(&new());
    links_find_their_user(&new());
    an_issuer_is_renamed_with_its_sessions_and_logouts(&new());
    a_user_is_renamed_and_removed(&new());
    the_last_super_admin_stays(&new());
    sessions_open_and_end(&new());
    a_logout_ends_the_sessions_it_names(&new());
    a_front_channel_logout_ends_the_session_that_it_names(&new());
    logouts_are_recorded_once(&new());
    a_failed_transaction_leaves_nothing(&new());
}

fn run<T: Send + 'static>(
    store: &impl Database,
    work: impl FnOnce(&mut dyn Records) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.transact(work).unwrap()
}

fn user(store: &impl Database, name: &'static str) -> User {
    run(store, move |records| records.create_user(name, UserKind::Regular, NOW))
}

fn session(id: u8, user: UserId, origin: Origin) -> Session {
    let expires = NOW.saturating_add(60);
    let facts = SessionFacts::default();
    Session { id: SessionId([id; 16]), user, origin, facts, created: NOW, expires }
}

fn origin(sid: Option<&str>, issued_at: i64) -> Origin {
    Origin::Oidc(OidcOrigin {
        issuer: "i".to_owned(),
        subject: "s".to_owned(),
        sid: sid.map(str::to_owned),
        issued_at: UnixTime(issued_at),
        id_token: Some("a.b.c".to_owned()),
    })
}

fn users_are_kept(store: &impl Database) {
    let mut ada = user(store, "ada");
    assert!(ada.active && ada.profile.is_empty() && ada.teams.is_empty());
    let again = store.transact(|records| records.create_user("ada", UserKind::Admin, NOW));
    assert_eq!(again.unwrap_err().code(), "store.failed", "a username is given once");
    let grace = user(store, "grace");
    assert_ne!(ada.id, grace.id);
    ada.kind = UserKind::Admin;
    ada.active = false;
    ada.profile.insert("email".to_owned(), "ada@x".to_owned());
    ada.teams.insert("Chess".to_owned(), TeamSource::Hand);
    let changed = ada.clone();
    run(store, move |records| records.update_user(&changed, NOW));
    let id = ada.id;
    assert_eq!(run(store, move |records| records.user(id)).as_ref(), Some(&ada));
    assert_eq!(run(store, |records| records.user_by_name("ada")).as_ref(), Some(&ada));
    assert_eq!(run(store, |records| records.user_by_name("Ada")), None);
    assert_eq!(run(store, |records| records.user(UserId(99))), None);

    assert_eq!(run(store, move |records| records.password(id)), None);
    run(store, move |records| records.set_password(id, "hash", NOW));
    assert_eq!(run(store, move |records| records.password(id)).as_deref(), Some("hash"));
    assert_eq!(run(store, move |records| records.password(grace.id)), None);
}

fn links_find_their_user(store: &impl Database) {
    let ada = user(store, "ada").id;
    assert!(!run(store, move |records| records.is_linked(ada)));
    run(store, move |records| records.link("i", "s", ada));
    assert!(run(store, move |records| records.is_linked(ada)));
    assert_eq!(run(store, |records| records.user_by_link("i", "s")).unwrap().id, ada);
    assert_eq!(run(store, |records| records.user_by_link("i", "S")), None);
    assert_eq!(run(store, |records| records.user_by_link("is", "")), None);
    assert!(store.transact(move |records| records.link("i", "s", ada)).is_err(), "a subject has one user");

    let grace = user(store, "grace").id;
    run(store, move |records| {
        records.link("new", "s", ada)?;
        records.link("new", "t", ada)?;
        records.link("i", "t", grace)
    });
    let apart = || run(store, |records| records.users_linked_apart("i", "new"));
    assert_eq!(apart(), [grace]);
    assert_eq!(run(store, move |records| records.unlink(grace, Some("new"))), 0);
    assert_eq!(run(store, move |records| records.unlink(grace, None)), 1);
    assert_eq!(apart(), []);
    assert_eq!(run(store, |records| records.rename_issuer("i", "new")).links, 1);
    assert_eq!(run(store, |records| records.user_by_link("i", "s")), None);
    assert_eq!(run(store, |records| records.user_by_link("new", "s")).unwrap().id, ada);
    assert_eq!(
        run(store, move |records| records.unlink(ada, None)),
        2,
        "two links of one subject became one"
    );
}

fn an_issuer_is_renamed_with_its_sessions_and_logouts(store: &impl Database) {
    let ada = user(store, "ada").id;
    let logout = LogoutRecord {
        issuer: "i".to_owned(),
        target: LogoutTarget::Subject("s".to_owned()),
        issued_at: UnixTime(20),
        received: Position(20_000),
        token_until: NOW.saturating_add(60),
        until: NOW.saturating_add(60),
    };
    run(store, move |records| {
        records.open_session(&session(1, ada, origin(None, 30)))?;
        records.open_session(&session(2, ada, Origin::Password))?;
        records.record_logout("1", &logout).map(drop)
    });
    let renamed = run(store, |records| records.rename_issuer("i", "new"));
    assert_eq!(renamed, RenamedIssuer { links: 0, sessions: 1, logouts: 1 });
    let newest = run(store, |records| records.newest_logout("new", None, "s"));
    assert_eq!(
        newest.map(|(at, _)| at),
        Some(UnixTime(20)),
        "it refuses the sign-ins that it overtakes, under the new name too"
    );
    run(store, move |records| {
        records.link("i", "s", ada)?;
        records.open_session(&session(3, ada, origin(None, 30)))
    });
    assert_eq!(run(store, |records| records.unlink_issuer("i")), (1, 1), "sessions of others stay");
    assert_eq!(run(store, |records| records.unlink_issuer("i")), (0, 0));
    let named = LogoutTarget::Subject("s".to_owned());
    assert_eq!(run(store, move |records| records.end_logged_out("new", &named, UnixTime(99))), 1);
}

fn a_user_is_renamed_and_removed(store: &impl Database) {
    let (mut ada, grace) = (user(store, "ada"), user(store, "grace"));
    let id = ada.id;
    ada.username = "lovelace".to_owned();
    let renamed = ada.clone();
    run(store, move |records| records.update_user(&renamed, NOW));
    assert_eq!(run(store, |records| records.user_by_name("lovelace")).as_ref(), Some(&ada));
    assert_eq!(run(store, |records| records.user_by_name("ada")), None);
    ada.username = "grace".to_owned();
    let taken = store.transact(move |records| records.update_user(&ada, NOW));
    assert!(taken.is_err(), "a username is given once");

    run(store, move |records| {
        records.link("i", "s", id)?;
        records.set_password(id, "hash", NOW)?;
        records.open_session(&session(1, id, origin(None, 10)))?;
        records.remove_user(id)
    });
    assert_eq!(run(store, move |records| records.user(id)), None);
    assert_eq!(run(store, move |records| records.password(id)), None);
    assert_eq!(run(store, |records| records.user_by_link("i", "s")), None);
    assert_eq!(run(store, |records| records.session_owner(SessionId([1; 16]))), None);
    assert_eq!(run(store, move |records| records.user(grace.id)).as_ref(), Some(&grace));
    assert_ne!(user(store, "lovelace").id, id, "an identifier is not given again");
}

/// Switching off, another kind and removal: each takes the last super-admin who can sign in only if that is confirmed.
fn the_last_super_admin_stays(store: &impl Database) {
    let by = Administrator::OPERATOR;
    let add = |name: &'static str, has_password: bool| {
        let mut new = NewUser::new(by, name, Normalisation::Default, UserKind::SuperAdmin).unwrap();
        new.password_hash = has_password.then(|| "hash".to_owned());
        store.transact(move |records| accounts::add(records, by, new, NOW)).unwrap().id
    };
    let change = |by, id, active, kind| {
        let changes = UserChanges { active, kind, ..UserChanges::default() };
        store.transact(move |records| accounts::change(records, by, id, changes, NOW)).map(drop)
    };
    let remove = |by, id| store.transact(move |records| accounts::remove(records, by, id, NOW)).map(drop);
    let (root, spare, silent) = (add("root", true), add("spare", true), add("silent", false));
    assert_eq!(change(by, root, Some(false), None), Ok(()), "another can sign in");
    for (id, active, kind) in [
        (spare, Some(false), None),
        (spare, None, Some(UserKind::Admin)),
        (spare, Some(false), Some(UserKind::SuperAdmin)),
    ] {
        assert_eq!(change(by, id, active, kind), Err(AccountError::LastSuperAdmin), "{active:?} {kind:?}");
    }
    assert_eq!(remove(by, spare), Err(AccountError::LastSuperAdmin), "one without a password cannot sign in");
    assert!(run(store, move |records| records.user(spare)).unwrap().active);
    assert_eq!(change(by, silent, Some(false), None), Ok(()), "nothing is lost with it");
    assert_eq!(remove(by, root), Ok(()), "it is switched off");
    assert_eq!(change(by, spare, None, Some(UserKind::SuperAdmin)), Ok(()));
    let sure = by.even_the_last_super_admin();
    assert_eq!(change(sure, spare, Some(false), None), Ok(()));
    assert_eq!(change(by, spare, Some(true), None), Ok(()));
    assert_eq!(remove(sure, spare), Ok(()));
}

fn sessions_open_and_end(store: &impl Database) {
    let (ada, grace) = (user(store, "ada").id, user(store, "grace").id);
    run(store, move |records| {
        records.open_session(&session(1, ada, Origin::Password))?;
        records.open_session(&session(2, ada, origin(Some("A"), 10)))?;
        records.open_session(&session(3, grace, origin(None, 10)))
    });
    let of_nobody = store.transact(|records| records.open_session(&session(4, UserId(99), Origin::Password)));
    assert!(of_nobody.is_err());
    let owner = |id: u8| run(store, move |records| records.session_owner(SessionId([id; 16])));
    assert_eq!(owner(2).map(|user| user.id), Some(ada));
    assert_eq!(owner(4), None);
    let end = |id: u8| run(store, move |records| records.end_session(SessionId([id; 16])));
    assert!(end(1) == Some(Origin::Password) && end(1).is_none());
    assert!(end(3) == Some(origin(None, 10)));
    let reopened = move |records: &mut dyn Records| records.open_session(&session(5, ada, Origin::Password));
    run(store, reopened);
    assert_eq!(run(store, move |records| records.end_oldest_sessions(ada, 2)), 0);
    assert_eq!(run(store, move |records| records.end_oldest_sessions(ada, 1)), 1);
    assert!(owner(2).is_none() && owner(5).is_some(), "the oldest ends");
    assert_eq!(run(store, move |records| records.end_sessions_of(ada)), 1);
    assert_eq!(run(store, move |records| records.end_sessions_of(ada)), 0);
    assert_eq!(owner(2), None);
}

fn a_logout_ends_the_sessions_it_names(store: &impl Database) {
    let ada = user(store, "ada").id;
    run(store, move |records| {
        records.open_session(&session(1, ada, Origin::Password))?;
        records.open_session(&session(2, ada, origin(Some("A"), 10)))?;
        records.open_session(&session(3, ada, origin(Some("B"), 10)))?;
        records.open_session(&session(4, ada, origin(None, 10)))?;
        records.open_session(&session(5, ada, origin(Some("A"), 11)))
    });
    let end = |issuer: &'static str, sid: Option<&str>, subject: Option<&str>, until: i64| {
        let subject = subject.map(str::to_owned);
        let target = match sid {
            Some(sid) => LogoutTarget::Session { sid: sid.to_owned(), subject },
            None => LogoutTarget::Subject(subject.unwrap_or_default()),
        };
        run(store, move |records| records.end_logged_out(issuer, &target, UnixTime(until)))
    };
    assert_eq!(end("another", None, Some("s"), 99), 0);
    assert_eq!(end("i", None, Some("another"), 99), 0);
    assert_eq!(end("i", None, Some("s"), 9), 0, "sessions of a subject that are newer stay");
    assert_eq!(end("i", Some("A"), Some("s"), 9), 2, "by sid whatever the time");
    assert_eq!(end("i", Some("A"), Some("s"), 10), 1, "a session without sid is included by its subject");
    assert_eq!(end("i", None, Some("s"), 99), 1);
    assert!(run(store, |records| records.session_owner(SessionId([1; 16]))).is_some(), "by password");
}

fn a_front_channel_logout_ends_the_session_that_it_names(store: &impl Database) {
    let ada = user(store, "ada").id;
    run(store, move |records| {
        records.open_session(&session(1, ada, origin(Some("A"), NOW.0 + 99)))?;
        records.open_session(&session(2, ada, origin(Some("B"), 10)))?;
        records.open_session(&session(3, ada, origin(None, 10)))
    });
    let log_out = |query: &str, jti: &str| {
        let named = NamedSession::parse(query).unwrap();
        let logout = named.logout(NOW, Duration::from_secs(60), Duration::ZERO, jti.to_owned());
        run(store, move |records| logout.apply(records))
    };
    assert_eq!(log_out("iss=another&sid=A", "1"), 0);
    assert_eq!(log_out("iss=i&sid=A", "2"), 1, "whatever the time of its ID token");
    assert_eq!(log_out("iss=i&sid=A", "3"), 0);
    let newest = |sid: Option<&'static str>| run(store, move |records| records.newest_logout("i", sid, "s"));
    assert_eq!(newest(Some("A")).map(|(at, _)| at), Some(NOW), "a sign-in in progress is refused");
    assert_eq!((newest(Some("B")), newest(None)), (None, None), "those of other sessions are not");
}

fn logouts_are_recorded_once(store: &impl Database) {
    let record = |issuer: &str, jti: &'static str, target: LogoutTarget, issued_at: i64| {
        let logout = LogoutRecord {
            issuer: issuer.to_owned(),
            target,
            issued_at: UnixTime(issued_at),
            received: Position(issued_at * 1000),
            token_until: NOW.saturating_add(60),
            until: NOW.saturating_add(60),
        };
        run(store, move |records| records.record_logout(jti, &logout))
    };
    let newest = |issuer: &'static str, sid: Option<&'static str>, subject: &'static str| {
        run(store, move |records| records.newest_logout(issuer, sid, subject)).map(|(at, _)| at.0)
    };
    let subject = || LogoutTarget::Subject("s".to_owned());
    let session = || LogoutTarget::Session { sid: "A".to_owned(), subject: Some("t".to_owned()) };
    assert_eq!(newest("i", None, "s"), None);
    assert!(record("i", "1", subject(), 20));
    assert!(!record("i", "1", subject(), 30), "the same jti");
    assert!(record("another", "1", subject(), 5), "the same jti of another issuer");
    assert!(record("i", "2", subject(), 10));
    assert_eq!(newest("i", None, "s"), Some(20), "the newest, not the last");
    assert_eq!(newest("i", Some("B"), "s"), Some(20), "a subject includes its sessions");
    assert_eq!(newest("another", None, "s"), Some(5));
    assert!(record("i", "3", session(), 40));
    assert_eq!(newest("i", Some("A"), "t"), Some(40));
    assert_eq!(newest("i", None, "t"), Some(40), "a session without sid, by its subject");
    assert_eq!(newest("i", Some("B"), "t"), None);
}

fn a_failed_transaction_leaves_nothing(store: &impl Database) {
    let ada = user(store, "ada").id;
    let failed = store.transact(move |records| -> Result<(), StoreError> {
        records.create_user("ghost", UserKind::Regular, NOW)?;
        records.set_password(ada, "hash", NOW)?;
        records.link("i", "s", ada)?;
        records.open_session(&session(1, ada, Origin::Password))?;
        let target = LogoutTarget::Subject("s".to_owned());
        let issuer = "i".to_owned();
        let logout = LogoutRecord {
            issuer,
            target,
            issued_at: NOW,
            received: Position(1),
            token_until: NOW,
            until: NOW.saturating_add(60),
        };
        assert!(records.record_logout("j", &logout)?);
        assert!(!records.record_logout("j", &logout)?, "within one transaction too");
        Err(StoreError { reason: "changed my mind".to_owned() })
    });
    assert_eq!(failed.unwrap_err().reason, "changed my mind");
    assert_eq!(run(store, |records| records.user_by_name("ghost")), None);
    assert_eq!(run(store, move |records| records.password(ada)), None);
    assert_eq!(run(store, |records| records.user_by_link("i", "s")), None);
    assert_eq!(run(store, |records| records.session_owner(SessionId([1; 16]))), None);
    assert_eq!(run(store, |records| records.newest_logout("i", None, "s")), None);
}
