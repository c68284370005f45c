//! The token request, which exchanges an authorization code, and its response (Core §3.1.3).

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::authorization::AuthorizationResponse;
use super::client::{Client, Secret};
use super::discovery::ProviderMetadata;
use super::endpoint::form;
use super::status::UnexpectedStatus;
use super::{Random, Request, Response};
use crate::json::{self, JsonError};
use crate::limits::Limits;
#[cfg(feature = "client-assertion")]
use crate::sign::SignError;
use crate::text;
use crate::time::UnixTime;

/// The tokens of a token response. Not printable.
pub struct TokenResponse {
    pub(super) id_token: Zeroizing<String>,
    pub(super) access_token: Option<Zeroizing<String>>,
}

crate::text::redacted_debug!(TokenResponse);

impl TokenResponse {
    /// Returns the ID token as received, **unverified**: for a log that says so.
    #[must_use]
    pub fn unverified_id_token(&self) -> &str {
        &self.id_token
    }
}

/// Why there are no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The client assertion could not be signed.
    #[cfg(feature = "client-assertion")]
    #[error("the client assertion could not be signed: {0}")]
    Assertion(SignError),
    /// The provider refused (RFC 6749 §5.2).
    #[error("the provider's token endpoint refused: {error}{}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// Its `error` code, or the HTTP status if it has none.
        error: String,
        /// Its `error_description`.
        description: Option<String>,
    },
    /// Not one JSON object.
    #[error("the token response {0}")]
    Json(JsonError),
    /// `token_type` is not `Bearer` (Core §3.1.3.3).
    #[error("the token response's `token_type` is {found}, not Bearer")]
    Type {
        /// What it is, for display.
        found: String,
    },
    /// It holds no ID token: the client may not be allowed the scope `openid`.
    #[error("the token response holds no `id_token`{}", found.map(|found| format!(": it is {found}")).unwrap_or_default())]
    NoIdToken {
        /// What `id_token` is instead of a token; `None` if it is absent.
        found: Option<&'static str>,
    },
}

crate::code::coded!(TokenError);

impl TokenError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            #[cfg(feature = "client-assertion")]
            TokenError::Assertion(_) => "token.assertion",
            TokenError::Refused { .. } => "token.refused",
            TokenError::Json(_) => "token.json",
            TokenError::Type { .. } => "token.type",
            TokenError::NoIdToken { .. } => "token.no_id_token",
        }
    }
}

/// A token request to send, and the secrets in it.
#[non_exhaustive]
pub struct TokenRequest {
    /// The HTTP request.
    pub http: Request,
    /// The secrets to redact from the response.
    pub secrets: Secrets,
}

crate::text::redacted_debug!(TokenRequest);

/// Builds the token request (Core §3.1.3.1). It blocks for as long as the client's own `Signer` does, if it has one.
///
/// # Errors
/// `TokenError::Assertion`, with the feature `client-assertion`.
#[cfg_attr(
    not(feature = "client-assertion"),
    expect(unused_variables, reason = "only an assertion has a time and can fail")
)]
pub fn request(
    authorization: &AuthorizationResponse,
    client: &Client,
    metadata: &ProviderMetadata,
    redirect_uri: &str,
    now: UnixTime,
    random: Random<'_>,
) -> Result<TokenRequest, TokenError> {
    let endpoint = &metadata.token_endpoint;
    let method = client.method(&metadata.token_auth_methods);
    #[cfg(feature = "client-assertion")]
    let proof = super::assertion::authenticate(client, method, endpoint.as_str(), now, random)
        .map_err(TokenError::Assertion)?;
    #[cfg(not(feature = "client-assertion"))]
    let proof = client.plain_authentication(method);
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("code", authorization.code.as_str()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", authorization.code_verifier.as_str()),
    ];
    parameters.extend(proof.parameters.iter().map(|(name, value)| (*name, value.as_str())));
    let mut request = http::Request::builder()
        .method(http::Method::POST)
        .uri(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(credentials) = &proof.basic {
        let header = Zeroizing::new(format!("Basic {}", credentials.as_str()));
        let mut value = http::HeaderValue::from_str(&header).expect("base64 is visible ASCII");
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let http = request.body(form(parameters).into_bytes()).expect("a parsed URL is a URI");
    let secrets = [authorization.code.as_str(), authorization.code_verifier.as_str()]
        .into_iter()
        .chain(client.secret.as_ref().map(Secret::expose))
        .chain(proof.basic.as_ref().map(|credentials| credentials.as_str()))
        .chain(proof.assertion());
    Ok(TokenRequest { http, secrets: Secrets::new(secrets) })
}

/// The secrets of a token request. A provider may repeat them in its error response, whose text is
/// shown and logged. Only [`request`] makes one.
pub struct Secrets(Vec<Zeroizing<String>>);

crate::text::redacted_debug!(Secrets);

impl Secrets {
    /// Takes the secrets, each as it is and form-encoded.
    fn new<'s>(secrets: impl Iterator<Item = &'s str>) -> Self {
        let both = |secret: &str| {
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            [Zeroizing::new(secret.to_owned()), Zeroizing::new(encoded)]
        };
        Self(secrets.filter(|secret| !secret.is_empty()).flat_map(both).collect())
    }

    fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }
}

/// Parses the token response (Core §3.1.3.3 and §3.1.3.4). A `token_type` of null counts as absent, and an
/// `error` without an ID token as a refusal, whatever the status.
///
/// # Errors
/// A [`TokenError`], with the secrets redacted from its text.
pub fn read(response: &Response, secrets: &Secrets) -> Result<TokenResponse, TokenError> {
    let parsed = json::parse_document(response.body(), &Limits::DEFAULT);
    if !response.status().is_success() {
        return Err(refusal(parsed.as_ref().ok(), response, secrets));
    }
    let mut object = parsed.map_err(TokenError::Json)?;
    if object.get("error").is_some_and(Value::is_string) && !object.contains_key("id_token") {
        return Err(refusal(Some(&object), response, secrets));
    }
    match object.get("token_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(Value::String(kind)) => {
            return Err(TokenError::Type {
                found: format!("`{}`", text::for_display(&secrets.redact(kind))),
            });
        }
        Some(other) => return Err(TokenError::Type { found: json::kind_of(other).to_owned() }),
    }
    let mut token = |name: &str| match object.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Zeroizing::new(text)),
        other => Err(other.as_ref().map(json::kind_of)),
    };
    Ok(TokenResponse {
        id_token: token("id_token").map_err(|found| TokenError::NoIdToken { found })?,
        access_token: token("access_token").ok(),
    })
}

/// Returns the refusal that a response holds: its `error`, or else its status.
fn refusal(object: Option<&Map<String, Value>>, response: &Response, secrets: &Secrets) -> TokenError {
    let member = |name: &str| {
        let text = object.and_then(|object| object.get(name)).and_then(Value::as_str);
        text.map(|text| text::for_display(&secrets.redact(text)))
    };
    let status = || UnexpectedStatus::of(response, |text| secrets.redact(text)).to_string();
    TokenError::Refused {
        error: member("error").unwrap_or_else(status),
        description: member("error_description"),
    }
}
