//! The relying party over HTTP.
//!
//! A handler extracts, makes one domain call, and responds; `respond` is the only place that knows
//! a status. The configuration and the providers are one value, `App`, that a reload replaces
//! whole: a request goes on with the one it began with.

mod admission;
mod client_address;
mod cookie;
mod cross_site;
mod extract;
pub mod fetch;
mod limiter;
mod logout_queue;
mod metrics;
mod page;
pub mod password;
pub mod provider;
mod respond;
mod return_to;
mod routes;
pub mod run;
mod seal;
mod sign_in;
mod token_log;
mod single_use;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::http::HeaderMap;
use parking_lot::Mutex;
use tracing::warn;

use crate::config::{Config, Server as ServerConfig};
use crate::store::Store;
use crate::system;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::User;

use admission::Places;
use cookie::Cookies;
use limiter::Limiter;
use logout_queue::Logouts;
use metrics::Metrics;
use password::Passwords;
use provider::{Provider, ProviderSetupError};
use respond::Problem;
use seal::Sealer;
use single_use::UsedOnce;

/// Why a server cannot be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The configuration has no `[server]`.
    #[error("the configuration has no [server]; it must name at least public_url")]
    NoServer,
    /// A provider.
    #[error("provider `{name}`: {reason}")]
    Provider {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: ProviderSetupError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A reload that changes where every address lies.
    #[error("the path of public_url cannot change from {before:?} to {after:?} without a restart")]
    Path {
        /// What it was.
        before: String,
        /// What it is to be.
        after: String,
    },
}

/// What outlives a reload.
struct Lasting {
    places: Places,
    sealer: Sealer,
    used_states: UsedOnce,
    limiter: Limiter,
    logouts: Logouts,
    passwords: Passwords,
    metrics: Metrics,
    /// Whether the log has been told of a proxy that nobody named.
    warned_of_proxy: AtomicBool,
    /// The last decision per session, where a demonstration shows them.
    explanations: Option<Mutex<std::collections::HashMap<SessionId, String>>>,
}

/// One configuration, being served.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) server: ServerConfig,
    pub(crate) providers: Vec<Arc<Provider>>,
    pub(crate) store: Store,
    cookies: Cookies,
    content_policy: String,
    lasting: Arc<Lasting>,
}

/// A server: the present `App`, replaced whole by a reload.
#[derive(Clone)]
pub struct Server(Arc<ArcSwap<App>>);

impl Server {
    /// Makes a server on a store. Nothing is fetched and nothing listens yet.
    ///
    /// # Errors
    /// A [`SetupError`].
    pub async fn new(config: Config, store: Store) -> Result<Self, SetupError> {
        Self::build(config, store, false).await
    }

    /// The same for a demonstration: the page of whoever is signed in shows how it was decided.
    ///
    /// # Errors
    /// A [`SetupError`].
    pub async fn explaining(config: Config, store: Store) -> Result<Self, SetupError> {
        Self::build(config, store, true).await
    }

    async fn build(config: Config, store: Store, explains: bool) -> Result<Self, SetupError> {
        let make = || {
            let mut key = vec![0; seal::KEY_LEN];
            system::random(&mut key);
            key
        };
        let key = store.transact(move |records| records.meta("cookie key", make)).await?;
        let sealer = Sealer::new(&key)
            .ok_or_else(|| StoreError { reason: "the cookie key is of another length".to_owned() })?;
        let lasting = Arc::new(Lasting {
            places: Places::default(),
            sealer,
            used_states: UsedOnce::default(),
            limiter: Limiter::default(),
            logouts: Logouts::start(store.clone())?,
            passwords: Passwords::new(),
            metrics: Metrics::default(),
            warned_of_proxy: AtomicBool::new(false),
            explanations: explains.then(Mutex::default),
        });
        let app = App::new(config, store, lasting, &[])?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(app))))
    }

    /// Puts another configuration in the place of the present one. Addresses and the database stay
    /// as they were when the server started.
    ///
    /// # Errors
    /// A [`SetupError`]; the present configuration then goes on.
    pub fn reload(&self, config: Config) -> Result<(), SetupError> {
        let old = self.app();
        let path = |server: &ServerConfig| server.public_url.path.clone();
        let (before, after) = (path(&old.server), config.server.as_ref().map(path));
        if let Some(after) = after.filter(|after| *after != before) {
            return Err(SetupError::Path { before, after });
        }
        let app = App::new(config, old.store.clone(), Arc::clone(&old.lasting), &old.providers)?;
        self.0.store(Arc::new(app));
        Ok(())
    }

    /// The HTTP service.
    pub fn router(&self) -> axum::Router {
        routes::router(self)
    }

    pub(crate) fn app(&self) -> Arc<App> {
        self.0.load_full()
    }
}

impl App {
    fn new(
        config: Config,
        store: Store,
        lasting: Arc<Lasting>,
        old: &[Arc<Provider>],
    ) -> Result<Self, SetupError> {
        let server = config.server.clone().ok_or(SetupError::NoServer)?;
        let mut providers = Vec::new();
        for settings in &config.providers {
            let provider = Provider::new(settings.clone())
                .map_err(|reason| SetupError::Provider { name: settings.name.clone(), reason })?;
            if let Some(before) = old.iter().find(|before| before.config.name == settings.name) {
                provider.inherit(before);
            }
            providers.push(Arc::new(provider));
        }
        let shared = match &server.cookie_domain {
            Some(domain) => format!(" https://*.{domain} https://{domain}"),
            None => String::new(),
        };
        let content_policy = format!(
            "default-src 'none'; style-src 'self'; form-action 'self'{shared}; base-uri 'none'; frame-ancestors 'none'"
        );
        Ok(Self { cookies: Cookies::new(&server), config, server, providers, store, content_policy, lasting })
    }

    /// A path as browsers see it.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.server.public_url.path)
    }

    fn provider(&self, name: &str) -> Result<&Arc<Provider>, Problem> {
        self.providers.iter().find(|provider| provider.config.name == name).ok_or(Problem::NotFound)
    }

    fn provider_of_issuer(&self, issuer: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.config.issuer == issuer)
    }

    fn redirect_uri(&self, provider: &Provider) -> String {
        self.server.public_url.join(&format!("/callback/{}", provider.config.name))
    }

    fn session_id(&self, headers: &HeaderMap) -> Option<SessionId> {
        self.cookies.session_secret(headers).map(|secret| SessionId::of_secret(&secret))
    }

    /// Whose live session a request brings.
    fn user(&self, headers: &HeaderMap) -> Option<User> {
        self.store.session_user(self.session_id(headers)?, system::now())
    }

    fn admin(&self, headers: &HeaderMap) -> Result<User, Problem> {
        let user = self.user(headers).ok_or(Problem::SignedOut)?;
        if user.kind.is_admin() { Ok(user) } else { Err(Problem::Forbidden) }
    }

    fn client_address(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let proxies = &self.server.trusted_proxies;
        let address = client_address::of(peer, headers, proxies);
        if client_address::is_forwarded(headers)
            && !proxies.iter().any(|network| network.contains(&peer.ip().to_canonical()))
            && !self.lasting.warned_of_proxy.swap(true, Ordering::Relaxed)
        {
            warn!(
                proxy = %address,
                "a proxy that is not in trusted_proxies passes requests on: all its clients count as one address"
            );
        }
        address
    }

    fn metrics(&self) -> &Metrics {
        &self.lasting.metrics
    }
}
