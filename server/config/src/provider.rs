//! `[[provider]]`: from its settings to a provider.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use claimgate::alg::Registry;
use claimgate::claims::{Policy, TokenKind};
use claimgate::identity::Mapping;
use claimgate::key::{KeyError, VerificationKey};
use claimgate::oidc::client::{AuthMethod, Client, Secret};
use claimgate::oidc::discovery::EndpointOverrides;
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::logout;
use claimgate::sign::{Signer, SigningKey};
use ipnet::IpNet;
use url::Url;

use super::algorithms::algorithms;
use super::authorization;
use super::checked::{Demands, Provider, SecurityEvents, Trust, uses_secret};
use super::claim;
use super::extensions::Extensions;
use super::files::FileContent;
use super::issuer::{self, Issuer};
use super::raw;
use super::refresh;
use super::section::{Faulty, Section};
use super::security_events;
use super::server::networks_of_some;

/// The maximum age of presented tokens unless the file sets another, in seconds.
const DEFAULT_TOKEN_AGE: u64 = 24 * 60 * 60;

/// The greatest maximum age of presented tokens that a file can set, in seconds. The memory for logout records grows
/// with it.
const MAX_TOKEN_AGE: u64 = 30 * 24 * 60 * 60;

/// The longest id, in characters.
const MAX_ID: usize = 64;
/// The id of a provider that the configuration does not name.
pub const DEFAULT_PROVIDER_ID: &str = "oidc";

/// What a provider shares with the others of its file.
pub(super) struct Shared {
    /// The algorithms that exist.
    pub(super) registry: Registry,
    /// The signers that exist.
    pub(super) signers: BTreeMap<String, Arc<dyn Signer>>,
    /// The mapping of `[identity]`.
    pub(super) mapping: Result<Mapping, Faulty>,
    /// Whether the file has a `[server]`, so that people sign in.
    pub(super) has_server: bool,
}

impl Shared {
    /// Returns what the program and the file give to all providers; `by_ring`: RSA signatures are verified by ring.
    pub(super) fn new(
        extensions: &Extensions,
        by_ring: bool,
        mapping: Result<Mapping, Faulty>,
        has_server: bool,
    ) -> Self {
        let registry = &extensions.registry;
        let registry = if by_ring { registry.by_ring() } else { registry.clone() };
        Self { registry, signers: extensions.signers.clone(), mapping, has_server }
    }
}

/// Resolves the table; every fault in it is recorded. `mapping` is its own, or that of the file.
pub(super) fn resolve(
    section: &Section<'_>,
    raw: raw::Provider,
    mapping: Result<Mapping, Faulty>,
    shared: &Shared,
) -> Result<Provider, Faulty> {
    let id = id(section, raw.id.clone());
    let issuer = issuer::resolve(section, &raw);
    let client_id = section.required("client_id", raw.client_id.clone(), "the client's id at the provider");
    let algorithms = algorithms(section, &raw.algorithms, &shared.registry);
    let documents = documents(section, &raw, issuer.as_ref().ok(), shared);
    let client = client(section, &raw, shared);
    let (leeway, presented) = (leeway(section, raw.leeway.0), presented(section, &raw.verify));
    let demands = demands(section, &raw);
    let (trust, presented_trust) = trust(section, &raw)?;
    let presented_age = presented_age(section, &raw.verify);
    let logout_url = raw.logout_url.as_deref().map_or(Ok(()), |template| logout_url(section, template));
    let authorization = authorization::resolve(section, &raw);
    let refresh = refresh::resolve(section, &raw);
    let security_events = security_events(section, &raw, shared);
    let (id, client_id, mapping, mut authorization) = (id?, client_id?, mapping?, authorization?);
    authorization.essential_claims = mapping.plain_group_claims().map(str::to_owned).collect();
    logout_url?;
    let (endpoints, discovery) = documents?;
    let Issuer { name: issuer, tenants } = issuer?;
    Ok(Provider {
        display_name: raw.display_name.unwrap_or_else(|| id.clone()),
        id,
        audiences: audiences(&raw.verify, &client_id),
        trust,
        presented_trust,
        issuer,
        tenants,
        client: client?(client_id),
        registry: shared.registry.clone(),
        algorithms: algorithms?,
        demands: demands?,
        jwks_file: raw.jwks_file.map(|file| section.file("jwks_file", &file, FileContent::KeySet)),
        leeway: leeway?,
        presented: presented?,
        presented_untyped: raw.verify.untyped_access_tokens,
        presented_age: presented_age?,
        discovery,
        endpoints,
        userinfo: raw.userinfo,
        danger_allow_http: raw.danger_allow_http,
        ca_file: raw.ca_file.map(|file| section.file("ca_file", &file, FileContent::Authorities)),
        authorization,
        refresh: refresh?,
        logout_url: raw.logout_url,
        logout_from: logout_from(section, &raw.logout_from)?,
        security_events: security_events?,
        frontchannel_logout: frontchannel_logout(section, raw.frontchannel_logout),
        strict_logout_type: raw.strict_logout_type,
        danger_logout_without_exp: raw.danger_logout_without_exp,
        danger_allow_short_secret: raw.danger_allow_short_secret,
        mapping,
    })
}

