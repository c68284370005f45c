//! The refresh schedule of a cached document: a provider's metadata or its JWK set. Performs no I/O.

use std::time::Duration;

use crate::time::UnixTime;

/// The lifetimes of a cached document, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// The lifetime of a document without a `Cache-Control`.
    pub lifetime: Duration,
    /// The shortest lifetime taken from `Cache-Control`.
    pub shortest: Duration,
    /// The longest lifetime taken from `Cache-Control`.
    pub longest: Duration,
    /// The minimum time from the end of one fetch that a request caused to the next one.
    pub cool_down: Duration,
    /// How long a stale document may still be used while it cannot be fetched.
    pub grace: Duration,
}

impl CacheOptions {
    /// For JWK sets: fresh for ten minutes, or as `Cache-Control` says from one minute to one hour, so that a
    /// withdrawn key is gone after an hour; fetched for a token that no key verifies every 30 seconds at
    /// most; used for a day while the provider is down.
    pub const JWKS: Self = Self {
        lifetime: Duration::from_secs(600),
        shortest: Duration::from_secs(60),
        longest: Duration::from_secs(3_600),
        cool_down: Duration::from_secs(30),
        grace: Duration::from_secs(86_400),
    };

    /// For provider metadata: fetched again after six hours, for a request every two seconds at most; used
    /// for as long as the provider is down.
    pub const METADATA: Self = Self {
        lifetime: Duration::from_secs(27_000),
        shortest: Duration::from_secs(27_000),
        longest: Duration::from_secs(27_000),
        cool_down: Duration::from_secs(2),
        grace: Duration::MAX,
    };
}

/// Decides when to fetch a document. The caller reports each attempt.
///
/// ```
/// use std::time::Duration;
/// use claimgate::oidc::schedule::{CacheOptions, RefreshSchedule};
/// use claimgate::time::UnixTime;
///
/// let mut schedule = RefreshSchedule::new(CacheOptions::JWKS, UnixTime(1_000));
/// assert_eq!(schedule.refresh_at(), UnixTime(1_000)); // at once
/// schedule.record_success(Some(Duration::from_secs(300)), UnixTime(1_000));
/// assert_eq!(schedule.refresh_at(), UnixTime(1_240)); // before it becomes stale
/// ```
///
/// ```
/// use std::time::Duration;
///
/// use claimgate::oidc::schedule::{CacheOptions, RefreshSchedule};
/// use claimgate::time::UnixTime;
///
/// let at = |seconds: i64| UnixTime(1_800_000_000 + seconds);
/// let mut keys = RefreshSchedule::new(CacheOptions::JWKS, at(0));
/// assert_eq!(keys.refresh_at(), at(0));
/// keys.record_success(Some(Duration::from_secs(600)), at(1));
///
/// // A token by an unknown key: one fetch, then none for 30 seconds, whatever its result.
/// assert!(keys.may_request(at(10)));
/// keys.record_failure(at(11));
/// keys.record_request(at(11));
/// assert!(!keys.may_request(at(40)) && keys.may_request(at(41)));
///
/// // The provider stays away: a stale set serves for a day.
/// assert!(!keys.is_expired(at(80_000)) && keys.is_expired(at(90_000)));
/// keys.refresh_now(at(90_000));
/// assert_eq!(keys.refresh_at(), at(90_000));
/// ```
#[derive(Clone, Debug)]
pub struct RefreshSchedule {
    options: CacheOptions,
    /// When the present document becomes stale; `None` without a document.
    stale_at: Option<UnixTime>,
    refresh_at: UnixTime,
    failures: u32,
    last_requested: Option<UnixTime>,
}

impl RefreshSchedule {
    /// Builds the schedule of a document that has not been fetched: a fetch is due immediately.
    #[must_use]
    pub fn new(options: CacheOptions, now: UnixTime) -> Self {
        Self { options, stale_at: None, refresh_at: now, failures: 0, last_requested: None }
    }

    /// Returns when the next fetch is due without a request.
    #[must_use]
    pub fn refresh_at(&self) -> UnixTime {
        self.refresh_at
    }

    /// Reports whether a request that needs a newer document may cause a fetch: the cool-down after the
    /// last such fetch has passed.
    #[must_use]
    pub fn may_request(&self, now: UnixTime) -> bool {
        self.last_requested.is_none_or(|at| {
            // A clock that was set back must not block fetches for good.
            now < at || now >= at.saturating_add(self.options.cool_down.as_secs())
        })
    }

    /// Begins the cool-down. Called at the *end* of a fetch that a request caused, whatever its result: a
    /// provider that answers slowly is then not asked again by those who waited.
    pub fn record_request(&mut self, now: UnixTime) {
        self.last_requested = Some(now);
    }

