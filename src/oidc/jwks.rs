//! When a provider's keys are fetched, and how long they serve without: decisions, no fetching.

use http::header::CACHE_CONTROL;

use super::endpoint::Endpoint;
use super::{Request, Response};
use crate::key::{KeyError, KeySet};
use crate::limits::Limits;
use crate::time::UnixTime;

/// The bounds of key fetching, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksCacheOptions {
    /// How long keys are fresh where the provider does not say.
    pub lifetime: u64,
    /// The shortest lifetime taken from `Cache-Control`.
    pub shortest: u64,
    /// The longest lifetime taken from `Cache-Control`: a key withdrawn is gone after this.
    pub longest: u64,
    /// The least time between two fetches that unknown `kid`s cause.
    pub cool_down: u64,
    /// How long the last good keys serve after they went stale, while the provider is down.
    pub grace: u64,
}

impl JwksCacheOptions {
    /// Ten minutes, one minute to one day, 30 seconds, one day.
    pub const DEFAULT: JwksCacheOptions =
        JwksCacheOptions { lifetime: 600, shortest: 60, longest: 86_400, cool_down: 30, grace: 86_400 };
}

/// When to fetch. One per provider, told of every attempt.
#[derive(Clone, Debug)]
pub struct KeySchedule {
    times: JwksCacheOptions,
    /// When the present keys go stale; none while there are no keys.
    stale_at: Option<UnixTime>,
    refresh_at: UnixTime,
    failures: u32,
    last_asked: Option<UnixTime>,
}

impl KeySchedule {
    /// No keys yet: a fetch is due at once.
    #[must_use]
    pub fn new(times: JwksCacheOptions, now: UnixTime) -> Self {
        Self { times, stale_at: None, refresh_at: now, failures: 0, last_asked: None }
    }

    /// When the next fetch is due, without anybody asking.
    #[must_use]
    pub fn refresh_at(&self) -> UnixTime {
        self.refresh_at
    }

    /// A token named a `kid` that no key has: whether to fetch for it. At most one yes per
    /// cool-down, whatever is asked and whatever the fetches bring.
    pub fn allow_refresh(&mut self, now: UnixTime) -> bool {
        let cooling = self.last_asked.is_some_and(|at| {
            // A clock that was set back must not close the door for good.
            at <= now && now < at.saturating_add(self.times.cool_down)
        });
        if !cooling {
            self.last_asked = Some(now);
        }
        !cooling
    }

    /// A fetch brought keys; `max_age` is the provider's, from `Cache-Control`.
    pub fn fetched(&mut self, max_age: Option<u64>, now: UnixTime) {
        let lifetime = max_age
            .map_or(self.times.lifetime, |seconds| seconds.clamp(self.times.shortest, self.times.longest));
        self.failures = 0;
        self.stale_at = Some(now.saturating_add(lifetime));
        // Before they age out, so that nobody ever waits for it.
        self.refresh_at = now.saturating_add(lifetime - lifetime / 5);
    }

    /// A fetch failed: the next one waits 1, 2, 4 … 60 seconds.
    pub fn failed(&mut self, now: UnixTime) {
        let wait = 1_u64.checked_shl(self.failures).unwrap_or(60).min(60);
        self.failures = self.failures.saturating_add(1);
        self.refresh_at = now.saturating_add(wait);
    }

    /// Whether the keys are too old to serve: stale, and the grace over.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        self.stale_at.is_some_and(|at| now > at.saturating_add(self.times.grace))
    }
}

/// Why fetched keys are not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// Another status than 200.
    #[error("the JWK set was answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// Not a JWK set.
    #[error("the JWK set is refused: {0}")]
    Set(#[from] KeyError),
}

impl JwksError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            JwksError::Status { .. } => "jwks.status",
            JwksError::Set(error) => error.code(),
        }
    }
}

/// The request for a key set.
#[must_use]
pub fn request(jwks_uri: &Endpoint) -> Request {
    let request = http::Request::builder().uri(jwks_uri.as_str());
    let request = request.header(http::header::ACCEPT, "application/jwk-set+json, application/json");
    request.body(Vec::new()).expect("a parsed URL is a URI")
}

/// Reads the answer: the keys, and how long the provider says they are fresh, in seconds.
///
/// # Errors
/// A [`JwksError`].
pub fn read(response: &Response) -> Result<(KeySet, Option<u64>), JwksError> {
    if response.status() != http::StatusCode::OK {
        return Err(JwksError::Status { status: response.status().as_u16() });
    }
    let keys = KeySet::from_published_jwks(response.body(), &Limits::DEFAULT)?;
    let control = response.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    Ok((keys, control.and_then(max_age)))
}

/// RFC 9111 §5.2.2: `max-age`, 0 where the answer is not to be kept.
fn max_age(control: &str) -> Option<u64> {
    let mut age = None;
    for directive in control.split(',').map(|text| text.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return Some(0);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok();
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: UnixTime = UnixTime(1_000_000);

    // attack: key-fetch.invented-kids
    #[test]
    fn a_flood_of_unknown_kids_is_one_fetch_per_cool_down() {
        let mut schedule = KeySchedule::new(JwksCacheOptions::DEFAULT, T);
        let asked = (0..10_000).filter(|_| schedule.allow_refresh(T)).count();
        assert_eq!(asked, 1);
        assert!(!schedule.allow_refresh(T.saturating_add(29)));
        assert!(schedule.allow_refresh(T.saturating_add(30)));
        assert!(schedule.allow_refresh(UnixTime(5)), "after the clock went back");
    }

    #[test]
    fn lifetimes_keep_their_bounds() {
        let mut schedule = KeySchedule::new(JwksCacheOptions::DEFAULT, T);
        for (said, fresh) in [(None, 600), (Some(0), 60), (Some(3_600), 3_600), (Some(u64::MAX), 86_400)] {
            schedule.fetched(said, T);
            assert_eq!(schedule.refresh_at(), T.saturating_add(fresh - fresh / 5), "{said:?}");
            assert!(!schedule.is_over(T.saturating_add(fresh + 86_400)));
            assert!(schedule.is_over(T.saturating_add(fresh + 86_401)));
        }
    }

    #[test]
    fn failures_wait_longer_up_to_a_minute() {
        let mut schedule = KeySchedule::new(JwksCacheOptions::DEFAULT, T);
        let waits: Vec<i64> = (0..100)
            .map(|_| {
                schedule.failed(T);
                schedule.refresh_at().0 - T.0
            })
            .collect();
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(waits[99], 60);
        assert!(!schedule.is_over(UnixTime(i64::MAX)), "no keys, none to be over");
    }

    #[test]
    fn cache_control_is_read() {
        assert_eq!(max_age("public, max-age=300"), Some(300));
        assert_eq!(max_age("Max-Age=\"7\""), Some(7));
        assert_eq!(max_age("max-age=300, no-store"), Some(0));
        assert_eq!(max_age("max-age=-1"), None);
        assert_eq!(max_age(""), None);
    }
}
