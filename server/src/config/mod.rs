//! The configuration file: what somebody wrote, turned into types that cannot be invalid.
//!
//! TOML. Unknown fields are refused, and every error names the file, the line and the field.
//! `raw` is the file as it is written, field by field; `docs/reference/configuration.md` is checked
//! against it.

mod error;
mod place;
mod raw;
mod resolve;
mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use claimgate::alg::Registry;
use claimgate::claims::{AnyKind, Policy, TokenKind};
use claimgate::identity::Mapping;
use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::client::{Client, Secret};
use claimgate::oidc::discovery::EndpointOverrides;
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::password::PasswordPolicy;
use claimgate::oidc::sign_in::SignInPolicy;

pub use error::ConfigError;
pub(crate) use resolve::is_hmac;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the server runs; none in a file that only verifies tokens and explains mappings.
    pub server: Option<Server>,
    /// Who may sign in through a provider, and what that changes.
    pub sign_in: SignInPolicy,
    /// Who may sign in by password.
    pub password: PasswordPolicy,
    /// The providers; at least one.
    pub providers: Vec<Provider>,
}

/// How the server runs.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where browsers reach it, without a slash at the end; it may have a path.
    pub public_url: PublicUrl,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The database file.
    pub database: PathBuf,
    /// Certificate chain and key (PEM), where it speaks TLS itself.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Who may read the metrics.
    pub metrics_from: Vec<IpNet>,
    /// The domain whose hosts share the session cookie; none: this host alone.
    pub cookie_domain: Option<String>,
    /// What callers of `/api/v1/verify` must present; none: anybody may ask.
    pub verify_secret: Option<Secret>,
}

/// The address that browsers know, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port: what `Origin` says.
    pub origin: String,
    /// The path, without a slash at the end; often empty.
    pub path: String,
    /// Whether browsers come by https.
    pub https: bool,
}

impl PublicUrl {
    /// The address of a path below it; the path begins with a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.path)
    }
}

/// Whose tokens are accepted, how they are verified, and how people sign in there.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name in `/login/{name}`.
    pub name: String,
    /// What people read on its button.
    pub title: String,
    /// The `iss` of its tokens, compared exactly.
    pub issuer: String,
    /// The client.
    pub client: Client,
    /// The accepted `aud` of tokens that are presented for verification: the client, or others.
    pub audiences: Vec<String>,
    /// The algorithms that exist for its tokens: those of the program, by ring alone where
    /// `[server] rsa_kernel` is off.
    pub registry: Registry,
    /// The algorithms allowed; each is in the registry.
    pub algorithms: Vec<String>,
    /// A file with its JWK set; a relative name starts from the configuration file's folder.
    pub jwks_file: Option<PathBuf>,
    /// How far the clocks may be apart, in seconds.
    pub leeway: u64,
    /// Which kind of token is presented for verification.
    pub token: TokenKind,
    /// Where discovery begins; none: the endpoints are the configured ones.
    pub discovery: Option<Endpoint>,
    /// Endpoints that the file names.
    pub endpoints: EndpointOverrides,
    /// Whether UserInfo is asked.
    pub userinfo: bool,
    /// Whether plain http is accepted beyond loopback.
    pub allow_http: bool,
    /// A certificate to trust beside the system's, for this provider (PEM).
    pub ca_file: Option<PathBuf>,
    /// What to ask for at sign-in.
    pub authorization: AuthorizationOptions,
    /// Where to go after signing out, in place of the provider's end-session endpoint.
    pub logout_url: Option<String>,
    /// Whether logout tokens must bear `typ` `logout+jwt`.
    pub strict_logout_type: bool,
    /// Whether logout tokens without `exp` are accepted, for ten minutes from their `iat`.
    pub logout_without_exp: bool,
    /// Whether a client secret shorter than its hash may verify HS tokens.
    pub allow_short_secret: bool,
    /// From claims to a person.
    pub mapping: Mapping,
}

impl Provider {
    /// Returns the policy of tokens presented for verification: to `/api/v1/verify` and `explain`.
    #[must_use]
    pub fn presented_policy(&self) -> Policy<AnyKind> {
        let policy = Policy::of_kind(self.token).issuer(&self.issuer).leeway(self.leeway);
        self.audiences.iter().fold(policy, Policy::audience)
    }
}

impl Config {
    /// Reads a file. `algorithms` may name those of the registry, which each [`Provider`] keeps.
    /// Files that the configuration names are relative to its own folder. Secrets in files and
    /// environment variables are read now.
    ///
    /// # Errors
    /// A [`ConfigError`].
    pub fn load(file: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let (name, text) = read(file)?;
        Self::parse(&text, &name, file.parent().unwrap_or(Path::new("")), registry)
    }

    /// The database that a file names; none where it has no `[server]`. No secret and no key is
    /// read: whoever looks after users need not be who the server runs as.
    ///
    /// # Errors
    /// [`ConfigError::Read`] or [`ConfigError::Syntax`].
    pub fn database(file: &Path) -> Result<Option<PathBuf>, ConfigError> {
        let (name, text) = read(file)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Ok(written(&text, &name)?.server.map(|server| resolve::database(folder, server.database)))
    }

    /// Parses a text; `name` is what its errors call it, `folder` where the files it names are.
    ///
    /// # Errors
    /// A [`ConfigError`].
    pub fn parse(text: &str, name: &str, folder: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let raw = written(text, name)?;
        resolve::Resolver { text, name, folder, registry }.file(raw)
    }

    /// The provider of a name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }
}

fn read(file: &Path) -> Result<(String, String), ConfigError> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(ConfigError::Read { file: name, reason: error.to_string() }),
    }
}

fn written(text: &str, name: &str) -> Result<raw::File, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let (line, column) = place::position(text, error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { file: name.to_owned(), line, column, reason: error.message().to_owned() }
    })
}
