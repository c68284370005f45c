//! The token request, which exchanges an authorization code, and its response (Core §3.1.3).

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

#[cfg(feature = "client-assertion")]
use super::assertion::Proof;
use super::authorization::AuthorizationResponse;
use super::client::{Authentication, Client, Secret};
use super::discovery::ProviderMetadata;
use super::endpoint::form;
use super::status::UnexpectedStatus;
use super::{Random, Request, Response};
#[cfg(feature = "client-assertion")]
use crate::alg::Unavailable;
use crate::json::{self, JsonError};
use crate::limits::Limits;
#[cfg(feature = "client-assertion")]
use crate::sign::SignError;
use crate::text;
use crate::time::UnixTime;

/// The tokens of a token response. Not printable. All but the ID token are out of reach until it is validated: then
/// [`ValidatedIdToken::tokens`](super::id_token::ValidatedIdToken::tokens) returns them.
///
/// ```
/// use claimgate::oidc::token::TokenResponse;
///
/// fn log(response: &TokenResponse) {
///     eprintln!("refused, unverified: {}", response.unverified_id_token());
/// }
/// ```
pub struct TokenResponse {
    pub(super) id_token: Zeroizing<String>,
    pub(super) tokens: Tokens,
}

crate::text::redacted_debug!(TokenResponse);

/// The tokens of a sign-in for calls to other services, beside the ID token (RFC 6749 §5.1). Wiped from memory when
/// dropped; `Debug` prints no token.
///
/// ```
/// use claimgate::oidc::id_token::ValidatedIdToken;
///
/// fn authorization(id_token: &ValidatedIdToken) -> Option<String> {
///     let access_token = id_token.tokens().access_token()?;
///     Some(format!("Bearer {}", access_token.expose()))
/// }
///
/// fn describe(id_token: &ValidatedIdToken) -> String {
///     let tokens = id_token.tokens();
///     let renewable = tokens.refresh_token().is_some();
///     format!("{:?} for {:?}, renewable: {renewable}", tokens.scope(), tokens.expires_in())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Tokens {
    pub(super) access_token: Option<Secret>,
    pub(super) refresh_token: Option<Secret>,
    pub(super) expires_in: Option<Duration>,
    pub(super) scope: Option<String>,
}

impl Tokens {
    /// Takes the tokens of a response. What is not of its type counts as absent.
    pub(super) fn of(object: &mut Map<String, Value>) -> Self {
        let expires_in = object.get("expires_in").and_then(Value::as_u64).map(Duration::from_secs);
        let mut token = |name: &str| take(object, name).ok().map(Secret::new);
        let (access_token, refresh_token) = (token("access_token"), token("refresh_token"));
        Self { access_token, refresh_token, expires_in, scope: take(object, "scope").ok() }
    }

    /// Returns the access token, if there is one. What it says is meant for the service that accepts it.
    #[must_use]
    pub fn access_token(&self) -> Option<&Secret> {
        self.access_token.as_ref()
    }

    /// Returns the refresh token, if the provider issued one: mostly for the scope `offline_access` alone.
    /// [`refresh::request`](super::refresh::request) presents it.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref()
    }

    /// Returns how long the access token is valid, counted from the response; `None` if the provider does not say so
    /// in whole seconds.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// Returns the scope of the access token, names separated by spaces; `None` if the provider does not say it, and
    /// it is then the scope that was asked for.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }
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
    /// The response to a refresh token holds no access token.
    #[error("the token response holds no `access_token`{}", found.map(|found| format!(": it is {found}")).unwrap_or_default())]
    NoAccessToken {
        /// What `access_token` is instead of a token; `None` if it is absent.
        found: Option<&'static str>,
    },
}

crate::code::coded!(TokenError);

impl TokenError {
    /// Reports whether the provider says that the grant is of no use any more (`invalid_grant`, RFC 6749 §5.2): the code or
    /// the refresh token is used up, has expired or was revoked. After another error it may be presented again.
    ///
    /// ```
    /// use claimgate::oidc::token::TokenError;
    ///
    /// let refused = |error: &str| TokenError::Refused { error: error.to_owned(), description: None };
    /// assert!(refused("invalid_grant").ends_grant());
    /// assert!(!refused("temporarily_unavailable").ends_grant());
    /// ```
    #[must_use]
    pub fn ends_grant(&self) -> bool {
        matches!(self, TokenError::Refused { error, .. } if error == "invalid_grant")
    }

