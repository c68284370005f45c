//! `claimgate config check --online`: asks the providers, and says what would not work.

use claimgate::config::{Config, Provider};
use claimgate::jws::JwsVerifier;
use claimgate::key::KeyError;
use claimgate::limits::Limits;
use claimgate::oidc::discovery::{self, Metadata};
use claimgate::oidc::{MAX_RESPONSE, jwks};
use claimgate::server::fetch::Fetcher;

use crate::output::{self, Failure};

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
    let fetcher = match Fetcher::new(provider.ca_file.as_deref(), false) {
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
}

fn check_metadata(provider: &Provider, metadata: &Metadata, report: &mut Report) {
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
    let registry = claimgate::alg::Registry::builtin();
    let Ok(verifier) = JwsVerifier::new(&registry, &provider.algorithms, &keys, Limits::DEFAULT) else {
        return;
    };
    let known = verifier.key_report();
    for key in known.skipped.iter().filter(|key| key.reason != KeyError::WrongFamily) {
        report.note(&format!("not used: {key}"));
    }
    if known.usable == 0 && !provider.algorithms.iter().all(|name| name.starts_with("HS")) {
        report.problem("none of its keys fits `algorithms`");
    } else {
        report.good(&format!("{} usable key(s)", known.usable));
    }
}
