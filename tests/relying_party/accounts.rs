//! Account rules: who may add and change whom, and the sessions that end.

use claimgate::identity::Normalisation;
use claimgate::oidc::accounts::{self, AccountError, Administrator, NewUser, Severed, UserChanges};
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::session::{Origin, Session, SessionId};
use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};
use claimgate::time::UnixTime;

use super::memory::MemoryStore;
use super::provider::NOW;
use super::sign_in::is_open;

const T: UnixTime = UnixTime(NOW);

fn user(kind: UserKind, active: bool) -> User {
    let (profile, teams) = (Default::default(), Default::default());
    User { id: UserId(1), username: "root".to_owned(), kind, active, profile, teams }
}

fn admin(kind: UserKind) -> Administrator {
    Administrator::from_user(&user(kind, true)).unwrap()
}

/// A store with one user and two sessions of it.
fn store(kind: UserKind) -> (MemoryStore, UserId) {
    let store = MemoryStore::default();
    let new = NewUser::new(Administrator::OPERATOR, "ada", Normalisation::Default, kind).unwrap();
    let id = store.transact(|records| accounts::add(records, Administrator::OPERATOR, new, T)).unwrap().id;
    let open = |session: u8| Session {
        id: SessionId([session; 16]),
        user: id,
        origin: Origin::Password,
        facts: SessionFacts::default(),
        created: T,
        expires: T.saturating_add(60),
    };
    store
        .transact(|records| records.open_session(&open(1)).and_then(|()| records.open_session(&open(2))))
        .unwrap();
    (store, id)
}

#[test]
fn only_active_admins_administer() {
    for (_, kind) in UserKind::ALL {
        let result = Administrator::from_user(&user(kind, true)).map(drop);
        assert_eq!(result.is_ok(), kind.is_admin(), "{kind:?}");
        assert_eq!(Administrator::from_user(&user(kind, false)), Err(AccountError::Forbidden));
    }
}

#[test]
fn an_administrator_is_who_the_session_belongs_to_when_the_change_is_made() {
    let session = SessionId([1; 16]);
    let now = |store: &MemoryStore| store.transact(|records| Administrator::of_session(records, session));
    let (store, id) = store(UserKind::Admin);
    assert_eq!(now(&store), Ok(admin(UserKind::Admin)));
    let demoted = UserChanges { kind: Some(UserKind::Regular), ..UserChanges::default() };
    store.transact(|records| accounts::change(records, Administrator::OPERATOR, id, demoted, T)).unwrap();
    assert_eq!(now(&store), Err(AccountError::Forbidden));
    store.transact(|records| records.end_session(session)).unwrap();
    assert_eq!(now(&store), Err(AccountError::Forbidden));
}

// attack: mapping.admin-from-outside
#[test]
fn super_admins_are_made_and_changed_by_super_admins_and_the_operator() {
    let (admin, root) = (admin(UserKind::Admin), admin(UserKind::SuperAdmin));
    for (by, allowed) in [(admin, false), (root, true), (Administrator::OPERATOR, true)] {
        let expected = || if allowed { Ok(()) } else { Err(AccountError::Forbidden) };
        let made = NewUser::new(by, "eve", Normalisation::Default, UserKind::SuperAdmin).map(drop);
        assert_eq!(made, expected());
        let (store, ada) = self::store(UserKind::SuperAdmin);
        let change = |changes: UserChanges| {
            store.transact(|records| accounts::change(records, by, ada, changes, T)).map(drop)
        };
        assert_eq!(change(UserChanges::default()), expected());
        let password = store.transact(|records| accounts::set_password(records, by, ada, "hash", T));
        assert_eq!(password.map(drop), expected());
        let session = SessionId([1; 16]);
        let one = store.transact(|records| accounts::end_session(records, by, session)).map(drop);
        assert_eq!(one, if allowed { Err(AccountError::NotFound) } else { Err(AccountError::Forbidden) });
        let all = store.transact(|records| accounts::end_sessions(records, by, ada)).map(drop);
        assert_eq!(all, expected());
        assert_eq!(is_open(&store, 2), !allowed);

        let (store, ada) = self::store(UserKind::Regular);
        let promotion = UserChanges { kind: Some(UserKind::SuperAdmin), ..UserChanges::default() };
        let promoted = store.transact(|records| accounts::change(records, by, ada, promotion, T));
        assert_eq!(promoted.map(drop), expected());
        let kind = store.records().users[&ada].kind;
        assert_eq!(kind == UserKind::SuperAdmin, allowed);
    }
}

