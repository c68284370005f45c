//! UserInfo (Core §5.3): further claims about the subject of the ID token.

use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::client::Secret;
use super::discovery::ProviderMetadata;
use super::facts::OF_THE_AUTHENTICATION;
use super::id_token::ValidatedIdToken;
use super::status::UnexpectedStatus;
use super::token::Tokens;
use super::{Request, Response, media_type};
use crate::Error;
use crate::claims::{Claims, Policy};
use crate::json::{self, JsonError};
use crate::jws::{CompactJws, JwsVerifier};
use crate::limits::Limits;
use crate::text;
use crate::time::UnixTime;

/// The claims of a sign-in: the ID token's, and those that only UserInfo has. Only this module makes one.
///
/// ```
/// use claimgate::oidc::userinfo::SignInClaims;
/// use serde_json::Value;
///
/// fn name(claims: &SignInClaims) -> &str {
///     let name = claims.as_value().get("name").and_then(Value::as_str);
///     name.unwrap_or_else(|| claims.id_token().token().subject())
/// }
/// ```
pub struct SignInClaims {
    pub(super) id_token: ValidatedIdToken,
    pub(super) claims: Value,
}

crate::text::redacted_debug!(SignInClaims, claims);

impl SignInClaims {
    /// Returns the ID token's claims alone, for a provider without UserInfo.
    #[must_use]
    pub fn of_id_token(id_token: ValidatedIdToken) -> Self {
        let claims = id_token.claims().as_value().clone();
        Self { id_token, claims }
    }

    /// Returns the ID token, and with it the tokens of the sign-in.
    #[must_use]
    pub fn id_token(&self) -> &ValidatedIdToken {
        &self.id_token
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
    #[error("UserInfo was answered with {0}")]
    Status(UnexpectedStatus),
    /// Not one JSON object.
    #[error("the UserInfo response {0}")]
    Json(JsonError),
    /// A signed response under another media type than `application/jwt` (Core §5.3.2).
    #[error("the UserInfo response looks like a JWT, but its Content-Type is `{found}`, not application/jwt")]
    MediaType {
        /// The response's media type.
        found: String,
    },
    /// A signed response does not verify (Core §5.3.2).
    #[error("the signed UserInfo response is refused: {0}")]
    Token(Error),
    /// Its `sub` is absent or not the ID token's (Core §5.3.2).
    #[error("the UserInfo response's `sub` {reason}; it must be the ID token's")]
    Subject {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl From<Error> for UserInfoError {
    fn from(error: Error) -> Self {
        UserInfoError::Token(error)
    }
}

crate::code::coded!(UserInfoError);

impl UserInfoError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            UserInfoError::Status(_) => "userinfo.status",
            UserInfoError::Json(_) | UserInfoError::MediaType { .. } => "userinfo.json",
            UserInfoError::Token(error) => error.code(),
            UserInfoError::Subject { .. } => "userinfo.subject",
        }
    }
}

/// Builds the UserInfo request, if there is an endpoint and an access token.
#[must_use]
pub fn request(metadata: &ProviderMetadata, id_token: &ValidatedIdToken) -> Option<Request> {
    request_by(metadata, &id_token.tokens)
}

/// Builds the UserInfo request of a refresh that brought no ID token, if there is an endpoint and an access token.
///
/// ```
/// use claimgate::oidc::Request;
/// use claimgate::oidc::discovery::ProviderMetadata;
/// use claimgate::oidc::refresh::Refreshed;
/// use claimgate::oidc::userinfo;
///
/// fn userinfo_request(metadata: &ProviderMetadata, refreshed: &Refreshed) -> Option<Request> {
///     userinfo::request_by(metadata, refreshed.tokens())
/// }
/// ```
#[must_use]
pub fn request_by(metadata: &ProviderMetadata, tokens: &Tokens) -> Option<Request> {
    let endpoint = metadata.userinfo_endpoint.as_ref()?;
    let access_token = tokens.access_token()?;
    let header = Zeroizing::new(format!("Bearer {}", access_token.expose()));
    let mut value = http::HeaderValue::from_str(&header).ok()?;
    value.set_sensitive(true);
    let request = http::Request::builder().uri(endpoint.as_str()).header(AUTHORIZATION, value);
    request.header(ACCEPT, "application/json, application/jwt").body(Vec::new()).ok()
}

