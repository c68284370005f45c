//! What is entered at the provider, which gives a client id and a secret in return.

use claimgate_config::Config;

use super::kinds::Kind;
use crate::web::provider_check;

/// Returns where a client is registered at a provider, and the addresses to enter there.
pub(super) fn text(kind: &Kind, config: &Config) -> String {
    let mut text = format!("\nAt {}: {}.\nEnter there:\n", kind.title, kind.registration);
    for provider in &config.providers {
        let is_used = |uri: &str| kind.sends_logouts || !uri.starts_with("back-channel");
        for (uri, address) in provider_check::uris(config, provider) {
            if is_used(uri) {
                text.push_str(&format!("  {uri:<26} {address}\n"));
            }
        }
    }
    if kind.sends_logouts {
        text.push_str("The provider must reach the back-channel address itself. ");
    }
    text.push_str("More: docs/guide/providers.md\n\n");
    text
}
