//! What both stores promise of sessions whose tokens are refreshed.

use std::sync::Arc;
use std::time::Duration;

use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::refresh::StoredGrant;
use claimgate::oidc::session::{LiveSession, NewSession, SessionId};
use claimgate::oidc::session_refresh::{RefreshedClaims, RefreshedPerson};
use claimgate::oidc::sign_in::{LinkByUsername, SignInPolicy};
use claimgate::oidc::sync::SyncPolicy;
use claimgate::oidc::userinfo::SignInClaims;
use claimgate::path::ClaimPath;
use claimgate_server::store::{
    AdminRecords, DueRefresh, Event, EventKind, EventQuery, Judgement, NewRefresh, Refreshed, Store,
};
use serde_json::{Value, json};

use super::provider::{ISSUER, NOW_MS, Op, mapping};

pub(crate) const PROVIDER: &str = "idp";
const HOUR: Duration = Duration::from_secs(3600);

const POLICY: SignInPolicy = SignInPolicy {
    create_users: true,
    allow_admins: false,
    link_by_username: LinkByUsername::Always,
    sync: SyncPolicy::CREATION,
    session_lifetime: HOUR,
};

fn paths() -> Vec<ClaimPath> {
    vec![ClaimPath::parse("department").unwrap()]
}

fn claims(more: Value) -> impl FnOnce(&mut Value) {
    move |claims| claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone())
}

/// Returns the grant of a sign-in with a refresh token.
pub(crate) fn grant(token: &str) -> StoredGrant {
    let answer = json!({"access_token": "at", "refresh_token": token});
    StoredGrant::of(&Op::new().validate_answer(&answer).unwrap()).unwrap()
}

/// Signs ada in, with a refresh that is due at once.
pub(crate) async fn sign_in(store: &Store, id: u8) -> SessionId {
    let more = json!({"groups": ["t-sales"], "department": "x", "sid": format!("sid{id}")});
    let op = Op::new();
    let person = op.person(claims(more.clone()), NOW_MS + i64::from(u16::MAX));
    let person = person.keep(KeptClaims::of(&more, &paths()).0);
    let session = NewSession { id: SessionId([id; 16]), replaces: None };
    let new =
        NewRefresh { provider: PROVIDER.to_owned(), grant: grant("the first token"), after: Duration::ZERO };
    let fields = vec!["email".to_owned()];
    store.sign_in(person, fields, POLICY, session, None, Some(new)).await.unwrap();
    session.id
}

pub(crate) async fn claim(store: &Store) -> Vec<DueRefresh> {
    store.claim_refreshes(PROVIDER, 10).await.unwrap()
}

async fn claim_one(store: &Store) -> DueRefresh {
    let mut due = claim(store).await;
    assert_eq!(due.len(), 1);
    due.pop().unwrap()
}

fn token(due: &DueRefresh) -> &str {
    due.grant.as_ref().unwrap().refresh_token().expose()
}

/// What a refresh with these claims says.
fn judgement(more: Value) -> Arc<Judgement> {
    let op = Op::new();
    let id_token = op.validate(&Default::default(), json!({}), claims(more)).unwrap();
    let grant = grant("any");
    let refreshed = RefreshedClaims::whole(SignInClaims::of_id_token(id_token), grant.original());
    let paths = paths();
    let (person, _) = RefreshedPerson::identify(&refreshed, &mapping(), &paths).unwrap();
    let event = Some(event());
    Arc::new(Judgement { person, fields: vec!["email".to_owned()], policy: POLICY, event })
}

fn event() -> Event {
    Event::new(EventKind::Logout, "refresh").provider(PROVIDER)
}

