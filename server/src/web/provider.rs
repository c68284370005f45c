//! A provider at run time: its documents, kept fresh, and the verifiers that use them.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::own_keys::own_keys;
use super::provider_clock::{NotingClient, ProviderClock};
use super::provider_error::ProviderSetupError;
use super::request_log;
use super::rule_use::RuleUse;
use super::shares::Shares;
use super::transmitter::Transmitter;
use crate::system;
use claimgate::Verifier;
use claimgate::claims::{AnyKind, IdToken, LogoutToken, Policy};
use claimgate::oidc::endpoint::Endpoint;
use claimgate_config as config;
use claimgate_remote::{Documents, FetchError, HttpClient, Places, RemoteKeys, RemoteOptions};

/// Memory per provider for presented tokens that were accepted, in bytes. A client presents one
/// bearer token many times; typical tokens take about 8 KiB, so some 2,000 of them fit.
const PRESENTED_CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// Most requests that wait for one provider's metadata or keys; more are answered 503 at once. A provider
/// that hangs then occupies few requests, and none that needs nothing from it.
const WAITING: usize = 128;
/// Most of these requests from one client address.
const WAITING_BY_ADDRESS: usize = 16;
/// The maximum age of a logout token without `exp`, since its `iat`.
const LOGOUT_WITHOUT_EXP: Duration = Duration::from_secs(600);

/// A provider at run time.
pub struct Provider {
    pub(crate) config: config::Provider,
    pub(crate) client: HttpClient,
    /// Its metadata and keys.
    pub(crate) remote: Arc<RemoteKeys>,
    /// Its clock, by the answers that brought these.
    clock: Arc<ProviderClock>,
    pub(crate) id_tokens: Verifier<IdToken>,
    pub(crate) logout_tokens: Verifier<LogoutToken>,
    pub(crate) presented: Verifier<AnyKind>,
    /// The bearer tokens of applications; none if no application accepts them.
    pub(crate) bearer: Option<Verifier<AnyKind>>,
    /// Where its security events come from; none: it sends none.
    pub(crate) transmitter: Option<Transmitter>,
    /// How long a logout is remembered at least.
    pub(crate) remembers_logouts_for: Duration,
    /// The team rules that matched at sign-ins.
    pub(crate) rules: RuleUse,
}

impl Provider {
    /// Prepares a provider. Nothing is fetched yet. If services verify tokens, or applications accept bearer tokens of
    /// these audiences, logouts are remembered for as long as a token of theirs can be accepted: its maximum age, with
    /// the leeway of three comparisons.
    ///
    /// # Errors
    /// A [`ProviderSetupError`].
    pub fn new(
        config: config::Provider,
        verifies_tokens: bool,
        bearer_audiences: &[String],
    ) -> Result<Self, ProviderSetupError> {
        let client = http_client(&config)?;
        let clock = Arc::<ProviderClock>::default();
        let noting = NotingClient { client: client.clone(), clock: Arc::clone(&clock) };
        let remote = RemoteKeys::new(remote_options(&config)?, Arc::new(noting))?;
        let jws = remote.jws();
        let leeway = Duration::from_secs(config.leeway);
        let id = config.of_tenants(Policy::id_token(&config.issuer, &config.client.id));
        let id = config.trust.apply(id).leeway(leeway);
        let logout = config.of_tenants(Policy::logout_token(&config.issuer, &config.client.id));
        let mut logout = config.trust.apply(logout).leeway(leeway);
        if config.strict_logout_type {
            logout = logout.typ("logout+jwt");
        }
        if config.danger_logout_without_exp {
            logout = logout.danger_without_expiry().max_token_age(LOGOUT_WITHOUT_EXP);
        }
        let bearer = match bearer_audiences {
            [] => None,
            // Strangers may send these, as they may send logout tokens.
            audiences => Some(
                Verifier::new(jws.clone().require_kid(), config.bearer_policy(audiences))?
                    .with_cache(PRESENTED_CACHE_BYTES),
            ),
        };
        let transmitter = match &config.security_events {
            Some(settings) => {
                let shared = (&remote, &client, places());
                Some(Transmitter::new(&config, settings, shared)?)
            }
            None => None,
        };
        let verifies_tokens = verifies_tokens || bearer.is_some();
        Ok(Self {
            bearer,
            transmitter,
            id_tokens: Verifier::new(jws.clone(), id)?,
            // Strangers may send logout tokens: none must cost a check with each key.
            logout_tokens: Verifier::new(jws.clone().require_kid(), logout)?,
            presented: Verifier::new(
                jws.clone(),
                config.presented_policy().max_token_age(Duration::from_secs(config.presented_age)),
            )?
            .with_cache(PRESENTED_CACHE_BYTES),
            remembers_logouts_for: match verifies_tokens {
                true => Duration::from_secs(config.presented_age.saturating_add(3 * config.leeway)),
                false => Duration::ZERO,
            },
            rules: RuleUse::default(),
            client,
            remote,
            clock,
            config,
        })
    }
}

