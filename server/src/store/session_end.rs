//! The end of a session: when its lifetime is over, or when it was not used for the idle time.
//!
//! A session ends when the store says so. A use moves the end, at first in memory; uses are written in batches, so that a
//! request costs no write. Memory serves no session longer than the store: what the store has ended is over for all.
//!
//! Times are whole units of one clock: seconds since 1970 over SQLite, milliseconds since the start of the machine over
//! PostgreSQL.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use claimgate::oidc::session::SessionId;

/// The interval at which uses are written, at least, unless the idle time is short.
const STEP: Duration = Duration::from_secs(60);

/// The value of [`SessionEnd::wanted`] without a use that is to be written, and of an idle time that is switched off.
const NONE: i64 = i64::MIN;

/// The end of a session in memory.
#[derive(Debug)]
pub(super) struct SessionEnd {
    /// The end of the lifetime.
    latest: i64,
    /// The end in the store.
    stored: AtomicI64,
    /// The end after the newest use that is not written yet.
    wanted: AtomicI64,
}

impl Clone for SessionEnd {
    fn clone(&self) -> Self {
        let copy = |of: &AtomicI64| AtomicI64::new(of.load(Ordering::Relaxed));
        Self { latest: self.latest, stored: copy(&self.stored), wanted: copy(&self.wanted) }
    }
}

/// What a use of a session asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// Nothing: it waits to be written already, or the end is the same.
    Not,
    /// A write with the next batch of all uses.
    Later,
    /// A write soon: the use before it is a step older.
    Soon,
}

impl SessionEnd {
    /// Builds the end in the store, and the end of the lifetime.
    pub(super) fn new(stored: i64, latest: i64) -> Self {
        Self { latest, stored: AtomicI64::new(stored), wanted: AtomicI64::new(NONE) }
    }

    /// Returns the end of the lifetime.
    pub(super) fn latest(&self) -> i64 {
        self.latest
    }

    /// Reports whether the session is over.
    pub(super) fn is_over(&self, now: i64) -> bool {
        self.stored.load(Ordering::Acquire) <= now
    }

    /// Reports whether a use is to be written.
    pub(super) fn is_waiting(&self) -> bool {
        self.wanted.load(Ordering::Acquire) != NONE
    }

    /// Returns the end after the newest use, whether it is written or not.
    fn newest(&self) -> i64 {
        match self.wanted.load(Ordering::Acquire) {
            NONE => self.stored.load(Ordering::Acquire),
            wanted => wanted,
        }
    }

    /// Moves the end of a session that is not over to `end`, in memory.
    fn move_to(&self, end: i64, step: i64) -> Writing {
        if self.newest() == end {
            return Writing::Not;
        }
        let stored = self.stored.load(Ordering::Relaxed);
        let is_due = |end: i64| end.abs_diff(stored) >= step.unsigned_abs();
        match self.wanted.swap(end, Ordering::AcqRel) {
            NONE if !is_due(end) => Writing::Later,
            before if is_due(end) && (before == NONE || !is_due(before)) => Writing::Soon,
            _ => Writing::Not,
        }
    }

    /// Takes the end that is to be written.
    pub(super) fn take(&self) -> Option<i64> {
        Some(self.wanted.swap(NONE, Ordering::AcqRel)).filter(|end| *end != NONE)
    }

    /// Notes the end that was written.
    pub(super) fn note_stored(&self, end: i64) {
        self.stored.store(end, Ordering::Release);
    }

