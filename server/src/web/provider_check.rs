//! The test of a provider: what would fail at a sign-in or a logout, in words. It walks from discovery over keys,
//! algorithms and scopes to the client, for `claimgate config check --online` and for the console.

use claimgate::jws::JwsVerifier;
use claimgate::key::{KeyError, VerificationKey};
use claimgate::limits::Limits;
use claimgate::oidc::authorization::{self, AuthorizationRequest, CallbackParameters, CallbackProvider};
use claimgate::oidc::client::AuthMethod;
use claimgate::oidc::discovery::{self, DiscoveryError, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::token::{self, TokenError};
use claimgate::oidc::{MAX_RESPONSE, jwks};
use claimgate_config::{Config, Provider};
use claimgate_remote::{Fetch, HttpClient};

use super::check_steps::Steps;
use super::provider::http_client;
use super::{provider_clock, transmitter_check};
use crate::plural::count;
use crate::system;

/// What may be wrong where HTTP Basic encodes characters of the identifier or the secret.
const ENCODED_BY_BASIC: &str = "; client_secret_basic encodes characters other than letters, digits and `*-._` (RFC 6749 \
     §2.3.1), which some providers do not decode: if all three are right, use client_secret_post, or a secret of letters and digits";

/// Returns the addresses to register at a provider, each with its name.
pub(crate) fn uris(config: &Config, provider: &Provider) -> Vec<(&'static str, String)> {
    let Some(server) = &config.server else { return Vec::new() };
    let (url, mut uris) = (&server.public_url, uris_of_id(config, &provider.id));
    if provider.frontchannel_logout {
        uris.push(("front-channel logout URI", url.join("/api/v1/frontchannelLogout")));
    }
    if provider.security_events.is_some() {
        let path = format!("/api/v1/securityEvents/{}", provider.id);
        uris.push(("endpoint of security events", url.join(&path)));
    }
    uris
}

/// Returns the addresses to register at a provider that will have an id, each with its name.
pub(crate) fn uris_of_id(config: &Config, id: &str) -> Vec<(&'static str, String)> {
    let Some(server) = &config.server else { return Vec::new() };
    let (url, callback) = (&server.public_url, format!("/callback/{id}"));
    let mut uris = vec![
        ("redirect URI", url.join(&callback)),
        ("post-logout redirect URI", url.join("/logged-out")),
        ("back-channel logout URI", url.join("/api/v1/backchannelLogout")),
    ];
    if let Some(origin) = server.administration.origin.as_ref().filter(|_| config.sign_in.allow_admins) {
        uris.push(("redirect URI of the administration", format!("{origin}{}{callback}", url.path)));
    }
    uris
}

/// Tests a provider.
pub(crate) async fn run(provider: &Provider) -> Steps {
    let mut steps = Steps::default();
    check_provider(provider, &mut steps).await;
    steps
}

/// Fetches the discovery document of a provider, and nothing else. Returns what it says, and the steps.
pub(crate) async fn look_up(provider: &Provider) -> (Option<ProviderMetadata>, Steps) {
    let mut steps = Steps::default();
    let found = match (http_client(provider), &provider.discovery) {
        (Ok(client), Some(issuer)) => discover(provider, issuer, &client, &mut steps).await,
        (Err(error), _) => {
            steps.problem(&error.to_string());
            None
        }
        (_, None) => None,
    };
    for reason in found.iter().flat_map(|metadata| &metadata.unused) {
        steps.note(&format!("not used: {reason} [{}]", reason.code()));
    }
    (found, steps)
}

async fn check_provider(provider: &Provider, steps: &mut Steps) {
    let client = match http_client(provider) {
        Ok(client) => client,
        Err(error) => return steps.problem(&error.to_string()),
    };
    let metadata = match &provider.discovery {
        None => provider.endpoints.complete(),
        Some(issuer) => match discover(provider, issuer, &client, steps).await {
            Some(metadata) => Some(metadata),
            None => return,
        },
    };
    let Some(metadata) = metadata else {
        return steps.note("there is no [server] section: sign-in is not checked");
    };
    for reason in &metadata.unused {
        steps.note(&format!("not used: {reason} [{}]", reason.code()));
    }
    check_metadata(provider, &metadata, steps);
    if let Some(uri) = &metadata.jwks_uri {
        match client.fetch(jwks::request(uri), Limits::DEFAULT.jwks_bytes).await {
            Err(error) => steps.problem(&error.to_string()),
            Ok(response) => {
                check_keys(provider, (&response, &provider.algorithms), provider.uses_only_secret(), steps);
            }
        }
    }
    if let Some(keys) = provider.security_events.as_ref().and_then(|events| events.keys.as_ref()) {
        let address = keys.uri.as_str();
        match client.fetch(jwks::request(&keys.uri), Limits::DEFAULT.jwks_bytes).await {
            Err(error) => steps.problem(&format!("keys of its security events: {error}")),
            Ok(response) => {
                steps.good(&format!("the keys of its security events are at {address}"));
                check_keys(provider, (&response, &keys.algorithms), false, steps);
            }
        }
    }
    if let Some(events) = &provider.security_events {
        transmitter_check::check((provider, events), metadata.jwks_uri.as_ref(), &client, steps).await;
    }
    check_client(provider, &metadata, &client, steps).await;
}

/// Fetches and reads the discovery document.
async fn discover(
    provider: &Provider,
    issuer: &Endpoint,
    client: &HttpClient,
    steps: &mut Steps,
) -> Option<ProviderMetadata> {
    let request = discovery::request(issuer);
    let address = request.uri().to_string();
    let sent = system::now();
    let response = match client.fetch(request, MAX_RESPONSE).await {
        Ok(response) => {
            steps.0.push(provider_clock::compare(&response, (sent, system::now()), provider.leeway));
            response
        }
        Err(error) => {
            steps.problem(&format!("{address}: {error}"));
            return None;
        }
    };
    let (endpoints, http) = (&provider.endpoints, provider.danger_allow_http);
    match discovery::read(&response, &provider.issuer, endpoints, http) {
        Ok(metadata) => {
            steps.good(&format!("discovery document, at {address}"));
            Some(metadata)
        }
        Err(error) => {
            let remedy = match &error {
                DiscoveryError::Issuer { found, .. } => {
                    format!("; if {address} is your provider's, write `issuer = \"{found}\"`")
                }
                _ => String::new(),
            };
            steps.problem(&format!("{address}: {error} [{}]{remedy}", error.code()));
            None
        }
    }
}

/// Presents an authorization code that was never issued: a provider that knows the client refuses the
/// code (`invalid_grant`), any other refuses the client (`invalid_client`).
async fn check_client(
    provider: &Provider,
    metadata: &ProviderMetadata,
    client: &HttpClient,
    steps: &mut Steps,
) {
    let authorization = AuthorizationRequest {
        provider: &provider.id,
        metadata,
        client_id: &provider.client.id,
        redirect_uri: "https://check.invalid/",
        options: &provider.authorization,
        return_to: "/",
    };
    let now = system::now();
    let pending = authorization::begin(&authorization, now, &mut system::random).pending;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("state", pending.state())
        .append_pair("iss", &provider.issuer)
        .append_pair("code", "claimgate-config-check")
        .finish();
    let expected = CallbackProvider { id: &provider.id, issuer: &provider.issuer, metadata };
    let response = pending.accept(&expected, &CallbackParameters::parse(&query), now, |_| true);
    let response = response.expect("the query carries the state and the issuer of the request above");
    let (client_of, random) = (&provider.client, &mut system::random);
    let request =
        token::request_async(&response, client_of, metadata, "https://check.invalid/", now, random).await;
    let request = match request {
        Ok(request) => request,
        Err(error) => return steps.problem(&format!("{error} [{}]", error.code())),
    };
    let response = match client.fetch(request.http, MAX_RESPONSE).await {
        Ok(response) => response,
        Err(error) => return steps.problem(&error.to_string()),
    };
    match token::read(&response, &request.secrets) {
        Err(TokenError::Refused { error, .. }) if error == "invalid_grant" => {
            steps.good("the provider accepts the client's credentials");
        }
        Err(TokenError::Refused { error, description }) if error == "invalid_client" => {
            let description = description.map(|text| format!(" ({text})")).unwrap_or_default();
            let is_basic = client_of.method(&metadata.token_auth_methods) == AuthMethod::SecretBasic;
            let hint = if is_basic && client_of.is_encoded_by_basic() { ENCODED_BY_BASIC } else { "" };
            steps.problem(&format!(
                "the provider refuses the client{description}: check client_id, the secret and token_endpoint_auth_method{hint}"
            ));
        }
        // Some providers answer `invalid_request` because of the redirect URI.
        Err(error) => {
            steps.note(&format!("the answer does not show whether the provider accepts the client: {error}"))
        }
        Ok(_) => steps.problem("the provider issued tokens for a code that it never issued"),
    }
}

fn check_metadata(provider: &Provider, metadata: &ProviderMetadata, steps: &mut Steps) {
    let signing = &metadata.signing_algorithms;
    for algorithm in provider.algorithms.iter().filter(|_| !signing.is_empty()) {
        if signing.contains(algorithm) {
            steps.good(&format!("the provider signs with {algorithm}"));
        } else {
            steps.note(&format!(
                "the provider does not announce {algorithm}; it announces {}",
                signing.join(", ")
            ));
        }
    }
    if !signing.is_empty() && !provider.algorithms.iter().any(|name| signing.contains(name)) {
        steps.problem("the provider announces none of `algorithms`: its ID tokens would be refused");
    }
    let method = provider.client.method(&metadata.token_auth_methods);
    let name = AuthMethod::ALL.iter().find(|(_, known)| *known == method);
    let name = name.map_or("", |(name, _)| name);
    let supported = &metadata.token_auth_methods;
    if supported.is_empty() || supported.iter().any(|known| known == name) {
        steps.good(&format!("the provider supports client authentication by {name}"));
    } else {
        steps.problem(&format!(
            "the provider does not support client authentication by {name}; it supports {}",
            supported.join(", ")
        ));
    }
    let pkce = &metadata.code_challenge_methods;
    if !pkce.is_empty() && !pkce.iter().any(|known| known == "S256") {
        steps.problem(&format!(
            "the provider does not support PKCE with S256; it supports {}",
            pkce.join(", ")
        ));
    }
    check_scopes(provider, metadata, steps);
    if metadata.end_session_endpoint.is_none() && provider.logout_url.is_none() {
        steps.note("the provider has no end_session_endpoint: signing out of Claimgate does not sign out of the provider");
    }
    match metadata.backchannel_logout {
        Some(true) => steps.good("the provider supports back-channel logout"),
        _ if provider.frontchannel_logout => {
            steps.note("the provider does not announce back-channel logout; front-channel logout is on");
        }
        _ => steps.note(
            "the provider does not announce back-channel logout: sessions here outlast a sign-out there, up to session_lifetime",
        ),
    }
}

/// Compares the scopes asked for with those that the provider offers.
fn check_scopes(provider: &Provider, metadata: &ProviderMetadata, steps: &mut Steps) {
    let unknown = |scope: &&String| !metadata.scopes.is_empty() && !metadata.scopes.contains(scope);
    for scope in provider.authorization.scopes.iter().filter(unknown) {
        steps.note(&format!(
            "the provider does not list the scope {scope}; some providers refuse unknown scopes"
        ));
    }
    let asked = &provider.authorization.scopes;
    for claim in provider.mapping.plain_group_claims() {
        let is_offered = metadata.scopes.iter().any(|scope| scope == claim);
        if is_offered && !asked.iter().any(|scope| scope == claim) {
            steps.note(&format!("`{claim}` is mapped, and the provider offers a scope `{claim}` that `scopes` does not ask for"));
        }
    }
}

fn check_keys(
    provider: &Provider,
    (response, algorithms): (&claimgate::oidc::Response, &[String]),
    uses_only_secret: bool,
    steps: &mut Steps,
) {
    let keys = match jwks::read(response) {
        Ok((keys, _)) => keys,
        Err(error) => return steps.problem(&format!("{error} [{}]", error.code())),
    };
    let Ok(verifier) = JwsVerifier::with_any_keys(&provider.registry, algorithms, &keys, Limits::DEFAULT)
    else {
        return;
    };
    let known = verifier.key_report();
    for key in known.skipped.iter().filter(|key| key.reason != KeyError::WrongFamily) {
        steps.note(&format!("not used: {key}"));
    }
    let is_secret = keys.keys().iter().any(VerificationKey::was_private)
        || keys.skipped().iter().any(|key| key.reason == KeyError::Private);
    if is_secret {
        steps.problem("the provider publishes secret keys: every reader can sign tokens in its name");
    }
    match (known.usable, uses_only_secret) {
        (0, false) => steps
            .problem(&format!("none of these keys fits `algorithms`, which are {}", algorithms.join(", "))),
        (0, true) => steps
            .note("the provider publishes no key for `algorithms`: the client secret verifies its tokens"),
        (usable, _) => steps.good(&count(usable, "usable key")),
    }
}
