//! A provider's metadata and keys at run time: fetched, kept fresh, and fetched anew for a token that no known
//! key verifies.
//!
//! What was fetched is one `State` behind one lock, which is never held across a call to the
//! provider. The calls themselves are made one at a time, under `single_flight`: a task that waits
//! there finds the work of the previous one done, or its failure. A call that a token causes runs as a
//! task of its own, so that it ends, and its cool-down begins, also if the client hangs up.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tracing::{debug, info, warn};

use crate::error::RemoteError;
use crate::fetch::{Fetch, FetchError};
use crate::options::{Documents, RemoteOptions};
use crate::state::{Health, State};
use claimgate::Error;
use claimgate::alg::SignatureError;
use claimgate::jws::{BuildError, CompactJws, JwsError, JwsVerifier, KeyReport, NoUsableKey};
use claimgate::key::{KeyError, KeySet};
use claimgate::limits::Limits;
use claimgate::oidc::discovery::{self, EndpointOverrides, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::jwks;
use claimgate::oidc::schedule::{CacheOptions, RefreshSchedule};
use claimgate::oidc::{MAX_RESPONSE, Request, Response};
use claimgate::time::UnixTime;

/// Longest time for a call, also by a [`Fetch`] without a limit of its own. [`HttpClient`](crate::HttpClient)
/// gives up earlier.
const LONGEST_CALL: Duration = Duration::from_secs(15);
/// Longest time that the background task sleeps, so that a clock that was set forward is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Most keys that one log line or error names.
const NAMED_KEYS: usize = 8;

/// The metadata and keys of one provider, shared by its verifiers: each is made of a clone of [`jws`](Self::jws).
///
/// # When keys are fetched
///
/// [`keep_fresh`](Self::keep_fresh) fetches them before they become stale, as `Cache-Control` says within
/// [`CacheOptions::JWKS`]. A token that no known key verifies causes a fetch; then a cool-down of 30 seconds begins.
/// What becomes of such a token during the cool-down:
///
/// | why it was not verified | the last fetch | result |
/// | --- | --- | --- |
/// | any | failed | cannot be judged |
/// | its key is unknown or unusable | succeeded | cannot be judged: the key may be published at any moment |
/// | its signature | began after the token had arrived, or brought the same keys as the one before | refused |
/// | its signature | began before the token arrived, and brought other keys | cannot be judged: keys are being rotated |
///
/// Fetched keys replace all earlier ones. A set without a usable key is a failed fetch: the last good keys stay,
/// until they have been stale for the grace.
pub struct RemoteKeys {
    options: RemoteOptions,
    fetch: Arc<dyn Fetch>,
    jws: JwsVerifier,
    /// The number of own keys that are usable.
    own_usable: usize,
    state: Mutex<State>,
    /// Held during a call to the provider: one at a time.
    single_flight: Arc<tokio::sync::Mutex<()>>,
}

impl RemoteKeys {
    /// Prepares the keys of a provider. Nothing is fetched yet.
    ///
    /// # Errors
    /// A [`BuildError`].
    pub fn new(options: RemoteOptions, fetch: Arc<dyn Fetch>) -> Result<Arc<Self>, BuildError> {
        let jws = JwsVerifier::with_any_keys(
            &options.registry,
            &options.algorithms,
            &options.own_keys,
            Limits::DEFAULT,
        )?;
        let state = State::new((options.clock)());
        Ok(Arc::new(Self {
            options,
            fetch,
            own_usable: jws.key_report().usable,
            jws,
            state: Mutex::new(state),
            single_flight: Arc::default(),
        }))
    }

    /// Returns the signature stage. Its clones follow every change of the keys.
    #[must_use]
    pub fn jws(&self) -> &JwsVerifier {
        &self.jws
    }

    /// Returns the state of the documents.
    #[must_use]
    pub fn health(&self) -> Health {
        self.state.lock().health(self.now())
    }

    fn now(&self) -> UnixTime {
        (self.options.clock)()
    }

    /// Waits until the keys have been fetched once; fetches them if no call is under way. No cool-down begins: the
    /// program asks, not the sender of a token.
    ///
    /// # Errors
    /// A [`RemoteError`]: this attempt failed.
    pub async fn ready(&self) -> Result<(), RemoteError> {
        let _flight = self.single_flight.lock().await;
        if self.state.lock().key_fetches > 0 {
            return Ok(());
        }
        self.fetch_keys().await
    }

    /// Returns the provider's metadata, fetched now if it was not yet.
    ///
    /// # Errors
    /// A [`RemoteError`].
    pub async fn metadata(self: &Arc<Self>) -> Result<Arc<ProviderMetadata>, RemoteError> {
        if let Some(known) = self.known_metadata() {
            return Ok(known);
        }
        let flight = self.turn().await?;
        {
            let state = self.state.lock();
            if let Some(known) = &state.metadata {
                return Ok(Arc::clone(known));
            }
            if !state.metadata_schedule.may_request(self.now()) {
                return Err(RemoteError::JustFailed { reason: state.metadata_error.clone() });
            }
        }
        let keys = Arc::clone(self);
        let call = async move {
            let _flight = flight;
            keys.discover().await
        };
        tokio::spawn(call).await.unwrap_or_else(|_| Err(lost()))
    }

    /// Returns the provider's metadata if it was fetched already.
    #[must_use]
    pub fn known_metadata(&self) -> Option<Arc<ProviderMetadata>> {
        self.state.lock().metadata.clone()
    }

    /// Waits until no call to the provider is under way. Returns the right to make the next one.
    async fn turn(&self) -> Result<OwnedMutexGuard<()>, RemoteError> {
        if let Ok(flight) = Arc::clone(&self.single_flight).try_lock_owned() {
            return Ok(flight);
        }
        let _place = (self.options.places)().ok_or(RemoteError::Busy)?;
        Ok(Arc::clone(&self.single_flight).lock_owned().await)
    }

    /// Sends a request, with bounds on the time and the size of the response.
    async fn get(&self, request: Request, limit: usize) -> Result<Response, FetchError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        match tokio::time::timeout(LONGEST_CALL, self.fetch.fetch(request, limit)).await {
            Err(_) => Err(FetchError::Unreachable { host, reason: "it took too long".to_owned() }),
            Ok(Ok(response)) if response.body().len() > limit => Err(FetchError::TooLarge { host, limit }),
            Ok(result) => result,
        }
    }

    /// Fetches the metadata. The caller holds `single_flight`.
    async fn discover(&self) -> Result<Arc<ProviderMetadata>, RemoteError> {
        let name = &self.options.name;
        let result = match &self.options.documents {
            Documents::Discovery { issuer, overrides } => self.fetch_metadata(issuer, overrides).await,
            Documents::Metadata(known) => Ok((**known).clone()),
            Documents::JwkSet(_) => return Err(RemoteError::NoMetadata),
        };
        let now = self.now();
        let mut state = self.state.lock();
        match result {
            Ok(metadata) => {
                for reason in &metadata.unused {
                    warn!(provider = name, code = reason.code(), %reason, "endpoint not used");
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
                warn!(provider = name, code = error.code(), %error, "discovery failed");
                Err(error)
            }
        }
    }

    async fn fetch_metadata(
        &self,
        issuer: &Endpoint,
        overrides: &EndpointOverrides,
    ) -> Result<ProviderMetadata, RemoteError> {
        let response = self.get(discovery::request(issuer), MAX_RESPONSE).await?;
        let RemoteOptions { issuer, danger_allow_http, .. } = &self.options;
        Ok(discovery::read(&response, issuer, overrides, *danger_allow_http)?)
    }

    /// Verifies a token with the provider's keys. If newer keys may verify it, fetches them and verifies
    /// again; see [`KeyRenewal`]. `token_error` returns the error of the engine within that of `verify`.
    ///
    /// # Errors
    /// [`RemoteError::NoKeys`], [`RemoteError::Busy`] or [`RemoteError::Signature`] for a token that cannot be judged
    /// now. The inner result is that of `verify`.
    pub async fn verify<T, E, F: Future<Output = Result<T, E>>>(
        self: &Arc<Self>,
        token: &str,
        verify: impl Fn() -> F,
        token_error: fn(&E) -> Option<&Error>,
    ) -> Result<Result<T, E>, RemoteError> {
        let mut renewal = self.renewal();
        loop {
            let result = verify().await;
            match result.as_ref().err().and_then(token_error) {
                Some(error) if renewal.renew(token, error).await? => {}
                _ => return Ok(result),
            }
        }
    }

    /// Begins the search for the key of a token. Called before the token is verified.
    #[must_use]
    pub fn renewal(self: &Arc<Self>) -> KeyRenewal {
        let (arrived, seen) = {
            let state = self.state.lock();
            (state.begun_fetches, state.key_fetches)
        };
        KeyRenewal { keys: Arc::clone(self), arrived, seen, fetched: false }
    }

    /// Reports whether the keys for the algorithm of this unverified token are fetched: they are not among the
    /// own keys alone.
    fn fetches_keys_of(&self, token: &str) -> bool {
        let limits = &Limits::DEFAULT;
        let header = CompactJws::parse(token, limits).ok().and_then(|jws| jws.header(limits).ok());
        let secret = &self.options.secret_algorithms;
        let by_secret = header.is_some_and(|header| secret.iter().any(|name| name == header.algorithm()));
        let published = match (&self.options.documents, self.known_metadata()) {
            (Documents::JwkSet(_), _) => true,
            (_, Some(metadata)) => metadata.jwks_uri.is_some(),
            (Documents::Metadata(known), None) => known.jwks_uri.is_some(),
            (Documents::Discovery { .. }, None) => true,
        };
        published && !by_secret
    }

    /// Fetches the keys, and the metadata first if unknown. The caller holds `single_flight`.
    async fn fetch_keys(&self) -> Result<(), RemoteError> {
        let number = self.state.lock().begin_fetch();
        let result = self.try_fetch_keys().await;
        let now = self.now();
        let mut state = self.state.lock();
        match &result {
            Ok(max_age) => state.record_fetch(number, *max_age, now),
            Err(error) => {
                let name = &self.options.name;
                state.key_schedule.record_failure(now);
                state.key_failures += 1;
                state.key_error = Some(error.to_string());
                warn!(provider = name, code = error.code(), %error, "keys could not be fetched");
                if state.key_schedule.is_expired(now) {
                    warn!(provider = name, "the last good keys are too old and no longer used");
                    // Forgotten in the state too: a successor inherits it.
                    state.forget_keys();
                    self.use_keys(&state.keys);
                }
            }
        }
        result.map(drop)
    }

    /// Fetches the keys for a token, and begins the cool-down at the end.
    async fn fetch_keys_for_token(self: &Arc<Self>, flight: OwnedMutexGuard<()>) -> Result<(), RemoteError> {
        let keys = Arc::clone(self);
        let call = async move {
            let _flight = flight;
            let result = keys.fetch_keys().await;
            keys.state.lock().key_schedule.record_request(keys.now());
            result
        };
        tokio::spawn(call).await.unwrap_or_else(|_| Err(lost()))
    }

    async fn try_fetch_keys(&self) -> Result<Option<Duration>, RemoteError> {
        let uri = match (&self.options.documents, self.known_metadata()) {
            (Documents::JwkSet(uri), _) => Some(uri.clone()),
            (_, Some(metadata)) => metadata.jwks_uri.clone(),
            (_, None) => self.discover().await?.jwks_uri.clone(),
        };
        let Some(uri) = uri else { return Ok(Some(Duration::MAX)) };
        let response = self.get(jwks::request(&uri), Limits::DEFAULT.jwks_bytes).await?;
        let (keys, max_age) = jwks::read(&response)?;
        let keys = match self.options.keys_of_issuer_alone {
            true => keys.of_issuer(&self.options.issuer),
            false => keys,
        };
        let report = self.jws.report_on(&keys);
        let before = self.state.lock().usable_keys;
        self.log_keys(&keys, &report, before);
        // Where own keys verify, the provider need not publish any.
        if report.usable == 0 && (before > 0 || self.own_usable == 0) {
            return Err(NoUsableKey { report }.into());
        }
        self.use_keys(&keys);
        info!(provider = self.options.name, usable = report.usable, "keys fetched");
        self.state.lock().record_keys(keys, report.usable, hash_of(response.body()), self.now());
        Ok(max_age)
    }

    /// Logs fetched keys. Warns if keys are missing, or published that must not be.
    fn log_keys(&self, keys: &KeySet, report: &KeyReport, before: usize) {
        let provider = &self.options.name;
        for key in &report.skipped {
            debug!(provider, %key, "key not used");
        }
        let usable = report.usable;
        if usable < before || (usable == 0 && self.own_usable == 0) {
            let unused = unused(report);
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

    fn use_keys(&self, fetched: &KeySet) {
        let mut all = self.options.own_keys.clone();
        all.append(fetched);
        self.jws.replace_with_any_keys(&all);
    }

    /// Keeps metadata and keys fresh. Never returns: spawn it, and abort the task when the keys are not needed any
    /// more.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            self.refresh().await;
            let due = self.state.lock().key_schedule.refresh_at();
            let wait = u64::try_from(due.0.saturating_sub(self.now().0)).unwrap_or(0).max(1);
            tokio::time::sleep(Duration::from_secs(wait).min(LONGEST_SLEEP)).await;
        }
    }

    /// Fetches the documents that are due.
    async fn refresh(&self) {
        let now = self.now();
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

    /// Takes over the documents that another instance for the same provider has fetched, so that a reload during an
    /// outage loses neither keys nor endpoints.
    pub fn inherit(&self, old: &RemoteKeys) {
        let (new, before) = (&self.options, &old.options);
        let same = new.issuer == before.issuer
            && new.keys_of_issuer_alone == before.keys_of_issuer_alone
            && new.documents == before.documents
            && new.danger_allow_http == before.danger_allow_http;
        if same {
            let mut state = old.state.lock().clone();
            // A reload fetches both anew, so that a withdrawn key goes; until then what is known is used.
            state.metadata_schedule = RefreshSchedule::new(CacheOptions::METADATA, self.now());
            state.key_schedule.refresh_now(self.now());
            state.usable_keys = self.jws.report_on(&state.keys).usable;
            self.use_keys(&state.keys);
            *self.state.lock() = state;
        }
    }
}

impl std::fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("RemoteKeys");
        fields.field("issuer", &self.options.issuer).field("health", &self.health()).finish_non_exhaustive()
    }
}

