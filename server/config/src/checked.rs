//! The settings after the check: what the server and the command work with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use claimgate::access::{Applications, Headers};
use claimgate::alg::{Algorithm, Registry};
use claimgate::claims::{AnyKind, ClaimDemand, ClaimsError, Kind, Policy, TenantIssuers, TokenKind};
use claimgate::identity::{Mapping, Normalisation};
use claimgate::key::{KeyError, VerificationKey};
use claimgate::limits::Limits;
use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::client::{Client, Secret};
use claimgate::oidc::discovery::EndpointOverrides;
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::password::PasswordPolicy;
use claimgate::oidc::sign_in::SignInPolicy;
use claimgate::path::ClaimPath;
use ipnet::IpNet;
use serde_json::Value;

use super::color::Color;
use super::error::{Note, Place};
use super::files::NamedFile;
use super::refresh::SessionRefresh;

/// A configuration whose settings have been checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the server runs; none in a file that only verifies tokens and explains mappings.
    pub server: Option<Server>,
    /// What is recorded of events, and for how long.
    pub events: Events,
    /// What the pages for people show of the organisation.
    pub pages: Pages,
    /// The persons who may sign in through a provider, and what a sign-in changes.
    pub sign_in: SignInPolicy,
    /// The idle time: a session that was not used for so long is over.
    pub idle_time: Option<Duration>,
    /// The users who may sign in by password.
    pub password: PasswordPolicy,
    /// The providers; at least one.
    pub providers: Vec<Provider>,
    /// The rules of access to applications behind a proxy.
    pub applications: Applications,
    /// The programs that may use the administration over HTTP.
    pub admin_clients: Vec<AdminClient>,
    /// The headers by which applications without `[[application]]` learn who sends a request.
    pub headers: Headers,
    /// The claims whose values a session keeps: those that rules of access look at.
    pub kept_claims: Vec<ClaimPath>,
    /// The normalisation of usernames given by hand: that of `[identity]`.
    pub normalise: Normalisation,
    /// The fingerprint of the file's text.
    pub version: Fingerprint,
    /// Remarks on the file, in its order.
    pub notes: Vec<Note>,
    /// The files that it names.
    pub files: Vec<NamedFile>,
    /// Where its tables stand, by their paths, such as `identity.team[0]`.
    pub places: BTreeMap<String, Place>,
}

/// Where the server of a file listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address, as written; an unspecified address stands for all of the machine's.
    pub address: SocketAddr,
    /// Whether the server terminates TLS.
    pub tls: bool,
}

/// What a command on the database needs of a file.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where the data is.
    pub store: Store,
    /// The normalisation of usernames given by hand: that of `[identity]`.
    pub normalise: Normalisation,
    /// What is recorded of events.
    pub events: Events,
}

/// What is recorded of sign-ins, refusals, logouts and changes, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// Whether events are recorded.
    pub enabled: bool,
    /// How long an event is kept.
    pub retention: Duration,
    /// Most events of a kind that are kept.
    pub max: u32,
}

/// How the server runs.
#[derive(Clone, Debug)]
pub struct Server {
    /// The server's address for browsers.
    pub public_url: PublicUrl,
    /// The address that the server listens on.
    pub listen: SocketAddr,
    /// Where the data is.
    pub store: Store,
    /// Certificate chain and key (PEM) of a server that speaks TLS itself.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks that may read the metrics.
    pub metrics_from: Vec<IpNet>,
    /// The domain whose hosts share the session cookie; none: this host alone.
    pub cookie_domain: Option<String>,
    /// Whether an answer of forward-auth has the client's cookies without those of the server.
    pub application_cookies: bool,
    /// Where the administration over HTTP answers.
    pub administration: Administration,
    /// The secret that callers of `/api/v1/verify` present; none: no caller is answered.
    pub verify_secret: Option<Secret>,
}

/// What the pages for people show of the organisation.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// The name; none: the host of `public_url` stands in its place.
    pub name: Option<String>,
    /// The logo.
    pub logo: Option<Logo>,
    /// The colour of buttons and, as far as it can be read as text, of links.
    pub accent: Option<Color>,
}

impl Pages {
    /// The ground of a page in light, as in its style sheet.
    pub const LIGHT: Color = Color::WHITE;
    /// The ground of a page in dark, as in its style sheet.
    pub const DARK: Color = Color([0x18, 0x1c, 0x22]);
}

