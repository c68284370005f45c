//! A provider at run time: its metadata and keys, kept fresh, and the verifiers that use them.
//!
//! What was fetched is one `State` behind one lock, which is never held across a call to the
//! provider. The calls themselves are made one at a time, under `single_flight`: a task that waits
//! there finds the work of the previous one done, or its failure. A call that a request causes runs as a
//! task of its own, so that it ends, and its cool-down begins, also if the client hangs up.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tracing::{debug, info, warn};

use super::fetch::{FetchError, Fetcher};
use super::own_keys::own_keys;
use super::provider_error::{ProviderError, ProviderSetupError};
use super::request_log;
use super::shares::Shares;
use crate::system;
use claimgate::claims::{AnyKind, IdToken, LogoutToken, Policy};
use claimgate::jws::{CompactJws, JwsError, JwsVerifier, KeyReport, NoUsableKey};
use claimgate::key::{KeyError, KeySet};
use claimgate::limits::Limits;
use claimgate::oidc::discovery::{self, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::jwks;
use claimgate::oidc::schedule::{CacheOptions, RefreshSchedule};
use claimgate::oidc::{MAX_RESPONSE, Response};
use claimgate::time::UnixTime;
use claimgate::{Error, Verifier};
use claimgate_config as config;

/// Memory per provider for presented tokens that were accepted, in bytes. A client presents one
/// bearer token many times; typical tokens take about 8 KiB, so some 2,000 of them fit.
const PRESENTED_CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// Most requests that wait for one provider's metadata or keys; more are answered 503 at once. A provider
/// that hangs then occupies few requests, and none that needs nothing from it.
const WAITING: usize = 128;
/// Most of these requests from one client address.
const WAITING_BY_ADDRESS: usize = 16;
/// Most keys that one log line names.
const NAMED_KEYS: usize = 8;
/// The maximum age of a logout token without `exp`, since its `iat`.
const LOGOUT_WITHOUT_EXP: Duration = Duration::from_secs(600);

/// A provider at run time.
pub struct Provider {
    pub(crate) config: config::Provider,
    pub(crate) fetcher: Fetcher,
    pub(crate) jws: JwsVerifier,
    pub(crate) id_tokens: Verifier<IdToken>,
    pub(crate) logout_tokens: Verifier<LogoutToken>,
    pub(crate) presented: Verifier<AnyKind>,
    /// How long a logout is remembered at least, in seconds.
    pub(crate) remembers_logouts_for: u64,
    /// Keys that need no fetching: the key file's, and the client secret.
    own_keys: KeySet,
    /// The number of them that are usable.
    own_usable: usize,
    state: Mutex<State>,
    /// Held during a call to the provider: one at a time.
    single_flight: Arc<tokio::sync::Mutex<()>>,
    /// The requests that wait for `single_flight`.
    waiting: Shares,
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
    /// The error of the last attempt to fetch keys; `None` if it succeeded.
    key_error: Option<String>,
    /// The number of published keys that are usable.
    usable_keys: usize,
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
            key_error: None,
            usable_keys: 0,
        }
    }
}