    /// Returns what was not available if the client's signer could not sign the assertion now, and may do so later.
    ///
    /// ```
    /// use claimgate::alg::Unavailable;
    /// use claimgate::oidc::token::TokenError;
    ///
    /// let down = TokenError::Assertion(Unavailable::new("no connection").into());
    /// assert!(down.unavailable().is_some());
    /// ```
    #[cfg(feature = "client-assertion")]
    #[must_use]
    pub fn unavailable(&self) -> Option<&Unavailable> {
        match self {
            TokenError::Assertion(SignError::Unavailable(reason)) => Some(reason),
            _ => None,
        }
    }

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
            TokenError::NoAccessToken { .. } => "token.no_access_token",
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

/// Builds the token request (Core §3.1.3.1). It blocks for as long as the client's own `Signer` does, if it has one;
/// `request_async` awaits it.
///
/// # Errors
/// `TokenError::Assertion`, with the feature `client-assertion`.
pub fn request(
    authorization: &AuthorizationResponse,
    client: &Client,
    metadata: &ProviderMetadata,
    redirect_uri: &str,
    now: impl Into<UnixTime>,
    random: Random<'_>,
) -> Result<TokenRequest, TokenError> {
    Grant::code(authorization, redirect_uri).request(client, metadata, now.into(), random)
}

/// Does the same as [`request`] without blocking the thread where the client's own [`Signer`](crate::sign::Signer)
/// waits for something beyond this process, such as a key service: it awaits
/// [`Signer::signature_async`](crate::sign::Signer::signature_async). Random bytes are drawn before it is awaited, so that the
/// future is `Send`, whatever the source is.
///
/// ```
/// use std::sync::Arc;
///
/// use claimgate::alg::Unavailable;
/// use claimgate::oidc::authorization::AuthorizationResponse;
/// use claimgate::oidc::client::Client;
/// use claimgate::oidc::discovery::ProviderMetadata;
/// use claimgate::oidc::token::{self, TokenError, TokenRequest};
/// use claimgate::sign::{SignError, Signer, Signing};
///
/// /// A key service over the network.
/// #[derive(Debug)]
/// struct KeyService { /* an HTTP client, the key's name */ }
///
/// # impl KeyService { async fn ask(&self, _: &[u8]) -> Result<Vec<u8>, SignError> { Ok(vec![0; 64]) } }
/// impl Signer for KeyService {
///     fn algorithm(&self) -> &str {
///         "ES256"
///     }
///
///     fn kid(&self) -> Option<&str> {
///         Some("key-1")
///     }
///
///     fn signature(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
///         Err(Unavailable::new("the key service can only be awaited").into())
///     }
///
///     fn signature_async<'s>(&'s self, signing_input: &'s [u8]) -> Option<Signing<'s>> {
///         Some(Box::pin(self.ask(signing_input)))
///     }
/// }
///
/// async fn redeem(
///     authorization: &AuthorizationResponse,
///     metadata: &ProviderMetadata,
///     random: &mut dyn FnMut(&mut [u8]),
/// ) -> Result<TokenRequest, TokenError> {
///     let mut client = Client::new("crm"); // once, in a program
///     client.key = Some(Arc::new(KeyService {}));
///     let now = std::time::SystemTime::now();
///     let redirect_uri = "https://crm.example.com/callback";
///     token::request_async(authorization, &client, metadata, redirect_uri, now, random).await
/// }
/// ```
///
/// # Errors
/// [`TokenError::Assertion`].
#[cfg(feature = "client-assertion")]
pub fn request_async<'a, T: Into<UnixTime>>(
    authorization: &'a AuthorizationResponse,
    client: &'a Client,
    metadata: &'a ProviderMetadata,
    redirect_uri: &'a str,
    now: T,
    random: Random<'_>,
) -> impl Future<Output = Result<TokenRequest, TokenError>> + Send + use<'a, T> {
    Grant::code(authorization, redirect_uri).request_async(client, metadata, now.into(), random)
}

/// What the client presents for tokens: parameters of the request, and the values among them that are secret.
pub(super) struct Grant<'a> {
    parameters: Vec<(&'static str, &'a str)>,
    secrets: Vec<&'a str>,
}

