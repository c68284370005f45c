//! From what is written to what cannot be invalid.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use url::Url;

use super::place::line_of_setting;
use super::table::Table;
use super::{Config, ConfigError, Provider, PublicUrl, Server, raw};
use claimgate::alg::Registry;
use claimgate::claims::TokenKind;
use claimgate::identity::{Mapping, MappingSpec};
use claimgate::limits::Limits;
use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::client::{AuthMethod, Client};
use claimgate::oidc::discovery::EndpointOverrides;
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::password::PasswordPolicy;
use claimgate::oidc::sign_in::SignInPolicy;
use claimgate::oidc::sync::SyncPolicy;
use claimgate::sign::SigningKey;

/// Where the database is: beside the file unless it says otherwise.
pub(super) fn database(folder: &Path, written: Option<PathBuf>) -> PathBuf {
    folder.join(written.unwrap_or_else(|| PathBuf::from("claimgate.db")))
}

/// The values of `prompt` (Core §3.1.2.1; Initiating User Registration 1.0).
const PROMPTS: [&str; 5] = ["none", "login", "consent", "select_account", "create"];

/// The most that clocks may be apart, in seconds.
const MOST_LEEWAY: u64 = 3600;

/// Reports whether an algorithm verifies with the client secret (Core §10.1).
pub(crate) fn is_hmac(algorithm: &str) -> bool {
    ["HS256", "HS384", "HS512"].contains(&algorithm)
}

/// RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

pub(super) struct Resolver<'f> {
    pub(super) text: &'f str,
    pub(super) name: &'f str,
    pub(super) folder: &'f Path,
    pub(super) registry: &'f Registry,
}

impl<'f> Resolver<'f> {
    pub(super) fn file(&self, raw: raw::File) -> Result<Config, ConfigError> {
        let by_ring = raw.server.as_ref().is_some_and(|server| !server.rsa_kernel);
        let registry = if by_ring { self.registry.by_ring() } else { self.registry.clone() };
        let server = raw.server.map(|server| self.server(server)).transpose()?;
        let (sign_in, password) = self.sign_in(&raw.sign_in)?;
        let mut providers: Vec<Provider> = Vec::new();
        let mut seen = HashSet::new();
        for (index, provider) in raw.provider.0.into_iter().enumerate() {
            let table = Table { file: self, name: "provider", index };
            let provider = self.provider(&table, provider, &raw.identity, &registry, server.is_some())?;
            if !seen.insert(provider.name.clone()) {
                let reason = format!("`{}` is another provider's name; each needs its own", provider.name);
                return Err(table.error("name", reason));
            }
            if providers.iter().any(|other| other.issuer == provider.issuer) {
                // A logout token names its provider by `iss` alone.
                return Err(table.error("issuer", "another provider has the same issuer"));
            }
            providers.push(provider);
        }
        if providers.is_empty() {
            let table = Table { file: self, name: "provider", index: 0 };
            return Err(table.error("issuer", "there must be at least one [provider]"));
        }
        Ok(Config { server, sign_in, password, providers })
    }

    fn server(&self, raw: raw::Server) -> Result<Server, ConfigError> {
        let table = Table { file: self, name: "server", index: 0 };
        let public = Endpoint::parse(&raw.public_url, false).map_err(|reason| {
            table.error("public_url", format!("`{}` is refused: {reason}", raw.public_url))
        })?;
        let url =
            Url::parse(public.as_str()).map_err(|error| table.error("public_url", error.to_string()))?;
        if url.query().is_some() {
            return Err(table.error("public_url", "must have no query"));
        }
        let public_url = PublicUrl {
            origin: url.origin().ascii_serialization(),
            path: url.path().trim_end_matches('/').to_owned(),
            https: url.scheme() == "https",
        };
        let listen = raw.listen.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        let listen = listen
            .parse()
            .map_err(|_| table.error("listen", "write an address and a port, such as \"127.0.0.1:8080\""))?;
        let tls = match (raw.tls_certificate, raw.tls_key) {
            (Some(certificate), Some(key)) => Some((self.folder.join(certificate), self.folder.join(key))),
            (None, None) => None,
            _ => return Err(table.error("tls_key", "tls_certificate and tls_key come together")),
        };
        let cookie_domain =
            raw.cookie_domain.map(|domain| domain.trim_start_matches('.').to_ascii_lowercase());
        if let Some(domain) = &cookie_domain {
            let host = url.host_str().unwrap_or_default();
            if host != domain && !host.ends_with(&format!(".{domain}")) {
                return Err(table.error("cookie_domain", format!("public_url's host `{host}` is not in it")));
            }
            if !domain.contains('.') {
                return Err(table.error("cookie_domain", "must be a domain, such as \"example.com\""));
            }
        }
        let networks = |field: &str, texts: &[String]| -> Result<Vec<IpNet>, ConfigError> {
            let network = |text: &String| {
                let address = text.parse::<std::net::IpAddr>().map(IpNet::from);
                let refused = |_| table.error(field, format!("`{text}` is no address or network"));
                text.parse::<IpNet>().or(address).map_err(refused)
            };
            texts.iter().map(network).collect()
        };
        let here = ["127.0.0.0/8".to_owned(), "::1/128".to_owned()];
        Ok(Server {
            public_url,
            listen,
            database: database(self.folder, raw.database),
            tls,
            trusted_proxies: networks("trusted_proxies", &raw.trusted_proxies)?,
            metrics_from: networks("metrics_from", raw.metrics_from.as_deref().unwrap_or(&here))?,
            cookie_domain,
            verify_secret: table.secret(
                "verify_secret",
                raw.verify_secret,
                raw.verify_secret_file,
                raw.verify_secret_env,
            )?,
        })
    }

