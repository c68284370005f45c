//! The file as it is written.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use claimgate::claims::TokenKind;
use claimgate::identity::{MappingSpec, OneOrMany};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) server: Option<Server>,
    #[serde(default)]
    pub(super) sign_in: SignIn,
    pub(super) provider: Providers,
    #[serde(default)]
    pub(super) identity: MappingSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) public_url: String,
    pub(super) listen: Option<String>,
    pub(super) database: Option<PathBuf>,
    pub(super) tls_certificate: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<String>,
    pub(super) metrics_from: Option<Vec<String>>,
    pub(super) cookie_domain: Option<String>,
    pub(super) verify_secret: Option<String>,
    pub(super) verify_secret_file: Option<PathBuf>,
    pub(super) verify_secret_env: Option<String>,
    #[serde(default = "yes")]
    pub(super) rsa_kernel: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SignIn {
    pub(super) create_users: bool,
    pub(super) link_by_username: bool,
    pub(super) allow_admins: bool,
    pub(super) sync_profile: bool,
    pub(super) sync_teams: bool,
    pub(super) replace_all_teams: bool,
    pub(super) absent_empties: bool,
    pub(super) password_fallback: bool,
    pub(super) password_fallback_regular: bool,
    pub(super) session_lifetime: u64,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            create_users: false,
            link_by_username: true,
            allow_admins: false,
            sync_profile: false,
            sync_teams: false,
            replace_all_teams: false,
            absent_empties: false,
            password_fallback: true,
            password_fallback_regular: false,
            session_lifetime: 12 * 60 * 60,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) name: Option<String>,
    pub(super) title: Option<String>,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) client_secret: Option<String>,
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) client_secret_env: Option<String>,
    pub(super) private_key_file: Option<PathBuf>,
    pub(super) private_key_algorithm: Option<String>,
    pub(super) private_key_id: Option<String>,
    pub(super) token_endpoint_auth_method: Option<String>,
    #[serde(default = "default_algorithms")]
    pub(super) algorithms: Vec<String>,
    pub(super) jwks_file: Option<PathBuf>,
    #[serde(default = "default_leeway")]
    pub(super) leeway: u64,
    pub(super) audience: Option<OneOrMany>,
    #[serde(default = "default_kind")]
    pub(super) token: TokenKind,
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
    pub(super) allow_http: bool,
    pub(super) ca_file: Option<PathBuf>,
    #[serde(default = "default_scopes")]
    pub(super) scopes: Vec<String>,
    pub(super) prompt: Option<String>,
    pub(super) max_age: Option<u64>,
    pub(super) logout_url: Option<String>,
    #[serde(default)]
    pub(super) strict_logout_type: bool,
    #[serde(default)]
    pub(super) logout_without_exp: bool,
    #[serde(default)]
    pub(super) allow_short_secret: bool,
    pub(super) identity: Option<MappingSpec>,
}

fn default_algorithms() -> Vec<String> {
    vec!["RS256".to_owned()]
}

fn default_scopes() -> Vec<String> {
    ["profile", "email", "phone"].map(str::to_owned).to_vec()
}

fn default_kind() -> TokenKind {
    TokenKind::IdToken
}

fn default_leeway() -> u64 {
    claimgate::claims::Policy::DEFAULT_LEEWAY
}

fn yes() -> bool {
    true
}

/// One `[provider]`, or several `[[provider]]`. Written by hand, for an untagged enum would lose
/// the place of an error inside.
pub(super) struct Providers(pub(super) Vec<Provider>);

impl<'de> Deserialize<'de> for Providers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Providers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one `[provider]`, or several `[[provider]]`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Providers, A::Error> {
                Ok(Providers(vec![Provider::deserialize(MapAccessDeserializer::new(map))?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut tables: A) -> Result<Providers, A::Error> {
                let mut providers = Vec::new();
                while let Some(provider) = tables.next_element()? {
                    providers.push(provider);
                }
                Ok(Providers(providers))
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}