impl<'a> Grant<'a> {
    fn code(authorization: &'a AuthorizationResponse, redirect_uri: &'a str) -> Self {
        let (code, code_verifier) = (authorization.code.as_str(), authorization.code_verifier.as_str());
        let parameters = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", code_verifier),
        ];
        Self { parameters, secrets: vec![code, code_verifier] }
    }

    pub(super) fn refresh(refresh_token: &'a Secret) -> Self {
        let refresh_token = refresh_token.expose();
        let parameters = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        Self { parameters, secrets: vec![refresh_token] }
    }

    /// Builds the request with the client's proof, which its signer signs.
    #[cfg_attr(
        not(feature = "client-assertion"),
        expect(unused_variables, reason = "only an assertion has a time and can fail")
    )]
    pub(super) fn request(
        &self,
        client: &Client,
        metadata: &ProviderMetadata,
        now: UnixTime,
        random: Random<'_>,
    ) -> Result<TokenRequest, TokenError> {
        let method = client.method(&metadata.token_auth_methods);
        #[cfg(feature = "client-assertion")]
        let proof = Proof::new(client, method, metadata.token_endpoint.as_str(), now, random)
            .and_then(Proof::sign)
            .map_err(TokenError::Assertion)?;
        #[cfg(not(feature = "client-assertion"))]
        let proof = client.plain_authentication(method);
        Ok(post(self, client, metadata, &proof))
    }

    /// Does the same; the client's signer is awaited.
    #[cfg(feature = "client-assertion")]
    pub(super) fn request_async(
        self,
        client: &'a Client,
        metadata: &'a ProviderMetadata,
        now: UnixTime,
        random: Random<'_>,
    ) -> impl Future<Output = Result<TokenRequest, TokenError>> + Send + use<'a> {
        let method = client.method(&metadata.token_auth_methods);
        let proof = Proof::new(client, method, metadata.token_endpoint.as_str(), now, random);
        async move {
            let signed = match proof {
                Ok(proof) => proof.sign_async().await,
                Err(error) => Err(error),
            };
            Ok(post(&self, client, metadata, &signed.map_err(TokenError::Assertion)?))
        }
    }
}

fn post(
    grant: &Grant<'_>,
    client: &Client,
    metadata: &ProviderMetadata,
    proof: &Authentication,
) -> TokenRequest {
    let own = proof.parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let body = form(grant.parameters.iter().copied().chain(own));
    let mut request = http::Request::builder()
        .method(http::Method::POST)
        .uri(metadata.token_endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(credentials) = &proof.basic {
        let header = Zeroizing::new(format!("Basic {}", credentials.as_str()));
        let mut value = http::HeaderValue::from_str(&header).expect("base64 is visible ASCII");
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let http = request.body(body.into_bytes()).expect("a parsed URL is a URI");
    let secrets = grant
        .secrets
        .iter()
        .copied()
        .chain(client.secret.as_ref().map(Secret::expose))
        .chain(proof.basic.as_ref().map(|credentials| credentials.as_str()))
        .chain(proof.assertion());
    TokenRequest { http, secrets: Secrets::new(secrets) }
}

/// The secrets of a token request. A provider may repeat them in its error response, whose text is
/// shown and logged. Only a [`TokenRequest`] has one.
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

/// Parses the token response (Core §3.1.3.3 and §3.1.3.4). A `token_type` of null counts as absent, and an `error`
/// without an ID token as a refusal, whatever the status. The next step is
/// [`id_token::validate`](super::id_token::validate).
///
/// # Errors
/// A [`TokenError`], with the secrets redacted from its text.
pub fn read(response: &Response, secrets: &Secrets) -> Result<TokenResponse, TokenError> {
    let mut object = parse(response, secrets, "id_token")?;
    let id_token = take(&mut object, "id_token").map_err(|found| TokenError::NoIdToken { found })?;
    Ok(TokenResponse { id_token: Zeroizing::new(id_token), tokens: Tokens::of(&mut object) })
}

/// Parses a response that should hold the token `wanted`.
pub(super) fn parse(
    response: &Response,
    secrets: &Secrets,
    wanted: &str,
) -> Result<Map<String, Value>, TokenError> {
    let parsed = json::parse_document(response.body(), &Limits::DEFAULT);
    if !response.status().is_success() {
        return Err(refusal(parsed.as_ref().ok(), response, secrets));
    }
    let object = parsed.map_err(TokenError::Json)?;
    if object.get("error").is_some_and(Value::is_string) && !object.contains_key(wanted) {
        return Err(refusal(Some(&object), response, secrets));
    }
    match object.get("token_type") {
        None | Some(Value::Null) => Ok(object),
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => Ok(object),
        Some(Value::String(kind)) => {
            Err(TokenError::Type { found: format!("`{}`", text::for_display(&secrets.redact(kind))) })
        }
        Some(other) => Err(TokenError::Type { found: json::kind_of(other).to_owned() }),
    }
}

/// Takes a text that is not empty, or says what is there in its place.
pub(super) fn take(object: &mut Map<String, Value>, name: &str) -> Result<String, Option<&'static str>> {
    match object.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        other => Err(other.as_ref().map(json::kind_of)),
    }
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