    /// Makes a fetch due at once. The present document stays in use until it succeeds.
    pub fn refresh_now(&mut self, now: UnixTime) {
        self.refresh_at = now;
    }

    /// Records a successful fetch. `max_age` is taken from the response's `Cache-Control`.
    pub fn record_success(&mut self, max_age: Option<Duration>, now: UnixTime) {
        let CacheOptions { lifetime, shortest, longest, .. } = self.options;
        let lifetime = max_age.map_or(lifetime, |age| age.clamp(shortest, longest)).as_secs();
        self.failures = 0;
        self.stale_at = Some(now.saturating_add(lifetime));
        // Before it becomes stale, so that no request waits for the fetch.
        self.refresh_at = now.saturating_add(lifetime - lifetime / 5);
    }

    /// Records a failed fetch: the next one is due after 1, 2, 4 … 60 seconds.
    pub fn record_failure(&mut self, now: UnixTime) {
        let wait = 1_u64.checked_shl(self.failures).unwrap_or(60).min(60);
        self.failures = self.failures.saturating_add(1);
        self.refresh_at = now.saturating_add(wait);
    }

    /// Reports whether the document is too old to use: stale, and the grace has passed.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.stale_at.is_some_and(|at| now > at.saturating_add(self.options.grace.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: UnixTime = UnixTime(1_000_000);

    // attack: key-fetch.invented-kids
    #[test]
    fn a_flood_of_unknown_kids_is_one_fetch_per_cool_down() {
        let mut schedule = RefreshSchedule::new(CacheOptions::JWKS, T);
        let mut asked = 0;
        for _ in 0..10_000 {
            if schedule.may_request(T) {
                asked += 1;
                schedule.record_request(T);
            }
        }
        assert_eq!(asked, 1);
        assert!(!schedule.may_request(T.saturating_add(29)));
        assert!(schedule.may_request(T.saturating_add(30)));
        assert!(schedule.may_request(UnixTime(5)), "after the clock went back");
    }

    // finding: F2
    #[test]
    fn fetches_that_no_request_caused_spend_no_cool_down() {
        let mut schedule = RefreshSchedule::new(CacheOptions::JWKS, T);
        schedule.record_success(None, T);
        schedule.record_failure(T);
        assert!(schedule.may_request(T));
    }

    // finding: S16
    #[test]
    fn a_fetch_can_be_made_due_at_once() {
        let mut schedule = RefreshSchedule::new(CacheOptions::JWKS, T);
        schedule.record_success(Some(Duration::from_secs(3_600)), T);
        schedule.refresh_now(T.saturating_add(1));
        assert_eq!(schedule.refresh_at(), T.saturating_add(1));
        assert!(!schedule.is_expired(T.saturating_add(3_600)), "the document stays in use");
    }

    // finding: S16
    #[test]
    fn lifetimes_keep_their_bounds() {
        let mut schedule = RefreshSchedule::new(CacheOptions::JWKS, T);
        for (said, fresh) in
            [(None, 600), (Some(0), 60), (Some(3_600), 3_600), (Some(86_400), 3_600), (Some(u64::MAX), 3_600)]
        {
            schedule.record_success(said.map(Duration::from_secs), T);
            assert_eq!(schedule.refresh_at(), T.saturating_add(fresh - fresh / 5), "{said:?}");
            assert!(!schedule.is_expired(T.saturating_add(fresh + 86_400)));
            assert!(schedule.is_expired(T.saturating_add(fresh + 86_401)));
        }
    }

    #[test]
    fn metadata_is_fetched_again_after_six_hours_and_never_expires() {
        let mut schedule = RefreshSchedule::new(CacheOptions::METADATA, T);
        schedule.record_success(None, T);
        assert_eq!(schedule.refresh_at(), T.saturating_add(6 * 3600));
        assert!(!schedule.is_expired(UnixTime(i64::MAX)));
        schedule.record_request(T);
        assert!(!schedule.may_request(T.saturating_add(1)));
        assert!(schedule.may_request(T.saturating_add(2)));
    }

    #[test]
    fn failures_wait_longer_up_to_a_minute() {
        let mut schedule = RefreshSchedule::new(CacheOptions::JWKS, T);
        let waits: Vec<i64> = (0..100)
            .map(|_| {
                schedule.record_failure(T);
                schedule.refresh_at().0 - T.0
            })
            .collect();
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(waits[99], 60);
        assert!(
            !schedule.is_expired(UnixTime(i64::MAX)),
            "a document that was never fetched does not expire"
        );
    }
}