/// A picture that pages show.
#[derive(Clone, Debug)]
pub struct Logo {
    /// Its content type.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: Arc<[u8]>,
}

/// Where the data is.
#[derive(Clone, Debug)]
pub enum Store {
    /// In a file of SQLite, for one server.
    Sqlite(Sqlite),
    /// In PostgreSQL, for several servers.
    Postgres(Postgres),
}

/// A file of SQLite, and what a server keeps of it in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sqlite {
    /// The file.
    pub file: PathBuf,
    /// Most bytes of the logouts in memory.
    pub logout_memory: usize,
}

/// How PostgreSQL is reached, and what is required of it.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// `postgres://user@host/database`. Without the password; what else is wrong with it is found where it is used.
    pub url: String,
    /// The place of the URL.
    pub url_place: Place,
    /// The user's password.
    pub password: Option<Secret>,
    /// Certificates (PEM) to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether `sslmode=disable` is accepted for another machine.
    pub danger_plaintext: bool,
    /// The longest time for which a server serves a session after the logout that ends it was acknowledged.
    pub revocation_bound: Duration,
    /// Whether the database must have a synchronous standby.
    pub require_synchronous: bool,
}

impl Store {
    /// Reports whether two configurations say the same of the store, apart from what a reload takes over: the password and
    /// the certificates.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Store::Sqlite(one), Store::Sqlite(other)) => one == other,
            (Store::Postgres(one), Store::Postgres(other)) => {
                let settings = |store: &Postgres| {
                    (store.danger_plaintext, store.revocation_bound, store.require_synchronous)
                };
                (&one.url, settings(one)) == (&other.url, settings(other))
            }
            _ => false,
        }
    }
}

/// Where the administration over HTTP answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administration {
    /// The networks that it answers.
    pub from: Vec<IpNet>,
    /// Its own origin, as in the header `Origin`; none: that of `public_url`.
    pub origin: Option<String>,
    /// Whether it answers at all: not where applications share Claimgate's host or cookie, unless it has an
    /// origin of its own or the file allows it.
    pub answers: bool,
    /// Whether super-admins may change the configuration file in the console.
    pub edits_configuration: bool,
    /// Whether the console has the claims of the last sign-ins, in memory and redacted.
    pub keeps_sign_ins: bool,
}

/// A program that may use the administration over HTTP, by bearer tokens that are issued to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminClient {
    /// The `client_id`, or else the `azp`, of its tokens.
    pub client: String,
    /// The `sub` of the tokens that it gets for itself; those of people have another.
    pub subject: String,
    /// An `aud` of its tokens, for the administration alone.
    pub audience: String,
    /// The id of the provider that issues them.
    pub provider: String,
    /// Whether it may read alone.
    pub read_only: bool,
}

/// The server's address for browsers, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port, as in the header `Origin`.
    pub origin: String,
    /// The path, without a slash at the end; often empty.
    pub path: String,
    /// Whether the scheme is https.
    pub https: bool,
}

impl PublicUrl {
    /// Returns the address of a path below it; the path begins with a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.path)
    }
}

