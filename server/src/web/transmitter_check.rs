//! The test of a transmitter of security events: what its own configuration (Shared Signals Framework 1.0 §7) says of the
//! settings in `[provider.security_events]`.

use claimgate::claims::TenantIssuers;
use claimgate::json;
use claimgate::limits::Limits;
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::{MAX_RESPONSE, Response, jwks};
use claimgate::text::for_display;
use claimgate_config::{Provider, SecurityEvents};
use claimgate_remote::{Fetch, HttpClient};
use serde_json::{Map, Value};
use url::Url;

use super::check_steps::Steps;

/// Where a transmitter publishes its configuration (§7.2.1).
const WELL_KNOWN: &str = "/.well-known/ssf-configuration";
/// Delivery by push (RFC 8935), by the name that the framework gives it and by that of its drafts.
const PUSH: [&str; 2] =
    ["urn:ietf:rfc:8935", "https://schemas.openid.net/secevent/risc/delivery-method/push"];

/// Compares the settings of a provider's security events with the configuration that their transmitter publishes, which it
/// need not do. `keys_of_provider` is where the provider's keys are.
pub(super) async fn check(
    (provider, events): (&Provider, &SecurityEvents),
    keys_of_provider: Option<&Endpoint>,
    client: &HttpClient,
    steps: &mut Steps,
) {
    let expected = events.keys.as_ref().map(|keys| &keys.uri).or(keys_of_provider);
    // Each tenant has a transmitter of its own.
    if events.issuer.contains(TenantIssuers::PLACEHOLDER) {
        return;
    }
    let Some(address) = address(&events.issuer, provider.danger_allow_http) else {
        return steps
            .note("the issuer of its security events is no address: no configuration can be compared");
    };
    let missing = "`issuer` and `jwks_uri` of its security events are not compared";
    let document = match client.fetch(jwks::request(&address), MAX_RESPONSE).await {
        Ok(response) => read(&response),
        Err(error) => Err(error.to_string()),
    };
    match document {
        Ok(document) => compare((&events.issuer, expected), &document, &address, provider, steps),
        Err(reason) => steps.note(&format!("{address}: {reason}; {missing}")),
    }
}

/// Returns where the configuration of a transmitter is: the well-known path stands before the path of the issuer (§7.2.1).
fn address(issuer: &str, allow_http: bool) -> Option<Endpoint> {
    let mut url = Url::parse(Endpoint::parse(issuer, allow_http).ok()?.as_str()).ok()?;
    let path = format!("{WELL_KNOWN}{}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(None);
    Endpoint::parse(url.as_str(), allow_http).ok()
}

/// Reads a transmitter's configuration.
///
/// # Errors
/// What is wrong with the response.
fn read(response: &Response) -> Result<Map<String, Value>, String> {
    match response.status().as_u16() {
        200 => json::parse_document(response.body(), &Limits::DEFAULT)
            .map_err(|error| format!("the transmitter's configuration {error}")),
        status => Err(format!("the transmitter's configuration was answered with the status {status}")),
    }
}

fn compare(
    (issuer, keys): (&str, Option<&Endpoint>),
    document: &Map<String, Value>,
    address: &Endpoint,
    provider: &Provider,
    steps: &mut Steps,
) {
    let text = |member: &str| document.get(member).and_then(Value::as_str);
    match text("issuer") {
        Some(found) if found == issuer => {
            steps.good(&format!("the transmitter of its security events is {issuer}, by {address}"));
        }
        Some(found) => {
            let found = for_display(found);
            steps.problem(&format!(
                "{address}: the transmitter's issuer is `{found}`, not `{issuer}`: its events would be refused; if it is your provider's, write `issuer = \"{found}\"` in [provider.security_events]"
            ));
        }
        None => steps.note(&format!("{address}: the transmitter's configuration has no `issuer`")),
    }
    let found = text("jwks_uri").map(|uri| (uri, Endpoint::parse(uri, provider.danger_allow_http)));
    match (found, keys) {
        (Some((_, Ok(found))), Some(keys)) if found == *keys => {
            steps.good(&format!("the transmitter names these keys: {keys}"));
        }
        (Some((_, Ok(found))), keys) => {
            let keys = keys.map_or_else(|| "none".to_owned(), |keys| format!("those at {keys}"));
            steps.problem(&format!(
                "the transmitter's keys are at {0}, and its events are verified by {keys}; write `jwks_uri = \"{0}\"` in [provider.security_events]",
                for_display(found.as_str())
            ));
        }
        (Some((uri, Err(error))), _) => {
            steps.problem(&format!(
                "the transmitter's keys are at {}, which is not used: {error}",
                for_display(uri)
            ));
        }
        (None, _) => steps.note(&format!("{address}: the transmitter's configuration has no `jwks_uri`")),
    }
    let methods = document.get("delivery_methods_supported").and_then(Value::as_array);
    let is_push = |method: &Value| method.as_str().is_some_and(|method| PUSH.contains(&method));
    if methods.is_some_and(|methods| !methods.iter().any(is_push)) {
        steps.problem(&format!(
            "the transmitter does not announce delivery by push ({}), and others are not supported here",
            PUSH[0]
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_well_known_path_stands_before_that_of_the_issuer() {
        for (issuer, expected) in [
            ("https://tr.example.com", Some("https://tr.example.com/.well-known/ssf-configuration")),
            ("https://tr.example.com/", Some("https://tr.example.com/.well-known/ssf-configuration")),
            ("https://tr.example.com/a/b/", Some("https://tr.example.com/.well-known/ssf-configuration/a/b")),
            ("http://tr.example.com", None),
            ("starfly", None),
        ] {
            let found = address(issuer, false);
            assert_eq!(found.as_ref().map(super::Endpoint::as_str), expected, "{issuer}");
        }
    }
}
