//! The keys of a provider that need no fetching.

use super::provider_error::ProviderSetupError;
use claimgate::key::{KeySet, VerificationKey};
use claimgate::limits::Limits;
use claimgate_config as config;

/// Returns the key file's keys, and the client secret if HS algorithms are allowed.
pub(super) fn own_keys(config: &config::Provider) -> Result<KeySet, ProviderSetupError> {
    let mut keys = KeySet::default();
    if let Some(file) = &config.jwks_file {
        let refused = |reason: String| ProviderSetupError::Keys { file: file.display().to_string(), reason };
        let text = std::fs::read(file).map_err(|error| refused(error.to_string()))?;
        let set = KeySet::from_jwks_with_secrets(&text, &Limits::DEFAULT)
            .map_err(|error| refused(error.to_string()))?;
        keys.append(&set);
    }
    let hmac = config.uses_secret();
    if let Some(secret) = config.client.secret.as_ref().filter(|_| hmac) {
        // Core §10.1: the octets of the client secret are the key.
        let key = VerificationKey::from_secret(secret.expose().as_bytes());
        let key = if config.danger_allow_short_secret { key.danger_allow_weak() } else { key };
        keys.append(&KeySet::new([key]));
    }
    Ok(keys)
}
