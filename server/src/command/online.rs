//! `claimgate config check --online`: asks the providers, and says what would not work.

use crate::config::{Config, Provider, is_hmac};
use crate::web::fetch::Fetcher;
use crate::web::provider::fetcher;
use claimgate::jws::JwsVerifier;
use claimgate::key::KeyError;
use claimgate::limits::Limits;
use claimgate::oidc::authorization::{self, AuthorizationRequest, CallbackParameters, CallbackProvider};
use claimgate::oidc::discovery::{self, ProviderMetadata};
use claimgate::oidc::token::{self, TokenError};
use claimgate::oidc::{MAX_RESPONSE, jwks};

use crate::command::output::{self, Failure};

pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let runtime = super::serve::runtime()?;
    let mut report = Report::default();
    for provider in &config.providers {
        report.line(&format!("provider {} ({})", provider.name, provider.issuer));
        runtime.block_on(check_provider(provider, &mut report));
        if let Some(server) = &config.server {
            report.line("  to register at the provider:");
            let url = &server.public_url;
            for (what, path) in [
                ("redirect URI", format!("/callback/{}", provider.name)),
                ("post-logout redirect URI", "/logged-out".to_owned()),
                ("back-channel logout URI", "/api/v1/backchannelLogout".to_owned()),
            ] {
                report.line(&format!("    {what}: {}", url.join(&path)));
            }
        }
    }
    output::write(report.text.as_bytes())?;
    match report.problems {
        0 => Ok(()),
        count => Err(Failure::Refused {
            code: "config.online",
            message: format!("{count} thing(s) would not work; see above"),
        }),
    }
}

#[derive(Default)]
struct Report {
    text: String,
    problems: usize,
}

impl Report {
    fn line(&mut self, line: &str) {
        self.text.push_str(&output::escaped(line));
        self.text.push('\n');
    }

    fn good(&mut self, line: &str) {
        self.line(&format!("  ok       {line}"));
    }

    fn note(&mut self, line: &str) {
        self.line(&format!("  note     {line}"));
    }

    fn problem(&mut self, line: &str) {
        self.problems += 1;
        self.line(&format!("  PROBLEM  {line}"));
    }
}

async fn check_provider(provider: &Provider, report: &mut Report) {
    let fetcher = match fetcher(provider) {
        Ok(fetcher) => fetcher,
        Err(error) => return report.problem(&error.to_string()),
    };
    let metadata = match &provider.discovery {
        None => provider.endpoints.complete(),
        Some(issuer) => match fetcher.send(discovery::request(issuer), MAX_RESPONSE).await {
            Err(error) => return report.problem(&error.to_string()),
            Ok(response) => {
                match discovery::read(&response, &provider.issuer, &provider.endpoints, provider.allow_http) {
                    Ok(metadata) => {
                        report.good("discovery document");
                        Some(metadata)
                    }
                    Err(error) => return report.problem(&format!("{error} [{}]", error.code())),
                }
            }
        },
    };
    let Some(metadata) = metadata else {
        return report.note("no [server] section: sign-in is not checked");
    };
    check_metadata(provider, &metadata, report);
    if let Some(uri) = &metadata.jwks_uri {
        match fetcher.send(jwks::request(uri), Limits::DEFAULT.jwks_bytes).await {
            Err(error) => report.problem(&error.to_string()),
            Ok(response) => check_keys(provider, &response, report),
        }
    }
    check_client(provider, &metadata, &fetcher, report).await;
}

