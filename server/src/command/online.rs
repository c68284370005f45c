//! `claimgate config check --online`: queries the providers and PostgreSQL, and reports what would fail.

use crate::web::provider::http_client;
use claimgate::jws::JwsVerifier;
use claimgate::key::{KeyError, VerificationKey};
use claimgate::limits::Limits;
use claimgate::oidc::authorization::{self, AuthorizationRequest, CallbackParameters, CallbackProvider};
use claimgate::oidc::discovery::{self, DiscoveryError, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::token::{self, TokenError};
use claimgate::oidc::{MAX_RESPONSE, jwks};
use claimgate_config::{Config, Provider, Store};
use claimgate_remote::{Fetch, HttpClient};

use super::postgres;
use super::report::Report;
use super::runtime::runtime;
use crate::command::output::Failure;
use crate::plural::count;
use crate::system;

/// Queries PostgreSQL, if the data is there, and each provider. Returns the report.
pub(crate) fn check(config: &Config) -> Result<Report, Failure> {
    let runtime = runtime()?;
    let mut report = Report::default();
    if let Some(Store::Postgres(settings)) = config.server.as_ref().map(|server| &server.store) {
        postgres::report(settings, &mut report)?;
    }
    for provider in &config.providers {
        report.line(&format!("provider {} ({})", provider.id, provider.issuer));
        runtime.block_on(check_provider(provider, &mut report));
        if let Some(server) = &config.server {
            report.line("  URIs to register at the provider:");
            let url = &server.public_url;
            let front_channel = ("front-channel logout URI", "/api/v1/frontchannelLogout".to_owned());
            let uris = [
                ("redirect URI", format!("/callback/{}", provider.id)),
                ("post-logout redirect URI", "/logged-out".to_owned()),
                ("back-channel logout URI", "/api/v1/backchannelLogout".to_owned()),
            ];
            let events = provider.security_events.as_ref();
            let events = events
                .map(|_| ("endpoint of security events", format!("/api/v1/securityEvents/{}", provider.id)));
            let optional = provider.frontchannel_logout.then_some(front_channel).into_iter().chain(events);
            for (uri, path) in uris.into_iter().chain(optional) {
                report.line(&format!("    {uri}: {}", url.join(&path)));
            }
            if let Some(origin) =
                server.administration.origin.as_ref().filter(|_| config.sign_in.allow_admins)
            {
                let path = &server.public_url.path;
                report.line(&format!(
                    "    redirect URI of the administration: {origin}{path}/callback/{}",
                    provider.id
                ));
            }
        }
    }
    Ok(report)
}

/// Returns the failure of a check that found problems.
pub(crate) fn failure(problems: usize) -> Failure {
    let found = count(problems, "problem");
    Failure::Refused {
        code: "config.online",
        message: format!("{found} would make sign-in or logout fail: see the lines marked PROBLEM"),
    }
}

async fn check_provider(provider: &Provider, report: &mut Report) {
    let client = match http_client(provider) {
        Ok(client) => client,
        Err(error) => return report.problem(&error.to_string()),
    };
    let metadata = match &provider.discovery {
        None => provider.endpoints.complete(),
        Some(issuer) => match discover(provider, issuer, &client, report).await {
            Some(metadata) => Some(metadata),
            None => return,
        },
    };
    let Some(metadata) = metadata else {
        return report.note("there is no [server] section: sign-in is not checked");
    };
    for reason in &metadata.unused {
        report.note(&format!("not used: {reason} [{}]", reason.code()));
    }
    check_metadata(provider, &metadata, report);
    if let Some(uri) = &metadata.jwks_uri {
        match client.fetch(jwks::request(uri), Limits::DEFAULT.jwks_bytes).await {
            Err(error) => report.problem(&error.to_string()),
            Ok(response) => check_keys(provider, &response, report),
        }
    }
    check_client(provider, &metadata, &client, report).await;
}

/// Fetches and reads the discovery document.
async fn discover(
    provider: &Provider,
    issuer: &Endpoint,
    client: &HttpClient,
    report: &mut Report,
) -> Option<ProviderMetadata> {
    let request = discovery::request(issuer);
    let address = request.uri().to_string();
    let response = match client.fetch(request, MAX_RESPONSE).await {
        Ok(response) => response,
        Err(error) => {
            report.problem(&format!("{address}: {error}"));
            return None;
        }
    };
    let (endpoints, http) = (&provider.endpoints, provider.danger_allow_http);
    match discovery::read(&response, &provider.issuer, endpoints, http) {
        Ok(metadata) => {
            report.good(&format!("discovery document, at {address}"));
            Some(metadata)
        }
        Err(error) => {
            let remedy = match &error {
                DiscoveryError::Issuer { found, .. } => {
                    format!("; if {address} is your provider's, write `issuer = \"{found}\"`")
                }
                _ => String::new(),
            };
            report.problem(&format!("{address}: {error} [{}]{remedy}", error.code()));
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
    report: &mut Report,
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
    let request = token::request(
        &response,
        &provider.client,
        metadata,
        "https://check.invalid/",
        now,
        &mut system::random,
    );
    let request = match request {
        Ok(request) => request,
        Err(error) => return report.problem(&format!("{error} [{}]", error.code())),
    };
    let response = match client.fetch(request.http, MAX_RESPONSE).await {
        Ok(response) => response,
        Err(error) => return report.problem(&error.to_string()),
    };
    match token::read(&response, &request.secrets) {
        Err(TokenError::Refused { error, .. }) if error == "invalid_grant" => {
            report.good("the provider accepts the client's credentials");
        }
        Err(TokenError::Refused { error, description }) if error == "invalid_client" => {
            let description = description.map(|text| format!(" ({text})")).unwrap_or_default();
            report.problem(&format!(
                "the provider refuses the client{description}: check client_id, the secret and token_endpoint_auth_method"
            ));
        }
        // Some providers answer `invalid_request` because of the redirect URI.
        Err(error) => {
            report.note(&format!("the answer does not show whether the provider accepts the client: {error}"))
        }
        Ok(_) => report.problem("the provider issued tokens for a code that it never issued"),
    }
}

fn check_metadata(provider: &Provider, metadata: &ProviderMetadata, report: &mut Report) {
    let signing = &metadata.signing_algorithms;
    for algorithm in provider.algorithms.iter().filter(|_| !signing.is_empty()) {
        if signing.contains(algorithm) {
            report.good(&format!("the provider signs with {algorithm}"));
        } else {
            report.note(&format!(
                "the provider does not announce {algorithm}; it announces {}",
                signing.join(", ")
            ));
        }
    }
    if !signing.is_empty() && !provider.algorithms.iter().any(|name| signing.contains(name)) {
        report.problem("the provider announces none of `algorithms`: its ID tokens would be refused");
    }
    let method = provider.client.method(&metadata.token_auth_methods);
    let name = claimgate::oidc::client::AuthMethod::ALL.iter().find(|(_, known)| *known == method);
    let name = name.map_or("", |(name, _)| name);
    let supported = &metadata.token_auth_methods;
    if supported.is_empty() || supported.iter().any(|known| known == name) {
        report.good(&format!("the provider supports client authentication by {name}"));
    } else {
        report.problem(&format!(
            "the provider does not support client authentication by {name}; it supports {}",
            supported.join(", ")
        ));
    }
    let pkce = &metadata.code_challenge_methods;
    if !pkce.is_empty() && !pkce.iter().any(|known| known == "S256") {
        report.problem(&format!(
            "the provider does not support PKCE with S256; it supports {}",
            pkce.join(", ")
        ));
    }
    check_scopes(provider, metadata, report);
    if metadata.end_session_endpoint.is_none() && provider.logout_url.is_none() {
        report.note("the provider has no end_session_endpoint: signing out of Claimgate does not sign out of the provider");
    }
    match metadata.backchannel_logout {
        Some(true) => report.good("the provider supports back-channel logout"),
        _ if provider.frontchannel_logout => {
            report.note("the provider does not announce back-channel logout; front-channel logout is on");
        }
        _ => report.note(
            "the provider does not announce back-channel logout: sessions here outlast a sign-out there, up to session_lifetime",
        ),
    }
}

/// Compares the scopes asked for with those that the provider offers.
fn check_scopes(provider: &Provider, metadata: &ProviderMetadata, report: &mut Report) {
    let unknown = |scope: &&String| !metadata.scopes.is_empty() && !metadata.scopes.contains(scope);
    for scope in provider.authorization.scopes.iter().filter(unknown) {
        report.note(&format!(
            "the provider does not list the scope {scope}; some providers refuse unknown scopes"
        ));
    }
    let asked = &provider.authorization.scopes;
    for claim in provider.mapping.plain_group_claims() {
        let is_offered = metadata.scopes.iter().any(|scope| scope == claim);
        if is_offered && !asked.iter().any(|scope| scope == claim) {
            report.note(&format!("`{claim}` is mapped, and the provider offers a scope `{claim}` that `scopes` does not ask for"));
        }
    }
}

fn check_keys(provider: &Provider, response: &claimgate::oidc::Response, report: &mut Report) {
    let keys = match jwks::read(response) {
        Ok((keys, _)) => keys,
        Err(error) => return report.problem(&format!("{error} [{}]", error.code())),
    };
    let Ok(verifier) =
        JwsVerifier::with_any_keys(&provider.registry, &provider.algorithms, &keys, Limits::DEFAULT)
    else {
        return;
    };
    let known = verifier.key_report();
    for key in known.skipped.iter().filter(|key| key.reason != KeyError::WrongFamily) {
        report.note(&format!("not used: {key}"));
    }
    let is_secret = keys.keys().iter().any(VerificationKey::was_private)
        || keys.skipped().iter().any(|key| key.reason == KeyError::Private);
    if is_secret {
        report.problem("the provider publishes secret keys: every reader can sign tokens in its name");
    }
    match (known.usable, provider.uses_only_secret()) {
        (0, false) => report.problem("none of the provider's keys fits `algorithms`"),
        (0, true) => report
            .note("the provider publishes no key for `algorithms`: the client secret verifies its tokens"),
        (usable, _) => report.good(&count(usable, "usable key")),
    }
}
