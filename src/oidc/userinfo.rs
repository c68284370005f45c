//! UserInfo (Core §5.3): further claims about the subject of the ID token.

use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Map, Value};

use super::discovery::ProviderMetadata;
use super::id_token::ValidatedIdToken;
use super::{Request, Response, media_type};
use crate::claims::Policy;
use crate::json::{self, JsonError};
use crate::jws::JwsVerifier;
use crate::limits::Limits;
use crate::time::UnixTime;
use crate::{Error, Verifier};

/// The claims of a sign-in: the ID token's, and those that only UserInfo has. Only this module makes one.
pub struct SignInClaims {
    pub(super) id_token: ValidatedIdToken,
    pub(super) claims: Value,
}

impl SignInClaims {
    /// Returns the ID token's claims alone, for a provider without UserInfo.
    #[must_use]
    pub fn of_id_token(id_token: ValidatedIdToken) -> Self {
        let claims = id_token.claims().as_value().clone();
        Self { id_token, claims }
    }

    /// Returns all claims, as one object.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.claims
    }
}

/// Why a UserInfo response is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserInfoError {
    /// The status is not 200.
    #[error("UserInfo was answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// Not one JSON object.
    #[error("the UserInfo response is {0}")]
    Json(JsonError),
    /// A signed response does not verify (Core §5.3.2).
    #[error("the signed UserInfo response is refused: {0}")]
    Token(#[from] Error),
    /// Its `sub` is absent or not the ID token's (Core §5.3.2).
    #[error("UserInfo is about another subject than the ID token")]
    Subject,
}

impl UserInfoError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            UserInfoError::Status { .. } => "userinfo.status",
            UserInfoError::Json(_) => "userinfo.json",
            UserInfoError::Token(error) => error.code(),
            UserInfoError::Subject => "userinfo.subject",
        }
    }
}

/// Builds the UserInfo request, if there is an endpoint and an access token.
#[must_use]
pub fn request(metadata: &ProviderMetadata, id_token: &ValidatedIdToken) -> Option<Request> {
    let endpoint = metadata.userinfo_endpoint.as_ref()?;
    let access_token = id_token.access_token.as_ref()?;
    let mut value = http::HeaderValue::from_str(&format!("Bearer {}", access_token.as_str())).ok()?;
    value.set_sensitive(true);
    let request = http::Request::builder().uri(endpoint.as_str()).header(AUTHORIZATION, value);
    request.header(ACCEPT, "application/json, application/jwt").body(Vec::new()).ok()
}

/// Parses the response and merges it into the ID token's claims, which take precedence.
///
/// # Errors
/// A [`UserInfoError`].
pub fn merge(
    id_token: ValidatedIdToken,
    response: &Response,
    keys: &JwsVerifier,
    now: UnixTime,
) -> Result<SignInClaims, UserInfoError> {
    if response.status() != http::StatusCode::OK {
        return Err(UserInfoError::Status { status: response.status().as_u16() });
    }
    let more = if media_type(response) == "application/jwt" {
        signed(&id_token, response, keys, now)?
    } else {
        json::parse_object(response.body(), &Limits::DEFAULT).map_err(UserInfoError::Json)?
    };
    // Core §5.3.2: without this check, a swapped access token would bring another person's groups.
    if more.get("sub").and_then(Value::as_str) != Some(id_token.token().subject()) {
        return Err(UserInfoError::Subject);
    }
    let mut claims = id_token.claims().as_object().clone();
    for (name, value) in more {
        claims.entry(name).or_insert(value);
    }
    Ok(SignInClaims { id_token, claims: Value::Object(claims) })
}

/// Verifies a signed response: `iss` and `aud` must be the ID token's if present (Core §5.3.2).
fn signed(
    id_token: &ValidatedIdToken,
    response: &Response,
    keys: &JwsVerifier,
    now: UnixTime,
) -> Result<Map<String, Value>, UserInfoError> {
    let own = id_token.token();
    let policy = Policy::jwt().require(Vec::<String>::new()).issuer(own.issuer());
    let policy = own.claims().audience().fold(policy, Policy::audience);
    let text = std::str::from_utf8(response.body()).map_err(|_| UserInfoError::Json(JsonError::Syntax))?;
    let token = Verifier::new(keys.clone(), policy).verify(text.trim(), now)?;
    Ok(token.claims().as_object().clone())
}