/// Resolves the endpoints that the file names, and the one that discovery begins at, if a server asks for it.
fn documents(
    section: &Section<'_>,
    raw: &raw::Provider,
    issuer: Option<&Issuer>,
    shared: &Shared,
) -> Result<(EndpointOverrides, Option<Endpoint>), Faulty> {
    let endpoints = endpoints(section, raw);
    let discovery = match issuer {
        Some(issuer) if raw.discovery && shared.has_server => {
            issuer.discovery(section, raw.danger_allow_http)
        }
        _ => Ok(None),
    };
    let (endpoints, discovery) = (endpoints?, discovery?);
    if shared.has_server && issuer.is_some() && discovery.is_none() {
        check_endpoints(section, raw, &endpoints, &shared.registry)?;
    }
    Ok((endpoints, discovery))
}

/// Resolves the networks of logouts. A network of every address is refused.
fn logout_from(section: &Section<'_>, texts: &[String]) -> Result<Vec<IpNet>, Faulty> {
    let reason = "every client would have the share of logouts that is the provider's";
    networks_of_some(
        section,
        "logout_from",
        texts,
        (reason, "write the addresses that the provider sends logouts from"),
    )
}

/// Resolves the table of security events, if there is one.
fn security_events(
    section: &Section<'_>,
    raw: &raw::Provider,
    shared: &Shared,
) -> Result<Option<SecurityEvents>, Faulty> {
    let Some(table) = &raw.security_events else { return Ok(None) };
    let of = security_events::Of {
        // Without them the provider is refused.
        issuer: raw.issuer.as_deref().unwrap_or_default(),
        client_id: raw.client_id.as_deref().unwrap_or_default(),
        algorithms: &raw.algorithms,
        danger_allow_http: raw.danger_allow_http,
        registry: &shared.registry,
    };
    let section = section.source.section(section.path.name("security_events"));
    security_events::resolve(&section, table, &of).map(Some)
}

/// Says what front-channel logouts mean, if they are accepted.
fn frontchannel_logout(section: &Section<'_>, accepted: bool) -> bool {
    if accepted {
        section.note("frontchannel_logout", "every client that knows the `sid` of a session can end it");
    }
    accepted
}

/// Checks the id. It is part of addresses, and `/login/password` is another page.
fn id(section: &Section<'_>, written: Option<String>) -> Result<String, Faulty> {
    let id = written.unwrap_or_else(|| DEFAULT_PROVIDER_ID.to_owned());
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if id.is_empty() || id.len() > MAX_ID || !id.chars().all(is_plain) || id == "password" {
        return Err(section.fault("id", "use a-z, 0-9, - and _, at most 64, and not `password`"));
    }
    Ok(id)
}

