//! A provider at run time: its metadata and keys, kept fresh, and the verifiers that use them.
//!
//! What was fetched is one `State` behind one lock, which is never held across a call to the
//! provider. The calls themselves are made one at a time, under `single_flight`: a task that waits
//! there finds the work of the previous one done.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{debug, info, warn};

use super::fetch::{FetchError, Fetcher};
use crate::system;
use claimgate::claims::{AnyKind, IdToken, LogoutToken, Policy};
use claimgate::jws::{BuildError, JwsError, JwsVerifier, KeyReport};
use claimgate::key::{KeyError, KeySet, VerificationKey};
use claimgate::limits::Limits;
use claimgate::oidc::discovery::{self, DiscoveryError, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::jwks::{self, JwksError};
use claimgate::oidc::schedule::{CacheOptions, RefreshSchedule};
use claimgate::oidc::{MAX_RESPONSE, Response};
use claimgate::time::UnixTime;
use claimgate::{Error, Verifier};
use claimgate_config as config;

/// Memory per provider for presented tokens that were accepted, in bytes. A client presents one
/// bearer token many times; typical tokens take about 8 KiB, so some 2,000 of them fit.
const PRESENTED_CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// The maximum age of a logout token without `exp`, in seconds since its `iat`.
const LOGOUT_WITHOUT_EXP: u64 = 600;

/// Why a provider's metadata or keys cannot be fetched now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The call got no response.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The discovery document is not usable.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The keys are not usable.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// An attempt has just failed.
    #[error("the provider was asked just now and did not answer as it should: {reason}")]
    JustFailed {
        /// The error of that attempt.
        reason: String,
    },
}

impl ProviderError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ProviderError::Fetch(error) => error.code(),
            ProviderError::Discovery(error) => error.code(),
            ProviderError::Jwks(error) => error.code(),
            ProviderError::JustFailed { .. } => "provider.just_failed",
        }
    }
}