/// Parses the response and merges it into the ID token's claims, which take precedence: a claim of UserInfo
/// counts where the ID token has none, or null. A claim and the one that says whether it is verified
/// (`email` and `email_verified`) come from one document; `acr`, `amr` and `auth_time` are the ID token's alone. `client_id`
/// is the relying party's.
///
/// # Errors
/// A [`UserInfoError`].
pub fn merge(
    id_token: ValidatedIdToken,
    response: &Response,
    keys: &JwsVerifier,
    client_id: &str,
    now: impl Into<UnixTime>,
) -> Result<SignInClaims, UserInfoError> {
    let about = Subject {
        issuer: id_token.token().issuer(),
        subject: id_token.token().subject(),
        access_token: id_token.tokens.access_token(),
    };
    let more = read(&about, response, keys, client_id, now.into())?;
    let claims = merged(id_token.claims().as_object(), more);
    Ok(SignInClaims { id_token, claims: Value::Object(claims) })
}

/// The person whom a response must describe, and the access token that it was requested with.
pub(super) struct Subject<'s> {
    pub(super) issuer: &'s str,
    pub(super) subject: &'s str,
    pub(super) access_token: Option<&'s Secret>,
}

/// Parses the response about a subject.
///
/// # Errors
/// A [`UserInfoError`].
pub(super) fn read(
    about: &Subject<'_>,
    response: &Response,
    keys: &JwsVerifier,
    client_id: &str,
    now: UnixTime,
) -> Result<Map<String, Value>, UserInfoError> {
    if response.status() != http::StatusCode::OK {
        let access_token = about.access_token.map_or("", Secret::expose);
        let redact = |text: &str| match access_token {
            "" => text.to_owned(),
            secret => text.replace(secret, "…"),
        };
        return Err(UserInfoError::Status(UnexpectedStatus::of(response, redact)));
    }
    let found = media_type(response);
    let more = if found == "application/jwt" {
        signed(about.issuer, response, keys, client_id, now)?
    } else {
        json::parse_document(response.body(), &Limits::DEFAULT).map_err(|error| {
            if is_compact_jws(response.body()) {
                UserInfoError::MediaType { found: text::for_display(&found) }
            } else {
                UserInfoError::Json(error)
            }
        })?
    };
    // Core §5.3.2: without this check, a swapped access token would bring another person's groups.
    let reason = match more.get("sub") {
        Some(Value::String(subject)) if subject == about.subject => None,
        Some(Value::String(_)) => Some("is another subject"),
        Some(Value::Null) | None => Some("is absent"),
        Some(_) => Some("is not a string"),
    };
    if let Some(reason) = reason {
        return Err(UserInfoError::Subject { reason });
    }
    Ok(more)
}

/// The ending of a claim that says whether the claim named before it is verified (Core §5.1).
const VERIFIED: &str = "_verified";

fn merged(own: &Map<String, Value>, more: Map<String, Value>) -> Map<String, Value> {
    let has =
        |claims: &Map<String, Value>, name: &str| claims.get(name).is_some_and(|value| !value.is_null());
    // The claim that a name belongs to: `email_verified` to `email`, and `email` to itself.
    let subject_of = |name: &str| name.strip_suffix(VERIFIED).unwrap_or(name).to_owned();
    let mut claims = own.clone();
    // A verification of the ID token's says nothing about a value of UserInfo's.
    claims.retain(|name, _| {
        let subject = subject_of(name);
        subject == *name || has(own, &subject) || !has(&more, &subject)
    });
    for (name, value) in more {
        // UserInfo, which is about the person, has no say in how the person authenticated.
        if OF_THE_AUTHENTICATION.contains(&name.as_str()) {
            continue;
        }
        let subject = subject_of(&name);
        if !has(&claims, &name) && (subject == name || !has(own, &subject)) {
            claims.insert(name, value);
        }
    }
    claims
}

fn is_compact_jws(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| CompactJws::parse(text.trim(), &Limits::DEFAULT).is_ok())
}

/// Verifies a signed response: `iss` must be the ID token's, and `aud` the client or a list with it. Both are
/// required (Core §5.3.2: they SHOULD be there), for a token without them may have been made for another
/// purpose.
fn signed(
    issuer: &str,
    response: &Response,
    keys: &JwsVerifier,
    client_id: &str,
    now: UnixTime,
) -> Result<Map<String, Value>, UserInfoError> {
    let policy = Policy::jwt().require_only([""; 0]);
    let policy = policy.issuer(issuer).audience(client_id);
    let text = std::str::from_utf8(response.body()).map_err(|_| UserInfoError::Json(JsonError::Encoding))?;
    let jws = keys.verify(text.trim()).map_err(Error::from)?;
    let claims = Claims::parse(jws.payload(), keys.limits()).map_err(Error::from)?;
    policy.validate(jws.header(), &claims, now).map_err(Error::from)?;
    Ok(claims.as_object().clone())
}