    fn sign_in(&self, raw: &raw::SignIn) -> Result<(SignInPolicy, PasswordPolicy), ConfigError> {
        let table = Table { file: self, name: "sign_in", index: 0 };
        if !raw.allow_admins && !raw.password_fallback {
            let reason = "without it and without allow_admins no admin can sign in at all; allow one of them";
            return Err(table.error("password_fallback", reason));
        }
        if !(60..=90 * 86_400).contains(&raw.session_lifetime) {
            return Err(table.error("session_lifetime", "must be from 60 seconds to 90 days, in seconds"));
        }
        let sync = SyncPolicy {
            profile: raw.sync_profile,
            teams: raw.sync_teams,
            keep_hand_given_teams: !raw.replace_all_teams,
            absent_empties: raw.absent_empties,
        };
        let sign_in = SignInPolicy {
            create_users: raw.create_users,
            allow_admins: raw.allow_admins,
            link_by_username: raw.link_by_username,
            sync,
            session_lifetime: raw.session_lifetime,
        };
        let regular_users = raw.password_fallback_regular;
        Ok((sign_in, PasswordPolicy { fallback: raw.password_fallback, regular_users }))
    }

    fn provider(
        &self,
        table: &Table<'_>,
        raw: raw::Provider,
        shared: &MappingSpec,
        registry: &Registry,
        serves: bool,
    ) -> Result<Provider, ConfigError> {
        if raw.issuer.is_empty() {
            return Err(table.error("issuer", "must not be empty; write the provider's `iss`"));
        }
        if raw.client_id.is_empty() {
            return Err(table.error("client_id", "must name the client"));
        }
        if raw.token == TokenKind::LogoutToken {
            let reason = "a logout token is never presented; write id_token, access_token or jwt";
            return Err(table.error("token", reason));
        }
        let name = raw.name.unwrap_or_else(|| "oidc".to_owned());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        // It is part of addresses and must not be taken for `/login/password`.
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) || name == "password" {
            return Err(table.error("name", "use a-z, 0-9, - and _, and not `password`"));
        }
        let algorithms = self.algorithms(table, raw.algorithms)?;
        let http = raw.allow_http;
        let endpoints = EndpointOverrides {
            authorization_endpoint: table.endpoint(
                "authorization_endpoint",
                raw.authorization_endpoint,
                http,
            )?,
            token_endpoint: table.endpoint("token_endpoint", raw.token_endpoint, http)?,
            userinfo_endpoint: table.endpoint("userinfo_endpoint", raw.userinfo_endpoint, http)?,
            jwks_uri: table.endpoint("jwks_uri", raw.jwks_uri, http)?,
            end_session_endpoint: table.endpoint("end_session_endpoint", raw.end_session_endpoint, http)?,
        };
        let discovery = if raw.discovery && serves {
            table.endpoint("issuer", Some(raw.issuer.clone()), http)?
        } else {
            None
        };
        if serves && discovery.is_none() && endpoints.complete().is_none() {
            let reason = "without it, authorization_endpoint and token_endpoint must be given";
            return Err(table.error("discovery", reason));
        }
        let only_hmac = algorithms.iter().all(|name| is_hmac(name));
        if serves
            && discovery.is_none()
            && !only_hmac
            && endpoints.jwks_uri.is_none()
            && raw.jwks_file.is_none()
        {
            return Err(table.error("discovery", "without it, jwks_uri or jwks_file must be given"));
        }
        let secret = table.secret(
            "client_secret",
            raw.client_secret,
            raw.client_secret_file,
            raw.client_secret_env,
        )?;
        if serves && secret.is_none() && algorithms.iter().any(|name| is_hmac(name)) {
            return Err(table.error("algorithms", "HS algorithms verify with the client_secret; give one"));
        }
        let key = self.private_key(
            table,
            raw.private_key_file,
            raw.private_key_algorithm.as_deref(),
            raw.private_key_id,
        )?;
        let method = match &raw.token_endpoint_auth_method {
            None => None,
            Some(text) => Some(self.method(table, text, secret.is_some(), key.is_some())?),
        };
        if raw.leeway > MOST_LEEWAY {
            return Err(table.error("leeway", "must be at most 3600 seconds: set the clocks instead"));
        }
        if let Some(prompt) = &raw.prompt
            && !prompt.split(' ').all(|value| PROMPTS.contains(&value))
        {
            return Err(table.error("prompt", format!("`{prompt}` is none of {}", PROMPTS.join(", "))));
        }
        if let Some(scope) = raw.scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(table.error("scopes", format!("`{scope}` is no scope; write each one by itself")));
        }
        if let Some(template) = &raw.logout_url {
            let filled = template.replace("{clientId}", "x").replace("{siteUrl}", "x");
            let web = Url::parse(&filled).is_ok_and(|url| ["https", "http"].contains(&url.scheme()));
            if !web {
                return Err(table.error("logout_url", format!("`{template}` is no web address")));
            }
        }
        let mapping = self.mapping(raw.identity.as_ref().unwrap_or(shared))?;
        let authorization = AuthorizationOptions {
            scopes: raw.scopes.into_iter().filter(|scope| scope != "openid").collect(),
            prompt: raw.prompt,
            max_age: raw.max_age,
            essential_claims: mapping.plain_group_claims().map(str::to_owned).collect(),
        };
        Ok(Provider {
            title: raw.title.unwrap_or_else(|| name.clone()),
            name,
            audiences: raw
                .audience
                .map_or_else(|| vec![raw.client_id.clone()], |own| own.as_slice().to_vec()),
            issuer: raw.issuer,
            client: Client { id: raw.client_id, secret, key, method },
            algorithms,
            registry: registry.clone(),
            jwks_file: raw.jwks_file.map(|file| self.folder.join(file)),
            leeway: raw.leeway,
            token: raw.token,
            discovery,
            endpoints,
            userinfo: raw.userinfo,
            allow_http: http,
            ca_file: raw.ca_file.map(|file| self.folder.join(file)),
            authorization,
            logout_url: raw.logout_url,
            strict_logout_type: raw.strict_logout_type,
            logout_without_exp: raw.logout_without_exp,
            allow_short_secret: raw.allow_short_secret,
            mapping,
        })
    }

    fn algorithms(&self, table: &Table<'_>, names: Vec<String>) -> Result<Vec<String>, ConfigError> {
        if names.is_empty() {
            return Err(table.error("algorithms", "must name at least one algorithm"));
        }
        if let Some(unknown) = names.iter().find(|name| self.registry.get(name).is_none()) {
            let reason = format!("`{unknown}` is no algorithm; `claimgate algorithms` lists them");
            return Err(table.error("algorithms", reason));
        }
        Ok(names)
    }

    fn private_key(
        &self,
        table: &Table<'_>,
        file: Option<PathBuf>,
        algorithm: Option<&str>,
        kid: Option<String>,
    ) -> Result<Option<Arc<SigningKey>>, ConfigError> {
        let Some(file) = file else { return Ok(None) };
        let path = self.folder.join(file);
        let refused =
            |reason: String| table.error("private_key_file", format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
        let key = if text.trim_start().starts_with('{') {
            SigningKey::from_jwk(text.as_bytes(), algorithm)
        } else {
            SigningKey::from_pem(&text, algorithm)
        };
        let key = key.map_err(|error| refused(error.to_string()))?;
        Ok(Some(Arc::new(match kid {
            Some(kid) => key.with_kid(kid),
            None => key,
        })))
    }

    fn method(
        &self,
        table: &Table<'_>,
        text: &str,
        secret: bool,
        key: bool,
    ) -> Result<AuthMethod, ConfigError> {
        let field = "token_endpoint_auth_method";
        let method = AuthMethod::from_name(text).ok_or_else(|| {
            let names: Vec<_> = AuthMethod::ALL.into_iter().map(|(name, _)| name).collect();
            table.error(field, format!("`{text}` is none of {}", names.join(", ")))
        })?;
        match method {
            AuthMethod::PrivateKeyJwt if !key => Err(table.error(field, "needs private_key_file")),
            AuthMethod::SecretBasic | AuthMethod::SecretPost | AuthMethod::SecretJwt if !secret => {
                Err(table.error(field, "needs client_secret, client_secret_file or client_secret_env"))
            }
            _ => Ok(method),
        }
    }

    fn mapping(&self, spec: &MappingSpec) -> Result<Mapping, ConfigError> {
        Mapping::compile(spec, &Limits::DEFAULT).map_err(|reason| ConfigError::Mapping {
            file: self.name.to_owned(),
            line: line_of_setting(self.text, &reason.to_string()),
            reason,
        })
    }
}