impl Provider {
    /// Prepares a provider. Nothing is fetched yet. If services verify tokens, logouts are remembered for as long
    /// as a token of theirs can be accepted: its maximum age, with the leeway of three comparisons.
    ///
    /// # Errors
    /// A [`ProviderSetupError`].
    pub fn new(config: config::Provider, verifies_tokens: bool) -> Result<Self, ProviderSetupError> {
        let own_keys = own_keys(&config)?;
        let leeway = Duration::from_secs(config.leeway);
        let jws =
            JwsVerifier::with_any_keys(&config.registry, &config.algorithms, &own_keys, Limits::DEFAULT)?;
        let id = config.trust.apply(Policy::id_token(&config.issuer, &config.client.id)).leeway(leeway);
        let mut logout =
            config.trust.apply(Policy::logout_token(&config.issuer, &config.client.id)).leeway(leeway);
        if config.strict_logout_type {
            logout = logout.typ("logout+jwt");
        }
        if config.danger_logout_without_exp {
            logout = logout.danger_without_expiry().max_token_age(LOGOUT_WITHOUT_EXP);
        }
        Ok(Self {
            fetcher: fetcher(&config)?,
            id_tokens: Verifier::new(jws.clone(), id)?,
            // Strangers may send logout tokens: none must cost a check with each key.
            logout_tokens: Verifier::new(jws.clone().require_kid(), logout)?,
            presented: Verifier::new(
                jws.clone(),
                config.presented_policy().max_token_age(Duration::from_secs(config.presented_age)),
            )?
            .with_cache(PRESENTED_CACHE_BYTES),
            remembers_logouts_for: match verifies_tokens {
                true => config.presented_age.saturating_add(3 * config.leeway),
                false => 0,
            },
            own_usable: jws.key_report().usable,
            jws,
            own_keys,
            state: Mutex::new(State::new(system::now())),
            single_flight: Arc::default(),
            waiting: Shares::new(WAITING, WAITING_BY_ADDRESS),
            config,
        })
    }

    /// Returns the provider's metadata, fetched now if it was not yet.
    ///
    /// # Errors
    /// A [`ProviderError`].
    pub(crate) async fn metadata(self: &Arc<Self>) -> Result<Arc<ProviderMetadata>, ProviderError> {
        if let Some(known) = self.known_metadata() {
            return Ok(known);
        }
        let flight = self.turn().await?;
        {
            let state = self.state.lock();
            if let Some(known) = &state.metadata {
                return Ok(Arc::clone(known));
            }
            if !state.metadata_schedule.may_request(system::now()) {
                return Err(ProviderError::JustFailed { reason: state.metadata_error.clone() });
            }
        }
        let provider = Arc::clone(self);
        let call = async move {
            let _flight = flight;
            provider.discover().await
        };
        tokio::spawn(call).await.unwrap_or_else(|_| Err(lost()))
    }

