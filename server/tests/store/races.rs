//! Sign-ins that wait in the queue of the store while their user is changed.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use claimgate::identity::Normalisation;
use claimgate::oidc::accounts::{self, AccountError, Administrator, Changed, NewUser, UserChanges};
use claimgate::oidc::backchannel::{self, Ended};
use claimgate::oidc::records::{Position, Records, StoreError};
use claimgate::oidc::session::{NewSession, SessionId};
use claimgate::oidc::sign_in::{self, LinkByUsername, Person, SignInError, SignInPolicy};
use claimgate::oidc::sync::{AbsentGroups, SyncPolicy};
use claimgate::oidc::user::{UserId, UserKind};
use claimgate::time::UnixTime;
use claimgate::{Verifier, claims::Policy};
use claimgate_server::store::SqliteStore;
use serde_json::{Map, Value, json};

use super::provider::{CLIENT, ISSUER, NOW, NOW_MS, Op};

const POLICY: SignInPolicy = SignInPolicy {
    create_users: true,
    allow_admins: false,
    link_by_username: LinkByUsername::Always,
    sync: SyncPolicy {
        profile: true,
        teams: true,
        keep_hand_given_teams: true,
        absent_empties: false,
        absent_groups: AbsentGroups::Clear,
    },
    session_lifetime: Duration::from_secs(3600),
};

/// Work in the queue, and where its result arrives.
type Queued<T> = std::thread::JoinHandle<T>;

/// Runs pieces of work in one transaction, in their order: the first holds the writing thread until all wait.
struct Batch<'s> {
    store: &'s SqliteStore,
    release: std::sync::mpsc::Sender<()>,
    first: Queued<Result<(), StoreError>>,
}

impl<'s> Batch<'s> {
    fn begin(store: &'s SqliteStore) -> Self {
        let (release, released) = channel();
        let (started, has_started) = channel();
        let held = store.clone();
        let first = std::thread::spawn(move || {
            held.transact_blocking(move |_| -> Result<(), StoreError> {
                started.send(()).unwrap();
                hold(&released)
            })
        });
        has_started.recv().unwrap();
        Self { store, release, first }
    }

    /// Submits work, and returns once it is in the queue.
    fn submit<T, E>(
        &self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, E> + Send + 'static,
    ) -> Queued<Result<T, E>>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = self.store.clone();
        let (queued, is_queued) = channel();
        let waits = std::thread::spawn(move || {
            runtime.block_on(async {
                let result = store.transact(move |records| work(records));
                let mut result = std::pin::pin!(result);
                // The first poll submits the work.
                let polled =
                    std::future::poll_fn(|context| std::task::Poll::Ready(result.as_mut().poll(context)));
                assert!(polled.await.is_pending(), "the batch is held");
                queued.send(()).unwrap();
                result.await
            })
        });
        is_queued.recv().unwrap();
        waits
    }

    fn run(self) {
        self.release.send(()).unwrap();
        self.first.join().unwrap().unwrap();
    }
}

fn hold(released: &Receiver<()>) -> Result<(), StoreError> {
    released.recv().map_err(|error| StoreError { reason: error.to_string() })
}

fn sign_in(person: Person, id: u8) -> impl FnOnce(&mut dyn Records) -> Result<UserId, SignInError> + Send {
    move |records| {
        let session = NewSession { id: SessionId([id; 16]), replaces: None };
        let signed_in = sign_in::complete(records, &person, &[], &POLICY, session, UnixTime(NOW))?;
        Ok(signed_in.user.id)
    }
}

fn change(
    user: UserId,
    changes: UserChanges,
) -> impl FnOnce(&mut dyn Records) -> Result<Changed, AccountError> + Send {
    move |records| accounts::change(records, Administrator::OPERATOR, user, changes, UnixTime(NOW))
}

fn is_open(store: &SqliteStore, id: u8) -> bool {
    store.session_user(SessionId([id; 16]), UnixTime(NOW)).is_some()
}

