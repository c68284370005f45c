//! A provider at run time: its metadata and keys, kept fresh, and the verifiers that use them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tracing::{debug, info, warn};

use super::fetch::{FetchError, Fetcher};
use crate::config;
use crate::system;
use claimgate::claims::{AnyKind, IdToken, LogoutToken, Policy};
use claimgate::jws::{BuildError, JwsError, JwsVerifier, KeyReport};
use claimgate::key::{KeyError, KeySet, VerificationKey};
use claimgate::limits::Limits;
use claimgate::oidc::discovery::{self, DiscoveryError, ProviderMetadata};
use claimgate::oidc::jwks::{self, JwksCacheOptions, JwksError, KeySchedule};
use claimgate::oidc::{MAX_RESPONSE, Response};
use claimgate::time::UnixTime;
use claimgate::{Error, Verifier};

/// Seconds after which discovery is asked again.
const METADATA_LIFETIME: u64 = 6 * 60 * 60;
/// Seconds between two attempts that impatient people cause.
const RETRY: u64 = 2;
/// The longest time since `iat` of a logout token without `exp`, in seconds.
const LOGOUT_WITHOUT_EXP: u64 = 600;

/// Why a provider cannot be asked now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The call brought no answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The discovery document is not usable.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The keys are not usable.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// It was asked just now, in vain.
    #[error("the provider was asked just now and did not answer as it should: {reason}")]
    JustFailed {
        /// What went wrong then.
        reason: String,
    },
}

impl ProviderError {
    /// The stable code of this error; see `docs/reference/errors.md`.
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

/// Why a provider of the configuration cannot be served.
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
    metadata: ArcSwapOption<ProviderMetadata>,
    metadata_until: AtomicI64,
    /// Keys that are there without fetching: the key file's, and the client secret.
    own_keys: KeySet,
    /// Keys that the provider published, as last fetched.
    fetched_keys: Mutex<KeySet>,
    schedule: Mutex<KeySchedule>,
    keys_fetched_at: AtomicI64,
    fetches: AtomicU64,
    /// One flight at a time: whoever waits here finds the work done.
    flight: tokio::sync::Mutex<Attempt>,
}

#[derive(Default)]
struct Attempt {
    metadata_at: Option<UnixTime>,
    reason: String,
}

