//! One issuer's verifier, in three lines.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::AbortHandle;

use crate::error::{RemoteError, SetupError, VerifyError};
use crate::fetch::Fetch;
use crate::keys::{KeyRenewal, RemoteKeys};
use crate::options::{Clock, Documents, RemoteOptions, places};
use crate::state::Health;
use claimgate::alg::Registry;
use claimgate::claims::{Kind, Policy};
use claimgate::key::KeySet;
use claimgate::oidc::endpoint::Endpoint;
use claimgate::time::UnixTime;
use claimgate::verifier::ValidatedToken;
use claimgate::{Error, Verifier};

/// Most tokens that wait for the keys of one issuer; more are [`RemoteError::Busy`] at once.
const WAITING: usize = 128;

/// The issuer of the tokens that a service accepts, to be built to a [`RemoteVerifier`].
///
/// Without a [`policy`](Self::policy) it does not build:
///
/// ```compile_fail,E0599
/// claimgate_remote::Issuer::discover("https://idp.example.com").algorithms(["RS256"]).spawn();
/// ```
///
/// ```
/// use claimgate::alg::Registry;
/// use claimgate::claims::Policy;
/// use claimgate::time::UnixTime;
/// use claimgate_remote::{Fetch, Issuer};
///
/// async fn spawn(client: impl Fetch) -> Result<(), Box<dyn std::error::Error>> {
///     let issuer = "https://idp.example.com";
///     let tokens = Issuer::jwks(issuer, "http://keys.internal/jwks") // `discover(issuer)` finds the address itself
///         .danger_allow_http() // because of this address
///         .algorithms(["RS256", "ES256"])
///         .registry(Registry::builtin())
///         .fetch(client) // in place of reqwest
///         .clock(|| UnixTime::from(std::time::SystemTime::now()))
///         .cache(16 << 20)
///         .policy(Policy::access_token(issuer, "crm"))
///         .spawn()?;
///     tokens.ready().await?; // a service that must not start without keys
///     Ok(())
/// }
/// ```
#[must_use]
pub struct Issuer<P = ()> {
    issuer: String,
    jwks_uri: Option<String>,
    danger_allow_http: bool,
    registry: Option<Registry>,
    algorithms: Vec<String>,
    fetch: Option<Arc<dyn Fetch>>,
    clock: Clock,
    cache_bytes: Option<u64>,
    policy: P,
}

impl<P: std::fmt::Debug> std::fmt::Debug for Issuer<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("issuer", &self.issuer)
            .field("jwks_uri", &self.jwks_uri)
            .field("algorithms", &self.algorithms)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// Names an issuer whose JWK set is found by its discovery document (OpenID Connect Discovery §4).
    pub fn discover(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            jwks_uri: None,
            danger_allow_http: false,
            registry: None,
            algorithms: Vec::new(),
            fetch: None,
            clock: Arc::new(|| SystemTime::now().into()),
            cache_bytes: None,
            policy: (),
        }
    }

    /// Names an issuer and the address of its JWK set. The discovery document is not asked.
    pub fn jwks(issuer: impl Into<String>, jwks_uri: impl Into<String>) -> Self {
        Self { jwks_uri: Some(jwks_uri.into()), ..Self::discover(issuer) }
    }
}

