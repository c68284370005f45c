//! Sign-in: the user found, linked, created or refused; profile and teams.

use std::time::Duration;

use claimgate::identity::{Mapping, MappingSpec, OneOrMany};
use claimgate::limits::Limits;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::{NewSession, Origin, Session, SessionId};
use claimgate::oidc::sign_in::{
    self, LinkByUsername, LinkRefusal, Person, SignInError, SignInPolicy, SignedIn,
};
use claimgate::oidc::sync::{AbsentGroups, SyncPolicy};
use claimgate::oidc::user::{TeamSource, User, UserKind};
use claimgate::time::UnixTime;
use serde_json::{Value, json};

use super::memory::MemoryStore;
use super::provider::{NOW, NOW_MS, Op, set};

pub(crate) const OPEN: SignInPolicy = SignInPolicy {
    create_users: true,
    allow_admins: false,
    link_by_username: LinkByUsername::Always,
    sync: SyncPolicy::CREATION,
    session_lifetime: Duration::from_secs(3600),
};

pub(crate) fn sign_in(
    store: &MemoryStore,
    person: Person,
    policy: SignInPolicy,
    id: u8,
) -> Result<SignedIn, SignInError> {
    store.transact(move |records| {
        let session = NewSession { id: SessionId([id; 16]), replaces: None };
        sign_in::complete(records, &person, &["email"], &policy, session, UnixTime(NOW))
    })
}

pub(crate) fn add(store: &MemoryStore, name: &str, change: impl FnOnce(&mut User)) -> User {
    let made = store.transact(move |records| -> Result<User, StoreError> {
        let mut user = records.create_user(name, UserKind::Regular, UnixTime(NOW))?;
        change(&mut user);
        records.update_user(&user, UnixTime(NOW))?;
        Ok(user)
    });
    made.unwrap()
}

pub(crate) fn is_open(store: &MemoryStore, id: u8) -> bool {
    store.session_user(SessionId([id; 16]), UnixTime(NOW)).is_some()
}

/// One account cannot fill the store: 60 sign-ins with ID tokens of 110 KB were once 7.6 MB.
#[test]
fn a_user_has_a_hundred_sessions_at_most_and_an_id_token_longer_than_a_hint_is_not_kept() {
    let op = Op::new();
    let store = MemoryStore::default();
    for id in 0..=100 {
        let large = |claims: &mut Value| {
            if id == 100 {
                claims["groups"] = json!(vec!["x".repeat(100); 60]);
            }
        };
        let person = op.person(large, NOW_MS);
        sign_in(&store, person, OPEN, id).unwrap();
    }
    assert_eq!(store.records().sessions.len(), 100);
    assert!(!is_open(&store, 0) && is_open(&store, 1), "the oldest ended");
    let kept = |session: &Session| match &session.origin {
        Origin::Oidc(origin) => origin.id_token.is_some(),
        Origin::Password => false,
    };
    let records = store.records();
    assert_eq!(records.sessions.iter().filter(|session| kept(session)).count(), 99);
    assert!(!kept(records.sessions.last().unwrap()));
}

// attack: mapping.admin-from-outside
#[test]
fn who_may_come_in() {
    let op = Op::new();
    for (kind, allow_admins, active, expected) in [
        (UserKind::Regular, false, true, Ok(())),
        (UserKind::Regular, false, false, Err(SignInError::Inactive)),
        (UserKind::Admin, false, true, Err(SignInError::Admin)),
        (UserKind::Admin, true, true, Ok(())),
        (UserKind::Admin, true, false, Err(SignInError::Inactive)),
        (UserKind::SuperAdmin, true, true, Err(SignInError::Admin)),
        (UserKind::Portal, true, true, Err(SignInError::Kind)),
        (UserKind::Api, true, true, Err(SignInError::Kind)),
        (UserKind::System, true, true, Err(SignInError::Kind)),
    ] {
        let store = MemoryStore::default();
        add(&store, "ada", move |user| {
            user.kind = kind;
            user.active = active;
        });
        let policy = SignInPolicy { allow_admins, ..OPEN };
        let result = sign_in(&store, op.person(|_| {}, NOW_MS), policy, 1).map(drop);
        assert_eq!(result, expected, "{kind:?} {allow_admins} {active}");
        assert_eq!(is_open(&store, 1), result.is_ok());
        if result.is_err() {
            // Final: no other user was made instead.
            assert_eq!((store.records().users.len(), store.records().links.len()), (1, 0));
        }
    }
}

