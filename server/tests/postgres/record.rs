//! What clients have seen, with times of one clock, and the check of what must hold whatever fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use claimgate::oidc::session::SessionId;
use claimgate_server::store::postgres::PgStore;
use rustix::time::{ClockId, clock_gettime};

use super::people::{logout, of_sid};

/// Returns the time of the clock that all processes of this machine share.
pub(crate) fn clock() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// What must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A logout was acknowledged, and the database does not have it.
    Lost(String),
    /// A session was served for longer than the bound after the logout that ended it was acknowledged.
    Late { jti: String, by: Duration },
}

/// The record of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// By `jti`: the session that ended, and when the acknowledgement was received.
    acknowledged: BTreeMap<String, (Option<SessionId>, Duration)>,
    /// When a node was last asked whether a session is live, and said so. A request that begins before the bound may
    /// be answered after it: a pause of the process in between is part of the request.
    served: BTreeMap<SessionId, Duration>,
}

impl Record {
    /// Notes that a logout was acknowledged by now.
    pub(crate) fn acknowledge(&mut self, jti: &str, ended: Option<SessionId>) {
        self.acknowledged.insert(jti.to_owned(), (ended, clock()));
    }

    /// Notes that a node said of a session that it is live, to a client that asked at `asked`.
    pub(crate) fn serve(&mut self, session: SessionId, asked: Duration) {
        let last = self.served.entry(session).or_insert(asked);
        *last = asked.max(*last);
    }

    /// Adds what another record says was served.
    pub(crate) fn with_served_of(mut self, other: &Self) -> Self {
        other.served.iter().for_each(|(session, asked)| self.serve(*session, *asked));
        self
    }

    /// Adds the logouts that another record says were acknowledged.
    pub(crate) fn with_acknowledged_of(mut self, other: &Self) -> Self {
        self.acknowledged.extend(other.acknowledged.iter().map(|(jti, seen)| (jti.clone(), *seen)));
        self
    }

    /// Notes which session each acknowledged logout ended, by `jti`.
    pub(crate) fn name(&mut self, sessions: &BTreeMap<String, SessionId>) {
        for (jti, (session, _)) in &mut self.acknowledged {
            *session = sessions.get(jti).copied();
        }
    }

    /// Returns how many sessions were served, and how many of them an acknowledged logout ended.
    pub(crate) fn served_and_ended(&self) -> (usize, usize) {
        let ended = self.acknowledged.values().filter_map(|(session, _)| session.as_ref());
        (self.served.len(), ended.filter(|session| self.served.contains_key(session)).count())
    }

    /// Returns how many logouts were acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.acknowledged.len()
    }

    /// Returns what must not have happened, given the logouts that the database has.
    fn violations(&self, bound: Duration, kept: &BTreeSet<String>) -> Vec<Violation> {
        let lost = self.acknowledged.keys().filter(|jti| !kept.contains(*jti)).cloned().map(Violation::Lost);
        let late = self.acknowledged.iter().filter_map(|(jti, (session, at))| {
            let by = self.served.get(session.as_ref()?)?.checked_sub(*at + bound)?;
            (!by.is_zero()).then(|| Violation::Late { jti: jti.clone(), by })
        });
        lost.chain(late).collect()
    }

    /// Asks a node which of the logouts its database has, and returns what must not have happened. A `jti` that is
    /// lost is taken thereby.
    pub(crate) async fn check(&self, bound: Duration, node: &PgStore) -> Vec<Violation> {
        let jtis: Vec<&String> = self.acknowledged.keys().collect();
        let again: Vec<_> = jtis.iter().map(|jti| logout(jti, of_sid("unknown"))).collect();
        let results = node.apply_logouts(&again).await.unwrap();
        let kept = jtis.into_iter().zip(results).filter(|(_, result)| result.is_err());
        self.violations(bound, &kept.map(|(jti, _)| jti.clone()).collect())
    }
}

#[test]
fn the_check_finds_what_is_lost_and_what_is_late() {
    let (bound, session) = (Duration::from_secs(1), SessionId([1; 16]));
    let mut record = Record::default();
    record.acknowledge("1", Some(session));
    record.acknowledge("2", None);
    let (_, at) = record.acknowledged["1"];
    let kept = ["1".to_owned(), "2".to_owned()].into();
    record.serve(session, at + bound);
    record.serve(SessionId([2; 16]), at + bound * 9);
    assert_eq!(record.violations(bound, &kept), []);
    record.serve(session, at + bound + Duration::from_millis(7));
    record.serve(session, at);
    let late = Violation::Late { jti: "1".to_owned(), by: Duration::from_millis(7) };
    assert_eq!(record.violations(bound, &["1".to_owned()].into()), [Violation::Lost("2".to_owned()), late]);
}
