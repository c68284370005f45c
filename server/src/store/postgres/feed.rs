//! What a node keeps of the feed: its position, its lease and its cache of sessions. Without input or output; the
//! clock is an argument, and is one that goes on while the machine is suspended.
//!
//! # The lease
//!
//! A beat is a durable write to the database that reads the feed. The node applies what it read, and then answers
//! questions about sessions for `bound` from the moment *before* the beat was sent. A logout that was acknowledged
//! earlier was committed earlier, is in what the beat read, and is applied: no session is served later than `bound`
//! after the logout that ended it was acknowledged. A beat that only read would not do: a primary that was cut off
//! and replaced goes on answering reads, but can no longer commit on its synchronous standby.
//!
//! # The cache
//!
//! A session that is not in the cache is read from the database, and is kept if the answer is not older than the
//! feed: each read returns the position of its own snapshot, which shows everything up to that position. If the feed
//! has been applied further meanwhile, the answer is not kept, because the step that ends the session may be among
//! those that were applied already; if not, that step is still to come, and removes the session. So nothing needs to
//! be recorded of a read under way. Until that step comes, the sessions that this node itself has ended are remembered:
//! no read that was under way brings one of them back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::store::session_end::{SessionEnd, Uses};
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::session::{LiveSession, SessionId};
use claimgate::oidc::user::{User, UserId};

/// Most sessions in a node's cache. Sessions beyond it are read from the database again.
const MAX_CACHED_SESSIONS: usize = 1_000_000;
/// Most users in a node's cache.
const MAX_CACHED_USERS: usize = 250_000;
/// Most steps that a beat reads: a node that is further behind empties its cache instead.
pub const MAX_STEPS_BEHIND: u32 = 10_000;

/// A step of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The position.
    pub position: i64,
    /// The sessions that ended.
    pub ended: Vec<SessionId>,
    /// The users that changed.
    pub users: Vec<UserId>,
}

/// What a beat read, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The name of the database and of its history.
    pub history: String,
    /// The newest position.
    pub head: i64,
    /// The steps after the position that was applied.
    pub steps: Vec<Step>,
}

/// A beat under way.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    begun: Duration,
    applied: i64,
}

impl Beat {
    /// Returns the position after which the feed is to be read.
    #[must_use]
    pub fn applied(&self) -> i64 {
        self.applied
    }
}

/// A read of a session under way.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    epoch: u64,
    applied: i64,
    begun: Duration,
    lease_until: Duration,
}

/// A session that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The session. Its user is active.
    pub session: LiveSession,
    /// The time until the session ends without a further use, by the database's clock.
    pub remaining: Duration,
    /// The time until its lifetime ends.
    pub lifetime: Duration,
}

/// An answer from memory about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The session is live.
    Live(LiveSession),
    /// The database must be asked.
    Unknown,
    /// The node has no lease: it does not know which sessions have ended.
    Unsure,
}

/// The end of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The session, if it is live.
    Known(Option<LiveSession>),
    /// What was read is too old to be told: read again.
    Outdated,
}

struct CachedSession {
    user: UserId,
    facts: SessionFacts,
    /// By the clock of the node that goes on while suspended, in milliseconds.
    end: SessionEnd,
}

struct State {
    history: Option<String>,
    /// Another one after each time that the cache was emptied.
    epoch: u64,
    applied: i64,
    /// The sessions that this node has ended, and when, until a beat that began later is applied: it has their steps.
    forgotten: HashMap<SessionId, Duration>,
}

/// The feed as a node has applied it.
pub struct Feed {
    bound: Duration,
    state: Mutex<State>,
    /// Nanoseconds of the clock; 0 before the first beat.
    lease_until: AtomicU64,
    has_standby: AtomicBool,
    sessions: Cache<SessionId, Arc<CachedSession>>,
    users: Cache<UserId, Arc<User>>,
    uses: Uses,
}

