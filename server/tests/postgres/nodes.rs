//! Two nodes on one database.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use claimgate::oidc::backchannel::Replayed;
use claimgate::oidc::frontchannel::NamedSession;
use claimgate::oidc::records::LogoutTarget;
use claimgate::oidc::session::{Origin, SessionId};
use claimgate::oidc::user::UserId;
use claimgate::time::UnixTime;
use claimgate_server::store::postgres::{Answer, Logout, PgStore, Server, Settings, Unsure};
use claimgate_server::store::{PresentedToken, Revocation};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::engine::{connect, with_database};
use super::people::{Visit, logout, new_id, of_sid};
use super::record::{Record, clock};

/// Longest wait for what follows within the revocation bound on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn nodes(server: &Server) -> [PgStore; 2] {
    let open = async || PgStore::open(server.clone(), Settings::default()).await.unwrap();
    [open().await, open().await]
}

pub(crate) async fn sign_in(node: &PgStore, subject: &str, sid: Option<&str>) -> SessionId {
    let visit = Visit::now(node, subject, sid);
    assert!(visit.complete(node).await.unwrap().is_some(), "no logout overtakes it");
    visit.session.id
}

/// Sessions that the storms of a test end: the number `n` of storm `s` by the logout `s.n`, whose `sid` it is.
pub(crate) struct Prey {
    pub(crate) sessions: BTreeMap<String, SessionId>,
    record: Arc<Mutex<Record>>,
    waiter: AbortHandle,
}

