//! Sign-in with a password.

use std::time::Duration;

use claimgate::identity::Normalisation;
use claimgate::oidc::accounts::{self, Administrator, NewUser};
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::password::{self, PasswordPolicy, PasswordSignInError};
use claimgate::oidc::records::{Records, StoreError};
use claimgate::oidc::session::{NewSession, SessionId};
use claimgate::oidc::user::{User, UserKind};
use claimgate::path::ClaimPath;
use claimgate::time::UnixTime;

use super::memory::MemoryStore;
use super::provider::NOW;
use super::sign_in::is_open;

const T: UnixTime = UnixTime(NOW);
const OPEN: PasswordPolicy = PasswordPolicy { fallback: true, regular_users: true };

fn store(kind: UserKind, hash: Option<&str>) -> MemoryStore {
    let store = MemoryStore::default();
    let mut new = NewUser::new(Administrator::OPERATOR, "ada", Normalisation::Default, kind).unwrap();
    new.password_hash = hash.map(str::to_owned);
    store.transact(|records| accounts::add(records, Administrator::OPERATOR, new, T)).unwrap();
    store
}

/// Signs in; the password "matches" where it is the hash.
fn sign_in(
    store: &MemoryStore,
    name: &str,
    password: &str,
    policy: PasswordPolicy,
    session: u8,
    replaces: Option<u8>,
) -> Result<(), PasswordSignInError> {
    let candidate = store.transact(|records| password::look_up(records, name))?;
    let matches = candidate.hash() == Some(password);
    let authenticated = candidate.decide(matches, policy)?;
    let authenticated = authenticated.keep(KeptClaims::of_nothing(&[ClaimPath::parse("acr").unwrap()]));
    let id = |session: u8| SessionId([session; 16]);
    let session = NewSession { id: id(session), replaces: replaces.map(id) };
    store.transact(|records| authenticated.open(records, session, Duration::from_secs(60), T))
}

#[test]
fn the_right_password_opens_a_session_in_place_of_the_browsers_old_one() {
    let store = store(UserKind::Admin, Some("hash"));
    assert_eq!(sign_in(&store, "ada", "hash", OPEN, 1, None), Ok(()));
    assert_eq!(sign_in(&store, "ada", "hash", OPEN, 2, Some(1)), Ok(()));
    assert!(!is_open(&store, 1) && is_open(&store, 2));
    let facts = store.records().sessions[0].facts.clone();
    assert_eq!((facts.authenticated, facts.claims.values("acr")), (Some(T), Some(Vec::new())));
}

// finding: S3
#[test]
fn a_password_that_was_replaced_while_it_was_compared_opens_no_session() {
    let store = store(UserKind::Regular, Some("hash"));
    let candidate = store.transact(|records| password::look_up(records, "ada")).unwrap();
    let authenticated = candidate.decide(true, OPEN).unwrap();
    let id = authenticated.user().id;
    store.transact(|records| accounts::set_password(records, Administrator::OPERATOR, id, "new", T)).unwrap();
    let session = NewSession { id: SessionId([1; 16]), replaces: None };
    let opened = store.transact(|records| authenticated.open(records, session, Duration::from_secs(60), T));
    assert_eq!(opened, Err(PasswordSignInError::Refused));
    assert!(!is_open(&store, 1));
}

#[test]
fn every_refusal_is_the_same() {
    let store_of = store;
    let refused = Err(PasswordSignInError::Refused);
    let store = store_of(UserKind::Admin, Some("hash"));
    assert_eq!(sign_in(&store, "ada", "wrong", OPEN, 1, None), refused);
    assert_eq!(sign_in(&store, "nobody", "hash", OPEN, 1, None), refused);
    let without = store_of(UserKind::Admin, None);
    assert_eq!(sign_in(&without, "ada", "hash", OPEN, 1, None), refused);
    // A caller that says "matches" without a hash to compare with is refused too.
    let candidate = without.transact(|records| password::look_up(records, "ada")).unwrap();
    assert!(candidate.decide(true, OPEN).is_err());
    assert_eq!(PasswordSignInError::Refused.code(), "password.wrong");
    assert!(!is_open(&store, 1) && !is_open(&without, 1));
}

#[test]
fn the_policy_decides_by_kind() {
    let admins_only = PasswordPolicy { regular_users: false, ..OPEN };
    let closed = PasswordPolicy { fallback: false, ..OPEN };
    for (_, kind) in UserKind::ALL {
        let store = store(kind, Some("hash"));
        let person = kind.is_admin() || kind == UserKind::Regular;
        assert_eq!(sign_in(&store, "ada", "hash", OPEN, 1, None).is_ok(), person, "{kind:?}");
        assert_eq!(sign_in(&store, "ada", "hash", admins_only, 2, None).is_ok(), kind.is_admin(), "{kind:?}");
        assert!(sign_in(&store, "ada", "hash", closed, 3, None).is_err(), "{kind:?}");
    }
}

// finding: S3, S7
#[test]
fn a_user_who_is_changed_while_the_password_is_compared_gets_no_session() {
    type Change = fn(&mut dyn Records, User) -> Result<(), StoreError>;
    let changes: [(&str, Change); 3] = [
        ("switched off", |records, user| records.update_user(&User { active: false, ..user }, T)),
        ("another kind", |records, user| {
            records.update_user(&User { kind: UserKind::SuperAdmin, ..user }, T)
        }),
        ("another password", |records, user| records.set_password(user.id, "another hash", T)),
    ];
    for (what, change) in changes {
        let store = store(UserKind::Admin, Some("hash"));
        let candidate = store.transact(|records| password::look_up(records, "ada")).unwrap();
        let authenticated = candidate.decide(true, OPEN).ok().unwrap();
        store
            .transact(|records| {
                let user = records.user(authenticated.user().id)?.unwrap();
                change(records, user)
            })
            .unwrap();
        let session = NewSession { id: SessionId([1; 16]), replaces: None };
        let opened =
            store.transact(|records| authenticated.open(records, session, Duration::from_secs(60), T));
        assert_eq!(opened, Err(PasswordSignInError::Refused), "{what}");
        assert!(store.records().sessions.is_empty(), "{what}");
    }
}