impl<P> Issuer<P> {
    /// Sets the allowed algorithms. A token by any other is refused.
    pub fn algorithms<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.algorithms = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the registry of algorithms, in place of [`Registry::builtin`].
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Sets the HTTP client, in place of `HttpClient`.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets the clock, in place of the system's.
    pub fn clock(mut self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Adds a cache of accepted tokens of about `bytes`; see [`Verifier::with_cache`].
    pub fn cache(mut self, bytes: u64) -> Self {
        self.cache_bytes = Some(bytes);
        self
    }

    /// **Danger.** Accepts plain http beyond loopback: any host on the way can replace the keys.
    pub fn danger_allow_http(mut self) -> Self {
        self.danger_allow_http = true;
        self
    }

    /// Sets the rules that the claims must satisfy, and with them the kind of token.
    pub fn policy<K: Kind>(self, policy: Policy<K>) -> Issuer<Policy<K>> {
        let Self {
            issuer, jwks_uri, danger_allow_http, registry, algorithms, fetch, clock, cache_bytes, ..
        } = self;
        Issuer {
            issuer,
            jwks_uri,
            danger_allow_http,
            registry,
            algorithms,
            fetch,
            clock,
            cache_bytes,
            policy,
        }
    }
}

impl<K: Kind> Issuer<Policy<K>> {
    /// Builds the verifier, and spawns the task that keeps its keys fresh. The provider need not be reachable: until
    /// it is, tokens are [`VerifyError::Unavailable`].
    ///
    /// # Errors
    /// A [`SetupError`]; [`SetupError::OtherIssuer`] for a policy that does not demand this issuer, whose tokens
    /// alone its keys may sign (RFC 8725 §3.8).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self) -> Result<RemoteVerifier<K>, SetupError> {
        demands(&self.policy, &self.issuer)?;
        let endpoint = |address: &String| {
            let refused = |reason| SetupError::Address { address: address.clone(), reason };
            Endpoint::parse(address, self.danger_allow_http).map_err(refused)
        };
        let asked = endpoint(self.jwks_uri.as_ref().unwrap_or(&self.issuer))?;
        let fetch = match self.fetch {
            Some(fetch) => fetch,
            None => default_client(&asked)?,
        };
        let documents = match self.jwks_uri {
            Some(_) => Documents::JwkSet(asked),
            None => Documents::Discovery { issuer: asked, overrides: Box::default() },
        };
        let options = RemoteOptions {
            name: self.issuer.clone(),
            issuer: self.issuer.clone(),
            keys_of_issuer_alone: false,
            documents,
            danger_allow_http: self.danger_allow_http,
            registry: self.registry.unwrap_or_else(Registry::builtin),
            algorithms: self.algorithms,
            secret_algorithms: Vec::new(),
            own_keys: KeySet::default(),
            places: places(WAITING),
            clock: Arc::clone(&self.clock),
        };
        let keys = RemoteKeys::new(options, fetch)?;
        let verifier = Verifier::new(keys.jws().clone(), self.policy)?;
        let verifier = match self.cache_bytes {
            Some(bytes) => verifier.with_cache(bytes),
            None => verifier,
        };
        let refresh = Arc::new(Refresh(tokio::spawn(Arc::clone(&keys).keep_fresh()).abort_handle()));
        let (issuer, clock) = (self.issuer, self.clock);
        Ok(RemoteVerifier(Arc::new(Inner { issuer, keys, verifier, clock, refresh })))
    }
}

/// Rejects a policy that does not demand this issuer.
fn demands<K: Kind>(policy: &Policy<K>, issuer: &str) -> Result<(), SetupError> {
    match policy.issuers().any(|name| name == issuer) {
        true => Ok(()),
        false => Err(SetupError::OtherIssuer { issuer: issuer.to_owned() }),
    }
}

#[cfg(feature = "reqwest")]
fn default_client(asked: &Endpoint) -> Result<Arc<dyn Fetch>, SetupError> {
    Ok(Arc::new(crate::client::HttpClient::new(None, asked.is_loopback())?))
}

#[cfg(not(feature = "reqwest"))]
fn default_client(_: &Endpoint) -> Result<Arc<dyn Fetch>, SetupError> {
    Err(SetupError::NoClient)
}

/// A verifier of tokens of kind `K` whose keys fetch themselves. A clone shares the keys; the background task ends
/// with the last clone, and with the last verifier that [`with_policy`](Self::with_policy) made of one.
///
/// ```
/// use claimgate::claims::{AccessToken, LogoutToken, Policy};
/// use claimgate_remote::{RemoteVerifier, SetupError};
///
/// fn logout_tokens(tokens: &RemoteVerifier<AccessToken>) -> Result<RemoteVerifier<LogoutToken>, SetupError> {
///     tokens.with_policy(Policy::logout_token(tokens.issuer(), "crm"))
/// }
///
/// async fn report(tokens: &RemoteVerifier<AccessToken>, presented: &[&str]) {
///     let is_up = tokens.ready().await.is_ok();
///     for result in tokens.verify_batch(presented).await {
///         println!("{:?}", result.map(|token| token.subject().to_owned()));
///     }
///     let health = tokens.health();
///     println!("{is_up}: {} keys, {} seconds old", health.usable_keys, health.keys_age.unwrap_or_default());
///     // By the keys that are known now, without waiting for others.
///     let known = tokens.verifier().verify(presented[0], tokens.now());
///     println!("{}, the sign-in endpoint is {:?}", known.is_ok(), tokens.keys().known_metadata());
/// }
/// ```
#[derive(Debug)]
pub struct RemoteVerifier<K: Kind>(Arc<Inner<K>>);

