//! ID token validation (Core §3.1.3.7): the engine's policy, and the checks of one sign-in.

use ring::digest::{SHA256, SHA384, SHA512, digest};
use serde_json::Value;
use zeroize::Zeroizing;

use super::authorization::AuthorizationResponse;
use super::client::Secret;
use super::facts::SessionFacts;
use super::token::{TokenResponse, Tokens};
use crate::base64url;
use crate::claims::{Claims, ClaimsError, IdToken};
use crate::text;
use crate::time::UnixTime;
use crate::verifier::ValidatedToken;
use crate::{Error, Verifier};

/// An ID token that belongs to this sign-in. Only [`validate`] makes one.
///
/// ```
/// use claimgate::oidc::id_token::ValidatedIdToken;
///
/// /// What a session keeps.
/// fn keep(id_token: &ValidatedIdToken) -> (String, Option<String>, String) {
///     let subject = id_token.token().subject().to_owned();
///     let sid = id_token.claims().session_id().map(str::to_owned);
///     println!("calls other services until {:?}", id_token.tokens().expires_in());
///     (subject, sid, id_token.encoded().to_owned()) // the last, for the sign-out at the provider
/// }
/// ```
pub struct ValidatedIdToken {
    pub(super) token: ValidatedToken<IdToken>,
    pub(super) raw: Zeroizing<String>,
    pub(super) tokens: Tokens,
}

crate::text::redacted_debug!(ValidatedIdToken, token);

impl ValidatedIdToken {
    /// Returns its header and claims.
    #[must_use]
    pub fn token(&self) -> &ValidatedToken<IdToken> {
        &self.token
    }

    /// Returns its claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        self.token.claims()
    }

    /// Returns the token as it was received: the hint of a [`LogoutRequest`](super::logout::LogoutRequest).
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.raw
    }

    /// Returns the access token and what came with it.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}

/// Why an ID token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// The token is not valid.
    #[error("the ID token is refused: {0}")]
    Token(Error),
    /// `nonce` is absent, of the wrong type, or of another sign-in.
    #[error("the ID token's `nonce` {reason}")]
    Nonce {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `at_hash` is not the hash of the access token (Core §3.1.3.8).
    #[error("the ID token's at_hash does not fit the access token")]
    AccessTokenHash,
    /// The ID token of a refresh is not about the person and the sign-in of before (Core §12.2).
    #[error("the ID token of the refresh does not belong to the sign-in: its `{claim}` is another")]
    Refreshed {
        /// The claim: `iss`, `sub`, `nonce`, or an `iat` before that of the sign-in.
        claim: &'static str,
    },
    /// `max_age` was asked for, and `auth_time` is absent, of the wrong type, too long ago, or in the future.
    #[error("max_age was asked for, and the ID token's `auth_time` {reason}")]
    AuthTime {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An authentication context class reference was asked for, and `acr` is another one or absent.
    #[error(
        "the sign-in must be of one of the classes {}, and the ID token's `acr` {found}", wanted.join(", ")
    )]
    AuthContext {
        /// Those that were asked for.
        wanted: Vec<String>,
        /// What `acr` is, for display.
        found: String,
    },
}

impl From<Error> for IdTokenError {
    fn from(error: Error) -> Self {
        IdTokenError::Token(error)
    }
}

crate::code::coded!(IdTokenError);

impl IdTokenError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            IdTokenError::Token(error) => error.code(),
            IdTokenError::Nonce { .. } => "id_token.nonce",
            IdTokenError::Refreshed { .. } => "id_token.refreshed",
            IdTokenError::AccessTokenHash => "id_token.at_hash",
            IdTokenError::AuthTime { .. } => "id_token.auth_time",
            IdTokenError::AuthContext { .. } => "id_token.acr",
        }
    }
}

