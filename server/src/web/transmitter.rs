//! Where a provider's security events come from: who sends them, and how they are verified.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use subtle::ConstantTimeEq;

use super::provider_error::ProviderSetupError;
use crate::system;
use claimgate::Verifier;
use claimgate::claims::{Policy, SecurityEvent};
use claimgate::key::KeySet;
use claimgate::oidc::client::Secret;
use claimgate::oidc::security_events::{MEDIA_TYPE, SecurityEventError};
use claimgate_config as config;
use claimgate_remote::{Documents, HttpClient, Places, RemoteKeys, RemoteOptions};

/// The transmitter of a provider's security events.
pub(crate) struct Transmitter {
    /// The keys that verify them: the provider's, unless the transmitter has its own.
    pub(crate) remote: Arc<RemoteKeys>,
    pub(crate) has_own_keys: bool,
    pub(crate) tokens: Verifier<SecurityEvent>,
    /// The secret that it sends; none: it sends none.
    secret: Option<Secret>,
}

impl Transmitter {
    /// Prepares the transmitter of a provider. Nothing is fetched yet.
    ///
    /// # Errors
    /// A [`ProviderSetupError`].
    pub(super) fn new(
        provider: &config::Provider,
        settings: &config::SecurityEvents,
        (remote, client, places): (&Arc<RemoteKeys>, &HttpClient, Places),
    ) -> Result<Self, ProviderSetupError> {
        let own = settings.keys.as_ref().map(|keys| {
            let options = RemoteOptions {
                name: format!("{} (security events)", provider.id),
                issuer: settings.issuer.clone(),
                keys_of_issuer_alone: false,
                documents: Documents::JwkSet(keys.uri.clone()),
                danger_allow_http: provider.danger_allow_http,
                registry: provider.registry.clone(),
                algorithms: keys.algorithms.clone(),
                secret_algorithms: Vec::new(),
                own_keys: KeySet::default(),
                places,
                clock: Arc::new(system::now),
            };
            RemoteKeys::new(options, Arc::new(client.clone()))
        });
        let own = own.transpose()?;
        let has_own_keys = own.is_some();
        let remote = own.unwrap_or_else(|| Arc::clone(remote));
        Ok(Self {
            // Strangers may send them, as they may send logout tokens.
            tokens: Verifier::new(
                remote.jws().clone().require_kid(),
                policy(provider, settings, has_own_keys),
            )?,
            remote,
            has_own_keys,
            secret: settings.secret.clone(),
        })
    }

    /// Checks that a request is the transmitter's, and that its body is said to be a security event token.
    ///
    /// # Errors
    /// [`SecurityEventError::Authentication`] without the transmitter's secret; [`SecurityEventError::Request`].
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), SecurityEventError> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(secret) = &self.secret {
            let given = text(AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default();
            if !bool::from(given.as_bytes().ct_eq(secret.expose().as_bytes())) {
                return Err(SecurityEventError::Authentication);
            }
        }
        let media_type = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
        match media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
            true => Ok(()),
            false => Err(SecurityEventError::Request),
        }
    }
}

/// Returns the policy of the events.
fn policy(
    provider: &config::Provider,
    settings: &config::SecurityEvents,
    has_own_keys: bool,
) -> Policy<SecurityEvent> {
    let audiences = settings.audiences.split_first();
    let (first, others) = audiences.expect("the file names an audience, or the client's id is one");
    let policy = Policy::security_event(&settings.issuer, first).leeway(Duration::from_secs(provider.leeway));
    let policy = others.iter().fold(policy, Policy::audience);
    if has_own_keys { policy } else { provider.of_tenants(policy) }
}