#[test]
fn a_new_user_has_a_usable_name_of_its_own() {
    let new =
        |name: &str| NewUser::new(Administrator::OPERATOR, name, Normalisation::Default, UserKind::Regular);
    for name in ["", " ", "a\nb", "a\u{202e}b", "bob\u{3164}", "bob\u{2800}", &"x".repeat(256)] {
        assert!(matches!(new(name).map(drop), Err(AccountError::Username(_))), "{name:?}");
    }
    let store = MemoryStore::default();
    let mut ada = new("ada").unwrap();
    ada.profile.insert("email".to_owned(), "ada@x".to_owned());
    ada.teams.insert("Chess".to_owned());
    ada.password_hash = Some("hash".to_owned());
    let ada = store.transact(|records| accounts::add(records, Administrator::OPERATOR, ada, T)).unwrap();
    assert_eq!((ada.email(), ada.teams["Chess"]), (Some("ada@x"), TeamSource::Hand));
    assert_eq!(store.records().passwords[&ada.id], "hash");
    let again =
        store.transact(|records| accounts::add(records, Administrator::OPERATOR, new("ada").unwrap(), T));
    assert_eq!(again, Err(AccountError::Taken));
}

#[test]
fn teams_and_profile_by_hand_are_what_the_mapping_could_give() {
    let (store, by) = (MemoryStore::default(), Administrator::OPERATOR);
    let new = |name: &str, team: &str, (field, text): (&str, &str)| {
        let mut new = NewUser::new(by, name, Normalisation::Default, UserKind::Regular).unwrap();
        new.teams.insert(team.to_owned());
        new.profile.insert(field.to_owned(), text.to_owned());
        store.transact(|records| accounts::add(records, by, new, T))
    };
    let long = "x".repeat(256);
    for team in ["", " ", "a\0b", "a\nb", "a\u{202e}b", "a\u{2028}b", &long] {
        assert!(matches!(new("ada", team, ("email", "")), Err(AccountError::Text { .. })), "{team:?}");
        assert!(matches!(new("ada", "Chess", (team, "x")), Err(AccountError::Text { .. })), "{team:?}");
    }
    assert!(matches!(new("ada", "Chess", ("email", "a\u{202e}b")), Err(AccountError::Text { .. })));
    let ada = new("ada", "Chess <b>", ("email", "")).unwrap().id;
    let change = |changes| store.transact(|records| accounts::change(records, by, ada, changes, T)).map(drop);
    let teams = |team: &str| UserChanges { teams: Some([team.to_owned()].into()), ..UserChanges::default() };
    assert!(matches!(change(teams("a\0b")), Err(AccountError::Text { .. })));
    assert_eq!(change(teams("Lab")), Ok(()));
    // A team that the user has already stays, whatever its name.
    let old = store.transact(|records| {
        let mut user = records.user(ada)?.unwrap();
        user.teams.insert("old\n".to_owned(), TeamSource::Hand);
        records.update_user(&user, T)
    });
    assert_eq!(old, Ok(()));
    assert_eq!(change(teams("old\n")), Ok(()));
}

// finding: S23
#[test]
fn a_name_written_by_hand_is_kept_as_a_provider_s_name_is() {
    let store = MemoryStore::default();
    let add = |name: &str, normalisation| {
        store.transact(|records| {
            let new = NewUser::new(Administrator::OPERATOR, name, normalisation, UserKind::Regular)?;
            accounts::add(records, Administrator::OPERATOR, new, T).map(|user| user.username)
        })
    };
    assert_eq!(add(" Bob", Normalisation::Default).as_deref(), Ok("bob"));
    assert_eq!(add("BOB", Normalisation::Default), Err(AccountError::Taken));
    assert_eq!(add("e\u{301}ve", Normalisation::Default).as_deref(), Ok("éve"));
    assert_eq!(add("Éve", Normalisation::Default), Err(AccountError::Taken));
    assert_eq!(add("Carol", Normalisation::None).as_deref(), Ok("Carol"));
    for (written, found) in
        [("Bob", Some("bob")), ("E\u{301}VE", Some("éve")), ("Carol", Some("Carol")), ("carol", None)]
    {
        let user = store.transact(|records| accounts::user_named(records, written)).unwrap();
        assert_eq!(user.map(|user| user.username).as_deref(), found, "{written}");
    }
}

#[test]
fn changes_keep_the_rest_and_end_sessions_only_of_the_inactive() {
    let (store, ada) = store(UserKind::Regular);
    let by = admin(UserKind::Admin);
    store
        .transact(|records| {
            let mut user = records.user(ada)?.unwrap();
            user.teams.insert("Staff".to_owned(), TeamSource::Mapping);
            records.update_user(&user, T)
        })
        .unwrap();
    let change = |changes: UserChanges| {
        store.transact(|records| accounts::change(records, by, ada, changes, T)).unwrap()
    };
    let teams = ["Staff".to_owned(), "Chess".to_owned()].into();
    let changed = change(UserChanges { teams: Some(teams), ..UserChanges::default() });
    assert_eq!((changed.ended, changed.user.active), (0, true));
    assert_eq!(changed.user.teams["Staff"], TeamSource::Mapping, "the mapping's team stays the mapping's");
    assert_eq!(changed.user.teams["Chess"], TeamSource::Hand);
    let changed = change(UserChanges { active: Some(false), ..UserChanges::default() });
    assert_eq!((changed.ended, changed.user.active, changed.user.teams.len()), (2, false, 2));
    let changed = change(UserChanges { active: Some(true), ..UserChanges::default() });
    assert_eq!((changed.ended, changed.user.active), (0, true));
    let nobody =
        store.transact(|records| accounts::change(records, by, UserId(9), UserChanges::default(), T));
    assert_eq!(nobody, Err(AccountError::NotFound));
}