fn endpoints(section: &Section<'_>, raw: &raw::Provider) -> Result<EndpointOverrides, Faulty> {
    let endpoint =
        |setting, text: &Option<String>| section.endpoint(setting, text.as_ref(), raw.danger_allow_http);
    let authorization_endpoint = endpoint("authorization_endpoint", &raw.authorization_endpoint);
    let token_endpoint = endpoint("token_endpoint", &raw.token_endpoint);
    let userinfo_endpoint = endpoint("userinfo_endpoint", &raw.userinfo_endpoint);
    let jwks_uri = endpoint("jwks_uri", &raw.jwks_uri);
    let end_session_endpoint = endpoint("end_session_endpoint", &raw.end_session_endpoint);
    Ok(EndpointOverrides {
        authorization_endpoint: authorization_endpoint?,
        token_endpoint: token_endpoint?,
        userinfo_endpoint: userinfo_endpoint?,
        jwks_uri: jwks_uri?,
        end_session_endpoint: end_session_endpoint?,
    })
}

/// Checks that the endpoints and keys that sign-in needs are there without discovery.
fn check_endpoints(
    section: &Section<'_>,
    raw: &raw::Provider,
    endpoints: &EndpointOverrides,
    registry: &Registry,
) -> Result<(), Faulty> {
    if endpoints.complete().is_none() {
        let reason = "is off, so authorization_endpoint and token_endpoint must be given";
        return Err(section.fault("discovery", reason));
    }
    let only_hmac = raw.algorithms.iter().all(|name| uses_secret(registry, name));
    if !only_hmac && endpoints.jwks_uri.is_none() && raw.jwks_file.is_none() {
        return Err(section.fault("discovery", "is off, so jwks_uri or jwks_file must be given"));
    }
    Ok(())
}

/// Resolves how the client authenticates. Returns the function from its id to the client.
fn client(
    section: &Section<'_>,
    raw: &raw::Provider,
    shared: &Shared,
) -> Result<impl FnOnce(String) -> Client + use<>, Faulty> {
    let secret = section.secret(
        "client_secret",
        raw.client_secret.as_ref(),
        raw.client_secret_file.as_ref(),
        raw.client_secret_env.as_ref(),
    );
    let key = signer(section, raw, &shared.signers);
    let (secret, key) = (secret?, key?);
    let hmac = raw.algorithms.iter().position(|name| uses_secret(&shared.registry, name));
    if let (true, None, Some(index)) = (shared.has_server, &secret, hmac) {
        let message = format!("{} verifies with the client secret", raw.algorithms[index]);
        let reason = (message, "write client_secret");
        return Err(section.fault_in("algorithms", index, reason));
    }
    if let Some(secret) = &secret {
        check_secret(section, raw, secret, &shared.registry)?;
    } else if shared.has_server && key.is_none() && raw.token_endpoint_auth_method.is_none() {
        section.warn(
            "client_secret",
            (
                "is missing: the client has nothing to prove itself with at the provider",
                "if it is a public client, write `token_endpoint_auth_method = \"none\"`",
            ),
        );
    }
    let method =
        auth_method(section, raw.token_endpoint_auth_method.as_deref(), secret.is_some(), key.is_some())?;
    Ok(move |id: String| {
        let mut client = Client::new(id);
        (client.secret, client.key, client.method) = (secret, key, method);
        client
    })
}

/// Checks that the secret is long enough for the algorithms that verify with it: a shorter one verifies nothing.
/// The keys of `jwks_file` may take its place.
fn check_secret(
    section: &Section<'_>,
    raw: &raw::Provider,
    secret: &Secret,
    registry: &Registry,
) -> Result<(), Faulty> {
    if raw.danger_allow_short_secret || raw.jwks_file.is_some() {
        return Ok(());
    }
    let key = VerificationKey::from_secret(secret.expose().as_bytes());
    let is_weak = |name: &String| {
        registry.get(name).is_some_and(|algorithm| {
            algorithm.accepts(key.material()) && matches!(algorithm.prepare(&key), Err(KeyError::Weak))
        })
    };
    match raw.algorithms.iter().position(is_weak) {
        Some(index) => {
            let message = format!(
                "the client secret of {} bytes is too short for {}, which would refuse every token (RFC 7518 \
                 section 3.2)",
                secret.expose().len(),
                raw.algorithms[index]
            );
            let remedy = "have the provider make a longer one, or write `danger_allow_short_secret = true`";
            let reason = (message, remedy);
            Err(section.fault_in("algorithms", index, reason))
        }
        None => Ok(()),
    }
}