impl Provider {
    /// Takes over the documents that another instance of the provider has fetched.
    pub(crate) fn inherit(&self, old: &Provider) {
        self.clock.inherit(&old.clock);
        for (own, old) in self.own_remotes().zip(old.own_remotes()) {
            own.inherit(old);
        }
    }

    /// Returns by how many seconds its clock is ahead of the one of this machine, as its last answer says it; `None`
    /// before one that does.
    pub(crate) fn clock_ahead(&self) -> Option<i64> {
        self.clock.ahead()
    }

    /// Returns what is fetched for it: its own documents, then the keys of a transmitter that has its own.
    pub(crate) fn own_remotes(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        let transmitter = self.transmitter.as_ref().filter(|transmitter| transmitter.has_own_keys);
        std::iter::once(&self.remote).chain(transmitter.map(|transmitter| &transmitter.remote))
    }
}

/// Returns how the metadata and keys of a provider are fetched.
fn remote_options(config: &config::Provider) -> Result<RemoteOptions, ProviderSetupError> {
    let documents = match &config.discovery {
        Some(issuer) => {
            Documents::Discovery { issuer: issuer.clone(), overrides: Box::new(config.endpoints.clone()) }
        }
        None => {
            let known = config.endpoints.complete().expect("checked when the file was read");
            Documents::Metadata(Box::new(known))
        }
    };
    let by_secret = config.algorithms.iter().filter(|name| config.is_keyed_by_secret(name));
    Ok(RemoteOptions {
        name: config.id.clone(),
        issuer: config.issuer.clone(),
        keys_of_issuer_alone: config.tenants.is_some(),
        documents,
        danger_allow_http: config.danger_allow_http,
        registry: config.registry.clone(),
        algorithms: config.algorithms.clone(),
        secret_algorithms: by_secret.cloned().collect(),
        own_keys: own_keys(config)?,
        places: places(),
        clock: Arc::new(system::now),
    })
}

/// Returns the places of the requests that wait for a provider.
fn places() -> Places {
    let waiting = Shares::new(WAITING, WAITING_BY_ADDRESS);
    Arc::new(move || {
        // Only requests wait there, and each has an address.
        let client = request_log::client().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        Some(Box::new(waiting.take(client, 1).ok()?))
    })
}

/// Builds the HTTP client for a provider. It bypasses the environment's proxies if the provider is on this
/// machine.
///
/// # Errors
/// [`FetchError::Client`].
pub fn http_client(config: &config::Provider) -> Result<HttpClient, FetchError> {
    let asked = config.discovery.as_ref().or(config.endpoints.token_endpoint.as_ref());
    HttpClient::new(config.ca_file.as_deref(), asked.is_some_and(Endpoint::is_loopback))
}
