//! What was fetched of a provider, and when to fetch again.

use std::sync::Arc;
use std::time::Duration;

use claimgate::key::KeySet;
use claimgate::oidc::discovery::ProviderMetadata;
use claimgate::oidc::schedule::{CacheOptions, RefreshSchedule};
use claimgate::time::UnixTime;

/// What was fetched, and when to fetch again.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) metadata: Option<Arc<ProviderMetadata>>,
    pub(crate) metadata_schedule: RefreshSchedule,
    /// The error of the last attempt to fetch the metadata.
    pub(crate) metadata_error: String,
    /// The provider's published keys, as last fetched.
    pub(crate) keys: KeySet,
    /// The hash of the document that `keys` were parsed from.
    pub(crate) keys_hash: Option<u64>,
    /// Whether the last fetch replaced keys by others.
    pub(crate) keys_changed: bool,
    pub(crate) key_schedule: RefreshSchedule,
    pub(crate) keys_fetched_at: Option<UnixTime>,
    /// The number of fetches of keys that have begun.
    pub(crate) begun_fetches: u64,
    /// The number that the last successful fetch had among them.
    pub(crate) last_fetch: u64,
    /// The number of times that keys were fetched.
    pub(crate) key_fetches: u64,
    /// The number of attempts that failed.
    pub(crate) key_failures: u64,
    /// The error of the last attempt to fetch keys; `None` if it succeeded.
    pub(crate) key_error: Option<String>,
    /// The number of published keys that are usable.
    pub(crate) usable_keys: usize,
    /// The number of usable keys before the last change of the set, if it left fewer, and the time of that change.
    pub(crate) shrank: Option<(usize, UnixTime)>,
}

/// The time for which a key set that shrank is reported, in seconds.
const REPORTED: i64 = 24 * 3600;

impl State {
    pub(crate) fn new(now: UnixTime) -> Self {
        Self {
            metadata: None,
            metadata_schedule: RefreshSchedule::new(CacheOptions::METADATA, now),
            metadata_error: String::new(),
            keys: KeySet::default(),
            keys_hash: None,
            keys_changed: false,
            key_schedule: RefreshSchedule::new(CacheOptions::JWKS, now),
            keys_fetched_at: None,
            begun_fetches: 0,
            last_fetch: 0,
            key_fetches: 0,
            key_failures: 0,
            key_error: None,
            usable_keys: 0,
            shrank: None,
        }
    }

    /// Counts a fetch of keys that begins. Returns its number.
    pub(crate) fn begin_fetch(&mut self) -> u64 {
        self.begun_fetches += 1;
        self.begun_fetches
    }

    /// Records that the fetch of keys with this number has succeeded.
    pub(crate) fn record_fetch(&mut self, number: u64, max_age: Option<Duration>, now: UnixTime) {
        self.key_schedule.record_success(max_age, now);
        self.keys_fetched_at = Some(now);
        self.last_fetch = number;
        self.key_fetches += 1;
        self.key_error = None;
    }

    /// Takes over a fetched set of keys.
    pub(crate) fn record_keys(&mut self, keys: KeySet, usable: usize, hash: u64, now: UnixTime) {
        self.keys_changed = self.keys_hash.replace(hash).is_some_and(|before| before != hash);
        if self.keys_changed {
            self.shrank = (usable < self.usable_keys).then_some((self.usable_keys, now));
        }
        self.usable_keys = usable;
        self.keys = keys;
    }

    /// Forgets keys that are too old to use.
    pub(crate) fn forget_keys(&mut self) {
        self.keys = KeySet::default();
        self.keys_hash = None;
        self.usable_keys = 0;
    }

    pub(crate) fn health(&self, now: UnixTime) -> Health {
        Health {
            discovered: self.metadata.is_some(),
            usable_keys: self.usable_keys,
            keys_age: self.keys_fetched_at.map(|at| now.0.saturating_sub(at.0)),
            fetches: self.key_fetches,
            failures: self.key_failures,
            last_error: self.key_error.clone(),
            shrank_from: self
                .shrank
                .filter(|(_, at)| now.0.saturating_sub(at.0) < REPORTED)
                .map(|(before, _)| before),
        }
    }
}

/// The state of a provider's documents, for a health check and for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the metadata is known; not, if only the address of the JWK set is.
    pub discovered: bool,
    /// The number of published keys in use.
    pub usable_keys: usize,
    /// The seconds since keys were fetched; `None` if they never were.
    pub keys_age: Option<i64>,
    /// The number of times that keys were fetched.
    pub fetches: u64,
    /// The number of attempts to fetch keys that failed.
    pub failures: u64,
    /// The error of the last attempt; `None` if it succeeded.
    pub last_error: Option<String>,
    /// The number of usable keys before the last change of the key set, if that left fewer, within a day of it. At the end
    /// of a rotation this is as it should be.
    pub shrank_from: Option<usize>,
}