/// Resolves what signs client assertions: the key of a file, or a signer of the program.
fn signer(
    section: &Section<'_>,
    raw: &raw::Provider,
    signers: &BTreeMap<String, Arc<dyn Signer>>,
) -> Result<Option<Arc<dyn Signer>>, Faulty> {
    let setting = "private_key_signer";
    let Some(name) = &raw.private_key_signer else { return private_key(section, raw) };
    if raw.private_key_file.is_some() || raw.private_key_algorithm.is_some() || raw.private_key_id.is_some() {
        let message =
            "stands beside another `private_key_` setting, and the signer has the key, its algorithm and id";
        return Err(section.fault(setting, (message, "remove one of the two")));
    }
    let signer = signers.get(name).ok_or_else(|| {
        let known: Vec<_> = signers.keys().map(String::as_str).collect();
        let message = match known.as_slice() {
            [] => format!("`{name}` is unknown: this program has no signers"),
            known => format!("`{name}` is unknown: the signers of this program are {}", known.join(", ")),
        };
        section.fault(setting, (message, "run the program that registers it, or write private_key_file"))
    })?;
    Ok(Some(Arc::clone(signer)))
}

fn private_key(section: &Section<'_>, raw: &raw::Provider) -> Result<Option<Arc<dyn Signer>>, Faulty> {
    let Some(file) = &raw.private_key_file else { return Ok(None) };
    let path: PathBuf = section.file("private_key_file", file, FileContent::Secret);
    let fault = |reason: String| section.fault("private_key_file", format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| fault(error.to_string()))?;
    let algorithm = raw.private_key_algorithm.as_deref();
    let key = if text.trim_start().starts_with('{') {
        SigningKey::from_jwk(text.as_bytes(), algorithm)
    } else {
        SigningKey::from_pem(&text, algorithm)
    };
    let key = key.map_err(|error| fault(error.to_string()))?;
    Ok(Some(Arc::new(match &raw.private_key_id {
        Some(kid) => key.with_kid(kid.clone()),
        None => key,
    })))
}

fn auth_method(
    section: &Section<'_>,
    name: Option<&str>,
    has_secret: bool,
    has_key: bool,
) -> Result<Option<AuthMethod>, Faulty> {
    let setting = "token_endpoint_auth_method";
    let Some(name) = name else { return Ok(None) };
    let method = AuthMethod::from_name(name).ok_or_else(|| {
        let names: Vec<_> = AuthMethod::ALL.iter().map(|(name, _)| *name).collect();
        section.fault(setting, format!("`{name}` is none of {}", names.join(", ")))
    })?;
    match method {
        AuthMethod::PrivateKeyJwt if !has_key => {
            Err(section.fault(setting, "needs private_key_file or private_key_signer"))
        }
        AuthMethod::SecretBasic | AuthMethod::SecretPost | AuthMethod::SecretJwt if !has_secret => {
            Err(section.fault(setting, "needs client_secret, client_secret_file or client_secret_env"))
        }
        _ => Ok(Some(method)),
    }
}

fn leeway(section: &Section<'_>, seconds: u64) -> Result<u64, Faulty> {
    if seconds > Policy::MAX_LEEWAY.as_secs() {
        return Err(section.fault("leeway", "must be at most 5 minutes: set the clocks instead"));
    }
    Ok(seconds)
}

/// Returns the accepted audiences of presented tokens.
fn audiences(raw: &raw::Verify, client_id: &str) -> Vec<String> {
    let own = || vec![client_id.to_owned()];
    raw.audience.as_ref().map_or_else(own, |audiences| audiences.as_slice().to_vec())
}

/// Resolves the names that tokens may hold beside the client: of sign-ins and logouts, and of presented tokens,
/// which have the same unless they have their own.
fn trust(section: &Section<'_>, raw: &raw::Provider) -> Result<(Trust, Trust), Faulty> {
    let verify = section.source.section(section.path.name("verify"));
    let names = |section: &Section<'_>, setting: &str, names: &[String]| match names
        .iter()
        .position(String::is_empty)
    {
        Some(index) => Err(section.fault_in(setting, index, "must not be empty")),
        None => Ok(names.to_vec()),
    };
    let own = Trust {
        audiences: names(section, "trusted_audiences", &raw.trusted_audiences)?,
        parties: names(section, "authorized_parties", &raw.authorized_parties)?,
    };
    let presented = Trust {
        audiences: match &raw.verify.trusted_audiences {
            Some(audiences) => names(&verify, "trusted_audiences", audiences)?,
            None => own.audiences.clone(),
        },
        parties: match &raw.verify.authorized_parties {
            Some(parties) => names(&verify, "authorized_parties", parties)?,
            None => own.parties.clone(),
        },
    };
    Ok((own, presented))
}

