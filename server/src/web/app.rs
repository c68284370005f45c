//! The application state: the configuration in use, and what outlives it.
//!
//! An [`App`] is one configuration with its providers. It never changes: a reload builds another one
//! and puts it in the place of the old one, while each request keeps the `App` that it began with.
//! The [`ProcessState`] is shared by all of them.
//!
//! The files of this folder import in one direction: the leaves (cookies, limits, the provider, the
//! queue of logouts, …), then this file, then pages and responses, then the extractors and the
//! sign-in flow, then the routes.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use ipnet::IpNet;
use parking_lot::Mutex;
use tracing::warn;

use super::admission::Admission;
use super::appearance::Appearance;
use super::assertion::Assertions;
use super::client_address;
use super::cookie::Cookies;
use super::counted_lines::CountedLines;
use super::event_buffer::EventBuffer;
use super::limiter::Limiter;
use super::logout_queue::LogoutQueue;
use super::metrics::Metrics;
use super::password::Passwords;
use super::problem::Problem;
use super::provider::Provider;
use super::provider_error::ProviderSetupError;
use super::recent_sign_ins::RecentSignIns;
use super::refresh_places::Refreshes;
use super::reload::Source;
use super::single_use::SingleUse;
use crate::store::Store;
use crate::store::postgres::Unsure;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::return_to::{self, Site};
use claimgate::oidc::session::{LiveSession, SessionId};
use claimgate::oidc::user::User;
use claimgate_config::{Config, Server as ServerConfig};

/// The reason why a server cannot start, or cannot take a new configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The configuration has no `[server]`.
    #[error("the configuration has no [server]; it must name at least public_url")]
    NoServer,
    /// A provider cannot be prepared.
    #[error("provider `{name}`: {reason}")]
    Provider {
        /// The provider's name in the configuration.
        name: String,
        /// The reason.
        reason: ProviderSetupError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A reload changes the path of `public_url`, and with it every route.
    #[error("the path of public_url cannot change from {before:?} to {after:?} without a restart")]
    Path {
        /// The path in use.
        before: String,
        /// The path in the new configuration.
        after: String,
    },
}

/// State that outlives a reload: every [`App`] of a process shares it.
pub(crate) struct ProcessState {
    pub(crate) admission: Admission,
    /// The `state` values of completed sign-ins.
    pub(crate) used_states: SingleUse,
    pub(crate) limiter: Limiter,
    pub(crate) logouts: LogoutQueue,
    pub(crate) events: EventBuffer,
    /// Held while uses of sessions are written.
    pub(crate) writes_uses: tokio::sync::Mutex<()>,
    pub(crate) passwords: Passwords,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) inactive_tokens: CountedLines,
    pub(crate) refreshes: Refreshes,
    pub(crate) assertions: Assertions,
    /// Empty unless the file has `admin_recent_sign_ins`.
    pub(crate) recent: RecentSignIns,
    /// In a demonstration: the explanation of each session's sign-in.
    pub(crate) explanations: Option<Mutex<HashMap<SessionId, String>>>,
    /// The file that the configuration was read from; a demonstration has none.
    pub(crate) source: OnceLock<Source>,
    /// The description of the interface, made when it is first asked for: a reload changes no path of `public_url`.
    pub(crate) description: OnceLock<Bytes>,
    untrusted_proxy_logged: AtomicBool,
}

/// One configuration in use.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) server: ServerConfig,
    pub(crate) providers: Vec<Arc<Provider>>,
    pub(crate) store: Store,
    pub(crate) cookies: Cookies,
    pub(crate) appearance: Appearance,
    /// The value of the header `Content-Security-Policy`.
    pub(crate) content_policy: String,
    pub(crate) process: Arc<ProcessState>,
}

/// A server: holds the `App` that new requests get.
#[derive(Clone)]
pub struct Server(Arc<ArcSwap<App>>);

impl Server {
    /// Builds a server on a store. Fetches nothing and does not listen yet.
    ///
    /// # Errors
    /// A [`SetupError`].
    pub fn new(config: Config, store: Store) -> Result<Self, SetupError> {
        Self::build(config, store, false)
    }

    /// Builds a server for a demonstration: the front page explains how the user's sign-in was decided.
    ///
    /// # Errors
    /// A [`SetupError`].
    pub fn explaining(config: Config, store: Store) -> Result<Self, SetupError> {
        Self::build(config, store, true)
    }

    fn build(config: Config, store: Store, explains: bool) -> Result<Self, SetupError> {
        let process = Arc::new(ProcessState::new(&store, explains)?);
        let app = App::new(config, store, process, &[])?;
        app.begin_use();
        Ok(Self(Arc::new(ArcSwap::from_pointee(app))))
    }

    /// Replaces the configuration. The listening address and the database stay those of the start.
    ///
    /// # Errors
    /// A [`SetupError`]; the old configuration then stays in use.
    pub fn reload(&self, config: Config) -> Result<(), SetupError> {
        let app = self.app().successor(config)?;
        app.begin_use();
        self.0.store(Arc::new(app));
        Ok(())
    }