impl Provider {
    /// Prepares a provider; nothing is fetched yet.
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
        if config.logout_without_exp {
            logout = logout.require(Vec::<String>::new()).max_token_age(LOGOUT_WITHOUT_EXP);
        }
        Ok(Self {
            fetcher: fetcher(&config)?,
            id_tokens: Verifier::new(jws.clone(), id),
            logout_tokens: Verifier::new(jws.clone(), logout),
            presented: Verifier::new(jws.clone(), config.presented_policy()),
            jws,
            metadata: ArcSwapOption::empty(),
            metadata_until: AtomicI64::new(i64::MIN),
            own_keys,
            fetched_keys: Mutex::default(),
            schedule: Mutex::new(KeySchedule::new(JwksCacheOptions::DEFAULT, system::now())),
            keys_fetched_at: AtomicI64::new(i64::MIN),
            fetches: AtomicU64::new(0),
            flight: tokio::sync::Mutex::default(),
            config,
        })
    }

    /// What is known about the provider; asked now where nothing is.
    ///
    /// # Errors
    /// A [`ProviderError`].
    pub(crate) async fn metadata(&self) -> Result<Arc<ProviderMetadata>, ProviderError> {
        if let Some(known) = self.metadata.load_full() {
            return Ok(known);
        }
        let mut attempt = self.flight.lock().await;
        if let Some(known) = self.metadata.load_full() {
            return Ok(known);
        }
        let now = system::now();
        if attempt.metadata_at.is_some_and(|at| at <= now && now < at.saturating_add(RETRY)) {
            return Err(ProviderError::JustFailed { reason: attempt.reason.clone() });
        }
        self.discover(&mut attempt).await
    }

    /// What is known already.
    pub(crate) fn known_metadata(&self) -> Option<Arc<ProviderMetadata>> {
        self.metadata.load_full()
    }

    async fn discover(&self, attempt: &mut Attempt) -> Result<Arc<ProviderMetadata>, ProviderError> {
        let now = system::now();
        attempt.metadata_at = Some(now);
        let result = match &self.config.discovery {
            None => Ok(self.config.endpoints.complete().expect("checked when the file was read")),
            Some(issuer) => self.fetch_metadata(issuer).await,
        };
        match result {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                self.metadata.store(Some(Arc::clone(&metadata)));
                self.metadata_until.store(now.saturating_add(METADATA_LIFETIME).0, Ordering::Relaxed);
                Ok(metadata)
            }
            Err(error) => {
                attempt.reason = error.to_string();
                warn!(provider = self.config.name, code = error.code(), %error, "discovery failed");
                Err(error)
            }
        }
    }

    async fn fetch_metadata(
        &self,
        issuer: &claimgate::oidc::endpoint::Endpoint,
    ) -> Result<ProviderMetadata, ProviderError> {
        let response = self.fetcher.send(discovery::request(issuer), MAX_RESPONSE).await?;
        let config = &self.config;
        Ok(discovery::read(&response, &config.issuer, &config.endpoints, config.allow_http)?)
    }

    /// Verifies something with the provider's keys; where a key is missing, fetches them once, if
    /// the cool-down allows, and verifies again.
    ///
    /// # Errors
    /// What the verification returns.
    pub(crate) async fn verify<T, E>(
        &self,
        verify: impl Fn() -> Result<T, E>,
        token_error: fn(&E) -> Option<&Error>,
    ) -> Result<T, E> {
        let before = self.fetches.load(Ordering::Acquire);
        let first = verify();
        match &first {
            Err(error) if token_error(error).is_some_and(lacks_key) => {}
            _ => return first,
        }
        let allowed = self.schedule.lock().allow_refresh(system::now());
        // Somebody else's flight may bring the key: wait for it, whoever was allowed to begin it.
        let in_flight = self.flight.try_lock().is_err();
        if !allowed && !in_flight {
            return first;
        }
        let mut attempt = self.flight.lock().await;
        if allowed && self.fetches.load(Ordering::Acquire) == before {
            debug!(provider = self.config.name, "an unknown key is named; fetching keys");
            // What goes wrong is logged there; the keys that are known go on serving.
            drop(self.fetch_keys(&mut attempt).await);
        }
        drop(attempt);
        verify()
    }

    /// Whether keys are there to verify with.
    pub(crate) fn has_keys(&self) -> bool {
        self.jws.key_report().usable > 0
    }

    /// Seconds since the keys were fetched; none where they never were.
    pub(crate) fn keys_age(&self, now: UnixTime) -> Option<i64> {
        let at = self.keys_fetched_at.load(Ordering::Relaxed);
        (at != i64::MIN).then(|| now.0.saturating_sub(at))
    }

    async fn fetch_keys(&self, attempt: &mut Attempt) -> Result<(), ProviderError> {
        let now = system::now();
        let result = self.try_fetch_keys(attempt).await;
        let mut schedule = self.schedule.lock();
        match &result {
            Ok(max_age) => {
                schedule.fetched(*max_age, now);
                self.keys_fetched_at.store(now.0, Ordering::Relaxed);
                self.fetches.fetch_add(1, Ordering::Release);
            }
            Err(error) => {
                schedule.failed(now);
                warn!(provider = self.config.name, code = error.code(), %error, "keys could not be fetched");
                if schedule.is_over(now) {
                    warn!(provider = self.config.name, "the last good keys are too old and serve no more");
                    self.use_keys(&KeySet::default());
                    // Nor after a reload, which inherits them.
                    *self.fetched_keys.lock() = KeySet::default();
                }
            }
        }
        result.map(drop)
    }

    async fn try_fetch_keys(&self, attempt: &mut Attempt) -> Result<Option<u64>, ProviderError> {
        let metadata = match self.metadata.load_full() {
            Some(known) => known,
            None => self.discover(attempt).await?,
        };
        let Some(uri) = &metadata.jwks_uri else { return Ok(Some(u64::MAX)) };
        let response: Response = self.fetcher.send(jwks::request(uri), Limits::DEFAULT.jwks_bytes).await?;
        let (keys, max_age) = jwks::read(&response)?;
        let report = self.use_keys(&keys);
        for key in keys.skipped().iter().chain(&report.skipped) {
            debug!(provider = self.config.name, %key, "key not used");
        }
        info!(provider = self.config.name, usable = report.usable, "keys fetched");
        *self.fetched_keys.lock() = keys;
        Ok(max_age)
    }

    fn use_keys(&self, fetched: &KeySet) -> KeyReport {
        let all = KeySet::new(self.own_keys.keys().iter().chain(fetched.keys()).cloned());
        self.jws.replace_keys(&all)
    }

    /// Keeps metadata and keys fresh, for good.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let now = system::now();
            {
                let mut attempt = self.flight.lock().await;
                let known = self.metadata.load().is_some();
                if known && now.0 >= self.metadata_until.load(Ordering::Relaxed) {
                    // What is known goes on serving where this fails. Where nothing is known, fetching
                    // the keys begins with it.
                    drop(self.discover(&mut attempt).await);
                }
                let due = self.schedule.lock().refresh_at();
                if now >= due {
                    drop(self.fetch_keys(&mut attempt).await);
                }
            }
            let due = self.schedule.lock().refresh_at();
            let wait = u64::try_from(due.0.saturating_sub(system::now().0)).unwrap_or(0).clamp(1, 60);
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    /// Takes over what another instance of the same provider has learned, so that a reload during an
    /// outage loses neither keys nor endpoints.
    pub(crate) fn inherit(&self, old: &Provider) {
        let same = self.config.issuer == old.config.issuer
            && self.config.endpoints == old.config.endpoints
            && self.config.allow_http == old.config.allow_http;
        if same {
            self.metadata.store(old.metadata.load_full());
            let keys = old.fetched_keys.lock().clone();
            self.use_keys(&keys);
            *self.fetched_keys.lock() = keys;
            *self.schedule.lock() = old.schedule.lock().clone();
            self.keys_fetched_at.store(old.keys_fetched_at.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// What calls a provider: past the environment's proxies where it is this machine.
///
/// # Errors
/// [`FetchError::Client`].
pub fn fetcher(config: &config::Provider) -> Result<Fetcher, FetchError> {
    let asked = config.discovery.as_ref().or(config.endpoints.token_endpoint.as_ref());
    Fetcher::new(
        config.ca_file.as_deref(),
        asked.is_some_and(claimgate::oidc::endpoint::Endpoint::is_loopback),
    )
}

/// Whether a newer key set may bring the key that was missing.
pub(crate) fn lacks_key(error: &Error) -> bool {
    matches!(error, Error::Jws(JwsError::Key(KeyError::UnknownKid | KeyError::NoneFits)))
}

/// The key file's keys, and the client secret where HS algorithms are allowed.
fn own_keys(config: &config::Provider) -> Result<KeySet, ProviderSetupError> {
    let mut keys = Vec::new();
    if let Some(file) = &config.jwks_file {
        let refused = |reason: String| ProviderSetupError::Keys { file: file.display().to_string(), reason };
        let text = std::fs::read(file).map_err(|error| refused(error.to_string()))?;
        let set = KeySet::from_jwks(&text, &Limits::DEFAULT).map_err(|error| refused(error.to_string()))?;
        keys.extend(set.keys().iter().cloned());
    }
    let hmac = config.algorithms.iter().any(|name| config::is_hmac(name));
    if let Some(secret) = config.client.secret.as_ref().filter(|_| hmac) {
        // Core §10.1: the octets of the client secret are the key.
        let key = VerificationKey::from_secret(secret.expose().as_bytes());
        keys.push(if config.allow_short_secret { key.danger_allow_weak() } else { key });
    }
    Ok(KeySet::new(keys))
}