struct Inner<K: Kind> {
    issuer: String,
    keys: Arc<RemoteKeys>,
    verifier: Verifier<K>,
    clock: Clock,
    refresh: Arc<Refresh>,
}

/// The background task. It ends when this is dropped.
struct Refresh(AbortHandle);

impl Drop for Refresh {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<K: Kind> std::fmt::Debug for Inner<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("Inner");
        fields.field("keys", &self.keys).field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl<K: Kind> Clone for RemoteVerifier<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Kind> RemoteVerifier<K> {
    /// Returns the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Returns a verifier of tokens of another kind from the same issuer, or with other rules. It shares the keys:
    /// the access tokens and the logout tokens of one provider, say.
    ///
    /// # Errors
    /// [`SetupError::OtherIssuer`] for a policy that does not demand this issuer; [`SetupError::Build`] for one that
    /// [`Policy::check`] rejects.
    pub fn with_policy<L: Kind>(&self, policy: Policy<L>) -> Result<RemoteVerifier<L>, SetupError> {
        let Inner { issuer, keys, clock, refresh, .. } = &*self.0;
        demands(&policy, issuer)?;
        Ok(RemoteVerifier(Arc::new(Inner {
            issuer: issuer.clone(),
            verifier: Verifier::new(keys.jws().clone(), policy)?,
            keys: Arc::clone(keys),
            clock: Arc::clone(clock),
            refresh: Arc::clone(refresh),
        })))
    }

    /// Returns the keys, for a program that renews them itself.
    #[must_use]
    pub fn keys(&self) -> &Arc<RemoteKeys> {
        &self.0.keys
    }

    /// Returns the verifier by the keys that are known now.
    #[must_use]
    pub fn verifier(&self) -> &Verifier<K> {
        &self.0.verifier
    }

    /// Returns the time of the clock.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        (self.0.clock)()
    }

    /// Returns the state of the provider's keys.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.keys.health()
    }

    /// Verifies a token. Waits for a fetch of keys if no known key verifies it.
    ///
    /// # Errors
    /// A [`VerifyError`].
    pub async fn verify(&self, token: &str) -> Result<ValidatedToken<K>, VerifyError> {
        let renewal = self.0.keys.renewal();
        self.settle(token, self.verify_now(token).await, renewal).await
    }

    /// Verifies many tokens; see [`Verifier::verify_batch`]. Returns the results in the order of the tokens.
    pub async fn verify_batch(&self, tokens: &[&str]) -> Vec<Result<ValidatedToken<K>, VerifyError>> {
        let renewal = self.0.keys.renewal();
        let first = self.0.verifier.verify_batch(tokens, self.now());
        let mut results = Vec::with_capacity(tokens.len());
        let mut is_down = false;
        for (token, mut result) in tokens.iter().zip(first) {
            let is_unavailable = |result: &Result<_, Error>| {
                result.as_ref().is_err_and(|error: &Error| error.unavailable().is_some())
            };
            // A key that can only be awaited verifies nothing in a batch. One that is down is not awaited again.
            if is_unavailable(&result) && !is_down {
                result = self.verify_now(token).await;
                is_down = is_unavailable(&result);
            }
            results.push(self.settle(token, result, renewal.clone()).await);
        }
        results
    }

    async fn verify_now(&self, token: &str) -> Result<ValidatedToken<K>, Error> {
        self.0.verifier.verify_async(token, self.now()).await
    }

    /// Verifies a token again while newer keys than those that refused it are to be had.
    async fn settle(
        &self,
        token: &str,
        mut result: Result<ValidatedToken<K>, Error>,
        mut renewal: KeyRenewal,
    ) -> Result<ValidatedToken<K>, VerifyError> {
        loop {
            match result {
                Err(error) if renewal.renew(token, &error).await? => result = self.verify_now(token).await,
                settled => return Ok(settled?),
            }
        }
    }

    /// Waits until the keys are fetched, for a service that must not start without them.
    ///
    /// # Errors
    /// A [`RemoteError`]: the attempt failed.
    pub async fn ready(&self) -> Result<(), RemoteError> {
        self.0.keys.ready().await
    }
}
