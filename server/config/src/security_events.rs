//! `[provider.security_events]`: who sends security events, and how they are verified.

use claimgate::alg::Registry;
use claimgate::claims::TenantIssuers;

use super::algorithms::algorithms;
use super::checked::{SecurityEvents, TransmitterKeys, uses_secret};
use super::raw;
use super::section::{Faulty, Section};
use super::server::long_secret;

/// What the table takes from its provider.
pub(super) struct Of<'p> {
    /// The issuer; of several tenants, the template.
    pub(super) issuer: &'p str,
    pub(super) client_id: &'p str,
    pub(super) algorithms: &'p [String],
    pub(super) danger_allow_http: bool,
    pub(super) registry: &'p Registry,
}

/// Resolves the table; every fault in it is recorded.
pub(super) fn resolve(
    section: &Section<'_>,
    raw: &raw::SecurityEvents,
    of: &Of<'_>,
) -> Result<SecurityEvents, Faulty> {
    let issuer = match raw.issuer.clone() {
        None => Ok(of.issuer.to_owned()),
        written => section.required("issuer", written, "the `iss` of the events"),
    };
    let audiences = audiences(section, raw, of.client_id);
    let secret = section
        .secret(
            "transmitter_secret",
            raw.transmitter_secret.as_ref(),
            raw.transmitter_secret_file.as_ref(),
            raw.transmitter_secret_env.as_ref(),
        )
        .and_then(|secret| long_secret(section, "transmitter_secret", secret));
    let keys = keys(section, raw, of);
    let issuer = issuer?;
    let keys = keys?;
    if keys.is_none() && issuer != of.issuer {
        let reason = (
            "is another issuer than the provider's, whose keys do not verify its events",
            "write `jwks_uri`, which the transmitter's /.well-known/ssf-configuration names",
        );
        return Err(section.fault("issuer", reason));
    }
    if keys.is_some() && issuer.contains(TenantIssuers::PLACEHOLDER) {
        let reason = (
            "has `{tenantid}` in its issuer: events of tenants are verified by the provider's keys",
            "leave `jwks_uri` out",
        );
        return Err(section.fault("jwks_uri", reason));
    }
    Ok(SecurityEvents { issuer, audiences: audiences?, keys, secret: secret? })
}

/// Resolves the accepted audiences: the client's id unless the file names others.
fn audiences(
    section: &Section<'_>,
    raw: &raw::SecurityEvents,
    client_id: &str,
) -> Result<Vec<String>, Faulty> {
    let Some(written) = &raw.audience else { return Ok(vec![client_id.to_owned()]) };
    let written = written.as_slice();
    if written.is_empty() || written.iter().any(String::is_empty) {
        return Err(section.fault("audience", "must name at least one audience, and none may be empty"));
    }
    Ok(written.to_vec())
}

/// Resolves the transmitter's own keys, if it has some.
fn keys(
    section: &Section<'_>,
    raw: &raw::SecurityEvents,
    of: &Of<'_>,
) -> Result<Option<TransmitterKeys>, Faulty> {
    let uri = section.endpoint("jwks_uri", raw.jwks_uri.as_ref(), of.danger_allow_http);
    let written = raw.algorithms.as_ref().map(|names| algorithms(section, names, of.registry)).transpose();
    let (uri, written) = (uri?, written?);
    let Some(uri) = uri else {
        if written.is_some() {
            let reason =
                ("is for keys of the transmitter's own", "write `jwks_uri` beside it, or leave it out");
            return Err(section.fault("algorithms", reason));
        }
        return Ok(None);
    };
    let inherited = || of.algorithms.iter().filter(|name| !uses_secret(of.registry, name)).cloned();
    let names = written.unwrap_or_else(|| inherited().collect());
    if names.is_empty() || names.iter().any(|name| uses_secret(of.registry, name)) {
        let reason = ("a published key verifies none by a secret", "write `algorithms`, such as [\"RS256\"]");
        return Err(section.fault("algorithms", reason));
    }
    Ok(Some(TransmitterKeys { uri, algorithms: names }))
}