/// Resolves the demands on claims: of sign-ins, and of presented tokens, which have the same unless they have their own.
fn demands(section: &Section<'_>, raw: &raw::Provider) -> Result<Demands, Faulty> {
    let verify = section.source.section(section.path.name("verify"));
    let own = claim::resolve(section, &raw.claim);
    let presented = raw.verify.claim.as_ref().map(|specs| claim::resolve(&verify, specs)).transpose();
    let (sign_in, presented) = (own?, presented?);
    Ok(Demands { presented: presented.unwrap_or_else(|| sign_in.clone()), sign_in })
}

/// Resolves the kind of presented tokens. Tokens that end sessions come from providers alone.
fn presented(section: &Section<'_>, raw: &raw::Verify) -> Result<TokenKind, Faulty> {
    let ends_sessions = match raw.kind {
        Some(TokenKind::LogoutToken) => Some("a logout token is never presented"),
        Some(TokenKind::SecurityEvent) => Some("a security event token is never presented"),
        _ => None,
    };
    if let Some(message) = ends_sessions {
        let section = section.source.section(section.path.name("verify"));
        return Err(section.fault("kind", (message, "write id_token, access_token or jwt")));
    }
    if raw.audience.as_ref().is_some_and(|audiences| {
        audiences.as_slice().is_empty() || audiences.as_slice().iter().any(String::is_empty)
    }) {
        let section = section.source.section(section.path.name("verify"));
        return Err(section.fault("audience", "must name at least one audience, and none may be empty"));
    }
    if raw.untyped_access_tokens {
        let section = section.source.section(section.path.name("verify"));
        if raw.kind != Some(TokenKind::AccessToken) {
            let reason = ("is for access tokens alone", "write `kind = \"access_token\"` beside it");
            return Err(section.fault("untyped_access_tokens", reason));
        }
        if raw.audience.is_none() {
            let reason = (
                "needs `audience`: tokens for the client are ID tokens",
                "write the name that the provider gives to the service that is called",
            );
            return Err(section.fault("untyped_access_tokens", reason));
        }
    }
    Ok(raw.kind.unwrap_or(TokenKind::IdToken))
}

/// Resolves the maximum age of presented tokens.
fn presented_age(section: &Section<'_>, raw: &raw::Verify) -> Result<u64, Faulty> {
    let age = raw.max_token_age.as_ref().map_or(DEFAULT_TOKEN_AGE, |age| age.0);
    if age == 0 || age > MAX_TOKEN_AGE {
        let section = section.source.section(section.path.name("verify"));
        let reason = "must be between a second and 30 days: logouts are remembered for as long";
        return Err(section.fault("max_token_age", reason));
    }
    Ok(age)
}

/// Checks that the template, once filled in, is an address of the web.
fn logout_url(section: &Section<'_>, template: &str) -> Result<(), Faulty> {
    let setting = "logout_url";
    for (old, new) in [("{clientId}", "{client_id}"), ("{siteUrl}", "{site_url}")] {
        if template.contains(old) {
            return Err(section.fault(setting, format!("`{old}` is now `{new}`")));
        }
    }
    let filled = logout::fill_template(template, "x", "x");
    if let Some((_, rest)) = filled.split_once('{') {
        let name = rest.split('}').next().unwrap_or(rest);
        let reason = format!("`{{{name}}}` is unknown; {{client_id}} and {{site_url}} can be filled in");
        return Err(section.fault(setting, reason));
    }
    match Url::parse(&filled) {
        Ok(url) if url.scheme() == "https" => Ok(()),
        Ok(url) if url.scheme() == "http" => {
            section.warn(setting, "is http: the sign-out could be read and redirected on the way");
            Ok(())
        }
        _ => Err(section.fault(setting, format!("`{template}` is not a web address"))),
    }
}