impl Feed {
    /// Builds the feed of a node that has not applied anything. After an acknowledged logout a session is served for
    /// `bound` at most.
    #[must_use]
    pub fn new(bound: Duration) -> Self {
        Self {
            bound,
            state: Mutex::new(State { history: None, epoch: 0, applied: 0, forgotten: HashMap::new() }),
            lease_until: AtomicU64::new(0),
            has_standby: AtomicBool::new(false),
            sessions: Cache::new(MAX_CACHED_SESSIONS),
            users: Cache::new(MAX_CACHED_USERS),
            uses: Uses::new(1000),
        }
    }

    /// Begins a beat, before it is sent.
    #[must_use]
    pub fn begin_beat(&self, now: Duration) -> Beat {
        Beat { begun: now, applied: self.state.lock().applied }
    }

    /// Completes a beat that was committed: applies the steps and extends the lease. Returns whether the steps follow
    /// what was applied before; if not, because another database or another history of it answered, or steps are
    /// missing, the cache is emptied.
    pub fn complete_beat(&self, beat: Beat, reading: Reading) -> bool {
        let mut state = self.state.lock();
        let expected = state.applied + 1..=reading.head;
        let follows = state.history.as_ref() == Some(&reading.history)
            && state.applied <= reading.head
            && reading.steps.iter().map(|step| step.position).eq(expected);
        if follows {
            for step in &reading.steps {
                for session in &step.ended {
                    self.sessions.remove(session);
                }
                for user in &step.users {
                    self.users.remove(user);
                }
            }
        } else {
            self.sessions.clear();
            self.users.clear();
            state.epoch += 1;
        }
        state.applied = reading.head;
        state.history = Some(reading.history);
        state.forgotten.retain(|_, at| beat.begun < *at);
        let until = u64::try_from((beat.begun + self.bound).as_nanos()).unwrap_or(u64::MAX);
        // After the removals: a reader that sees this lease sees them too.
        self.lease_until.fetch_max(until, Ordering::Release);
        follows
    }

    /// Returns the end of the lease.
    #[must_use]
    pub fn lease_until(&self) -> Duration {
        Duration::from_nanos(self.lease_until.load(Ordering::Acquire))
    }