    /// Waits until no call to the provider is under way. Returns the right to make the next one.
    async fn turn(&self) -> Result<OwnedMutexGuard<()>, ProviderError> {
        if let Ok(flight) = Arc::clone(&self.single_flight).try_lock_owned() {
            return Ok(flight);
        }
        // Only requests wait here, and each has an address.
        let client = request_log::client().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let _share = self.waiting.take(client, 1).map_err(|_| ProviderError::Busy)?;
        Ok(Arc::clone(&self.single_flight).lock_owned().await)
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
                for reason in &metadata.unused {
                    warn!(provider = self.config.id, code = reason.code(), %reason, "endpoint not used");
                }
                let metadata = Arc::new(metadata);
                state.metadata = Some(Arc::clone(&metadata));
                state.metadata_schedule.record_success(None, now);
                Ok(metadata)
            }
            Err(error) => {
                state.metadata_error = error.to_string();
                state.metadata_schedule.record_failure(now);
                // Also after a scheduled call: requests that waited for it do not make another.
                state.metadata_schedule.record_request(now);
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

    /// Verifies a token with the provider's keys. If newer keys may verify it, fetches them and verifies
    /// again; see [`KeyRenewal`].
    ///
    /// # Errors
    /// [`ProviderError::NoKeys`] or [`ProviderError::Busy`] for a token that cannot be judged now. The inner
    /// result is that of the verification.
    pub(crate) async fn verify<T, E>(
        self: &Arc<Self>,
        token: &str,
        verify: impl Fn() -> Result<T, E>,
        token_error: fn(&E) -> Option<&Error>,
    ) -> Result<Result<T, E>, ProviderError> {
        let mut renewal = self.key_renewal();
        loop {
            let result = verify();
            match result.as_ref().err().and_then(token_error) {
                Some(error) if renewal.renew(token, error).await? => {}
                _ => return Ok(result),
            }
        }
    }

    /// Begins the search for the key of a token. Called before the token is verified.
    pub(crate) fn key_renewal(self: &Arc<Self>) -> KeyRenewal {
        KeyRenewal { seen: self.state.lock().key_fetches, provider: Arc::clone(self), fetched: false }
    }

    /// Reports whether the keys for the algorithm of this unverified token are fetched: they are not the
    /// client secret, and not those of a file alone.
    fn fetches_keys_of(&self, token: &str) -> bool {
        let limits = &Limits::DEFAULT;
        let header = CompactJws::parse(token, limits).ok().and_then(|jws| jws.header(limits).ok());
        let by_secret = header.is_some_and(|header| self.config.is_keyed_by_secret(header.algorithm()));
        let published = match self.known_metadata() {
            Some(metadata) => metadata.jwks_uri.is_some(),
            None => self.config.discovery.is_some() || self.config.endpoints.jwks_uri.is_some(),
        };
        published && !by_secret
    }

    /// Returns the seconds since the keys were fetched, or `None` if they never were.
    pub(crate) fn keys_age(&self, now: UnixTime) -> Option<i64> {
        self.state.lock().keys_fetched_at.map(|at| now.0.saturating_sub(at.0))
    }

    /// Fetches the keys, and the metadata first if unknown. The caller holds `single_flight`.
    async fn fetch_keys(&self) -> Result<(), ProviderError> {
        let result = self.try_fetch_keys().await;
        let now = system::now();
        let mut state = self.state.lock();
        match &result {
            Ok(max_age) => {
                state.key_schedule.record_success(*max_age, now);
                state.keys_fetched_at = Some(now);
                state.key_fetches += 1;
                state.key_error = None;
            }
            Err(error) => {
                state.key_schedule.record_failure(now);
                state.key_error = Some(error.to_string());
                warn!(provider = self.config.id, code = error.code(), %error, "keys could not be fetched");
                if state.key_schedule.is_expired(now) {
                    warn!(provider = self.config.id, "the last good keys are too old and no longer used");
                    // Cleared in the state too: a reload inherits it.
                    state.keys = KeySet::default();
                    state.usable_keys = 0;
                    self.use_keys(&state.keys);
                }
            }
        }
        result.map(drop)
    }

    /// Fetches the keys for a request, and begins the cool-down at the end.
    async fn fetch_keys_for_request(
        self: &Arc<Self>,
        flight: OwnedMutexGuard<()>,
    ) -> Result<(), ProviderError> {
        let provider = Arc::clone(self);
        let call = async move {
            let _flight = flight;
            let result = provider.fetch_keys().await;
            provider.state.lock().key_schedule.record_request(system::now());
            result
        };
        tokio::spawn(call).await.unwrap_or_else(|_| Err(lost()))
    }

    async fn try_fetch_keys(&self) -> Result<Option<u64>, ProviderError> {
        let metadata = match self.known_metadata() {
            Some(known) => known,
            None => self.discover().await?,
        };
        let Some(uri) = &metadata.jwks_uri else { return Ok(Some(u64::MAX)) };
        let response: Response = self.fetcher.send(jwks::request(uri), Limits::DEFAULT.jwks_bytes).await?;
        let (keys, max_age) = jwks::read(&response)?;
        let report = self.jws.report_on(&keys);
        let before = self.state.lock().usable_keys;
        self.log_keys(&keys, &report, before);
        let usable = report.usable;
        // A set without a usable key is a fault of the provider: the last good keys are used as in an outage.
        if usable == 0 && (before > 0 || self.own_usable == 0) {
            return Err(NoUsableKey { report }.into());
        }
        self.use_keys(&keys);
        let mut state = self.state.lock();
        state.usable_keys = usable;
        state.keys = keys;
        info!(provider = self.config.id, usable, "keys fetched");
        Ok(max_age)
    }

    /// Logs fetched keys. Warns if keys are missing, or published that must not be.
    fn log_keys(&self, keys: &KeySet, report: &KeyReport, before: usize) {
        let (provider, usable) = (&self.config.id, report.usable);
        for key in &report.skipped {
            debug!(provider, %key, "key not used");
        }
        if usable < before || (usable == 0 && !self.config.uses_only_secret()) {
            let unused = report.skipped.iter().filter(|key| key.reason != KeyError::WrongFamily);
            let unused = unused.map(ToString::to_string).take(NAMED_KEYS).collect::<Vec<_>>().join("; ");
            warn!(
                provider,
                usable, before, unused, "the provider's set has no usable key, or fewer than before"
            );
        }
        let symmetric = keys.skipped().iter().filter(|key| key.reason == KeyError::Private).count();
        let private: Vec<_> = keys.keys().iter().filter(|key| key.was_private()).collect();
        if symmetric + private.len() > 0 {
            warn!(
                provider,
                symmetric,
                private = private.len(),
                kids = ?private.iter().filter_map(|key| key.kid()).take(NAMED_KEYS).collect::<Vec<_>>(),
                "the provider publishes secret keys: every reader can sign tokens in its name"
            );
        }
    }

    /// Verifies with these published keys and the provider's own from now on.
    fn use_keys(&self, fetched: &KeySet) {
        let mut all = self.own_keys.clone();
        all.append(fetched);
        self.jws.replace_with_any_keys(&all);
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
            // A reload fetches both anew, so that a withdrawn key goes; until then what is known is used.
            state.metadata_schedule = RefreshSchedule::new(CacheOptions::METADATA, system::now());
            state.key_schedule.refresh_now(system::now());
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

/// The search for the key of one token: a fetch under way is waited for, else one is made if the cool-down
/// allows it.
pub(crate) struct KeyRenewal {
    provider: Arc<Provider>,
    /// The number of key fetches before the token was last verified.
    seen: u64,
    /// Whether keys were fetched for this token: what they do not verify is refused.
    fetched: bool,
}

impl KeyRenewal {
    /// Renews the keys after the known ones have not verified a token. Returns `true` if there are newer ones
    /// to verify it with, `false` if the refusal stands.
    ///
    /// During the cool-down, the refusal of a signature stands if the last fetch succeeded; a key that is
    /// unknown may be published at any moment.
    ///
    /// # Errors
    /// [`ProviderError::NoKeys`] or [`ProviderError::Busy`]: the token cannot be judged now.
    pub(crate) async fn renew(&mut self, token: &str, error: &Error) -> Result<bool, ProviderError> {
        let provider = &self.provider;
        if self.fetched || !may_lack_key(error) || !provider.fetches_keys_of(token) {
            return Ok(false);
        }
        let no_keys =
            |keys: String| ProviderError::NoKeys { token: error.to_string(), code: error.code(), keys };
        let flight = provider.turn().await?;
        {
            let state = provider.state.lock();
            if state.key_fetches != self.seen {
                self.seen = state.key_fetches;
                return Ok(true);
            }
            if !state.key_schedule.may_request(system::now()) {
                return match (&state.key_error, error) {
                    (None, Error::Jws(JwsError::Signature(_))) => Ok(false),
                    (None, _) => Err(no_keys("the keys were fetched just now".to_owned())),
                    (Some(reason), _) => Err(no_keys(format!("the keys could not be fetched: {reason}"))),
                };
            }
        }
        debug!(provider = provider.config.id, refusal = error.code(), "no known key verifies a token");
        self.fetched = true;
        let fetched = provider.fetch_keys_for_request(flight).await;
        fetched.map_err(|reason| no_keys(format!("the keys cannot be fetched: {reason}")))?;
        Ok(true)
    }
}

/// Reports whether a newer key set may verify a token that was refused: its key is unknown, unusable, or
/// another one of the same name.
pub(crate) fn may_lack_key(error: &Error) -> bool {
    match error {
        Error::Jws(JwsError::Key(reason)) => *reason != KeyError::KidRequired,
        Error::Jws(JwsError::Signature(_)) => true,
        _ => false,
    }
}

/// Returns the error for a call that panicked.
fn lost() -> ProviderError {
    ProviderError::JustFailed { reason: "the call was lost".to_owned() }
}
