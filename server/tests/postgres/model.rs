//! Random histories over two nodes of one database, compared with a model of the rules; and a storm at both, checked for
//! what must hold in the end.

use std::collections::{BTreeMap, BTreeSet};

use claimgate::oidc::backchannel::Replayed;
use claimgate::oidc::records::{LogoutTarget, Position};
use claimgate::oidc::session::{NewSession, SessionId};
use claimgate_server::store::postgres::{Logout, PgStore, Server, Settings};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::engine::{connect, runtime, with_database};
use super::nodes::until;
use super::people::{Visit, new_id};

const PEOPLE: usize = 3;
const SIDS: usize = 3;
const JTIS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    /// A browser leaves for the provider.
    Begin {
        node: usize,
    },
    /// A browser that left comes back.
    SignIn {
        node: usize,
        begun: Index,
        person: usize,
        sid: Option<usize>,
        issued_at: i64,
        replaces: Option<Index>,
    },
    LogOut {
        node: usize,
        batch: Vec<(usize, Target, i64)>,
    },
    End {
        node: usize,
        session: Index,
    },
    Ask {
        node: usize,
        session: Index,
    },
}

#[derive(Clone, Debug)]
enum Target {
    Subject(usize),
    Session(usize, Option<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = 0..2_usize;
    let person = 0..PEOPLE;
    let iat = 0..4_i64;
    let target = prop_oneof![
        person.clone().prop_map(Target::Subject),
        (0..SIDS, prop::option::of(person.clone())).prop_map(|(sid, subject)| Target::Session(sid, subject)),
    ];
    let logout = (0..JTIS, target, iat.clone());
    let sign_in = (
        node.clone(),
        any::<Index>(),
        person,
        prop::option::of(0..SIDS),
        iat,
        prop::option::of(any::<Index>()),
    );
    let step = prop_oneof![
        2 => node.clone().prop_map(|node| Step::Begin { node }),
        4 => sign_in.prop_map(|(node, begun, person, sid, issued_at, replaces)| {
            Step::SignIn { node, begun, person, sid, issued_at, replaces }
        }),
        2 => (node.clone(), prop::collection::vec(logout, 1..4))
            .prop_map(|(node, batch)| Step::LogOut { node, batch }),
        1 => (node.clone(), any::<Index>()).prop_map(|(node, session)| Step::End { node, session }),
        3 => (node, any::<Index>()).prop_map(|(node, session)| Step::Ask { node, session }),
    ];
    prop::collection::vec(step, 1..24)
}

/// What the rules say of a history.
#[derive(Default)]
struct Model {
    /// The live sessions.
    sessions: BTreeMap<SessionId, (usize, Option<usize>, i64)>,
    logouts: Vec<(Target, i64, Position)>,
    jtis: BTreeSet<usize>,
}

impl Model {
    /// Reports whether a logout refuses a sign-in.
    fn refuses(&self, person: usize, sid: Option<usize>, issued_at: i64, begun: Position) -> bool {
        self.logouts.iter().any(|(target, iat, at)| {
            let names = match target {
                Target::Subject(subject) => *subject == person,
                Target::Session(session, subject) => match sid {
                    Some(sid) => sid == *session,
                    None => *subject == Some(person),
                },
            };
            names && (issued_at <= *iat || begun <= *at)
        })
    }

    /// Applies a logout. Returns the number of sessions that end; `None` for a replay.
    fn log_out(&mut self, jti: usize, target: &Target, iat: i64, at: Position) -> Option<usize> {
        if !self.jtis.insert(jti) {
            return None;
        }
        self.logouts.push((target.clone(), iat, at));
        let before = self.sessions.len();
        self.sessions.retain(|_, (person, sid, issued_at)| match target {
            Target::Subject(subject) => subject != person || *issued_at > iat,
            Target::Session(session, subject) => match sid {
                Some(sid) => sid != session,
                None => *subject != Some(*person) || *issued_at > iat,
            },
        });
        Some(before - self.sessions.len())
    }
}

struct History<'n> {
    nodes: &'n [PgStore; 2],
    server: &'n Server,
    issuer: String,
    model: Model,
    begun: Vec<Position>,
    opened: Vec<(SessionId, usize)>,
}