    /// Gives an end back that could not be written, unless the session was used since. Returns whether it did.
    fn give_back(&self, end: i64) -> bool {
        self.wanted.compare_exchange(NONE, end, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// The idle time, and the sessions whose uses are to be written.
#[derive(Debug)]
pub(super) struct Uses {
    /// The units of the clock in a second.
    per_second: i64,
    idle: AtomicI64,
    soon: Mutex<Vec<SessionId>>,
    later: Mutex<Vec<SessionId>>,
}

impl Uses {
    /// Builds it without an idle time, for a clock with as many units in a second.
    pub(super) fn new(per_second: i64) -> Self {
        Self { per_second, idle: AtomicI64::new(NONE), soon: Mutex::default(), later: Mutex::default() }
    }

    fn units(&self, duration: Duration) -> i64 {
        i64::try_from(duration.as_secs()).unwrap_or(i64::MAX).saturating_mul(self.per_second)
    }

    /// Sets the idle time: after so long without a use a session is over. Returns whether it was another.
    pub(super) fn set_idle_time(&self, idle: Option<Duration>) -> bool {
        let idle = idle.map_or(NONE, |idle| self.units(idle));
        self.idle.swap(idle, Ordering::Relaxed) != idle
    }

    /// Returns the idle time, in units of the clock.
    fn idle(&self) -> Option<i64> {
        Some(self.idle.load(Ordering::Relaxed)).filter(|idle| *idle != NONE)
    }

    /// Returns the idle time, in seconds.
    pub(super) fn idle_seconds(&self) -> Option<i64> {
        self.idle().map(|idle| idle / self.per_second)
    }

    /// Returns the interval at which uses are written: a tenth of the idle time, but at least a minute, or a quarter of
    /// the idle time if that is shorter.
    pub(super) fn step(&self) -> Duration {
        let Some(idle) = self.idle_seconds() else { return STEP };
        let idle = Duration::from_secs(idle.unsigned_abs());
        (idle / 10).max(STEP.min(idle / 4))
    }

    /// Returns the end of a session that is used now, and whose lifetime ends at `latest`.
    pub(super) fn end_after_use(&self, now: i64, latest: i64) -> i64 {
        self.idle().map_or(latest, |idle| now.saturating_add(idle).min(latest))
    }

    /// Notes the use of a session that is not over.
    pub(super) fn note(&self, id: SessionId, session: &SessionEnd, now: i64) {
        match session.move_to(self.end_after_use(now, session.latest), self.units(self.step())) {
            Writing::Not => {}
            Writing::Later => self.later.lock().push(id),
            Writing::Soon => self.soon.lock().push(id),
        }
    }

    /// Limits the rest of a session to the idle time, from now: also that after a use that is to be written.
    pub(super) fn limit(&self, id: SessionId, session: &SessionEnd, now: i64) {
        let end = self.end_after_use(now, session.latest);
        if session.newest() > end {
            session.wanted.store(end, Ordering::Release);
            self.soon.lock().push(id);
        }
    }

    /// Notes the end that was written. If that is later than a use now would move it, it is limited: the idle time was
    /// shortened meanwhile.
    pub(super) fn note_written(&self, id: SessionId, session: &SessionEnd, end: i64, now: i64) {
        session.note_stored(end);
        if end > self.end_after_use(now, session.latest) {
            self.limit(id, session, now);
        }
    }

    /// Takes the sessions whose uses are to be written soon, or (`all`) at all.
    pub(super) fn take(&self, all: bool) -> Vec<SessionId> {
        let mut taken = std::mem::take(&mut *self.soon.lock());
        if all {
            taken.append(&mut self.later.lock());
        }
        taken
    }

    /// Gives ends back that could not be written.
    pub(super) fn give_back(&self, id: SessionId, session: &SessionEnd, end: i64) {
        if session.give_back(end) {
            self.soon.lock().push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = SessionId([1; 16]);

    fn uses(idle: u64) -> Uses {
        let uses = Uses::new(1);
        assert!(uses.set_idle_time(Some(Duration::from_secs(idle))));
        uses
    }

    /// Uses the session, writes what is due, and returns what was written.
    fn use_at(uses: &Uses, session: &SessionEnd, now: i64, all: bool) -> Option<i64> {
        assert!(!session.is_over(now));
        uses.note(ID, session, now);
        write(uses, session, all)
    }

    fn write(uses: &Uses, session: &SessionEnd, all: bool) -> Option<i64> {
        let written = uses.take(all).first().and_then(|_| session.take());
        written.inspect(|end| session.note_stored(*end))
    }

    #[test]
    fn a_session_is_over_after_the_idle_time_and_at_the_end_of_its_lifetime() {
        let uses = uses(1800);
        let session = SessionEnd::new(uses.end_after_use(0, 5000), 5000);
        assert!(!session.is_over(1799));
        assert!(session.is_over(1800), "never used");
        assert_eq!(use_at(&uses, &session, 1799, false), Some(3599));
        assert!(!session.is_over(3598));
        assert!(session.is_over(3599), "used once");
        assert_eq!(use_at(&uses, &session, 3598, false), Some(5000), "the lifetime");
        assert_eq!(use_at(&uses, &session, 4900, true), None, "nothing is to be written");
        assert!(session.is_over(5000));
    }

    #[test]
    fn uses_within_a_step_are_one_write() {
        let uses = uses(1800);
        assert_eq!(uses.step(), Duration::from_secs(180));
        let session = SessionEnd::new(1800, 50_000);
        for now in 1..180 {
            assert_eq!(use_at(&uses, &session, now, false), None, "{now}");
        }
        assert_eq!(write(&uses, &session, true), Some(1979), "the newest of all, at the end of the step");
        assert_eq!(write(&uses, &session, true), None);
        let due = |now: i64| now % 180 == 179;
        let writes = (180..36_180).filter(|now| use_at(&uses, &session, *now, due(*now)).is_some()).count();
        assert_eq!(writes, 200, "in ten hours of a request each second");
        assert_eq!(use_at(&uses, &session, 36_180, false), None);
        assert_eq!(use_at(&uses, &session, 36_400, false), Some(38_200), "the one before is a step older");
    }

    #[test]
    fn a_use_is_served_once_it_is_written() {
        let uses = uses(1800);
        let session = SessionEnd::new(1800, 50_000);
        uses.note(ID, &session, 1700);
        assert!(session.is_over(1800), "the store has ended it");
        let end = session.take().unwrap_or_default();
        uses.give_back(ID, &session, end);
        assert_eq!(uses.take(false), [ID, ID], "what could not be written is tried again");
        assert_eq!(session.take(), Some(3500));
        uses.note(ID, &session, 1750);
        uses.give_back(ID, &session, 3500);
        assert_eq!(session.take(), Some(3550), "the newer use counts");
    }

    #[test]
    fn a_step_is_a_tenth_and_a_minute_unless_the_idle_time_is_short() {
        for (idle, step) in [(60, 15), (120, 30), (240, 60), (600, 60), (1800, 180), (86_400, 8640)] {
            assert_eq!(uses(idle).step(), Duration::from_secs(step), "{idle}");
        }
    }

    #[test]
    fn an_idle_time_that_is_switched_on_limits_and_one_that_is_switched_off_ends_with_the_lifetime() {
        let uses = uses(1800);
        let [unlimited, limited] = [50_000, 1000].map(|end| SessionEnd::new(end, 50_000));
        uses.limit(ID, &unlimited, 100);
        assert_eq!(write(&uses, &unlimited, false), Some(1900));
        uses.limit(ID, &limited, 100);
        assert_eq!(write(&uses, &limited, true), None, "it is never extended");
        assert!(uses.set_idle_time(None));
        assert!(!uses.set_idle_time(None), "the same");
        assert_eq!(use_at(&uses, &unlimited, 200, false), Some(50_000));
    }

    #[test]
    fn an_idle_time_that_is_switched_on_limits_the_uses_that_are_to_be_written_and_those_being_written() {
        let uses = Uses::new(1);
        let [waiting, in_flight] = [1000, 1000].map(|end| SessionEnd::new(end, 50_000));
        uses.note(ID, &waiting, 100);
        uses.note(ID, &in_flight, 100);
        assert_eq!(in_flight.take(), Some(50_000));
        assert!(uses.set_idle_time(Some(Duration::from_secs(1800))));
        uses.limit(ID, &waiting, 200);
        uses.limit(ID, &in_flight, 200);
        assert_eq!(write(&uses, &waiting, false), Some(2000));
        assert_eq!(write(&uses, &in_flight, true), None);
        uses.note_written(ID, &in_flight, 50_000, 200);
        assert_eq!(write(&uses, &in_flight, false), Some(2000));
        uses.note_written(ID, &in_flight, 2000, 300);
        assert_eq!(write(&uses, &in_flight, true), None, "it is limited already");
    }
}
