//! Discovery (OpenID Connect Discovery 1.0 §4): a provider's metadata, validated.

use serde_json::{Map, Value};

use super::endpoint::{Endpoint, EndpointError};
use super::status::UnexpectedStatus;
use super::{Request, Response};
use crate::json::{self, JsonError};
use crate::limits::Limits;
use crate::text;

/// The scheme of issuers with TLS, which may be written in capitals (RFC 3986 §3.1).
const HTTPS: &str = "https:";

/// Endpoints from the configuration; each takes precedence over the discovered one.
///
/// ```
/// use claimgate::oidc::discovery::EndpointOverrides;
/// use claimgate::oidc::endpoint::Endpoint;
///
/// let endpoint = |path: &str| Endpoint::parse(&format!("https://idp.example.com/{path}"), false).ok();
/// let mut endpoints = EndpointOverrides { jwks_uri: endpoint("jwks"), ..EndpointOverrides::default() };
/// assert!(endpoints.complete().is_none(), "without discovery browsers and codes need an endpoint, too");
/// endpoints.authorization_endpoint = endpoint("authorize");
/// endpoints.token_endpoint = endpoint("token");
/// assert_eq!(endpoints.complete().expect("complete").token_endpoint.as_str(), "https://idp.example.com/token");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointOverrides {
    /// The endpoint that browsers sign in at.
    pub authorization_endpoint: Option<Endpoint>,
    /// The endpoint that exchanges codes for tokens.
    pub token_endpoint: Option<Endpoint>,
    /// The UserInfo endpoint.
    pub userinfo_endpoint: Option<Endpoint>,
    /// The JWK set.
    pub jwks_uri: Option<Endpoint>,
    /// The endpoint that browsers sign out at.
    pub end_session_endpoint: Option<Endpoint>,
}

impl EndpointOverrides {
    /// Returns the metadata of a provider without discovery, or `None` if a required endpoint is missing.
    #[must_use]
    pub fn complete(&self) -> Option<ProviderMetadata> {
        Some(ProviderMetadata {
            authorization_endpoint: self.authorization_endpoint.clone()?,
            token_endpoint: self.token_endpoint.clone()?,
            userinfo_endpoint: self.userinfo_endpoint.clone(),
            jwks_uri: self.jwks_uri.clone(),
            end_session_endpoint: self.end_session_endpoint.clone(),
            token_auth_methods: Vec::new(),
            iss_in_callback: false,
            claims_parameter: true,
            backchannel_logout: None,
            signing_algorithms: Vec::new(),
            code_challenge_methods: Vec::new(),
            scopes: Vec::new(),
            unused: Vec::new(),
        })
    }
}

/// The metadata of a provider (Discovery §3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderMetadata {
    /// The endpoint that browsers sign in at.
    pub authorization_endpoint: Endpoint,
    /// The endpoint that exchanges codes for tokens.
    pub token_endpoint: Endpoint,
    /// The UserInfo endpoint.
    pub userinfo_endpoint: Option<Endpoint>,
    /// The JWK set.
    pub jwks_uri: Option<Endpoint>,
    /// Where browsers are sent to sign out (RP-Initiated Logout 1.0 §2.1).
    pub end_session_endpoint: Option<Endpoint>,
    /// `token_endpoint_auth_methods_supported`; empty if absent.
    pub token_auth_methods: Vec<String>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 §3).
    pub iss_in_callback: bool,
    /// Whether the `claims` request parameter may be sent: unless `claims_parameter_supported` is false.
    pub claims_parameter: bool,
    /// `backchannel_logout_supported`, if present.
    pub backchannel_logout: Option<bool>,
    /// `id_token_signing_alg_values_supported`; empty if absent.
    pub signing_algorithms: Vec<String>,
    /// `code_challenge_methods_supported` (RFC 8414 §2); empty if absent.
    pub code_challenge_methods: Vec<String>,
    /// `scopes_supported`; empty if absent.
    pub scopes: Vec<String>,
    /// Why optional endpoints of the document are not used: those that must not be called.
    pub unused: Vec<DiscoveryError>,
}

/// Why a discovery document is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The status is not 200.
    #[error("the discovery document was answered with {0}")]
    Status(UnexpectedStatus),
    /// Not one JSON object.
    #[error("the discovery document {0}")]
    Json(JsonError),
    /// Its `issuer` is not the configured one (Discovery §4.3); a trailing slash makes a difference.
    #[error(
        "the discovery document's issuer is `{found}`, not `{expected}`; they must be equal to the letter"
    )]
    Issuer {
        /// The configured issuer.
        expected: String,
        /// The document's.
        found: String,
    },
    /// A member is absent or of the wrong type.
    #[error("the discovery document lacks a usable `{member}`")]
    Member {
        /// The member.
        member: &'static str,
    },
    /// An endpoint that must not be called.
    #[error("the discovery document's `{member}` is refused: {reason}")]
    Endpoint {
        /// The member.
        member: &'static str,
        /// The reason.
        reason: EndpointError,
    },
}

