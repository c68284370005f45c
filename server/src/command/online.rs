//! `claimgate config check --online`: queries the providers and PostgreSQL, and reports what would fail.

use claimgate_config::{Config, Provider, Store};

use super::postgres;
use super::report::Report;
use super::runtime::runtime;
use crate::command::output::Failure;
use crate::plural::count;
use crate::web::check_steps::Outcome;
use crate::web::provider_check;

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
        let uris = provider_check::uris(config, provider);
        if !uris.is_empty() {
            report.line("  URIs to register at the provider:");
        }
        for (name, uri) in uris {
            report.line(&format!("    {name}: {uri}"));
        }
    }
    Ok(report)
}

/// Tests a provider.
pub(super) async fn check_provider(provider: &Provider, report: &mut Report) {
    for (outcome, text) in provider_check::run(provider).await.0 {
        match outcome {
            Outcome::Good => report.good(&text),
            Outcome::Note => report.note(&text),
            Outcome::Problem => report.problem(&text),
        }
    }
}

/// Returns the failure of a check that found problems.
pub(crate) fn failure(problems: usize) -> Failure {
    let found = count(problems, "problem");
    Failure::Refused {
        code: "config.online",
        message: format!("{found} would make sign-in or logout fail: see the lines marked PROBLEM"),
    }
}