// finding: S3, S7
#[test]
fn a_sign_in_in_the_queue_opens_no_session_of_a_user_who_is_switched_off_or_changes_kind() {
    let op = Op::new();
    for (what, changes) in [
        ("switched off", UserChanges { active: Some(false), ..UserChanges::default() }),
        ("another kind", UserChanges { kind: Some(UserKind::Admin), ..UserChanges::default() }),
    ] {
        for first in ["sign-in", "change"] {
            let store = SqliteStore::in_memory().unwrap();
            let person = op.person(|_| {}, NOW_MS);
            let user = store.transact_blocking(|records| sign_in(person, 1)(records)).unwrap();
            assert!(is_open(&store, 1));
            let batch = Batch::begin(&store);
            let (waits, changed);
            if first == "sign-in" {
                waits = batch.submit(sign_in(op.person(|_| {}, NOW_MS), 2));
                changed = batch.submit(change(user, changes.clone()));
            } else {
                changed = batch.submit(change(user, changes.clone()));
                waits = batch.submit(sign_in(op.person(|_| {}, NOW_MS), 2));
            }
            batch.run();
            let ended = changed.join().unwrap().unwrap().ended;
            assert_eq!(ended, if first == "sign-in" { 2 } else { 1 }, "{what}, {first} first");
            assert_eq!(waits.join().unwrap().is_ok(), first == "sign-in", "{what}, {first} first");
            assert!(!is_open(&store, 1) && !is_open(&store, 2), "{what}, {first} first");
        }
    }
}

// finding: S5
#[test]
fn a_logout_by_sid_ends_the_session_of_a_sign_in_in_the_queue_whatever_the_clocks_say() {
    let op = Op::new();
    for ahead in [0, 1, 30] {
        let store = SqliteStore::in_memory().unwrap();
        let claims = |claims: &mut Value| {
            claims["sid"] = json!("A");
            claims["iat"] = json!(NOW + ahead);
        };
        let batch = Batch::begin(&store);
        let waits = batch.submit(sign_in(op.person(claims, NOW_MS), 1));
        let logout = json!({
            "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "j", "sub": "s1", "sid": "A",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        let token = op.key.sign(&Map::new(), logout.to_string().as_bytes()).unwrap();
        let verifier = Verifier::new(op.jws.clone(), Policy::logout_token(ISSUER, CLIENT)).unwrap();
        let logout = backchannel::validate(&verifier, &token, Position(NOW_MS + 1)).unwrap();
        let ended = batch.submit(move |records| backchannel::apply_all(records, &[logout]));
        batch.run();
        assert!(waits.join().unwrap().is_ok());
        let ended = ended.join().unwrap().unwrap();
        assert!(matches!(&ended[..], [Ok(Ended { sessions: 1, .. })]), "{ahead}");
        assert!(!is_open(&store, 1), "{ahead}");
    }
}

/// Two super-admins who switch each other off, both before either is done: the one whose change comes second stays.
#[test]
fn of_two_super_admins_who_switch_each_other_off_one_stays() {
    let store = SqliteStore::in_memory().unwrap();
    let by = Administrator::OPERATOR;
    let ids = ["root", "spare"].map(|name| {
        let mut new = NewUser::new(by, name, Normalisation::Default, UserKind::SuperAdmin).unwrap();
        new.password_hash = Some("hash".to_owned());
        store.transact_blocking(move |records| accounts::add(records, by, new, UnixTime(NOW))).unwrap().id
    });
    let batch = Batch::begin(&store);
    let [one, other] = ids.map(|id| {
        let changes = UserChanges { active: Some(false), ..UserChanges::default() };
        batch.submit(move |records| accounts::change(records, by, id, changes, UnixTime(NOW)))
    });
    batch.run();
    assert!(one.join().unwrap().is_ok());
    assert_eq!(other.join().unwrap(), Err(AccountError::LastSuperAdmin));
}
