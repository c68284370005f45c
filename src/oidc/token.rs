//! The token request, which exchanges an authorization code, and its response (Core §3.1.3).

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use zeroize::Zeroizing;

use super::authorization::AuthorizationResponse;
use super::client::{Client, Secret};
use super::discovery::ProviderMetadata;
use super::endpoint::form;
use super::{Random, Request, Response};
use crate::json::{self, JsonError};
use crate::limits::Limits;
use crate::sign::SignError;
use crate::text;
use crate::time::UnixTime;

/// The tokens of a token response. Not printable.
pub struct TokenResponse {
    pub(super) id_token: Zeroizing<String>,
    pub(super) access_token: Option<Zeroizing<String>>,
}

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
    #[error("the token response is {0}")]
    Json(JsonError),
    /// `token_type` is not `Bearer` (Core §3.1.3.3).
    #[error("the token response's `token_type` is not Bearer")]
    Type,
    /// It holds no ID token: the client may not be allowed the scope `openid`.
    #[error("the token response holds no `id_token`")]
    NoIdToken,
}

impl TokenError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            TokenError::Assertion(_) => "token.assertion",
            TokenError::Refused { .. } => "token.refused",
            TokenError::Json(_) => "token.json",
            TokenError::Type => "token.type",
            TokenError::NoIdToken => "token.no_id_token",
        }
    }
}

/// A token request to send, and the secrets in it.
pub struct TokenRequest {
    /// The HTTP request.
    pub http: Request,
    /// The secrets to redact from the response.
    pub secrets: Secrets,
}

/// Builds the token request (Core §3.1.3.1).
///
/// # Errors
/// [`TokenError::Assertion`].
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
    let proof = client.authenticate(method, endpoint.as_str(), now, random).map_err(TokenError::Assertion)?;
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

/// Parses the token response (Core §3.1.3.3 and §3.1.3.4).
///
/// # Errors
/// A [`TokenError`], with the secrets redacted from its text.
pub fn read(response: &Response, secrets: &Secrets) -> Result<TokenResponse, TokenError> {
    let parsed = json::parse_object(response.body(), &Limits::DEFAULT);
    if !response.status().is_success() {
        let member = |name: &str| {
            let text = parsed.as_ref().ok().and_then(|object| object.get(name)).and_then(Value::as_str);
            text.map(|text| text::for_display(&secrets.redact(text)))
        };
        return Err(TokenError::Refused {
            error: member("error").unwrap_or_else(|| format!("status {}", response.status().as_u16())),
            description: member("error_description"),
        });
    }
    let mut object = parsed.map_err(TokenError::Json)?;
    match object.get("token_type") {
        None => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) => return Err(TokenError::Type),
    }
    let mut token = |name: &str| match object.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(Zeroizing::new(text)),
        _ => None,
    };
    Ok(TokenResponse {
        id_token: token("id_token").ok_or(TokenError::NoIdToken)?,
        access_token: token("access_token"),
    })
}