    /// Names the file of the configuration, and how a reload of it is asked for.
    pub(crate) fn set_source(&self, source: Source) {
        // A server has one file for as long as it runs.
        drop(self.app().process.source.set(source));
    }

    /// Returns the present configuration.
    pub(crate) fn app(&self) -> Arc<App> {
        self.0.load_full()
    }
}

impl ProcessState {
    fn new(store: &Store, explains: bool) -> Result<Self, SetupError> {
        let metrics = Arc::<Metrics>::default();
        Ok(Self {
            admission: Admission::default(),
            used_states: SingleUse::default(),
            limiter: Limiter::default(),
            logouts: LogoutQueue::start(store.clone(), Arc::clone(&metrics))?,
            events: EventBuffer::default(),
            writes_uses: tokio::sync::Mutex::default(),
            passwords: Passwords::start().map_err(|error| StoreError { reason: error.to_string() })?,
            metrics,
            inactive_tokens: CountedLines::default(),
            refreshes: Refreshes::default(),
            assertions: Assertions::default(),
            recent: RecentSignIns::default(),
            explanations: explains.then(Mutex::default),
            source: OnceLock::new(),
            description: OnceLock::new(),
            untrusted_proxy_logged: AtomicBool::new(false),
        })
    }
}

impl App {
    /// Builds the `App` of a configuration. A provider that was there `before` under the same name
    /// keeps its metadata and keys.
    fn new(
        config: Config,
        store: Store,
        process: Arc<ProcessState>,
        before: &[Arc<Provider>],
    ) -> Result<Self, SetupError> {
        let server = config.server.clone().ok_or(SetupError::NoServer)?;
        let mut providers = Vec::new();
        let mut audiences: Vec<String> = config
            .applications
            .iter()
            .flat_map(|application| application.bearer_audience().to_vec())
            .collect();
        audiences.sort_unstable();
        audiences.dedup();
        for settings in &config.providers {
            let of_provider = config.admin_clients.iter().filter(|client| client.provider == settings.id);
            let mut audiences = audiences.clone();
            audiences.extend(of_provider.map(|client| client.audience.clone()));
            let provider = Provider::new(settings.clone(), server.verify_secret.is_some(), &audiences)
                .map_err(|reason| SetupError::Provider { name: settings.id.clone(), reason })?;
            if let Some(old) = before.iter().find(|old| old.config.id == settings.id) {
                provider.inherit(old);
            }
            providers.push(Arc::new(provider));
        }
        let content_policy = content_policy(&server);
        let appearance = Appearance::new(&config.pages, &server.public_url);
        let cookies = Cookies::new(&server);
        Ok(Self { cookies, appearance, config, server, providers, store, content_policy, process })
    }

    /// Sets what the state of the process has of the configuration: requests in progress follow it too.
    fn begin_use(&self) {
        self.store.set_idle_time(self.config.idle_time);
        self.process.refreshes.follow(&self.config);
        if !self.server.administration.keeps_sign_ins {
            self.process.recent.forget();
        }
    }

    /// Builds the `App` that a reload puts in the place of this one.
    ///
    /// # Errors
    /// A [`SetupError`].
    pub(crate) fn successor(&self, config: Config) -> Result<Self, SetupError> {
        let path = |server: &ServerConfig| server.public_url.path.clone();
        let (before, after) = (path(&self.server), config.server.as_ref().map(path));
        if let Some(after) = after.filter(|after| *after != before) {
            return Err(SetupError::Path { before, after });
        }
        Self::new(config, self.store.clone(), Arc::clone(&self.process), &self.providers)
    }