    /// Returns the time since the newest beat that was completed began; since the start of the machine before the
    /// first.
    #[must_use]
    pub fn lease_age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.lease_until().saturating_sub(self.bound))
    }

    /// Returns the number of sessions in the cache.
    #[must_use]
    pub fn cached_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Removes a session that this node has ended from the cache, before the feed does, and from the reads under way.
    pub fn forget(&self, session: SessionId, now: Duration) {
        let mut state = self.state.lock();
        state.forgotten.insert(session, now);
        self.sessions.remove(&session);
    }

    /// Sets the idle time. If it was another, the cache is emptied.
    pub fn set_idle_time(&self, idle: Option<Duration>) {
        if self.uses.set_idle_time(idle) {
            let mut state = self.state.lock();
            self.sessions.clear();
            state.epoch += 1;
        }
    }

    /// Returns the idle time in seconds.
    pub(super) fn idle_seconds(&self) -> Option<i64> {
        self.uses.idle_seconds()
    }

    /// Returns the interval at which all uses are to be written.
    pub(super) fn use_step(&self) -> Duration {
        self.uses.step()
    }

    /// Takes the ends of sessions that are to be written, as milliseconds of the clock; those of all uses, or those that
    /// are due.
    pub(super) fn take_ends(&self, all: bool) -> Vec<(SessionId, i64)> {
        let taken = self.uses.take(all).into_iter();
        taken.filter_map(|id| Some((id, self.sessions.get(&id)?.end.take()?))).collect()
    }

    /// Notes that a session in the cache ends `remaining` milliseconds after `begun`, before which that was asked.
    pub(super) fn note_end(&self, id: SessionId, begun: Duration, remaining: i64) {
        if let Some(session) = self.sessions.get(&id) {
            session.end.note_stored(milliseconds(begun).saturating_add(remaining));
        }
    }

    /// Gives ends back that could not be written.
    pub(super) fn give_back_ends(&self, ends: &[(SessionId, i64)]) {
        for (id, end) in ends {
            if let Some(session) = self.sessions.get(id) {
                self.uses.give_back(*id, &session.end, *end);
            }
        }
    }

    /// Reports whether the newest beat found a synchronous standby.
    #[must_use]
    pub fn has_standby(&self) -> bool {
        self.has_standby.load(Ordering::Relaxed)
    }

    /// Notes whether a beat found a synchronous standby.
    pub fn note_standby(&self, is_there: bool) {
        self.has_standby.store(is_there, Ordering::Relaxed);
    }

    /// Returns the position that a sign-in begins at: that of the next change, since a logout received from now on
    /// has this position or a later one.
    #[must_use]
    pub fn next_position(&self) -> i64 {
        self.state.lock().applied + 1
    }

    /// Returns the name of the database and its history, once a beat has been completed.
    #[must_use]
    pub fn history(&self) -> Option<String> {
        self.state.lock().history.clone()
    }

    /// Answers a question about a session from memory; that is a use of the session. The clock is read after the look-up.
    pub fn answer(&self, id: SessionId, clock: impl FnOnce() -> Duration) -> Answer {
        self.look_up(id, clock, |end, now| self.uses.note(id, end, now))
    }

    /// Answers as [`answer`](Self::answer) does. That is no use of the session.
    pub fn peek(&self, id: SessionId, clock: impl FnOnce() -> Duration) -> Answer {
        self.look_up(id, clock, |_, _| {})
    }

    /// Notes the use of a session that was read, if it is in the cache.
    pub fn note_use(&self, id: SessionId, now: Duration) {
        let now = milliseconds(now);
        if let Some(session) = self.sessions.get(&id).filter(|session| !session.end.is_over(now)) {
            self.uses.note(id, &session.end, now);
        }
    }

    fn look_up(
        &self,
        id: SessionId,
        clock: impl FnOnce() -> Duration,
        found: impl FnOnce(&SessionEnd, i64),
    ) -> Answer {
        let lease_until = self.lease_until();
        let session = self.sessions.get(&id);
        let user = session.as_ref().and_then(|session| self.users.get(&session.user));
        let now = clock();
        if now >= lease_until {
            return Answer::Unsure;
        }
        match (session, user) {
            (Some(session), Some(user)) if !session.end.is_over(milliseconds(now)) => {
                found(&session.end, milliseconds(now));
                Answer::Live(LiveSession { user: User::clone(&user), facts: session.facts.clone() })
            }
            _ => Answer::Unknown,
        }
    }

    /// Begins to read a session, before the query is sent. `None` without a lease.
    #[must_use]
    pub fn begin_read(&self, now: Duration) -> Option<Ticket> {
        let state = self.state.lock();
        let lease_until = self.lease_until();
        let ticket = Ticket { epoch: state.epoch, applied: state.applied, begun: now, lease_until };
        (now < lease_until).then_some(ticket)
    }

    /// Settles a read whose snapshot had `position`. The answer stands if the lease of its beginning lasts and the
    /// snapshot is not older than what was applied at that time; it is kept if nothing newer has been applied since.
    pub fn settle(
        &self,
        ticket: Ticket,
        id: SessionId,
        position: i64,
        found: Option<Found>,
        clock: impl FnOnce() -> Duration,
    ) -> Settled {
        let state = self.state.lock();
        if state.forgotten.contains_key(&id) {
            return Settled::Known(None);
        }
        if state.epoch != ticket.epoch || position < ticket.applied || clock() >= ticket.lease_until {
            return Settled::Outdated;
        }
        let Some(Found { session, remaining, lifetime }) = found else { return Settled::Known(None) };
        if position >= state.applied {
            let LiveSession { user, facts } = session.clone();
            let at = |left| milliseconds(ticket.begun + left);
            let end = SessionEnd::new(at(remaining), at(lifetime.max(remaining)));
            let cached = CachedSession { user: user.id, facts, end };
            self.users.insert(cached.user, Arc::new(user));
            self.sessions.insert(id, Arc::new(cached));
        }
        Settled::Known(Some(session))
    }
}

/// Returns a time in whole milliseconds.
fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