// attack: mapping.two-subjects
#[test]
fn found_linked_created_or_refused() {
    let op = Op::new();
    let store = MemoryStore::default();
    let closed = SignInPolicy { create_users: false, ..OPEN };
    assert_eq!(sign_in(&store, op.person(|_| {}, NOW_MS), closed, 1).unwrap_err(), SignInError::Unknown);
    let made = sign_in(&store, op.person(set("email", json!("a@x")), NOW_MS), OPEN, 1).unwrap();
    assert!(made.created && made.linked);
    assert_eq!((made.user.kind, made.user.email()), (UserKind::Regular, Some("a@x")));
    let password = store.transact(move |records| records.password(made.user.id)).unwrap();
    assert_eq!(password, None);
    // The same subject under another name is the same user, who keeps the name.
    let renamed = sign_in(&store, op.person(set("preferred_username", json!("lovelace")), NOW_MS), OPEN, 2);
    let renamed = renamed.unwrap();
    assert_eq!((renamed.user.username.as_str(), renamed.created, renamed.linked), ("ada", false, false));
    // Another subject under the same name, or one that becomes it, is nobody.
    let twin = |name: &str| {
        op.person(
            move |claims| {
                claims["sub"] = json!("s2");
                claims["preferred_username"] = json!(name);
            },
            NOW_MS,
        )
    };
    assert_eq!(sign_in(&store, twin("ada"), OPEN, 3).unwrap_err(), SignInError::UsernameTaken);
    assert_eq!(sign_in(&store, twin("ADA"), OPEN, 3).unwrap_err(), SignInError::UsernameTaken);
    // A user made by hand is linked once, unless that is off.
    add(&store, "grace", |_| {});
    let by_name = SignInPolicy { link_by_username: LinkByUsername::Never, ..OPEN };
    assert_eq!(
        sign_in(&store, twin("grace"), by_name, 3).unwrap_err(),
        SignInError::NotLinked(LinkRefusal::Off)
    );
    let linked = sign_in(&store, twin("grace"), OPEN, 3).unwrap();
    assert!(linked.linked && !linked.created);
    assert!(is_open(&store, 3));
}

// finding: O-F1, D9, R1
// attack: mapping.two-subjects
#[test]
fn a_user_added_by_hand_is_linked_by_a_name_that_the_provider_vouches_for() {
    let op = Op::new();
    let vouched = SignInPolicy { link_by_username: LinkByUsername::Vouched, ..OPEN };
    let link = |path: &str, change: fn(&mut Value), policy| {
        let spec = MappingSpec { username: OneOrMany::One(path.to_owned()), ..MappingSpec::default() };
        let store = MemoryStore::default();
        for name in ["ceo", "ceo@x.io"] {
            add(&store, name, |_| {});
        }
        let mapping = Mapping::compile(&spec, &Limits::DEFAULT).unwrap();
        sign_in(&store, op.person_by(&mapping, change, NOW_MS), policy, 1).map(|signed_in| signed_in.linked)
    };
    let sub = |claims: &mut Value| claims["sub"] = json!("ceo");
    let name = |claims: &mut Value| claims["preferred_username"] = json!("CEO");
    let email = |claims: &mut Value| claims["email"] = json!("ceo@x.io");
    let verified = |claims: &mut Value| {
        claims["email"] = json!("ceo@x.io");
        claims["email_verified"] = json!("true");
    };
    let refused = |reason| Err(SignInError::NotLinked(reason));
    assert_eq!(link("sub", sub, vouched), Ok(true));
    assert_eq!(link("email", verified, vouched), Ok(true));
    assert_eq!(link("email", email, vouched), refused(LinkRefusal::UnverifiedEmail));
    assert_eq!(link("preferred_username", name, vouched), refused(LinkRefusal::Claim));
    for (path, change) in [("preferred_username", name as fn(&mut Value)), ("email", email)] {
        assert_eq!(link(path, change, OPEN), Ok(true));
    }
}