/// Validates the ID token of a sign-in, by the numbers of Core §3.1.3.7. `verifier` has the policy
/// `Policy::id_token(issuer, client_id)` of the provider, whose leeway counts for `auth_time` too; one of another
/// kind is not taken:
///
/// ```
/// # use claimgate::oidc::{authorization::AuthorizationResponse, id_token, token::TokenResponse};
/// # use claimgate::time::UnixTime;
/// # use claimgate::{Verifier, claims::IdToken};
/// fn f(verifier: &Verifier<IdToken>, response: &TokenResponse, authorization: &AuthorizationResponse) {
///     let _ = id_token::validate(verifier, response, authorization, UnixTime(1_800_000_000));
/// }
/// ```
/// ```compile_fail,E0308
/// # use claimgate::oidc::{authorization::AuthorizationResponse, id_token, token::TokenResponse};
/// # use claimgate::time::UnixTime;
/// # use claimgate::{Verifier, claims::Jwt};
/// fn f(verifier: &Verifier<Jwt>, response: &TokenResponse, authorization: &AuthorizationResponse) {
///     let _ = id_token::validate(verifier, response, authorization, UnixTime(1_800_000_000));
/// }
/// ```
///
/// # Errors
/// An [`IdTokenError`]. An unknown key ([`crate::key::KeyError::UnknownKid`]) may be resolved by fetching the keys
/// again.
pub fn validate(
    verifier: &Verifier<IdToken>,
    response: &TokenResponse,
    authorization: &AuthorizationResponse,
    now: impl Into<UnixTime>,
) -> Result<ValidatedIdToken, IdTokenError> {
    let now: UnixTime = now.into();
    // 1 is about encryption. 2 iss, 3 aud, 4 and 5 azp, 6 to 8 signature and alg, 9 exp, 10 iat,
    // 11 nonce: the engine and its policy.
    let token = verifier.verify_with_nonce(&response.id_token, &authorization.nonce, now);
    check(token, response, authorization, verifier.policy().leeway_seconds(), now)
}

/// Does the same as [`validate`], without blocking the thread where a key waits for something beyond this process;
/// see [`JwsVerifier::verify_async`](crate::jws::JwsVerifier::verify_async).
///
/// ```
/// use claimgate::Verifier;
/// use claimgate::claims::IdToken;
/// use claimgate::oidc::authorization::AuthorizationResponse;
/// use claimgate::oidc::id_token::{self, IdTokenError};
/// use claimgate::oidc::token::TokenResponse;
///
/// async fn subject(
///     verifier: &Verifier<IdToken>,
///     tokens: &TokenResponse,
///     authorization: &AuthorizationResponse,
/// ) -> Result<String, IdTokenError> {
///     let now = std::time::SystemTime::now();
///     match id_token::validate_async(verifier, tokens, authorization, now).await {
///         Ok(id_token) => Ok(id_token.token().subject().to_owned()),
///         Err(error) => {
///             eprintln!("refused: {error} [{}]: {}", error.code(), tokens.unverified_id_token());
///             Err(error)
///         }
///     }
/// }
/// ```
///
/// # Errors
/// As [`validate`].
pub async fn validate_async(
    verifier: &Verifier<IdToken>,
    response: &TokenResponse,
    authorization: &AuthorizationResponse,
    now: impl Into<UnixTime>,
) -> Result<ValidatedIdToken, IdTokenError> {
    let now: UnixTime = now.into();
    let token = verifier.verify_with_nonce_async(&response.id_token, &authorization.nonce, now).await;
    check(token, response, authorization, verifier.policy().leeway_seconds(), now)
}

fn check(
    token: Result<ValidatedToken<IdToken>, Error>,
    response: &TokenResponse,
    authorization: &AuthorizationResponse,
    leeway: u64,
    now: UnixTime,
) -> Result<ValidatedIdToken, IdTokenError> {
    let token = token.map_err(refusal)?;
    let claims = token.claims();
    // 12. acr
    check_authentication_context(claims, &authorization.acr_values)?;
    // 13. auth_time
    if let Some(within) = authorization.authenticated_within {
        let leeway = leeway.min(MAX_CLOCK_DIFFERENCE);
        let earliest = now.saturating_sub(within.as_secs()).saturating_sub(leeway);
        check_authentication_time(claims, earliest, leeway, now)?;
        if SessionFacts::of_id_token(claims).authenticated.is_none() {
            return Err(IdTokenError::AuthTime { reason: "is later than `iat`" });
        }
    }
    if authorization.fresh {
        let begun = authorization.started;
        check_authentication_time(
            claims,
            begun.saturating_sub(leeway.min(MAX_CLOCK_DIFFERENCE)),
            leeway,
            now,
        )?;
    } else if let Some(max_age) = authorization.max_age {
        check_authentication_time(
            claims,
            now.saturating_sub(max_age.as_secs()).saturating_sub(leeway),
            leeway,
            now,
        )?;
    }
    check_access_token_hash(&token, response.tokens.access_token().map(Secret::expose))?;
    Ok(ValidatedIdToken { token, raw: response.id_token.clone(), tokens: response.tokens.clone() })
}

