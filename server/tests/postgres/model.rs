//! Random histories on each store, compared with a model of the rules and with one another: SQLite, PostgreSQL with
//! one node and with two. And a storm at two nodes, checked for what must hold in the end.

use std::collections::{BTreeMap, BTreeSet};

use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::records::{LogoutTarget, Position};
use claimgate::oidc::session::{NewSession, SessionId};
use claimgate_server::store::SqliteStore;
use claimgate_server::store::postgres::{Logout, PgStore, Settings};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::engine::{connect, runtime, with_database};
use super::people::Visit;
use super::stores::{PostgresNode, SqliteNode, TestedNode};

/// People, each of whom has an account at one issuer: at the first or at the second.
const PEOPLE: usize = 4;
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
        issuer: usize,
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
    /// The first issuer gets the name of the second.
    Rename,
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
        5 => sign_in.prop_map(|(node, begun, person, sid, issued_at, replaces)| {
            Step::SignIn { node, begun, person, sid, issued_at, replaces }
        }),
        2 => (node.clone(), 0..2_usize, prop::collection::vec(logout, 1..4))
            .prop_map(|(node, issuer, batch)| Step::LogOut { node, issuer, batch }),
        1 => (node.clone(), any::<Index>()).prop_map(|(node, session)| Step::End { node, session }),
        3 => (node, any::<Index>()).prop_map(|(node, session)| Step::Ask { node, session }),
        1 => Just(Step::Rename),
    ];
    prop::collection::vec(step, 1..28)
}

/// A live session, as the model knows it.
#[derive(Clone, Copy)]
struct Signed {
    issuer: usize,
    person: usize,
    sid: Option<usize>,
    issued_at: i64,
}

#[derive(Clone)]
struct Kept {
    issuer: usize,
    target: Target,
    issued_at: i64,
    at: Position,
}

/// What the rules say of a history.
#[derive(Default)]
struct Model {
    sessions: BTreeMap<SessionId, Signed>,
    logouts: Vec<Kept>,
    jtis: BTreeSet<(usize, usize)>,
    renamed: bool,
}

impl Kept {
    /// Reports whether the logout names the sessions of a person at an issuer, with a `sid` or without.
    fn names(&self, issuer: usize, person: usize, sid: Option<usize>) -> bool {
        self.issuer == issuer
            && match &self.target {
                Target::Subject(subject) => *subject == person,
                Target::Session(session, subject) => match sid {
                    Some(sid) => sid == *session,
                    None => *subject == Some(person),
                },
            }
    }

    /// Reports whether the logout ends a session: by `sid`, whatever its `iat`.
    fn ends(&self, signed: &Signed) -> bool {
        let by_sid = matches!(&self.target, Target::Session(..)) && signed.sid.is_some();
        self.names(signed.issuer, signed.person, signed.sid) && (by_sid || signed.issued_at <= self.issued_at)
    }
}

impl Model {
    /// Returns the issuer at which a person has an account.
    fn issuer_of(&self, person: usize) -> usize {
        if self.renamed { 1 } else { person % 2 }
    }

    /// Reports whether a logout refuses a sign-in.
    fn refuses(&self, person: usize, sid: Option<usize>, issued_at: i64, begun: Position) -> bool {
        let overtakes = |logout: &&Kept| issued_at <= logout.issued_at || begun <= logout.at;
        let issuer = self.issuer_of(person);
        self.logouts.iter().filter(overtakes).any(|logout| logout.names(issuer, person, sid))
    }

    /// Applies a logout. Returns the number of sessions that end; `None` for a replay.
    fn log_out(&mut self, jti: usize, logout: Kept) -> Option<usize> {
        if !self.jtis.insert((logout.issuer, jti)) {
            return None;
        }
        let before = self.sessions.len();
        self.sessions.retain(|_, signed| !logout.ends(signed));
        self.logouts.push(logout);
        Some(before - self.sessions.len())
    }

    /// Gives the first issuer the name of the second. Returns the number of sessions and of logouts that it concerns.
    fn rename(&mut self) -> (usize, usize) {
        self.renamed = true;
        let its = self.sessions.values_mut().filter(|signed| signed.issuer == 0);
        let sessions = its.map(|signed| signed.issuer = 1).count();
        let copies: Vec<Kept> = self.logouts.iter().filter(|logout| logout.issuer == 0).cloned().collect();
        let logouts = copies.len();
        self.logouts.extend(copies.into_iter().map(|logout| Kept { issuer: 1, ..logout }));
        let Self { sessions: live, logouts: kept, .. } = self;
        live.retain(|_, signed| !kept.iter().any(|logout| logout.ends(signed)));
        (sessions, logouts)
    }
}

/// A history on one store.
struct History<'n, N> {
    nodes: &'n [N],
    /// Tells the histories of one store apart: none needs an empty one.
    number: usize,
    model: Model,
    begun: Vec<Position>,
    opened: Vec<(SessionId, usize)>,
    /// The number of sessions that were to be opened.
    planned: usize,
    /// What the store has answered.
    answers: Vec<String>,
}