#[test]
fn a_new_password_ends_the_sessions() {
    let (store, ada) = store(UserKind::Regular);
    let by = admin(UserKind::Admin);
    let set = store.transact(|records| accounts::set_password(records, by, ada, "hash", T));
    assert_eq!(set, Ok(2));
    assert_eq!(store.records().passwords[&ada], "hash");
    assert!(!is_open(&store, 1) && !is_open(&store, 2));
}

/// A store with the user `ada`, linked to two providers and signed in twice, and the user `grace`.
fn linked() -> (MemoryStore, UserId) {
    let (store, ada) = store(UserKind::Regular);
    store
        .transact(|records| -> Result<(), AccountError> {
            records.link("old", "s", ada)?;
            records.link("other", "s", ada)?;
            records.create_user("grace", UserKind::SuperAdmin, T)?;
            Ok(())
        })
        .unwrap();
    (store, ada)
}

// finding: A4
#[test]
fn a_user_is_renamed_to_a_name_that_is_free_and_keeps_the_rest() {
    let (store, ada) = linked();
    let rename = |by, name: &str| {
        store.transact(|records| accounts::rename(records, by, ada, (name, Normalisation::Default), T))
    };
    let by = admin(UserKind::Admin);
    assert_eq!(rename(by, "Grace"), Err(AccountError::Taken));
    assert!(matches!(rename(by, "a\u{200b}"), Err(AccountError::Username(_))));
    assert_eq!(rename(by, " Lovelace").unwrap().username, "lovelace");
    assert_eq!(rename(by, "LOVELACE").unwrap().username, "lovelace", "its own name is not taken");
    assert!(is_open(&store, 1) && store.records().links.len() == 2);
}

// finding: A4
#[test]
fn unlinking_deletes_the_links_of_one_issuer_or_of_all_and_ends_the_sessions() {
    let by = admin(UserKind::Admin);
    for (issuer, links) in [(Some("old"), 1), (Some("unknown"), 0), (None, 2)] {
        let (store, ada) = linked();
        let severed = store.transact(|records| accounts::unlink(records, by, ada, issuer, T));
        assert_eq!(severed, Ok(Severed { links, sessions: 2 }), "{issuer:?}");
        assert_eq!(store.records().links.len(), 2 - links);
        assert!(!is_open(&store, 1) && store.records().users.contains_key(&ada));
    }
}

// finding: A4
#[test]
fn a_removed_user_leaves_nothing() {
    let (store, ada) = linked();
    let by = admin(UserKind::Admin);
    store.transact(|records| records.set_password(ada, "hash", T)).unwrap();
    let grace = store.transact(|records| records.user_by_name("grace")).unwrap().unwrap();
    let remove = |id| store.transact(|records| accounts::remove(records, by, id, T));
    assert_eq!(remove(grace.id), Err(AccountError::Forbidden), "a super-admin is removed by a super-admin");
    assert_eq!(remove(ada), Ok(Severed { links: 2, sessions: 2 }));
    assert_eq!(remove(ada), Err(AccountError::NotFound));
    let records = store.records();
    assert!(records.links.is_empty() && records.passwords.is_empty() && records.sessions.is_empty());
    assert_eq!(records.users.len(), 1);
}

// finding: A4
#[test]
fn an_issuer_is_renamed_by_the_operator_and_joins_no_two_users() {
    let (store, ada) = linked();
    let unlinked = |by| store.transact(|records| accounts::unlink_issuer(records, by, "other"));
    assert_eq!(unlinked(admin(UserKind::SuperAdmin)), Err(AccountError::Forbidden));
    assert_eq!(unlinked(Administrator::OPERATOR), Ok(Severed { links: 1, sessions: 0 }));
    let rename = |by, old, new| store.transact(|records| accounts::rename_issuer(records, by, old, new));
    assert_eq!(rename(admin(UserKind::SuperAdmin), "old", "new"), Err(AccountError::Forbidden));
    store
        .transact(|records| {
            let grace = records.user_by_name("grace")?.unwrap();
            records.link("new", "s", grace.id)
        })
        .unwrap();
    let apart = AccountError::LinkedApart { usernames: vec!["ada".to_owned()] };
    assert_eq!(rename(Administrator::OPERATOR, "old", "new"), Err(apart));
    assert_eq!(rename(Administrator::OPERATOR, "old", "newer").unwrap().links, 1);
    assert_eq!(store.records().links[&("newer".to_owned(), "s".to_owned())], ada);
    assert_eq!(rename(Administrator::OPERATOR, "old", "newer").unwrap().links, 0);
}