/// Presents a code that nobody issued: a provider that knows the client refuses the code, one that
/// does not refuses the client.
async fn check_client(
    provider: &Provider,
    metadata: &ProviderMetadata,
    fetcher: &Fetcher,
    report: &mut Report,
) {
    let question = AuthorizationRequest {
        provider: &provider.name,
        metadata,
        client_id: &provider.client.id,
        redirect_uri: "https://check.invalid/",
        options: &provider.authorization,
        return_to: "/",
    };
    let now = crate::command::input::now();
    let mut random =
        |bytes: &mut [u8]| getrandom::fill(bytes).expect("the operating system gives randomness");
    let pending = authorization::begin(&question, now.0.saturating_mul(1000), &mut random).pending;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("state", pending.state())
        .append_pair("iss", &provider.issuer)
        .append_pair("code", "claimgate-config-check")
        .finish();
    let asked = CallbackProvider { id: &provider.name, issuer: &provider.issuer, metadata };
    let answer = pending.accept(&asked, &CallbackParameters::parse(&query), now, |_| true);
    let answer = answer.expect("the query was made from the pending sign-in");
    let request =
        token::request(&answer, &provider.client, metadata, "https://check.invalid/", now, &mut random);
    let request = match request {
        Ok(request) => request,
        Err(error) => return report.problem(&format!("{error} [{}]", error.code())),
    };
    let response = match fetcher.send(request.http, MAX_RESPONSE).await {
        Ok(response) => response,
        Err(error) => return report.problem(&error.to_string()),
    };
    match token::read(&response, &request.secrets) {
        Err(TokenError::Refused { error, .. }) if error == "invalid_grant" => {
            report.good("it knows the client and accepts how it proves itself");
        }
        Err(TokenError::Refused { error, description }) if error == "invalid_client" => {
            let description = description.map(|text| format!(" ({text})")).unwrap_or_default();
            report.problem(&format!(
                "it refuses the client{description}: client_id, secret or token_endpoint_auth_method"
            ));
        }
        // A made-up code cannot show more: some say invalid_request for another redirect URI.
        Err(error) => report.note(&format!("whether it knows the client is not clear: {error}")),
        Ok(_) => report.problem("it gave tokens for a code that nobody issued"),
    }
}

fn check_metadata(provider: &Provider, metadata: &ProviderMetadata, report: &mut Report) {
    let signing = &metadata.signing_algorithms;
    for algorithm in provider.algorithms.iter().filter(|_| !signing.is_empty()) {
        if signing.contains(algorithm) {
            report.good(&format!("it signs with {algorithm}"));
        } else {
            report.note(&format!(
                "it does not say that it signs with {algorithm}, but with {}",
                signing.join(", ")
            ));
        }
    }
    if !signing.is_empty() && !provider.algorithms.iter().any(|name| signing.contains(name)) {
        report.problem("no algorithm of `algorithms` is one the provider signs with");
    }
    let method = provider.client.method(&metadata.token_auth_methods);
    let name = claimgate::oidc::client::AuthMethod::ALL.into_iter().find(|(_, known)| *known == method);
    let name = name.map_or("", |(name, _)| name);
    let supported = &metadata.token_auth_methods;
    if supported.is_empty() || supported.iter().any(|known| known == name) {
        report.good(&format!("the client proves itself by {name}"));
    } else {
        report.problem(&format!("it does not support {name}, but {}", supported.join(", ")));
    }
    let pkce = &metadata.code_challenge_methods;
    if !pkce.is_empty() && !pkce.iter().any(|known| known == "S256") {
        report.problem(&format!("it does not support PKCE with S256, but {}", pkce.join(", ")));
    }
    let unknown = |scope: &&String| !metadata.scopes.is_empty() && !metadata.scopes.contains(scope);
    for scope in provider.authorization.scopes.iter().filter(unknown) {
        report.note(&format!("it does not list the scope {scope}; some providers refuse unknown ones"));
    }
    if metadata.end_session_endpoint.is_none() && provider.logout_url.is_none() {
        report.note("it has no end_session_endpoint: signing out here leaves people signed in there");
    }
    match metadata.backchannel_logout {
        Some(true) => report.good("it supports back-channel logout"),
        _ => report.note("it does not say that it supports back-channel logout"),
    }
}

fn check_keys(provider: &Provider, response: &claimgate::oidc::Response, report: &mut Report) {
    let keys = match jwks::read(response) {
        Ok((keys, _)) => keys,
        Err(error) => return report.problem(&format!("{error} [{}]", error.code())),
    };
    let Ok(verifier) = JwsVerifier::new(&provider.registry, &provider.algorithms, &keys, Limits::DEFAULT)
    else {
        return;
    };
    let known = verifier.key_report();
    for key in known.skipped.iter().filter(|key| key.reason != KeyError::WrongFamily) {
        report.note(&format!("not used: {key}"));
    }
    if known.usable == 0 && !provider.algorithms.iter().all(|name| is_hmac(name)) {
        report.problem("none of its keys fits `algorithms`");
    } else {
        report.good(&format!("{} usable key(s)", known.usable));
    }
}