crate::code::coded!(DiscoveryError);

impl DiscoveryError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            DiscoveryError::Status(_) => "discovery.status",
            DiscoveryError::Json(_) => "discovery.json",
            DiscoveryError::Issuer { .. } => "discovery.issuer",
            DiscoveryError::Member { .. } => "discovery.member",
            DiscoveryError::Endpoint { .. } => "discovery.endpoint",
        }
    }
}

/// Builds the request for a provider's discovery document (Discovery §4.1).
#[must_use]
pub fn request(issuer: &Endpoint) -> Request {
    get(&issuer.with_path_suffix("/.well-known/openid-configuration"))
}

/// Builds a GET request for a JSON document.
pub(crate) fn get(endpoint: &Endpoint) -> Request {
    let request =
        http::Request::builder().uri(endpoint.as_str()).header(http::header::ACCEPT, "application/json");
    request.body(Vec::new()).expect("a parsed URL is a URI")
}

/// Parses the response. Endpoints of an `https` issuer must be `https` too, unless `allow_http`. An endpoint
/// that is null or empty counts as absent; an optional one that must not be called is not used, and the reason
/// is kept in [`ProviderMetadata::unused`].
///
/// # Errors
/// A [`DiscoveryError`].
pub fn read(
    response: &Response,
    issuer: &str,
    overrides: &EndpointOverrides,
    allow_http: bool,
) -> Result<ProviderMetadata, DiscoveryError> {
    if response.status() != http::StatusCode::OK {
        return Err(DiscoveryError::Status(UnexpectedStatus::of(response, str::to_owned)));
    }
    let document = json::parse_document(response.body(), &Limits::DEFAULT).map_err(DiscoveryError::Json)?;
    let found = document.get("issuer").and_then(Value::as_str);
    let found = found.ok_or(DiscoveryError::Member { member: "issuer" })?;
    if found != issuer {
        return Err(DiscoveryError::Issuer { expected: issuer.to_owned(), found: text::for_display(found) });
    }
    // An https provider must not lead to plain http, not even on this machine.
    let is_https = issuer.get(..HTTPS.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(HTTPS));
    let tls_only = is_https && !allow_http;
    let endpoint = |member: &'static str, own: &Option<Endpoint>| -> Result<Option<Endpoint>, _> {
        match (own, document.get(member)) {
            (Some(own), _) => Ok(Some(own.clone())),
            (None, Some(value)) => discovered(member, value, allow_http, tls_only),
            (None, None) => Ok(None),
        }
    };
    let needed = |member, own| endpoint(member, own)?.ok_or(DiscoveryError::Member { member });
    let mut unused = Vec::new();
    let mut optional = |member, own| {
        endpoint(member, own).unwrap_or_else(|reason| {
            unused.push(reason);
            None
        })
    };
    Ok(ProviderMetadata {
        authorization_endpoint: needed("authorization_endpoint", &overrides.authorization_endpoint)?,
        token_endpoint: needed("token_endpoint", &overrides.token_endpoint)?,
        userinfo_endpoint: optional("userinfo_endpoint", &overrides.userinfo_endpoint),
        jwks_uri: Some(needed("jwks_uri", &overrides.jwks_uri)?),
        end_session_endpoint: optional("end_session_endpoint", &overrides.end_session_endpoint),
        token_auth_methods: texts(&document, "token_endpoint_auth_methods_supported"),
        iss_in_callback: document.get("authorization_response_iss_parameter_supported")
            == Some(&Value::Bool(true)),
        claims_parameter: document.get("claims_parameter_supported") != Some(&Value::Bool(false)),
        backchannel_logout: document.get("backchannel_logout_supported").and_then(Value::as_bool),
        signing_algorithms: texts(&document, "id_token_signing_alg_values_supported"),
        code_challenge_methods: texts(&document, "code_challenge_methods_supported"),
        scopes: texts(&document, "scopes_supported"),
        unused,
    })
}

/// Parses an endpoint of the document. Null and an empty text are what providers write that have no such
/// endpoint.
fn discovered(
    member: &'static str,
    value: &Value,
    allow_http: bool,
    tls_only: bool,
) -> Result<Option<Endpoint>, DiscoveryError> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => text,
        _ => return Err(DiscoveryError::Member { member }),
    };
    let refused = |reason| DiscoveryError::Endpoint { member, reason };
    let endpoint = Endpoint::parse(text, allow_http).map_err(refused)?;
    if tls_only && endpoint.is_plain_http() {
        return Err(refused(EndpointError::Scheme));
    }
    Ok(Some(endpoint))
}

fn texts(document: &Map<String, Value>, member: &str) -> Vec<String> {
    let values = document.get(member).and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
