//! Rate limits: on password sign-ins by username and by client address; by client address on codes that a
//! provider refuses, and on refused requests that are logged.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::{DefaultKeyedRateLimiter, Quota};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client_address::subscriber;
use crate::store::Store;
use claimgate::identity::{Normalisation, normal_username};
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::StoreError;

/// Attempts for one username without a wait, and the wait for each further one.
const BY_NAME: (NonZeroU32, Duration) = (NonZeroU32::new(10).expect("not zero"), Duration::from_secs(30));
/// The same for one client address, which many people may share.
const BY_ADDRESS: (NonZeroU32, Duration) = (NonZeroU32::new(30).expect("not zero"), Duration::from_secs(5));
/// Most codes from one client address that a provider may refuse within [`REFUSED_CODES_TIME`]: an invented
/// code costs a request to the provider, and providers limit these by client.
const REFUSED_CODES: usize = 60;
/// The time after which refused codes are forgotten.
const REFUSED_CODES_TIME: Duration = Duration::from_secs(60);
/// Refused requests of one client address that are logged without a wait, and the wait for each further one.
/// The metrics count the others.
const REFUSALS: (NonZeroU32, Duration) =
    (NonZeroU32::new(1_000).expect("not zero"), Duration::from_millis(100));
/// Front-channel logouts of one client address without a wait, and the wait for each further one: they are not
/// authenticated, and each is written to the disk.
const FRONT_CHANNEL_BY_ADDRESS: (NonZeroU32, Duration) =
    (NonZeroU32::new(60).expect("not zero"), Duration::from_secs(1));
/// The same for all addresses together: in a day fewer than the memory for logouts holds.
const FRONT_CHANNEL: (NonZeroU32, Duration) =
    (NonZeroU32::new(10_000).expect("not zero"), Duration::from_millis(10));
/// Tests of providers that administrators may begin without a wait, and the wait for each further one: each is some requests to
/// a provider.
const PROVIDER_TESTS: (NonZeroU32, Duration) =
    (NonZeroU32::new(6).expect("not zero"), Duration::from_secs(10));
/// Longest wait of an edited configuration, or of claims that are tried out, for others.
const TRIAL_WAIT: Duration = Duration::from_secs(5);

/// Keys of one limit beyond which idle ones are dropped.
const REMEMBERED: usize = 100_000;

/// The shortest time between two searches for idle entries: a search looks at each entry.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);

/// A rate limit on each of many keys.
struct KeyedLimit<K: Hash + Eq + Clone> {
    limit: DefaultKeyedRateLimiter<K>,
    searched: Mutex<Instant>,
}

impl<K: Hash + Eq + Clone> KeyedLimit<K> {
    /// Allows `burst` events of one key without a wait, and one more after each `wait`.
    fn new((burst, wait): (NonZeroU32, Duration)) -> Self {
        let quota = Quota::with_period(wait).expect("a wait is not zero").allow_burst(burst);
        Self { limit: DefaultKeyedRateLimiter::keyed(quota), searched: Mutex::new(Instant::now()) }
    }

    /// Counts an event. Returns `false` if it exceeds the limit of its key.
    fn allow(&self, key: &K) -> bool {
        if self.limit.len() > REMEMBERED && is_due(&self.searched) {
            self.limit.retain_recent();
        }
        self.limit.check_key(key).is_ok()
    }

    fn drop_idle(&self) {
        self.limit.retain_recent();
    }
}

/// Reports whether the last search for idle entries is long enough ago, and begins the pause anew if so.
fn is_due(searched: &Mutex<Instant>) -> bool {
    let mut searched = searched.lock();
    let due = searched.elapsed() >= SEARCH_PAUSE;
    if due {
        *searched = Instant::now();
    }
    due
}

/// The kinds of refusals whose lines are limited apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Of a password: no other refusals hide guesses from a reader of the log.
    Password,
    Other,
}

/// The rate limit on refused requests that are logged.
pub(crate) struct RefusalLimit {
    passwords: KeyedLimit<IpAddr>,
    others: KeyedLimit<IpAddr>,
}

impl Default for RefusalLimit {
    fn default() -> Self {
        Self { passwords: KeyedLimit::new(REFUSALS), others: KeyedLimit::new(REFUSALS) }
    }
}

impl RefusalLimit {
    /// Counts a refused request. Returns `false` if it is not to be logged.
    pub(super) fn may_log(&self, address: IpAddr, kind: Refusal) -> bool {
        let limit = match kind {
            Refusal::Password => &self.passwords,
            Refusal::Other => &self.others,
        };
        limit.allow(&subscriber(address))
    }

    fn drop_idle(&self) {
        self.passwords.drop_idle();
        self.others.drop_idle();
    }
}

/// A code that was counted as refused, among those that were counted from one time on.
pub(crate) struct SentCode {
    address: IpAddr,
    since: Instant,
}