    /// Returns a path of this site as browsers see it, below the path of `public_url`.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.server.public_url.path)
    }

    /// Returns the address to go to after a sign-in for a `return_to`: the front page unless it is allowed.
    pub(crate) fn destination(&self, return_to: &str) -> String {
        let site = Site {
            origin: &self.server.public_url.origin,
            cookie_domain: self.server.cookie_domain.as_deref(),
        };
        return_to::check(&site, return_to).unwrap_or_else(|| self.path("/"))
    }

    /// Returns the provider of a name.
    ///
    /// # Errors
    /// [`Problem::NotFound`].
    pub(crate) fn provider(&self, name: &str) -> Result<&Arc<Provider>, Problem> {
        self.providers.iter().find(|provider| provider.config.id == name).ok_or(Problem::NotFound)
    }

    /// Returns the provider of an issuer.
    pub(crate) fn provider_of_issuer(&self, issuer: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.config.accepts_issuer(issuer))
    }

    /// Returns the redirect URI registered with a provider, at the host that a request asks.
    pub(crate) fn redirect_uri(&self, provider: &Provider, headers: &HeaderMap) -> String {
        let path = self.path(&format!("/callback/{}", provider.config.id));
        format!("{}{path}", self.origin(headers))
    }

    /// Returns the origin that a request asks: the administration's own if the request names its host, else
    /// that of `public_url`.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> &str {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let own = self.server.administration.origin.as_deref().filter(|origin| {
            let own = origin.split_once("://").map_or("", |(_, host)| host);
            host.is_some_and(|host| host.eq_ignore_ascii_case(own))
        });
        own.unwrap_or(&self.server.public_url.origin)
    }

    /// Returns the identifier of the session that a request's cookie names; it may have ended.
    pub(crate) fn session_id(&self, headers: &HeaderMap) -> Option<SessionId> {
        self.store.session_id(&self.cookies.session_secret(headers)?)
    }

    /// Returns the request's session, if it is live. That is a use of the session.
    ///
    /// # Errors
    /// [`Unsure`]: the store does not say in time whether it is.
    pub(crate) async fn session(&self, headers: &HeaderMap) -> Result<Option<LiveSession>, Unsure> {
        match self.session_id(headers) {
            Some(session) => self.store.session(session).await,
            None => Ok(None),
        }
    }

    /// Returns the user of the request's session, if the session is live. That is a use of the session.
    ///
    /// # Errors
    /// [`Unsure`]: the store does not say in time whether it is.
    pub(crate) async fn user(&self, headers: &HeaderMap) -> Result<Option<User>, Unsure> {
        Ok(self.session(headers).await?.map(|session| session.user))
    }

    /// Returns the user of the request's session, if the session is live. That is no use of the session.
    ///
    /// # Errors
    /// [`Unsure`]: the store does not say in time whether it is.
    pub(crate) async fn peek(&self, headers: &HeaderMap) -> Result<Option<User>, Unsure> {
        match self.session_id(headers) {
            Some(session) => Ok(self.store.peek(session).await?.map(|session| session.user)),
            None => Ok(None),
        }
    }

    /// Reports whether an address is a trusted proxy's.
    pub(crate) fn trusts_proxy(&self, address: IpAddr) -> bool {
        self.server.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Reports whether an address is one that a provider sends logouts from.
    pub(crate) fn sends_logouts(&self, address: IpAddr) -> bool {
        let mut networks = self.providers.iter().flat_map(|provider| &provider.config.logout_from);
        networks.any(|network| network.contains(&address))
    }

    /// Returns the client's address. Logs once if an untrusted proxy forwards requests.
    pub(crate) fn client_address(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let proxies = &self.server.trusted_proxies;
        let address = client_address::of(peer, headers, proxies);
        if client_address::is_forwarded(headers)
            && !self.trusts_proxy(peer.ip().to_canonical())
            && !self.process.untrusted_proxy_logged.swap(true, Ordering::Relaxed)
        {
            warn!(
                proxy = %address,
                "a proxy that is not in trusted_proxies forwards requests: all its clients count as one address"
            );
        }
        address
    }

    /// Reports whether a request comes from one of these networks. A client behind a proxy that is not trusted, or
    /// that does not name its client, has no address that counts: the proxy's own must not count for it.
    pub(crate) fn is_within(&self, networks: &[IpNet], peer: SocketAddr, headers: &HeaderMap) -> bool {
        let address = self.client_address(peer, headers);
        let is_proxy = address == peer.ip().to_canonical() || self.trusts_proxy(address);
        let hidden = client_address::is_forwarded(headers) && is_proxy;
        !hidden && networks.iter().any(|network| network.contains(&address))
    }

    /// Returns the metrics of the process.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.process.metrics
    }
}

/// Returns the `Content-Security-Policy` of every response. Forms may lead to the hosts that share the
/// session cookie; the style sheet and the logo come from this server, also for a page at an application's address.
fn content_policy(server: &ServerConfig) -> String {
    let shared = match &server.cookie_domain {
        Some(domain) => format!(" https://*.{domain} https://{domain}"),
        None => String::new(),
    };
    format!(
        "default-src 'none'; style-src 'self' {own}; img-src 'self' {own} data:; form-action 'self'{shared}; base-uri 'none'; frame-ancestors 'none'",
        own = server.public_url.origin
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use claimgate_config::Extensions;

    use super::*;
    use crate::store::SqliteStore;

    /// Returns a configuration of one provider with further settings of `[server]`.
    pub(crate) fn config(settings: &str) -> Config {
        let text = format!(
            "[server]\npublic_url = \"https://sso.example.com\"\n{settings}\n\
             [[provider]]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\nclient_secret = \"a secret of the client\"\n\
             [identity]\nusername = \"sub\"\n"
        );
        let config = Config::parse(&text, "claimgate.toml", Path::new(""), &Extensions::builtin());
        config.expect("a configuration")
    }

    /// Returns a server of this configuration.
    pub(crate) fn server(store: &SqliteStore) -> Server {
        Server::new(config(""), Store::Sqlite(store.clone())).expect("a server")
    }
}