/// A provider: whose tokens are accepted, how they are verified, and how users sign in there.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The id in `/login/{id}`.
    pub id: String,
    /// The name on its button.
    pub display_name: String,
    /// The `iss` of its tokens, compared exactly; of several tenants, the template.
    pub issuer: String,
    /// The issuers of its tenants, in place of one.
    pub tenants: Option<TenantIssuers>,
    /// The client.
    pub client: Client,
    /// The accepted `aud` of tokens presented for verification: the client, or others.
    pub audiences: Vec<String>,
    /// Whom the tokens of a sign-in, and logout tokens, may name beside the client.
    pub trust: Trust,
    /// Whom the tokens presented for verification may name beside `audiences`.
    pub presented_trust: Trust,
    /// The algorithms that exist for its tokens: those of the program, with RSA by ring alone if
    /// `[server] rsa_kernel` is off.
    pub registry: Registry,
    /// The algorithms allowed; each is in the registry.
    pub algorithms: Vec<String>,
    /// What the values of claims must be.
    pub demands: Demands,
    /// A file with its JWK set.
    pub jwks_file: Option<PathBuf>,
    /// How far the clocks may differ, in seconds.
    pub leeway: u64,
    /// The kind of the tokens presented for verification.
    pub presented: TokenKind,
    /// Whether presented access tokens need not have the type `at+jwt`.
    pub presented_untyped: bool,
    /// The maximum age of tokens presented for verification, in seconds since their `iat`.
    pub presented_age: u64,
    /// The endpoint that discovery begins at; none: the endpoints are the configured ones.
    pub discovery: Option<Endpoint>,
    /// Endpoints that the file names.
    pub endpoints: EndpointOverrides,
    /// Whether UserInfo claims are fetched.
    pub userinfo: bool,
    /// Whether plain http is accepted beyond loopback.
    pub danger_allow_http: bool,
    /// A certificate (PEM) to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// What to ask for at sign-in.
    pub authorization: AuthorizationOptions,
    /// How sessions follow the provider.
    pub refresh: SessionRefresh,
    /// The address to go to after signing out, in place of the provider's end-session endpoint.
    pub logout_url: Option<String>,
    /// The networks that the provider sends logouts from: they have a share of their own. Logouts from elsewhere are
    /// accepted too.
    pub logout_from: Vec<IpNet>,
    /// Whether front-channel logouts, which are not authenticated, end the sessions that they name.
    pub frontchannel_logout: bool,
    /// How security events are received; none: they are not.
    pub security_events: Option<SecurityEvents>,
    /// Whether the `typ` of logout tokens must be `logout+jwt`.
    pub strict_logout_type: bool,
    /// Whether logout tokens without `exp` are accepted, for ten minutes from their `iat`.
    pub danger_logout_without_exp: bool,
    /// Whether a client secret shorter than the hash may verify HS tokens.
    pub danger_allow_short_secret: bool,
    /// From claims to an identity.
    pub mapping: Mapping,
}

/// How the security events of a provider are received (RFC 8935).
#[derive(Clone, Debug)]
pub struct SecurityEvents {
    /// The `iss` of the events; that of the provider, or another transmitter's.
    pub issuer: String,
    /// The accepted `aud`.
    pub audiences: Vec<String>,
    /// The transmitter's own keys; none: those of the provider.
    pub keys: Option<TransmitterKeys>,
    /// The secret that the transmitter sends; none: it sends none.
    pub secret: Option<Secret>,
}

/// The keys of a transmitter of security events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransmitterKeys {
    /// Where they are published.
    pub uri: Endpoint,
    /// The algorithms allowed; each is in the registry, and verifies with a published key.
    pub algorithms: Vec<String>,
}

/// Demands on the values of claims.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// On those of a sign-in: of the ID token and UserInfo together.
    pub sign_in: Vec<ClaimDemand>,
    /// On those of tokens presented for verification.
    pub presented: Vec<ClaimDemand>,
}

/// Names that a token may hold beside the accepted audience (Core §3.1.3.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Audiences that `aud` may name in addition.
    pub audiences: Vec<String>,
    /// Parties that `azp` may name.
    pub parties: Vec<String>,
}

impl Trust {
    /// Returns the policy with these audiences and parties trusted.
    #[must_use]
    pub fn apply<K: Kind>(&self, policy: Policy<K>) -> Policy<K> {
        let policy = self.audiences.iter().fold(policy, Policy::trusted_audience);
        self.parties.iter().fold(policy, Policy::trusted_party)
    }
}

impl Provider {
    /// Reports whether an issuer is that of the provider, or of one of its tenants.
    #[must_use]
    pub fn accepts_issuer(&self, issuer: &str) -> bool {
        self.tenants.as_ref().map_or(self.issuer == issuer, |tenants| tenants.accepts(issuer))
    }

    /// Returns the names of the issuers that it accepts; none if it accepts any tenant's.
    pub fn accepted_issuers(&self) -> impl Iterator<Item = String> {
        let one = self.tenants.is_none().then(|| self.issuer.clone());
        one.into_iter().chain(self.tenants.iter().flat_map(TenantIssuers::issuers))
    }