impl<N: TestedNode> History<'_, N> {
    fn name(&self, person: usize) -> String {
        format!("{} person {person}", self.number)
    }

    fn issuer(&self, issuer: usize) -> String {
        format!("https://{}.issuer{issuer}.example", self.number)
    }

    fn node(&self, node: usize) -> &N {
        &self.nodes[node % self.nodes.len()]
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Begin { node } => {
                let position = self.node(node).caught_up_position().await;
                self.begun.push(position);
            }
            Step::SignIn { node, begun, person, sid, issued_at, replaces } => {
                if self.begun.is_empty() {
                    return;
                }
                let begun = *begun.get(&self.begun);
                let replaces = replaces.filter(|_| !self.opened.is_empty());
                let replaces = replaces.map(|index| index.get(&self.opened).0);
                self.planned += 1;
                let id = SessionId::of_secret(&format!("{}.{}", self.number, self.planned));
                let session = NewSession { id, replaces };
                let visit = Visit {
                    issuer: self.issuer(self.model.issuer_of(person)),
                    subject: self.name(person),
                    sid: sid.map(|sid| format!("s{sid}")),
                    issued_at,
                    begun,
                    session,
                    facts: SessionFacts::default(),
                };
                self.sign_in(node, visit, person, sid).await;
            }
            Step::LogOut { node, issuer, batch } => self.log_out(node, issuer, batch).await,
            Step::End { node, session } => {
                if self.opened.is_empty() {
                    return;
                }
                let (id, _) = *session.get(&self.opened);
                let ended = self.node(node).end(id).await;
                assert_eq!(ended, self.model.sessions.remove(&id).is_some());
                self.answers.push(format!("ended {ended}"));
            }
            Step::Ask { node, session } => {
                if self.opened.is_empty() {
                    return;
                }
                let (id, person) = *session.get(&self.opened);
                // A session that has ended may be served for the bound; a live one is never refused.
                if self.model.sessions.contains_key(&id)
                    && let Ok(name) = self.node(node).name_of(id).await
                {
                    assert_eq!(name, Some(self.name(person)));
                }
            }
            Step::Rename => {
                let renamed = self.node(0).rename(&self.issuer(0), &self.issuer(1)).await;
                assert_eq!((renamed.sessions, renamed.logouts), self.model.rename());
                self.answers.push(format!("{renamed:?}"));
            }
        }
    }

    async fn sign_in(&mut self, node: usize, visit: Visit, person: usize, sid: Option<usize>) {
        let signed_in = self.node(node).sign_in(&visit).await;
        let refused = self.model.refuses(person, sid, visit.issued_at, visit.begun);
        assert_eq!(signed_in.is_none(), refused, "{visit:?}");
        self.answers.push(format!("created {:?}", signed_in.as_ref().map(|signed_in| signed_in.created)));
        if signed_in.is_some() {
            if let Some(old) = visit.session.replaces {
                self.model.sessions.remove(&old);
            }
            let issuer = self.model.issuer_of(person);
            let signed = Signed { issuer, person, sid, issued_at: visit.issued_at };
            self.model.sessions.insert(visit.session.id, signed);
            self.opened.push((visit.session.id, person));
        }
    }

    async fn log_out(&mut self, node: usize, issuer: usize, batch: Vec<(usize, Target, i64)>) {
        let logouts: Vec<Logout> = batch
            .iter()
            .map(|(jti, target, iat)| Logout {
                issuer: self.issuer(issuer),
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
        let (results, at) = self.node(node).log_out(&logouts).await;
        for ((jti, target, issued_at), result) in batch.into_iter().zip(results) {
            let logout = Kept { issuer, target, issued_at, at };
            assert_eq!(result, self.model.log_out(jti, logout));
            self.answers.push(format!("logged out {result:?}"));
        }
    }
}

/// Runs a history on one store. Returns its answers, and the sessions that are live in the end.
async fn run<N: TestedNode>(nodes: &[N], number: usize, steps: &[Step]) -> (Vec<String>, Vec<SessionId>) {
    let (model, begun, opened, answers) = (Model::default(), Vec::new(), Vec::new(), Vec::new());
    let mut history = History { nodes, number, model, begun, opened, planned: 0, answers };
    for step in steps {
        history.run(step.clone()).await;
    }
    for (id, person) in &history.opened {
        let wanted = history.model.sessions.contains_key(id).then(|| history.name(*person));
        for node in nodes {
            node.until(*id, wanted.as_deref()).await;
        }
    }
    (history.answers, history.model.sessions.into_keys().collect())
}

#[test]
fn random_histories_have_the_same_answers_on_each_store() {
    let Some(one) = with_database(async |server| server) else { return };
    let Some(two) = with_database(async |server| server) else { return };
    let runtime = runtime();
    let (sqlite, one, two) = runtime.block_on(async {
        let sqlite = [SqliteNode::new(SqliteStore::in_memory().unwrap())];
        let one = [PostgresNode::open(&one).await];
        (sqlite, one, [PostgresNode::open(&two).await, PostgresNode::open(&two).await])
    });
    let mut runner = TestRunner::new(Config { cases: 32, failure_persistence: None, ..Config::default() });
    let count = std::cell::Cell::new(0);
    let result = runner.run(&steps(), |steps| {
        count.set(count.get() + 1);
        let number = count.get();
        let (sqlite, one, two) = runtime.block_on(async {
            tokio::join!(run(&sqlite, number, &steps), run(&one, number, &steps), run(&two, number, &steps))
        });
        prop_assert_eq!(&sqlite, &one);
        prop_assert_eq!(&one, &two);
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
