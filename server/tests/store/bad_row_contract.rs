//! What both stores promise of a row that cannot be read: all that does not need it goes on.

use std::time::UNIX_EPOCH;

use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::records::{LogoutRecord, LogoutTarget, Position, StoreError};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::oidc::user::UserKind;
use claimgate::time::UnixTime;
use claimgate_server::store::{AdminRecords, Event, EventKind, EventQuery, Store};

use super::refresh_contract::{claim, sign_in};

/// The session of a person whose rows are well: it is live, and its refresh is due.
const WELL: u8 = 1;

/// A value that a row is to have.
#[derive(Clone, Debug)]
pub(crate) struct Corruption {
    pub(crate) table: &'static str,
    pub(crate) condition: &'static str,
    pub(crate) column: String,
    pub(crate) value: &'static str,
    /// Whether no row of the program has it.
    pub(crate) is_unreadable: bool,
}

fn now() -> UnixTime {
    UnixTime(UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap())
}

/// Makes a store with a person whose rows are well.
pub(crate) async fn fill(store: &Store) {
    sign_in(store, WELL).await;
    store.administer(|records| records.keep("assertion keys", "sealed")).await.unwrap();
    store.record_events(vec![Event::new(EventKind::SignIn, "well").user("ada")]).await.unwrap();
}

/// Checks a store that [`fill`] made, in which a row of another person may be bad. `number` differs with each check of a
/// store.
pub(crate) async fn check(store: &Store, number: u8, what: &str) {
    let session = SessionId([WELL; 16]);
    let live = store.session(session).await;
    assert_eq!(live.map(|live| live.map(|live| live.user.username)), Ok(Some("ada".to_owned())), "{what}");
    let of_well = sign_in(store, 100 + number).await;
    let due = claim(store).await;
    assert!(due.iter().any(|due| due.session == of_well && due.grant.is_some()), "{what}: refreshes");
    let done = store.administer(move |records| administer(records, number)).await;
    assert_eq!(done, Ok(()), "{what}");
    assert!(store.end_session(of_well).await.unwrap().is_some(), "{what}: a sign-out");
    let query = EventQuery { kinds: vec![EventKind::SignIn], limit: 10, ..EventQuery::default() };
    let events = store.list_events(query).await.unwrap();
    let name = format!("person {number}");
    assert!(events.iter().any(|event| event.detail.as_ref() == Some(&name)), "{what}: {events:?}");
    let counted = store.count_events(60).await.unwrap();
    let counted = counted.iter().filter(|count| count.kind == EventKind::SignIn);
    assert!(counted.map(|count| count.count).sum::<u64>() >= 2, "{what}");
    let limits = claimgate_server::store::EventLimits {
        retention: std::time::Duration::from_secs(86_400),
        max: 1_000,
    };
    assert_eq!(store.keep_up(limits).await, Ok(()), "{what}: what is over is deleted");
    assert_eq!(store.write_uses(true).await, Ok(()), "{what}");
    assert!(store.is_ready().await, "{what}");
}

/// Does what administrators do, and what sign-ins and logouts do of which a transaction is made.
fn administer(records: &mut dyn AdminRecords, number: u8) -> Result<(), StoreError> {
    let name = format!("person {number}");
    let user = records.create_user(&name, UserKind::Regular, now())?;
    records.link("i", &name, user.id)?;
    let origin = OidcOrigin {
        issuer: "i".to_owned(),
        subject: name.clone(),
        sid: Some(name.clone()),
        issued_at: UnixTime(100),
        id_token: Some("a.b.c".to_owned()),
    };
    let facts = SessionFacts::default();
    for first in [150, 200] {
        let id = SessionId([first + number; 16]);
        let (origin, facts) = (Origin::Oidc(origin.clone()), facts.clone());
        let expires = now().saturating_add(600);
        records.open_session(&Session { id, user: user.id, origin, facts, created: now(), expires })?;
    }
    records.record_event(&Event::new(EventKind::SignIn, "x").detail(&name))?;
    records.leave_notice("user deactivate", &name)?;
    lists(records, &name)?;

    let target = LogoutTarget::Session { sid: name.clone(), subject: None };
    let (token_until, until) = (now().saturating_add(120), now().saturating_add(900));
    let received = Position(now().0 * 1000);
    let (issuer, issued_at) = ("i".to_owned(), UnixTime(100));
    let record = LogoutRecord { issuer, target: target.clone(), issued_at, received, token_until, until };
    assert!(records.record_logout(&name, &record)?, "it is no replay");
    assert!(!records.record_logout(&name, &record)?, "it is a replay");
    assert_eq!(records.end_logged_out("i", &target, UnixTime(100))?, 2);
    assert!(records.newest_logout("i", Some(&name), &name)?.is_some());
    records.rename_issuer("i", &format!("i{number}"))?;
    records.remove_user(user.id)?;
    assert!(records.user_by_name(&name)?.is_none());
    records.keep("another name", "text")
}

/// Reads all lists.
fn lists(records: &mut dyn AdminRecords, name: &str) -> Result<(), StoreError> {
    let users = records.list_users("", 100)?;
    for known in ["ada", name] {
        assert!(users.iter().any(|listed| listed.user.username == known), "{known} in {users:?}");
        assert!(!records.search_users(known, "", 10)?.is_empty(), "{known}");
        assert!(!records.search_sessions(known, 0, 10, now())?.is_empty(), "{known}");
    }
    let ada = records.user_by_name("ada")?.unwrap();
    assert!(!records.list_sessions(Some(ada.id), 10, now())?.is_empty());
    assert!(!records.list_sessions(None, 100, now())?.is_empty());
    assert!(records.list_teams()?.iter().any(|team| team.team == "sales"));
    assert_eq!(records.list_links(ada.id)?.len(), 1);
    assert!(records.count_people(now())?.users >= 2);
    // Of either store: what is kept, or none.
    records.kept("assertion keys").map(drop)
}