/// The rate limits.
pub(crate) struct Limiter {
    pub(super) refusals: Arc<RefusalLimit>,
    by_name: KeyedLimit<Fingerprint>,
    by_address: KeyedLimit<IpAddr>,
    front_channel_by_address: KeyedLimit<IpAddr>,
    front_channel: KeyedLimit<()>,
    /// The number of refused codes of each address, and when the first of them was refused.
    refused_codes: Mutex<HashMap<IpAddr, (usize, Instant)>>,
    codes_searched: Mutex<Instant>,
    provider_tests: KeyedLimit<()>,
    /// Held by the test of a provider that takes place.
    provider_test: Arc<Semaphore>,
    /// Held by the check of an edited configuration that takes place.
    check: Arc<Semaphore>,
    /// Held by the trial that takes place.
    trial: Arc<Semaphore>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            refusals: Arc::default(),
            by_name: KeyedLimit::new(BY_NAME),
            by_address: KeyedLimit::new(BY_ADDRESS),
            front_channel_by_address: KeyedLimit::new(FRONT_CHANNEL_BY_ADDRESS),
            front_channel: KeyedLimit::new(FRONT_CHANNEL),
            refused_codes: Mutex::default(),
            codes_searched: Mutex::new(Instant::now()),
            provider_tests: KeyedLimit::new(PROVIDER_TESTS),
            provider_test: Arc::new(Semaphore::new(1)),
            check: Arc::new(Semaphore::new(1)),
            trial: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Limiter {
    /// Counts a password attempt. Returns `false` if it exceeds a limit. Servers that share a store share the limit
    /// by username; that by address is each server's own.
    ///
    /// # Errors
    /// [`StoreError`]: the store cannot count the attempt.
    pub(crate) async fn allow(&self, store: &Store, name: &str, address: IpAddr) -> Result<bool, StoreError> {
        if !self.by_address.allow(&subscriber(address)) {
            return Ok(false);
        }
        // Every spelling that finds a user counts as an attempt for that user.
        let normal = normal_username(name, Normalisation::Default);
        let name = normal.as_deref().unwrap_or(name);
        let allowed = store.allow_attempt(name, BY_NAME).await?;
        Ok(allowed.unwrap_or_else(|| self.by_name.allow(&Fingerprint::of(name))))
    }

    /// Counts a front-channel logout of an address. Returns `false` if it exceeds a limit.
    pub(crate) fn allow_front_channel(&self, address: IpAddr) -> bool {
        self.front_channel_by_address.allow(&subscriber(address)) && self.front_channel.allow(&())
    }

    /// Begins the test of a provider: one takes place at a time. Returns `None` while another one does, and if it exceeds a
    /// limit.
    pub(crate) fn begin_provider_test(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.provider_test).try_acquire_owned().ok()?;
        self.provider_tests.allow(&()).then_some(turn)
    }

    /// Begins a check of an edited configuration, which compiles its expressions: one takes place at a time, so that what it takes
    /// is not multiplied. No trial delays it: every administrator may try claims out, and a super-admin alone changes the
    /// configuration. Returns `None` after [`TRIAL_WAIT`].
    pub(crate) async fn begin_check(&self) -> Option<OwnedSemaphorePermit> {
        wait_for_turn(&self.check).await
    }

    /// Begins a trial of claims, which evaluates a mapping: one takes place at a time. Returns `None` after [`TRIAL_WAIT`].
    pub(crate) async fn begin_trial(&self) -> Option<OwnedSemaphorePermit> {
        wait_for_turn(&self.trial).await
    }

    /// Counts a code that an address sends, as refused until [`code_not_refused`](Self::code_not_refused) takes it
    /// back. Returns `None` if the address has sent too many that the provider refused or has yet to answer.
    pub(crate) fn send_code(&self, address: IpAddr) -> Option<SentCode> {
        let mut codes = self.refused_codes.lock();
        if codes.len() > REMEMBERED && is_due(&self.codes_searched) {
            codes.retain(|_, (_, since)| since.elapsed() <= REFUSED_CODES_TIME);
        }
        let (count, since) = codes.entry(subscriber(address)).or_insert((0, Instant::now()));
        if since.elapsed() > REFUSED_CODES_TIME {
            (*count, *since) = (0, Instant::now());
        }
        let may_send = *count < REFUSED_CODES;
        *count += usize::from(may_send);
        may_send.then_some(SentCode { address: subscriber(address), since: *since })
    }

    /// Takes back the count of a code that the provider did not refuse: many people may share an address. Codes that were
    /// counted since are not concerned.
    pub(crate) fn code_not_refused(&self, sent: &SentCode) {
        if let Some((count, since)) = self.refused_codes.lock().get_mut(&sent.address)
            && *since == sent.since
        {
            *count = count.saturating_sub(1);
        }
    }