/// The search for the key of one token: a fetch under way is waited for, else one is made if the cool-down
/// allows it.
#[derive(Clone, Debug)]
pub struct KeyRenewal {
    keys: Arc<RemoteKeys>,
    /// The number of key fetches that had begun when the token arrived: they may bring keys of before.
    arrived: u64,
    /// The number of key fetches before the token was last verified.
    seen: u64,
    /// Whether keys were fetched for this token: what they do not verify is refused.
    fetched: bool,
}

impl KeyRenewal {
    /// Renews the keys after the known ones have not verified a token. Returns `true` if there are newer ones
    /// to verify it with, `false` if the refusal stands; see [`RemoteKeys`] for the rule.
    ///
    /// # Errors
    /// [`RemoteError::NoKeys`], [`RemoteError::Busy`] or [`RemoteError::Signature`]: the token cannot be judged now.
    pub async fn renew(&mut self, token: &str, error: &Error) -> Result<bool, RemoteError> {
        if let Some(reason) = error.unavailable() {
            return Err(RemoteError::Signature(reason.clone()));
        }
        let keys = &self.keys;
        if self.fetched || !may_lack_key(error) || !keys.fetches_keys_of(token) {
            return Ok(false);
        }
        let no_keys =
            |keys: String| RemoteError::NoKeys { token: error.to_string(), code: error.code(), keys };
        let flight = keys.turn().await?;
        {
            let state = keys.state.lock();
            if state.key_fetches != self.seen {
                self.seen = state.key_fetches;
                return Ok(true);
            }
            if !state.key_schedule.may_request(keys.now()) {
                if let Some(reason) = &state.key_error {
                    return Err(no_keys(format!("the keys could not be fetched: {reason}")));
                }
                let is_signature = matches!(error, Error::Jws(JwsError::Signature(_)));
                let since_arrival = state.last_fetch > self.arrived;
                return match is_signature && (since_arrival || !state.keys_changed) {
                    true => Ok(false),
                    false => Err(no_keys("the keys were fetched just now".to_owned())),
                };
            }
        }
        debug!(provider = keys.options.name, refusal = error.code(), "no known key verifies a token");
        self.fetched = true;
        let fetched = keys.fetch_keys_for_token(flight).await;
        fetched.map_err(|reason| no_keys(format!("the keys cannot be fetched: {reason}")))?;
        Ok(true)
    }
}

/// Reports whether a newer key set may verify a token that was refused: its key is unknown, unusable, or
/// another one of the same name.
#[must_use]
pub fn may_lack_key(error: &Error) -> bool {
    match error {
        Error::Jws(JwsError::Key(reason)) => *reason != KeyError::KidRequired,
        Error::Jws(JwsError::Signature(reason)) => *reason == SignatureError::Invalid,
        _ => false,
    }
}

/// Returns why the first keys of a set are not used, beside those of other families.
fn unused(report: &KeyReport) -> String {
    let unused = report.skipped.iter().filter(|key| key.reason != KeyError::WrongFamily);
    unused.map(ToString::to_string).take(NAMED_KEYS).collect::<Vec<_>>().join("; ")
}

/// Returns a hash by which a changed document is noticed.
fn hash_of(document: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    document.hash(&mut hasher);
    hasher.finish()
}

/// Returns the error for a call that panicked.
fn lost() -> RemoteError {
    RemoteError::JustFailed { reason: "the call was lost".to_owned() }
}
