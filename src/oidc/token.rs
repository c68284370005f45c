//! Sign-in: the code for tokens (Core §3.1.3).

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use zeroize::Zeroizing;

use super::authorization::{CodeGrant, shown};
use super::client::Client;
use super::discovery::Metadata;
use super::endpoint::form;
use super::{Random, Request, Response};
use crate::json::{self, JsonError};
use crate::limits::Limits;
use crate::sign::SignError;
use crate::time::UnixTime;

/// What the token endpoint gave. Never printed.
pub struct TokenResponse {
    pub(super) id_token: Zeroizing<String>,
    pub(super) access_token: Option<Zeroizing<String>>,
}

impl TokenResponse {
    /// The ID token as it came, **unverified**: for a log that says so.
    #[must_use]
    pub fn unverified_id_token(&self) -> &str {
        &self.id_token
    }
}

/// Why no tokens came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The client assertion could not be signed.
    #[error("the client assertion could not be signed: {0}")]
    Assertion(SignError),
    /// The provider refused (RFC 6749 §5.2).
    #[error("the provider's token endpoint refused: {error}{}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// Its `error` code, or the HTTP status where it gave none.
        error: String,
        /// Its `error_description`.
        description: Option<String>,
    },
    /// Not one JSON object.
    #[error("the token response is {0}")]
    Json(JsonError),
    /// `token_type` is another than `Bearer` (Core §3.1.3.3).
    #[error("the token response's `token_type` is not Bearer")]
    Type,
    /// It holds no ID token: is `openid` among the scopes the client may ask for?
    #[error("the token response holds no `id_token`")]
    NoIdToken,
}

impl TokenError {
    /// The stable code of this error; see `docs/reference/errors.md`.
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

/// The token request (Core §3.1.3.1).
///
/// # Errors
/// [`TokenError::Assertion`].
pub fn request(
    grant: &CodeGrant,
    client: &Client,
    metadata: &Metadata,
    redirect_uri: &str,
    now: UnixTime,
    random: Random<'_>,
) -> Result<Request, TokenError> {
    let endpoint = &metadata.token_endpoint;
    let method = client.method(&metadata.token_auth_methods);
    let proof = client.authenticate(method, endpoint.as_str(), now, random).map_err(TokenError::Assertion)?;
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("code", grant.code.as_str()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", grant.code_verifier.as_str()),
    ];
    parameters.extend(proof.parameters.iter().map(|(name, value)| (*name, value.as_str())));
    let mut request = http::Request::builder()
        .method(http::Method::POST)
        .uri(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(header) = &proof.header {
        let mut value = http::HeaderValue::from_str(header).expect("base64 is visible ASCII");
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    Ok(request.body(form(parameters).into_bytes()).expect("a parsed URL is a URI"))
}

/// The secrets that went with a token request, to keep them out of messages: a provider may repeat
/// in its refusal what it was sent, and its words are shown and logged.
#[derive(Default)]
pub struct Secrets(Vec<Zeroizing<String>>);

impl Secrets {
    /// Code, verifier and proofs of a request made by [`request`] for this client.
    #[must_use]
    pub fn of(request: &Request, client: &Client) -> Self {
        let sent = url::form_urlencoded::parse(request.body())
            .filter(|(name, _)| {
                ["code", "code_verifier", "client_secret", "client_assertion"].contains(&name.as_ref())
            })
            .map(|(_, value)| Zeroizing::new(value.into_owned()));
        let own = client.secret.iter().map(|secret| Zeroizing::new(secret.expose().to_owned()));
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let header =
            header.and_then(|value| value.strip_prefix("Basic ")).map(|value| value.to_owned().into());
        let plain: Vec<Zeroizing<String>> =
            sent.chain(own).chain(header).filter(|text| !text.is_empty()).collect();
        let encode = |text: &Zeroizing<String>| -> Zeroizing<String> {
            Zeroizing::new(url::form_urlencoded::byte_serialize(text.as_bytes()).collect())
        };
        let encoded: Vec<_> = plain.iter().map(encode).collect();
        Self(plain.into_iter().chain(encoded).collect())
    }

    fn taken_out_of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }
}

/// Reads the answer (Core §3.1.3.3 and §3.1.3.4).
///
/// # Errors
/// A [`TokenError`], without the given secrets in its text.
pub fn read(response: &Response, secrets: &Secrets) -> Result<TokenResponse, TokenError> {
    let parsed = json::parse_object(response.body(), &Limits::DEFAULT);
    if !response.status().is_success() {
        let text = |name: &str| {
            let text = parsed.as_ref().ok().and_then(|object| object.get(name)).and_then(Value::as_str);
            text.map(|text| shown(&secrets.taken_out_of(text)))
        };
        return Err(TokenError::Refused {
            error: text("error").unwrap_or_else(|| format!("status {}", response.status().as_u16())),
            description: text("error_description"),
        });
    }
    let mut object = parsed.map_err(TokenError::Json)?;
    match object.get("token_type") {
        None => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) => return Err(TokenError::Type),
    }
    let mut text = |name: &str| match object.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(Zeroizing::new(text)),
        _ => None,
    };
    Ok(TokenResponse {
        id_token: text("id_token").ok_or(TokenError::NoIdToken)?,
        access_token: text("access_token"),
    })
}