    /// Returns the issuer that a response or a token names, if it is accepted, and else the provider's own.
    #[must_use]
    pub fn issuer_named<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        named.filter(|issuer| self.accepts_issuer(issuer)).unwrap_or(&self.issuer)
    }

    /// Returns the policy for the issuers of the tenants, if the provider has several.
    #[must_use]
    pub fn of_tenants<K: Kind>(&self, policy: Policy<K>) -> Policy<K> {
        match &self.tenants {
            Some(tenants) => policy.tenants(tenants),
            None => policy,
        }
    }

    /// Returns the policy of tokens presented for verification: to `/api/v1/verify`, which also applies
    /// `presented_age`, and to `explain`, which explains old tokens too.
    #[must_use]
    pub fn presented_policy(&self) -> Policy<AnyKind> {
        self.policy_of(&self.audiences)
    }

    /// Returns the policy of the bearer tokens of applications with these audiences. They are tokens of the kind that is
    /// presented for verification, and no older.
    #[must_use]
    pub fn bearer_policy(&self, audiences: &[String]) -> Policy<AnyKind> {
        self.policy_of(audiences).max_token_age(Duration::from_secs(self.presented_age))
    }

    fn policy_of(&self, audiences: &[String]) -> Policy<AnyKind> {
        let policy =
            Policy::of_kind(self.presented).issuer(&self.issuer).leeway(Duration::from_secs(self.leeway));
        let policy = self.of_tenants(policy);
        let policy = if self.presented_untyped { policy.allow_untyped() } else { policy };
        let policy = self.demands.presented.iter().fold(policy, ClaimDemand::apply);
        self.presented_trust.apply(audiences.iter().fold(policy, Policy::audience))
    }

    /// Checks the claims of a sign-in by the demands of the file.
    ///
    /// # Errors
    /// The [`ClaimsError`] of the first demand that is not met.
    pub fn check_demands(&self, claims: &Value) -> Result<(), ClaimsError> {
        self.demands.sign_in.iter().try_for_each(|demand| demand.check(claims))
    }

    /// Checks the claims of a refresh that brought no ID token by the demands of the file, as far as the claims decide them
    /// ([`ClaimPath::is_decided_by`](claimgate::path::ClaimPath::is_decided_by)): one that is not there is not known.
    ///
    /// # Errors
    /// The [`ClaimsError`] of the first demand that is not met.
    pub fn check_known_demands(&self, claims: &Value) -> Result<(), ClaimsError> {
        let is_known = |demand: &&ClaimDemand| demand.path().is_decided_by(claims, &Limits::DEFAULT);
        self.demands.sign_in.iter().filter(is_known).try_for_each(|demand| demand.check(claims))
    }

    /// Reports whether an algorithm verifies with the client secret, not with a published key.
    #[must_use]
    pub fn is_keyed_by_secret(&self, algorithm: &str) -> bool {
        uses_secret(&self.registry, algorithm)
    }

    /// Reports whether one of its algorithms verifies with the client secret.
    #[must_use]
    pub fn uses_secret(&self) -> bool {
        self.algorithms.iter().any(|name| uses_secret(&self.registry, name))
    }

    /// Reports whether all of its algorithms verify with the client secret.
    #[must_use]
    pub fn uses_only_secret(&self) -> bool {
        self.algorithms.iter().all(|name| uses_secret(&self.registry, name))
    }
}

impl Config {
    /// Returns the provider with an id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// Returns where a team rule stands, by its number from 1: in the provider's own mapping, or else in that of all.
    #[must_use]
    pub fn team_rule_place(&self, provider: &Provider, rule: usize) -> Option<&Place> {
        let index = self.providers.iter().position(|other| other.id == provider.id)?;
        let own = identity_table(Some(index));
        let table = if self.places.contains_key(&own) { own } else { identity_table(None) };
        self.places.get(&format!("{table}.team[{}]", rule.checked_sub(1)?))
    }
}

/// Returns the path of a mapping's table: that of the provider with an index, or the shared one.
#[must_use]
pub fn identity_table(provider: Option<usize>) -> String {
    match provider {
        Some(index) => format!("provider[{index}].identity"),
        None => "identity".to_owned(),
    }
}

/// Reports whether an algorithm verifies with a shared secret, which is the client secret then
/// (Core §10.1): HS256, HS384, HS512, and registered algorithms that take such keys.
pub(crate) fn uses_secret(registry: &Registry, algorithm: &str) -> bool {
    let key = VerificationKey::from_secret(&[0; 64]);
    let prepared = |algorithm: &Arc<dyn Algorithm>| match algorithm.accepts(key.material()) {
        true => !matches!(algorithm.prepare(&key), Err(KeyError::WrongFamily)),
        false => false,
    };
    registry.get(algorithm).is_some_and(prepared)
}