async fn live(store: &Store, session: SessionId) -> Option<LiveSession> {
    // A node follows what its own administration wrote with its next beat.
    for _ in 0..6000 {
        if let Ok(live) = store.peek(session).await {
            return live;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the store does not answer")
}

/// Waits until a session is as wanted.
async fn until(store: &Store, session: SessionId, wanted: impl Fn(Option<&LiveSession>) -> bool) {
    for _ in 0..6000 {
        if wanted(live(store, session).await.as_ref()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", live(store, session).await)
}

async fn ended(store: &Store) -> Vec<String> {
    let query = EventQuery { kinds: vec![EventKind::Logout], limit: 10, ..EventQuery::default() };
    let events = store.list_events(query).await.unwrap();
    events
        .iter()
        .map(|event| format!("{} {}", event.user.clone().unwrap(), event.detail.clone().unwrap()))
        .collect()
}

/// Checks a store without sessions.
pub(crate) async fn check(store: &Store) {
    a_refresh_is_claimed_once_and_written_by_who_has_the_newest_grant(store).await;
    a_refresh_changes_user_and_claims_and_uses_nothing(store).await;
    a_session_that_has_ended_stays_ended(store).await;
    a_session_ends_with_an_event(store).await;
    grants_of_other_providers_are_forgotten(store).await;
    an_issuer_that_is_renamed_during_a_refresh_ends_no_session(store).await;
}

async fn a_refresh_is_claimed_once_and_written_by_who_has_the_newest_grant(store: &Store) {
    let session = sign_in(store, 1).await;
    assert!(store.claim_refreshes("another", 10).await.unwrap().is_empty());
    assert!(store.claim_refreshes(PROVIDER, 0).await.unwrap().is_empty());
    let mut stale = claim_one(store).await;
    assert_eq!((stale.session, token(&stale)), (session, "the first token"));
    assert!(claim(store).await.is_empty(), "claimed");
    store.put_off_refresh(&stale, Duration::ZERO).await.unwrap();
    let mut due = claim_one(store).await;
    assert!(store.rotate_grant(&mut due, grant("the second token")).await.unwrap());
    assert!(!store.rotate_grant(&mut stale, grant("an older token")).await.unwrap());
    store.put_off_refresh(&stale, Duration::ZERO).await.unwrap();
    assert!(claim(store).await.is_empty(), "put off by another claim");
    let gone = store.end_refreshed(&stale, "token.refused", Some(event())).await.unwrap();
    assert!(matches!(gone, Refreshed::Gone));
    let more = json!({"groups": ["t-x"]});
    let gone = store.complete_refresh(&stale, judgement(more), HOUR).await.unwrap();
    assert!(matches!(gone, Refreshed::Gone));
    store.put_off_refresh(&due, Duration::ZERO).await.unwrap();
    assert_eq!(token(&claim_one(store).await), "the second token");
    assert!(live(store, session).await.is_some());
    store.end_session(session).await.unwrap();
}

async fn a_refresh_changes_user_and_claims_and_uses_nothing(store: &Store) {
    let session = sign_in(store, 2).await;
    let due = claim_one(store).await;
    let before = live(store, session).await.unwrap();
    let same = json!({"groups": ["t-sales"], "department": "x"});
    let kept = store.complete_refresh(&due, judgement(same), Duration::ZERO).await.unwrap();
    assert!(matches!(kept, Refreshed::Kept(plan) if plan.changes.is_empty()));
    assert_eq!(live(store, session).await.unwrap(), before);
    let due = claim_one(store).await;
    let more = json!({"groups": ["t-support"], "department": "y"});
    let kept = store.complete_refresh(&due, judgement(more.clone()), HOUR).await.unwrap();
    assert!(matches!(kept, Refreshed::Kept(plan) if plan.changes.len() == 2));
    assert!(claim(store).await.is_empty(), "due in an hour");
    let wanted = KeptClaims::of(&more, &paths()).0;
    until(store, session, |live| {
        live.is_some_and(|live| live.user.teams.keys().eq(["support"]) && live.facts.claims == wanted)
    })
    .await;
    let listed = store.sessions_of(before.user.id).await.unwrap();
    assert!((listed[0].expires - listed[0].created).abs_diff(3600) <= 1, "no use, no extension");
    store.end_session(session).await.unwrap();
}

async fn a_session_that_has_ended_stays_ended(store: &Store) {
    let session = sign_in(store, 3).await;
    let mut due = claim_one(store).await;
    store.end_session(session).await.unwrap();
    assert!(!store.rotate_grant(&mut due, grant("late")).await.unwrap());
    store.put_off_refresh(&due, Duration::ZERO).await.unwrap();
    let more = json!({"groups": ["t-other"]});
    let gone = store.complete_refresh(&due, judgement(more), Duration::ZERO).await.unwrap();
    assert!(matches!(gone, Refreshed::Gone));
    assert!(matches!(store.end_refreshed(&due, "x", Some(event())).await.unwrap(), Refreshed::Gone));
    assert!(claim(store).await.is_empty());
    assert_eq!(live(store, session).await, None);
}

async fn a_session_ends_with_an_event(store: &Store) {
    let session = sign_in(store, 4).await;
    let due = claim_one(store).await;
    let end = store.end_refreshed(&due, "token.refused", Some(event())).await.unwrap();
    assert!(
        matches!(end, Refreshed::Ended { username, reason } if username == "ada" && reason == "token.refused")
    );
    until(store, session, |live| live.is_none()).await;
    let session = sign_in(store, 5).await;
    let unlinked: Result<_, StoreError> = store
        .administer(|records: &mut dyn AdminRecords| {
            let user = records.user_by_name("ada")?.unwrap();
            records.unlink(user.id, Some(ISSUER))
        })
        .await;
    assert_eq!(unlinked, Ok(1));
    let due = claim_one(store).await;
    let end = store.complete_refresh(&due, judgement(json!({})), HOUR).await.unwrap();
    assert!(matches!(end, Refreshed::Ended { reason, .. } if reason == "sign_in.unknown"));
    until(store, session, |live| live.is_none()).await;
    assert_eq!(ended(store).await, ["ada sign_in.unknown", "ada token.refused"]);
}

async fn grants_of_other_providers_are_forgotten(store: &Store) {
    let session = sign_in(store, 6).await;
    assert_eq!(store.forget_grants_but(vec!["x".to_owned(), PROVIDER.to_owned()]).await, Ok(0));
    let due = claim_one(store).await;
    assert_eq!(store.forget_grants_but(vec!["x".to_owned()]).await, Ok(1));
    assert!(claim(store).await.is_empty());
    assert!(live(store, session).await.is_some());
    let same = json!({"groups": ["t-sales"], "department": "x"});
    let gone = store.complete_refresh(&due, judgement(same), HOUR).await.unwrap();
    assert!(matches!(gone, Refreshed::Gone), "it was forgotten meanwhile");
    store.end_session(session).await.unwrap();
}

async fn an_issuer_that_is_renamed_during_a_refresh_ends_no_session(store: &Store) {
    let rename = async |from: &'static str, to: &'static str| {
        let renamed: Result<_, StoreError> =
            store.administer(move |records: &mut dyn AdminRecords| records.rename_issuer(from, to)).await;
        assert_eq!(renamed.unwrap().sessions, 1);
    };
    let session = sign_in(store, 7).await;
    let due = claim_one(store).await;
    rename(ISSUER, "https://new.example.com").await;
    let more = json!({"groups": ["t-sales"], "department": "z"});
    let kept = store.complete_refresh(&due, judgement(more), HOUR).await.unwrap();
    assert!(matches!(kept, Refreshed::Kept(_)), "{kept:?}");
    rename("https://new.example.com", ISSUER).await;
    assert!(live(store, session).await.is_some());
    store.end_session(session).await.unwrap();
}
