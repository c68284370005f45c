//! The file as it is written: one field a setting, nothing checked but its type.

use std::collections::BTreeMap;
use std::path::PathBuf;

use claimgate::claims::{ClaimSpec, Policy, TokenKind};
use claimgate::identity::{MappingSpec, OneOrMany};
use claimgate::oidc::sync::AbsentGroups;
use claimgate::time::Seconds;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) public_url: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) database: Option<PathBuf>,
    pub(super) logout_memory: Option<u64>,
    pub(super) tls_certificate: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<String>,
    pub(super) metrics_from: Option<Vec<String>>,
    pub(super) cookie_domain: Option<String>,
    #[serde(default)]
    pub(super) application_cookies: bool,
    pub(super) admin_url: Option<String>,
    pub(super) admin_from: Option<Vec<String>>,
    #[serde(default)]
    pub(super) danger_admin_beside_applications: bool,
    #[serde(default)]
    pub(super) admin_edit_configuration: bool,
    #[serde(default)]
    pub(super) admin_recent_sign_ins: bool,
    pub(super) verify_secret: Option<String>,
    pub(super) verify_secret_file: Option<PathBuf>,
    pub(super) verify_secret_env: Option<String>,
    #[serde(default = "yes")]
    pub(super) rsa_kernel: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub(super) url: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) password_env: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) danger_plaintext: bool,
    #[serde(default = "default_revocation_bound")]
    pub(super) revocation_bound: Seconds,
    #[serde(default)]
    pub(super) require_synchronous: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pages {
    pub(super) name: Option<String>,
    pub(super) logo_file: Option<PathBuf>,
    pub(super) accent_color: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Events {
    pub(super) enabled: bool,
    pub(super) retention: Seconds,
    pub(super) max: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self { enabled: true, retention: Seconds(30 * 24 * 60 * 60), max: 200_000 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SignIn {
    pub(super) create_users: bool,
    pub(super) link_by_username: Option<bool>,
    pub(super) allow_admins: bool,
    pub(super) sync_profile: bool,
    pub(super) sync_teams: bool,
    pub(super) keep_hand_given_teams: bool,
    pub(super) absent_empties: bool,
    pub(super) absent_groups: AbsentGroups,
    pub(super) password_fallback: bool,
    pub(super) password_fallback_regular: bool,
    pub(super) session_lifetime: Seconds,
    pub(super) idle_time: Option<Seconds>,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            create_users: false,
            link_by_username: None,
            allow_admins: false,
            sync_profile: false,
            sync_teams: false,
            keep_hand_given_teams: true,
            absent_empties: false,
            absent_groups: AbsentGroups::Clear,
            password_fallback: true,
            password_fallback_regular: false,
            session_lifetime: Seconds(12 * 60 * 60),
            idle_time: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) id: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) tenants: Option<Vec<String>>,
    #[serde(default)]
    pub(super) danger_any_tenant: bool,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) client_secret_env: Option<String>,
    pub(super) private_key_file: Option<PathBuf>,
    pub(super) private_key_algorithm: Option<String>,
    pub(super) private_key_id: Option<String>,
    pub(super) private_key_signer: Option<String>,
    pub(super) token_endpoint_auth_method: Option<String>,
    #[serde(default = "default_algorithms")]
    pub(super) algorithms: Vec<String>,
    pub(super) jwks_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) trusted_audiences: Vec<String>,
    #[serde(default)]
    pub(super) authorized_parties: Vec<String>,
    #[serde(default = "default_leeway")]
    pub(super) leeway: Seconds,
    #[serde(default = "yes")]
    pub(super) discovery: bool,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) jwks_uri: Option<String>,
    pub(super) end_session_endpoint: Option<String>,
    #[serde(default = "yes")]
    pub(super) userinfo: bool,
    #[serde(default)]
    pub(super) danger_allow_http: bool,
    pub(super) ca_file: Option<PathBuf>,
    #[serde(default = "default_scopes")]
    pub(super) scopes: Vec<String>,
    pub(super) prompt: Option<String>,
    pub(super) max_age: Option<Seconds>,
    pub(super) response_mode: Option<String>,
    #[serde(default)]
    pub(super) authorization_parameters: BTreeMap<String, String>,
    pub(super) refresh_interval: Option<Seconds>,
    #[serde(default)]
    pub(super) refresh_end_errors: Vec<String>,
    #[serde(default)]
    pub(super) userinfo_is_complete: bool,
    pub(super) logout_url: Option<String>,
    #[serde(default)]
    pub(super) logout_from: Vec<String>,
    #[serde(default)]
    pub(super) frontchannel_logout: bool,
    #[serde(default)]
    pub(super) strict_logout_type: bool,
    #[serde(default)]
    pub(super) danger_logout_without_exp: bool,
    #[serde(default)]
    pub(super) danger_allow_short_secret: bool,
    #[serde(default)]
    pub(super) claim: Vec<ClaimSpec>,
    #[serde(default)]
    pub(super) verify: Verify,
    pub(super) security_events: Option<SecurityEvents>,
    pub(super) identity: Option<MappingSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminClient {
    pub(super) client: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) provider: Option<String>,
    #[serde(default = "yes")]
    pub(super) read_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecurityEvents {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<OneOrMany>,
    pub(super) jwks_uri: Option<String>,
    pub(super) algorithms: Option<Vec<String>>,
    pub(super) transmitter_secret: Option<String>,
    pub(super) transmitter_secret_file: Option<PathBuf>,
    pub(super) transmitter_secret_env: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    pub(super) kind: Option<TokenKind>,
    #[serde(default)]
    pub(super) untyped_access_tokens: bool,
    pub(super) audience: Option<OneOrMany>,
    pub(super) trusted_audiences: Option<Vec<String>>,
    pub(super) authorized_parties: Option<Vec<String>>,
    pub(super) max_token_age: Option<Seconds>,
    pub(super) claim: Option<Vec<ClaimSpec>>,
}

fn default_revocation_bound() -> Seconds {
    Seconds(1)
}

/// Returns the `algorithms` of a provider whose table has none.
#[must_use]
pub fn default_algorithms() -> Vec<String> {
    vec!["RS256".to_owned()]
}

/// Returns the `scopes` of a provider whose table has none.
#[must_use]
pub fn default_scopes() -> Vec<String> {
    ["profile", "email", "phone"].map(str::to_owned).to_vec()
}

fn default_leeway() -> Seconds {
    Seconds(Policy::DEFAULT_LEEWAY.as_secs())
}

fn yes() -> bool {
    true
}