impl History<'_> {
    fn name(&self, person: usize) -> String {
        format!("{} person {person}", self.issuer)
    }

    async fn head(&self) -> i64 {
        let mut connection = connect(self.server).await.unwrap();
        connection.client().query_one("SELECT seq FROM ord", &[]).await.unwrap().get(0)
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Begin { node } => self.begun.push(self.nodes[node].position()),
            Step::SignIn { node, begun, person, sid, issued_at, replaces } => {
                if self.begun.is_empty() {
                    return;
                }
                let begun = *begun.get(&self.begun);
                let replaces = replaces.filter(|_| !self.opened.is_empty());
                let replaces = replaces.map(|index| index.get(&self.opened).0);
                self.sign_in(node, begun, person, sid, issued_at, replaces).await;
            }
            Step::LogOut { node, batch } => self.log_out(node, batch).await,
            Step::End { node, session } => {
                if self.opened.is_empty() {
                    return;
                }
                let (id, _) = *session.get(&self.opened);
                let ended = self.nodes[node].end_session(id).await.unwrap();
                assert_eq!(ended.is_some(), self.model.sessions.remove(&id).is_some());
            }
            Step::Ask { node, session } => {
                if self.opened.is_empty() {
                    return;
                }
                let (id, person) = *session.get(&self.opened);
                // A session that has ended may be served for the bound; a live one is never refused.
                if self.model.sessions.contains_key(&id)
                    && let Ok(user) = self.nodes[node].ask(id).await
                {
                    assert_eq!(user.map(|user| user.username), Some(self.name(person)));
                }
            }
        }
    }

    async fn sign_in(
        &mut self,
        node: usize,
        begun: Position,
        person: usize,
        sid: Option<usize>,
        issued_at: i64,
        replaces: Option<SessionId>,
    ) {
        let visit = Visit {
            issuer: self.issuer.clone(),
            subject: self.name(person),
            sid: sid.map(|sid| format!("s{sid}")),
            issued_at,
            begun,
            session: NewSession { id: new_id(), replaces },
        };
        let signed_in = visit.complete(&self.nodes[node]).await.unwrap();
        assert_eq!(signed_in.is_none(), self.model.refuses(person, sid, issued_at, begun), "{visit:?}");
        if signed_in.is_some() {
            if let Some(old) = replaces {
                self.model.sessions.remove(&old);
            }
            self.model.sessions.insert(visit.session.id, (person, sid, issued_at));
            self.opened.push((visit.session.id, person));
        }
    }

    async fn log_out(&mut self, node: usize, batch: Vec<(usize, Target, i64)>) {
        let logouts: Vec<Logout> = batch
            .iter()
            .map(|(jti, target, iat)| Logout {
                issuer: self.issuer.clone(),
                jti: format!("j{jti}"),
                target: match target {
                    Target::Subject(person) => LogoutTarget::Subject(self.name(*person)),
                    Target::Session(sid, person) => LogoutTarget::Session {
                        sid: format!("s{sid}"),
                        subject: person.map(|person| self.name(person)),
                    },
                },
                issued_at: *iat,
                issued_until: *iat,
                retention: 600,
            })
            .collect();
        let results = self.nodes[node].apply_logouts(&logouts).await.unwrap();
        let at = Position(self.head().await);
        for ((jti, target, iat), result) in batch.iter().zip(results) {
            let expected = self.model.log_out(*jti, target, *iat, at);
            assert_eq!(result.map(|ended| ended.sessions), expected.ok_or(Replayed), "{target:?}");
        }
    }
}

#[test]
fn random_histories_over_two_nodes_follow_the_rules() {
    let Some(server) = with_database(async |server| server) else { return };
    let runtime = runtime();
    let open = async || PgStore::open(server.clone(), Settings::default()).await.unwrap();
    let nodes = runtime.block_on(async { [open().await, open().await] });
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let count = std::cell::Cell::new(0);
    let result = runner.run(&steps(), |steps| {
        count.set(count.get() + 1);
        runtime.block_on(async {
            // Names of its own for each history: none needs an empty database.
            let issuer = format!("https://issuer{}.example", count.get());
            let (model, begun, opened) = (Model::default(), Vec::new(), Vec::new());
            let mut history = History { nodes: &nodes, server: &server, issuer, model, begun, opened };
            for step in steps {
                history.run(step).await;
            }
            for (id, person) in &history.opened {
                let wanted = history.model.sessions.contains_key(id).then(|| history.name(*person));
                for node in &nodes {
                    until(node, *id, wanted.as_deref()).await;
                }
            }
        });
        Ok(())
    });
    result.unwrap();
}

#[test]
fn in_a_storm_at_two_nodes_no_session_outlives_its_logout() {
    with_database(async |server| {
        let open = async || PgStore::open(server.clone(), Settings::default()).await.unwrap();
        let nodes = [open().await, open().await];
        let workers = (0..8_usize).map(|worker| {
            let nodes = nodes.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for round in 0..25_usize {
                    let node = &nodes[(worker + round) % 2];
                    let sid = format!("s{}", round % 5);
                    if worker % 2 == 0 {
                        let visit = Visit { issued_at: 1000, ..Visit::now(node, "ada", Some(&sid)) };
                        visit.complete(node).await.unwrap();
                    } else {
                        // The other workers send the same tokens.
                        let target = LogoutTarget::Session { sid, subject: None };
                        let logout = super::people::logout(&format!("j{round}"), target);
                        let results = node.apply_logouts(&[logout]).await.unwrap();
                        taken.extend(results[0].is_ok().then_some(round));
                    }
                }
                taken
            })
        });
        let mut taken = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            taken.extend(worker.await.unwrap());
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..25).collect::<Vec<_>>(), "each jti once");
        // A session that is older than a logout of its sid, by the order of the commits, has ended.
        let sql = "SELECT count(*) FROM sessions s JOIN logouts l ON l.sid_tag = s.sid_tag
            JOIN steps t ON t.seq = l.seq WHERE s.created < t.at";
        let mut connection = connect(&server).await.unwrap();
        let outlived: i64 = connection.client().query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(outlived, 0);
        let gaps = "SELECT (SELECT seq FROM ord) - (SELECT count(*) FROM steps)";
        assert_eq!(connection.client().query_one(gaps, &[]).await.unwrap().get::<_, i64>(0), 0, "no gap");
    });
}