/// Checks that `acr` is one of these; none: whatever it is.
fn check_authentication_context(claims: &Claims, wanted: &[String]) -> Result<(), IdTokenError> {
    let found = match claims.get("acr") {
        _ if wanted.is_empty() => return Ok(()),
        Some(Value::String(acr)) if wanted.contains(acr) => return Ok(()),
        Some(Value::String(acr)) => format!("is `{}`", text::for_display(acr)),
        Some(_) => "is no text".to_owned(),
        None => "is absent".to_owned(),
    };
    Err(IdTokenError::AuthContext { wanted: wanted.to_vec(), found })
}

/// Greatest difference accepted between the clocks of provider and relying party where the person must have
/// authenticated anew, or within a time that a rule of access names, in seconds: a provider's leeway may be 5 minutes.
pub(crate) const MAX_CLOCK_DIFFERENCE: u64 = 60;

/// Checks that the provider signed the person in at `earliest` or later, and not in the future: a time in
/// milliseconds would count as recent for ever.
fn check_authentication_time(
    claims: &Claims,
    earliest: UnixTime,
    leeway: u64,
    now: UnixTime,
) -> Result<(), IdTokenError> {
    let seconds = |time: UnixTime| {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
        let seconds = time.0 as f64;
        seconds
    };
    let reason = match claims.get("auth_time") {
        None => "is absent",
        Some(Value::Number(at)) => match at.as_f64().unwrap_or(0.0) {
            at if at < seconds(earliest) => {
                "is longer ago than max_age allows: the provider did not ask the person again"
            }
            at if at > seconds(now.saturating_add(leeway)) => {
                "is in the future: check the clocks, and that it is in seconds"
            }
            _ => return Ok(()),
        },
        Some(_) => "is not a number",
    };
    Err(IdTokenError::AuthTime { reason })
}

/// Returns the refusal: [`IdTokenError::Nonce`] for a nonce that is absent, of the wrong type or of another
/// sign-in.
fn refusal(error: Error) -> IdTokenError {
    match &error {
        Error::Claims(ClaimsError::Nonce) => IdTokenError::Nonce { reason: "belongs to another sign-in" },
        Error::Claims(ClaimsError::Missing { claim }) if claim == "nonce" => {
            IdTokenError::Nonce { reason: "is absent; the provider must repeat the one it was sent" }
        }
        Error::Claims(ClaimsError::WrongType { claim, .. }) if claim == "nonce" => {
            IdTokenError::Nonce { reason: "is not a string" }
        }
        _ => IdTokenError::Token(error),
    }
}

/// Checks `at_hash`, if present, against the access token (Core §3.1.3.8).
pub(super) fn check_access_token_hash(
    token: &ValidatedToken<IdToken>,
    access_token: Option<&str>,
) -> Result<(), IdTokenError> {
    let Some(claimed) = token.claims().get("at_hash") else { return Ok(()) };
    let Some(access_token) = access_token else { return Ok(()) };
    let alg = token.header().algorithm();
    let hash = match alg.get(alg.len().saturating_sub(3)..) {
        Some("256") => digest(&SHA256, access_token.as_bytes()),
        Some("384") => digest(&SHA384, access_token.as_bytes()),
        Some("512") => digest(&SHA512, access_token.as_bytes()),
        _ if alg == "EdDSA" || alg == "Ed25519" => digest(&SHA512, access_token.as_bytes()),
        // The hash of a custom algorithm is unknown.
        _ => return Ok(()),
    };
    let left_half = base64url::encode(&hash.as_ref()[..hash.as_ref().len() / 2]);
    match claimed {
        Value::String(claimed) if *claimed == left_half => Ok(()),
        Value::String(_) => Err(IdTokenError::AccessTokenHash),
        other => Err(Error::from(ClaimsError::not_text("at_hash", other)).into()),
    }
}
