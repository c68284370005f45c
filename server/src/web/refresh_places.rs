//! How many refreshes of sessions are under way at each provider, and when a provider that does not answer is asked again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::counted_lines::CountedLines;
use claimgate_config::Config;

/// Most refreshes at one provider at a time, of one server: at 100 ms each, some 140,000 sessions every 15 minutes.
const CONCURRENT: u32 = 16;
/// Refreshes that are claimed together while more are due than there are places.
const TOGETHER: usize = 8;
/// Shortest pause after a provider did not answer. Each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a provider did not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Longest wait for the refreshes under way when the server stops, after that for requests. None begins meanwhile.
const FINISH: Duration = Duration::from_secs(5);

/// The refreshes of a process.
#[derive(Default)]
pub(crate) struct Refreshes {
    places: Mutex<HashMap<String, Arc<Places>>>,
    /// Signals that a provider with more refreshes due has places again.
    pub(crate) wake: Arc<Notify>,
    is_finishing: Arc<AtomicBool>,
    /// The providers whose sessions are refreshed, by the newest configuration.
    providers: Mutex<Vec<String>>,
}

impl Refreshes {
    /// Returns the places at a provider. They outlive a reload.
    pub(crate) fn at(&self, provider: &str) -> Arc<Places> {
        let mut places = self.places.lock();
        let new = || Arc::new(Places::new(&self.wake, &self.is_finishing));
        Arc::clone(places.entry(provider.to_owned()).or_insert_with(new))
    }

    /// Sets the providers whose sessions are refreshed from now on: those of a configuration that have an interval.
    pub(crate) fn follow(&self, config: &Config) {
        let refreshed = config.providers.iter().filter(|provider| provider.refresh.interval.is_some());
        *self.providers.lock() = refreshed.map(|provider| provider.id.clone()).collect();
    }

    /// Returns the providers whose sessions are refreshed.
    pub(crate) fn providers(&self) -> Vec<String> {
        self.providers.lock().clone()
    }

    /// Reports whether the sessions of a provider are refreshed, whatever the configuration of a request says.
    pub(crate) fn are_at(&self, provider: &str) -> bool {
        self.providers.lock().iter().any(|known| known == provider)
    }

    /// Reports whether no further refresh may begin.
    pub(crate) fn is_finishing(&self) -> bool {
        self.is_finishing.load(Ordering::Acquire)
    }

    /// Lets no further refresh begin.
    pub(crate) fn stop(&self) {
        self.is_finishing.store(true, Ordering::Release);
    }

    /// Waits for the refreshes under way. No further one begins.
    pub(crate) async fn finish(&self) {
        self.stop();
        let all: Vec<Arc<Places>> = self.places.lock().values().cloned().collect();
        let free = async {
            for places in all {
                // It is never closed.
                drop(places.free.acquire_many(CONCURRENT).await);
            }
        };
        if tokio::time::timeout(FINISH, free).await.is_err() {
            tracing::warn!(
                "refreshes of sessions were still under way: those sessions may have to sign in again"
            );
        }
    }
}

/// The places for refreshes at one provider.
pub(crate) struct Places {
    free: Arc<Semaphore>,
    wake: Arc<Notify>,
    is_finishing: Arc<AtomicBool>,
    /// Whether more were due than there were places.
    has_more: AtomicBool,
    pause: Mutex<Pause>,
    /// The failures in the log.
    pub(crate) lines: CountedLines,
}

/// When a provider may be asked again.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    fn fail(&mut self, now: Instant) {
        // The failures of calls that were under way together are one.
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause);
    }

    /// Returns how many refreshes may begin: none in a pause, and one after it.
    fn most(&self, now: Instant) -> u32 {
        match self.until {
            Some(until) if now < until => 0,
            Some(_) => 1,
            None => CONCURRENT,
        }
    }
}

impl Places {
    fn new(wake: &Arc<Notify>, is_finishing: &Arc<AtomicBool>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(CONCURRENT as usize)),
            wake: Arc::clone(wake),
            is_finishing: Arc::clone(is_finishing),
            has_more: AtomicBool::new(false),
            pause: Mutex::default(),
            lines: CountedLines::default(),
        }
    }

    /// Takes the places that are free and may be used now: none after a [`stop`](Refreshes::stop).
    pub(crate) fn take(&self) -> Option<OwnedSemaphorePermit> {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(CONCURRENT);
        let most = free.min(self.pause.lock().most(Instant::now()));
        let taken = (most > 0).then(|| Arc::clone(&self.free).try_acquire_many_owned(most).ok());
        // Asked once they are taken: a stop either waits for them, or is seen here.
        taken.flatten().filter(|_| !self.is_finishing.load(Ordering::Acquire))
    }

    /// Notes whether more are due than were claimed.
    pub(crate) fn note_more(&self, has_more: bool) {
        self.has_more.store(has_more, Ordering::Release);
    }

    /// Gives the place of a refresh back. `answered` says whether the provider has answered.
    pub(crate) fn give_back(&self, place: OwnedSemaphorePermit, answered: bool) {
        {
            let mut pause = self.pause.lock();
            if answered { *pause = Pause::default() } else { pause.fail(Instant::now()) }
        }
        drop(place);
        if answered && self.has_more.load(Ordering::Acquire) && self.free.available_permits() >= TOGETHER {
            self.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_does_not_answer_is_asked_less_and_less_and_by_one_at_a_time() {
        let begin = Instant::now();
        let mut pause = Pause::default();
        assert_eq!(pause.most(begin), CONCURRENT);
        let mut now = begin;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            pause.fail(now);
            pause.fail(now);
            let end = now + Duration::from_secs(seconds);
            assert_eq!((pause.most(end - Duration::from_millis(1)), pause.most(end)), (0, 1), "{seconds}");
            now = end;
        }
    }

    #[tokio::test]
    async fn places_are_limited_and_a_stop_waits_for_those_taken() {
        let refreshes = Refreshes::default();
        let places = refreshes.at("idp");
        let taken = places.take().expect("free places");
        assert_eq!(taken.num_permits(), CONCURRENT as usize);
        assert!(places.take().is_none());
        assert!(refreshes.at("another").take().is_some(), "each provider has its own");
        let given_back = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            places.give_back(taken, true);
        };
        let finished = async {
            let begin = Instant::now();
            refreshes.finish().await;
            begin.elapsed() >= Duration::from_millis(40)
        };
        assert!(tokio::join!(finished, given_back).0);
        assert!(refreshes.is_finishing());
        assert!(places.take().is_none() && refreshes.at("a third").take().is_none(), "none begins after it");
    }
}