/// Why a provider of the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderSetupError {
    /// The TLS client.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The verifier.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The key file.
    #[error("{file}: {reason}")]
    Keys {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A provider at run time.
pub struct Provider {
    pub(crate) config: config::Provider,
    pub(crate) fetcher: Fetcher,
    pub(crate) jws: JwsVerifier,
    pub(crate) id_tokens: Verifier<IdToken>,
    pub(crate) logout_tokens: Verifier<LogoutToken>,
    pub(crate) presented: Verifier<AnyKind>,
    /// Keys that need no fetching: the key file's, and the client secret.
    own_keys: KeySet,
    state: Mutex<State>,
    /// Held during a call to the provider: one at a time.
    single_flight: tokio::sync::Mutex<()>,
}

/// What was fetched, and when to fetch again.
#[derive(Clone)]
struct State {
    metadata: Option<Arc<ProviderMetadata>>,
    metadata_schedule: RefreshSchedule,
    /// The error of the last attempt to fetch the metadata.
    metadata_error: String,
    /// The provider's published keys, as last fetched.
    keys: KeySet,
    key_schedule: RefreshSchedule,
    keys_fetched_at: Option<UnixTime>,
    /// The number of times that keys were fetched.
    key_fetches: u64,
}

impl State {
    fn new(now: UnixTime) -> Self {
        Self {
            metadata: None,
            metadata_schedule: RefreshSchedule::new(CacheOptions::METADATA, now),
            metadata_error: String::new(),
            keys: KeySet::default(),
            key_schedule: RefreshSchedule::new(CacheOptions::JWKS, now),
            keys_fetched_at: None,
            key_fetches: 0,
        }
    }
}

impl Provider {
    /// Prepares a provider. Nothing is fetched yet.
    ///
    /// # Errors
    /// A [`ProviderSetupError`].
    pub fn new(config: config::Provider) -> Result<Self, ProviderSetupError> {
        let own_keys = own_keys(&config)?;
        let jws = JwsVerifier::new(&config.registry, &config.algorithms, &own_keys, Limits::DEFAULT)?;
        let id = Policy::id_token(&config.issuer, &config.client.id).leeway(config.leeway);
        let mut logout = Policy::logout_token(&config.issuer, &config.client.id).leeway(config.leeway);
        if config.strict_logout_type {
            logout = logout.typ("logout+jwt");
        }
        if config.danger_logout_without_exp {
            logout = logout.require(Vec::<String>::new()).max_token_age(LOGOUT_WITHOUT_EXP);
        }
        Ok(Self {
            fetcher: fetcher(&config)?,
            id_tokens: Verifier::new(jws.clone(), id),
            logout_tokens: Verifier::new(jws.clone(), logout),
            presented: Verifier::new(jws.clone(), config.presented_policy())
                .with_cache(PRESENTED_CACHE_BYTES),
            jws,
            own_keys,
            state: Mutex::new(State::new(system::now())),
            single_flight: tokio::sync::Mutex::default(),
            config,
        })
    }

    /// Returns the provider's metadata, fetched now if it was not yet.
    ///
    /// # Errors
    /// A [`ProviderError`].
    pub(crate) async fn metadata(&self) -> Result<Arc<ProviderMetadata>, ProviderError> {
        if let Some(known) = self.known_metadata() {
            return Ok(known);
        }
        let _flight = self.single_flight.lock().await;
        {
            let mut state = self.state.lock();
            if let Some(known) = &state.metadata {
                return Ok(Arc::clone(known));
            }
            if !state.metadata_schedule.allow_request(system::now()) {
                return Err(ProviderError::JustFailed { reason: state.metadata_error.clone() });
            }
        }
        self.discover().await
    }

    /// Returns the provider's metadata if it was fetched already.
    pub(crate) fn known_metadata(&self) -> Option<Arc<ProviderMetadata>> {
        self.state.lock().metadata.clone()
    }

    /// Fetches the metadata. The caller holds `single_flight`.
    async fn discover(&self) -> Result<Arc<ProviderMetadata>, ProviderError> {
        let result = match &self.config.discovery {
            None => Ok(self.config.endpoints.complete().expect("checked when the file was read")),
            Some(issuer) => self.fetch_metadata(issuer).await,
        };
        let now = system::now();
        let mut state = self.state.lock();
        match result {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                state.metadata = Some(Arc::clone(&metadata));
                state.metadata_schedule.record_success(None, now);
                Ok(metadata)
            }
            Err(error) => {
                state.metadata_error = error.to_string();
                state.metadata_schedule.record_failure(now);
                warn!(provider = self.config.id, code = error.code(), %error, "discovery failed");
                Err(error)
            }
        }
    }

    async fn fetch_metadata(&self, issuer: &Endpoint) -> Result<ProviderMetadata, ProviderError> {
        let response = self.fetcher.send(discovery::request(issuer), MAX_RESPONSE).await?;
        let config = &self.config;
        Ok(discovery::read(&response, &config.issuer, &config.endpoints, config.danger_allow_http)?)
    }

    /// Verifies a token with the provider's keys. If a key is missing, fetches them once, provided that the
    /// cool-down allows it, and verifies again.
    ///
    /// # Errors
    /// The error of the verification.
    pub(crate) async fn verify<T, E>(
        &self,
        verify: impl Fn() -> Result<T, E>,
        token_error: fn(&E) -> Option<&Error>,
    ) -> Result<T, E> {
        let before = self.state.lock().key_fetches;
        let first = verify();
        match &first {
            Err(error) if token_error(error).is_some_and(lacks_key) => {}
            _ => return first,
        }
        let allowed = self.state.lock().key_schedule.allow_request(system::now());
        // A fetch in progress may bring the key: wait for it, even if this request may not begin one.
        let in_progress = self.single_flight.try_lock().is_err();
        if !allowed && !in_progress {
            return first;
        }
        let flight = self.single_flight.lock().await;
        if allowed && self.state.lock().key_fetches == before {
            debug!(provider = self.config.id, "a token names an unknown key; fetching keys");
            // A failure is logged there; the known keys stay in use.
            drop(self.fetch_keys().await);
        }
        drop(flight);
        verify()
    }

    /// Reports whether there are keys to verify with.
    pub(crate) fn has_keys(&self) -> bool {
        self.jws.key_report().usable > 0
    }

    /// Returns the seconds since the keys were fetched, or `None` if they never were.
    pub(crate) fn keys_age(&self, now: UnixTime) -> Option<i64> {
        self.state.lock().keys_fetched_at.map(|at| now.0.saturating_sub(at.0))
    }

    /// Fetches the keys, and the metadata first if unknown. The caller holds `single_flight`.
    async fn fetch_keys(&self) -> Result<(), ProviderError> {
        let now = system::now();
        let result = self.try_fetch_keys().await;
        let mut state = self.state.lock();
        match &result {
            Ok(max_age) => {
                state.key_schedule.record_success(*max_age, now);
                state.keys_fetched_at = Some(now);
                state.key_fetches += 1;
            }
            Err(error) => {
                state.key_schedule.record_failure(now);
                warn!(provider = self.config.id, code = error.code(), %error, "keys could not be fetched");
                if state.key_schedule.is_expired(now) {
                    warn!(provider = self.config.id, "the last good keys are too old and no longer used");
                    // Cleared in the state too: a reload inherits it.
                    state.keys = KeySet::default();
                    self.use_keys(&state.keys);
                }
            }
        }
        result.map(drop)
    }

    async fn try_fetch_keys(&self) -> Result<Option<u64>, ProviderError> {
        let metadata = match self.known_metadata() {
            Some(known) => known,
            None => self.discover().await?,
        };
        let Some(uri) = &metadata.jwks_uri else { return Ok(Some(u64::MAX)) };
        let response: Response = self.fetcher.send(jwks::request(uri), Limits::DEFAULT.jwks_bytes).await?;
        let (keys, max_age) = jwks::read(&response)?;
        let report = self.use_keys(&keys);
        for key in keys.skipped().iter().chain(&report.skipped) {
            debug!(provider = self.config.id, %key, "key not used");
        }
        info!(provider = self.config.id, usable = report.usable, "keys fetched");
        self.state.lock().keys = keys;
        Ok(max_age)
    }

    fn use_keys(&self, fetched: &KeySet) -> KeyReport {
        let all = KeySet::new(self.own_keys.keys().iter().chain(fetched.keys()).cloned());
        self.jws.replace_keys(&all)
    }

    /// Keeps metadata and keys fresh. Never returns.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            self.refresh().await;
            let due = self.state.lock().key_schedule.refresh_at();
            let wait = u64::try_from(due.0.saturating_sub(system::now().0)).unwrap_or(0).clamp(1, 60);
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    /// Fetches the documents that are due.
    async fn refresh(&self) {
        let now = system::now();
        let _flight = self.single_flight.lock().await;
        let metadata_due = {
            let state = self.state.lock();
            // Unknown metadata is fetched with the keys.
            state.metadata.is_some() && now >= state.metadata_schedule.refresh_at()
        };
        if metadata_due {
            // If this fails, the known metadata stays in use.
            drop(self.discover().await);
        }
        let keys_due = now >= self.state.lock().key_schedule.refresh_at();
        if keys_due {
            drop(self.fetch_keys().await);
        }
    }

    /// Takes over the documents that another instance of the same provider has fetched, so that a reload
    /// during an outage loses neither keys nor endpoints.
    pub(crate) fn inherit(&self, old: &Provider) {
        let same = self.config.issuer == old.config.issuer
            && self.config.endpoints == old.config.endpoints
            && self.config.danger_allow_http == old.config.danger_allow_http;
        if same {
            let mut state = old.state.lock().clone();
            // A reload asks for the metadata again; until then the fetched one is used.
            state.metadata_schedule = RefreshSchedule::new(CacheOptions::METADATA, system::now());
            self.use_keys(&state.keys);
            *self.state.lock() = state;
        }
    }
}