#[test]
fn sync_changes_what_it_may_and_says_what() {
    let op = Op::new();
    let profile = |email: Option<&'static str>, groups: Value| {
        op.person(
            move |claims| {
                claims["groups"] = groups;
                if let Some(email) = email {
                    claims["email"] = json!(email);
                }
            },
            NOW_MS,
        )
    };
    let teams = |user: &User| user.teams.keys().cloned().collect::<Vec<_>>().join(" ");
    for (sync, email, expected) in [
        (OPEN.sync, Some("old@x"), "Chess b"),
        (SyncPolicy { keep_hand_given_teams: false, ..OPEN.sync }, Some("old@x"), "b"),
        (SyncPolicy { absent_empties: true, ..OPEN.sync }, None, "Chess b"),
        (SyncPolicy { profile: false, teams: false, ..OPEN.sync }, Some("old@x"), "Chess a"),
    ] {
        let store = MemoryStore::default();
        // Without sync too, a new user gets everything.
        let never = SignInPolicy { sync: SyncPolicy { profile: false, teams: false, ..sync }, ..OPEN };
        let mut made = sign_in(&store, profile(Some("old@x"), json!(["t-a"])), never, 1).unwrap().user;
        assert_eq!((made.email(), teams(&made).as_str()), (Some("old@x"), "a"));
        made.teams.insert("Chess".to_owned(), TeamSource::Hand);
        store.transact(move |records| records.update_user(&made, UnixTime(NOW))).unwrap();
        let policy = SignInPolicy { sync, ..OPEN };
        let signed_in = sign_in(&store, profile(None, json!(["t-b"])), policy, 2).unwrap();
        assert_eq!(signed_in.user.email(), email);
        assert_eq!(teams(&signed_in.user), expected);
        let again = sign_in(&store, profile(None, json!(["t-b"])), policy, 3).unwrap();
        assert_eq!(again.changes, []);
    }
}

// finding: O-F10, D2
#[test]
fn groups_that_were_left_out_take_no_team_away() {
    let op = Op::new();
    let groups = |groups: Option<Value>, left_out: bool| {
        op.person(
            move |claims| {
                if let Some(groups) = groups {
                    claims["groups"] = groups;
                }
                if left_out {
                    claims["_claim_names"] = json!({"groups": "src1"});
                }
            },
            NOW_MS,
        )
    };
    let keep = SyncPolicy { absent_groups: AbsentGroups::Keep, ..OPEN.sync };
    let follow_all = SyncPolicy { keep_hand_given_teams: false, ..OPEN.sync };
    for (sync, claim, left_out, expected) in [
        (OPEN.sync, None, true, "a"),
        (follow_all, None, true, "a"),
        (OPEN.sync, None, false, ""),
        (keep, None, false, "a"),
        (keep, Some(json!(null)), false, "a"),
        (keep, Some(json!([])), false, ""),
        (OPEN.sync, Some(json!(["t-b"])), true, "b"),
    ] {
        let store = MemoryStore::default();
        sign_in(&store, groups(Some(json!(["t-a"])), false), OPEN, 1).unwrap();
        let policy = SignInPolicy { sync, ..OPEN };
        let signed_in = sign_in(&store, groups(claim, left_out), policy, 2).unwrap();
        let teams: Vec<_> = signed_in.user.teams.keys().cloned().collect();
        assert_eq!(teams.join(" "), expected, "{sync:?} {left_out}");
    }
}