    /// Drops entries that limit nothing any more.
    pub(crate) fn drop_idle(&self) {
        self.refused_codes.lock().retain(|_, (_, since)| since.elapsed() <= REFUSED_CODES_TIME);
        self.by_name.drop_idle();
        self.by_address.drop_idle();
        self.front_channel_by_address.drop_idle();
        self.refusals.drop_idle();
    }
}

async fn wait_for_turn(place: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let turn = Arc::clone(place).acquire_owned();
    tokio::time::timeout(TRIAL_WAIT, turn).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // finding: S9
    #[test]
    fn the_refusals_of_one_address_that_are_logged_are_limited() {
        let refusals = Limiter::default().refusals;
        let tried = 2 * REFUSALS.0.get();
        let may_log = |last, kind| refusals.may_log([192, 0, 2, last].into(), kind);
        let logged = (0..tried).filter(|_| may_log(1, Refusal::Other)).count();
        let logged = u32::try_from(logged).expect("few");
        assert!((REFUSALS.0.get()..tried).contains(&logged), "{logged}");
        assert!(may_log(2, Refusal::Other));
        assert!(may_log(1, Refusal::Password), "other refusals hide no guess");
    }

    #[test]
    fn front_channel_logouts_are_limited_by_address_and_in_all() {
        let limiter = Limiter::default();
        let allowed =
            |last| (0..100).filter(|_| limiter.allow_front_channel([192, 0, 2, last].into())).count();
        // A further one may be due while this runs.
        assert!((60..70).contains(&allowed(1)));
        assert!((60..70).contains(&allowed(2)), "another address has its own");
        let mut all = 0;
        for network in 0..=255 {
            all += (0..60).filter(|_| limiter.allow_front_channel([198, 51, 100, network].into())).count();
        }
        let beyond = (0..60).filter(|_| limiter.allow_front_channel([203, 0, 113, 1].into())).count();
        // A hundred more are due each second.
        assert!(all >= 9_800 && all + beyond < 257 * 60, "{all} and {beyond}");
    }

    // attack: console.mapping-form-costs
    #[tokio::test(start_paused = true)]
    async fn edited_configurations_are_checked_one_at_a_time_and_none_waits_for_long() {
        let limiter = Limiter::default();
        let trial = limiter.begin_trial().await.expect("none before it");
        assert!(limiter.begin_trial().await.is_none());
        // Trials of other administrators delay no check.
        let first = limiter.begin_check().await.expect("none before it");
        drop(trial);
        assert!(limiter.begin_check().await.is_none());
        let (next, ()) = tokio::join!(limiter.begin_check(), async {
            tokio::time::sleep(TRIAL_WAIT / 2).await;
            drop(first);
        });
        assert!(next.is_some());
    }

    #[test]
    fn providers_are_tested_one_at_a_time_and_not_often() {
        let limiter = Limiter::default();
        let first = limiter.begin_provider_test();
        assert!(first.is_some() && limiter.begin_provider_test().is_none());
        drop(first);
        let most = PROVIDER_TESTS.0.get() as usize;
        let begun = (0..2 * most).filter(|_| limiter.begin_provider_test().is_some()).count();
        assert_eq!(begun, most - 1);
    }

    // finding: S19
    #[test]
    fn refused_codes_are_limited_by_address() {
        let limiter = Limiter::default();
        let address: IpAddr = "2001:db8::1".parse().expect("an address");
        for _ in 0..2 * REFUSED_CODES {
            let sent = limiter.send_code(address).expect("within the limit");
            limiter.code_not_refused(&sent);
        }
        // Those under way count too: none of a burst passes beyond the limit.
        for _ in 0..REFUSED_CODES {
            assert!(limiter.send_code(address).is_some());
        }
        let may_send = |text: &str| limiter.send_code(text.parse().expect("an address")).is_some();
        assert!(!may_send("2001:db8::1"));
        assert!(!may_send("2001:db8::2"), "the same /56 network");
        assert!(may_send("2001:db8:0:100::1"));
        limiter.drop_idle();
        assert!(!may_send("2001:db8::1"), "the time is not over");
    }

    #[test]
    fn a_code_that_was_counted_before_takes_none_back_of_those_counted_since() {
        let limiter = Limiter::default();
        let address: IpAddr = "2001:db8::1".parse().expect("an address");
        let count = || limiter.refused_codes.lock().get(&subscriber(address)).map(|(count, _)| *count);
        let slow = limiter.send_code(address).expect("within the limit");
        let over =
            Instant::now().checked_sub(2 * REFUSED_CODES_TIME).expect("a machine that runs for minutes");
        if let Some((_, since)) = limiter.refused_codes.lock().get_mut(&subscriber(address)) {
            *since = over;
        }
        let slow = SentCode { since: over, ..slow };
        let sent = limiter.send_code(address).expect("within the limit");
        limiter.code_not_refused(&slow);
        assert_eq!(count(), Some(1), "another is counted");
        limiter.code_not_refused(&sent);
        assert_eq!(count(), Some(0));
    }
}