impl Prey {
    /// Opens `most` sessions for each of 4 storms at one node, and has another serve them without a pause from then on.
    pub(crate) async fn of(opens: &PgStore, serves: &PgStore, most: usize) -> Self {
        let mut sessions = BTreeMap::new();
        for name in (0..4).flat_map(|storm| (0..most).map(move |number| format!("{storm}.{number}"))) {
            let session = sign_in(opens, &name, Some(&name)).await;
            until(serves, session, Some(&name)).await;
            sessions.insert(name, session);
        }
        let record = Arc::<Mutex<Record>>::default();
        let (node, all, served) =
            (serves.clone(), sessions.values().copied().collect::<Vec<_>>(), Arc::clone(&record));
        let serve = async move {
            loop {
                for session in &all {
                    let asked = clock();
                    if let Ok(Some(_)) = node.ask(*session).await {
                        served.lock().serve(*session, asked);
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waiter = tokio::spawn(serve).abort_handle();
        while record.lock().served_and_ended().0 < sessions.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { sessions, record, waiter }
    }

    /// Returns a record of acknowledgements with the sessions that they ended and what was served of them, once a
    /// session that is served for too long would have been; checks that this is the record of a storm that ended some.
    pub(crate) async fn with(self, mut acknowledged: Record, bound: Duration) -> Record {
        tokio::time::sleep(bound * 2).await;
        self.waiter.abort();
        acknowledged.name(&self.sessions);
        let record = acknowledged.with_served_of(&self.record.lock());
        let (served, ended) = record.served_and_ended();
        assert!(served == self.sessions.len() && ended >= 20, "{served} served, {ended} of them ended");
        record
    }
}

async fn name_of(node: &PgStore, session: SessionId) -> Result<Option<String>, Unsure> {
    Ok(node.ask(session).await?.map(|user| user.username))
}

/// Waits until a node answers so from then on. A node without a lease, on a slow machine, does not answer.
pub(crate) async fn until(node: &PgStore, session: SessionId, wanted: Option<&str>) {
    let deadline = Instant::now() + PATIENCE;
    while name_of(node, session).await != Ok(wanted.map(str::to_owned)) {
        assert!(Instant::now() < deadline, "{:?} is not {wanted:?}", name_of(node, session).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_session_is_live_at_each_node_at_once_and_ends_at_each() {
    with_database(async |server| {
        let [a, b] = nodes(&server).await;
        let session = sign_in(&a, "ada", Some("s")).await;
        let other = sign_in(&b, "ada", Some("t")).await;
        assert_eq!(name_of(&b, session).await, Ok(Some("ada".to_owned())), "before any beat");
        assert!(matches!(b.session_user(session), Answer::Live(_)), "from memory from now on");
        let ended = a.apply_logouts(&[logout("1", of_sid("s"))]).await.unwrap();
        assert_eq!(ended[0].as_ref().unwrap().sessions, 1);
        until(&b, session, None).await;
        until(&a, session, None).await;
        assert_eq!(name_of(&b, other).await, Ok(Some("ada".to_owned())));
        assert_eq!(b.apply_logouts(&[logout("1", of_sid("s"))]).await.unwrap(), [Err(Replayed)]);
    });
}

#[test]
fn a_logout_ends_what_it_names_and_refuses_the_sign_ins_that_it_overtook() {
    with_database(async |server| {
        let [a, b] = nodes(&server).await;
        let by_sid = sign_in(&a, "ada", Some("s")).await;
        let without_sid = sign_in(&a, "ada", None).await;
        let newer = Visit { issued_at: 101, ..Visit::now(&a, "ada", None) };
        assert!(newer.complete(&a).await.unwrap().is_some());
        let overtaken = Visit { issued_at: 500, ..Visit::now(&b, "ada", None) };
        let target = LogoutTarget::Session { sid: "s".to_owned(), subject: Some("ada".to_owned()) };
        let ended = b.apply_logouts(&[logout("1", target)]).await.unwrap();
        assert_eq!(ended[0].as_ref().unwrap().sessions, 2, "the sid's, and the subject's without a sid");
        for (session, wanted) in [(by_sid, None), (without_sid, None), (newer.session.id, Some("ada"))] {
            until(&a, session, wanted).await;
        }
        assert!(overtaken.complete(&a).await.unwrap().is_none(), "it began before the logout was received");
    });
}

#[test]
fn a_view_that_does_not_hold_writes_nothing() {
    with_database(async |server| {
        let [a, b] = nodes(&server).await;
        let created_twice = [Visit::now(&a, "ada", None), Visit::now(&b, "ada", None)];
        let plans = [
            created_twice[0].decide(&a).await.unwrap().unwrap(),
            created_twice[1].decide(&b).await.unwrap().unwrap(),
        ];
        let [first, second] = plans;
        assert!(a.write_plan(first, None, None).await.unwrap().created);
        assert_eq!(
            b.write_plan(second, None, None).await.unwrap_err().to_string(),
            "the data changed meanwhile"
        );
        assert_eq!(name_of(&b, created_twice[1].session.id).await, Ok(None));
        let again = created_twice[1].complete(&b).await.unwrap().unwrap();
        assert!(!again.created && !again.linked);

        let late = Visit::now(&b, "ada", Some("s"));
        let plan = late.decide(&b).await.unwrap().unwrap();
        a.apply_logouts(&[logout("1", of_sid("s"))]).await.unwrap();
        assert!(b.write_plan(plan, None, None).await.is_err());
        assert_eq!(name_of(&b, late.session.id).await, Ok(None));
    });
}

#[test]
fn a_change_of_a_user_reaches_each_node() {
    with_database(async |server| {
        let [a, b] = nodes(&server).await;
        let session = sign_in(&a, "ada", None).await;
        until(&b, session, Some("ada")).await;
        let change = |sql: &'static str| {
            let server = server.clone();
            async move { connect(&server).await.unwrap().client().batch_execute(sql).await.unwrap() }
        };
        change(
            "BEGIN;
            SELECT take_position();
            UPDATE users SET username = 'grace', version = (SELECT seq FROM ord);
            SELECT complete_step(seq, '{}', (SELECT array_agg(id) FROM users)) FROM ord;
            COMMIT",
        )
        .await;
        until(&b, session, Some("grace")).await;
        until(&a, session, Some("grace")).await;
        change(
            "BEGIN;
            SELECT take_position();
            UPDATE users SET active = false, version = (SELECT seq FROM ord);
            SELECT complete_step(seq, '{}', (SELECT array_agg(id) FROM users)) FROM ord;
            COMMIT",
        )
        .await;
        until(&b, session, None).await;
        until(&a, session, None).await;
    });
}

#[test]
fn nodes_share_keys_states_and_attempts() {
    with_database(async |server| {
        let [a, b] = nodes(&server).await;
        let secret = a.session_secret("random");
        assert!(b.made_secret(&secret) && !b.made_secret("random.invented"));
        let session = sign_in(&a, "ada", Some("s")).await;
        let Some(Origin::Oidc(origin)) = b.end_session(session).await.unwrap() else { panic!("a session") };
        assert_eq!((origin.subject.as_str(), origin.sid.as_deref()), ("ada", Some("s")));
        assert_eq!(origin.id_token.as_deref(), Some("a token"), "sealed by the other node");
        assert!(b.end_session(new_id()).await.unwrap().is_none());
        assert!(a.use_state("state").await.unwrap());
        assert!(!b.use_state("state").await.unwrap());
        let mut allowed = 0;
        for node in [&a, &b].into_iter().cycle().take(12) {
            allowed += u32::from(
                node.allow_attempt("ada", (NonZeroU32::new(10).unwrap(), Duration::from_secs(3600)))
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(allowed, 10);
    });
}

#[test]
fn a_presented_token_is_refused_after_a_logout_at_another_node() {
    with_database(async |server| {
        let [a, b] = nodes(&server).await;
        sign_in(&a, "ada", Some("s")).await;
        let token = |sid: Option<&'static str>, issued_at| PresentedToken {
            issuer: "i",
            subject: Some("ada"),
            sid,
            issued_at: UnixTime(issued_at),
        };
        assert_eq!(b.revocation(&token(Some("s"), 100), 60).await, Ok(None));
        let target = LogoutTarget::Session { sid: "s".to_owned(), subject: Some("ada".to_owned()) };
        a.apply_logouts(&[logout("1", target)]).await.unwrap();
        let logged_out = Ok(Some(Revocation::LoggedOut));
        assert_eq!(b.revocation(&token(Some("s"), 160), 60).await, logged_out, "by sid within the leeway");
        assert_eq!(b.revocation(&token(Some("s"), 161), 60).await, Ok(None));
        assert_eq!(b.revocation(&token(Some("t"), 100), 60).await, Ok(None), "another session");
        assert_eq!(b.revocation(&token(None, 100), 60).await, logged_out, "by sub without a sid");
        assert_eq!(b.revocation(&token(None, 101), 60).await, Ok(None));
        a.apply_logouts(&[logout("2", LogoutTarget::Subject("ada".to_owned()))]).await.unwrap();
        assert_eq!(b.revocation(&token(Some("t"), 100), 60).await, logged_out);
    });
}

#[test]
fn a_front_channel_logout_ends_one_of_the_sessions_that_a_user_sees() {
    with_database(async |server| {
        let [a, b] = nodes(&server).await;
        let named = sign_in(&a, "ada", Some("s")).await;
        let other = sign_in(&a, "ada", Some("t")).await;
        let user = b.ask(other).await.unwrap().unwrap();
        let seen = async || -> Vec<String> {
            let sessions = b.sessions_of(user.id).await.unwrap();
            sessions.into_iter().map(|session| session.id).collect()
        };
        assert_eq!(seen().await, [other.to_string(), named.to_string()], "the newest first");
        assert_eq!(b.sessions_of(UserId(user.id.0 + 1)).await.unwrap().len(), 0);
        let front = NamedSession::parse("iss=i&sid=s").unwrap();
        let front = front.logout(UnixTime(100), Duration::from_secs(60), Duration::ZERO, "unlike".to_owned());
        let ended = a.apply_logouts(&[Logout::from(&front)]).await.unwrap();
        assert_eq!(ended[0].as_ref().unwrap().sessions, 1);
        until(&b, named, None).await;
        assert_eq!(seen().await, [other.to_string()]);
    });
}

#[test]
fn a_user_keeps_the_newest_sessions_and_a_browser_one() {
    with_database(async |server| {
        let [a, _] = nodes(&server).await;
        let first = sign_in(&a, "ada", None).await;
        let mut visit = Visit::now(&a, "ada", None);
        visit.session.replaces = Some(first);
        visit.complete(&a).await.unwrap().unwrap();
        until(&a, first, None).await;
        until(&a, visit.session.id, Some("ada")).await;
        for _ in 0..100 {
            sign_in(&a, "ada", None).await;
        }
        until(&a, visit.session.id, None).await;
    });
}