/// Builds the HTTP client for a provider. It bypasses the environment's proxies if the provider is on this
/// machine.
///
/// # Errors
/// [`FetchError::Client`].
pub fn fetcher(config: &config::Provider) -> Result<Fetcher, FetchError> {
    let asked = config.discovery.as_ref().or(config.endpoints.token_endpoint.as_ref());
    Fetcher::new(config.ca_file.as_deref(), asked.is_some_and(Endpoint::is_loopback))
}

/// Reports whether a newer key set may contain the key that was missing.
pub(crate) fn lacks_key(error: &Error) -> bool {
    matches!(error, Error::Jws(JwsError::Key(KeyError::UnknownKid | KeyError::NoneFits)))
}

/// Returns the key file's keys, and the client secret if HS algorithms are allowed.
fn own_keys(config: &config::Provider) -> Result<KeySet, ProviderSetupError> {
    let mut keys = Vec::new();
    if let Some(file) = &config.jwks_file {
        let refused = |reason: String| ProviderSetupError::Keys { file: file.display().to_string(), reason };
        let text = std::fs::read(file).map_err(|error| refused(error.to_string()))?;
        let set = KeySet::from_jwks(&text, &Limits::DEFAULT).map_err(|error| refused(error.to_string()))?;
        keys.extend(set.keys().iter().cloned());
    }
    let hmac = config.uses_secret();
    if let Some(secret) = config.client.secret.as_ref().filter(|_| hmac) {
        // Core §10.1: the octets of the client secret are the key.
        let key = VerificationKey::from_secret(secret.expose().as_bytes());
        keys.push(if config.danger_allow_short_secret { key.danger_allow_weak() } else { key });
    }
    Ok(KeySet::new(keys))
}
