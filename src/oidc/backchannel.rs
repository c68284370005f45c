//! Back-Channel Logout 1.0: a verified logout token ends sessions and leaves a mark.

use super::authorization::SIGN_IN_LIFETIME;
use super::records::{LogoutRecord, LogoutTarget, Records, StoreError};
use crate::claims::LogoutToken;
use crate::jws::{CompactJws, CompactJwsError};
use crate::limits::Limits;
use crate::time::UnixTime;
use crate::verifier::ValidatedToken;
use crate::{Error, Verifier};

/// The longest that a logout is remembered, in seconds: a token that claims to be valid longer is
/// held to this.
const LONGEST: u64 = 24 * 60 * 60;

/// Why a logout request is refused. Strangers are told `invalid_request` and no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutError {
    /// Not exactly one `logout_token` in a form (§2.5).
    #[error("the request does not hold exactly one logout_token")]
    Request,
    /// Its `iss` is no provider's.
    #[error("the logout token names no provider known here")]
    Issuer,
    /// The engine refuses it (§2.6).
    #[error("the logout token is refused: {0}")]
    Token(#[from] Error),
    /// Its `jti` has been seen (§2.6, 8).
    #[error("the logout token was used before")]
    Replayed,
    /// The store failed: nothing was ended, the provider may try again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LogoutError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            LogoutError::Request => "backchannel.request",
            LogoutError::Issuer => "backchannel.issuer",
            LogoutError::Token(error) => error.code(),
            LogoutError::Replayed => "backchannel.replayed",
            LogoutError::Store(error) => error.code(),
        }
    }
}

/// Reads the one `logout_token` of a form body (§2.5).
///
/// # Errors
/// [`LogoutError::Request`].
pub fn token_of_form(body: &[u8]) -> Result<String, LogoutError> {
    let mut tokens = url::form_urlencoded::parse(body)
        .filter(|(name, _)| name == "logout_token")
        .map(|(_, token)| token.into_owned());
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(LogoutError::Request),
    }
}

/// The `iss` of an **unverified** token: good for choosing whose keys to verify it with, and for
/// nothing else.
///
/// # Errors
/// The [`Error`] of the shape, or [`LogoutError::Issuer`] where there is none to read.
pub fn unverified_issuer(token: &str) -> Result<String, LogoutError> {
    /// What else there is, is passed over; the verification judges it.
    #[derive(serde::Deserialize)]
    struct Issued {
        iss: String,
    }
    let jws =
        CompactJws::parse(token, &Limits::DEFAULT).map_err(|error: CompactJwsError| Error::from(error))?;
    let issued = serde_json::from_slice::<Issued>(&jws.unverified_payload());
    issued.map(|issued| issued.iss).map_err(|_| LogoutError::Issuer)
}

/// A logout token that was validated, and the logout it asks for. Only [`validate`] and [`read`]
/// make one.
#[derive(Clone, Debug)]
pub struct ValidatedLogout {
    mark: LogoutRecord,
    jti: String,
    token: ValidatedToken<LogoutToken>,
}

impl ValidatedLogout {
    /// Its header and claims.
    #[must_use]
    pub fn token(&self) -> &ValidatedToken<LogoutToken> {
        &self.token
    }

    /// What it is about.
    #[must_use]
    pub fn target(&self) -> &LogoutTarget {
        &self.mark.target
    }
}

/// Validates a logout token, by the numbers of §2.6. `verifier` holds the logout token policy of
/// the provider: `Policy::logout_token(issuer, client_id)`.
///
/// # Errors
/// [`LogoutError::Token`]. An unknown key is worth one refresh.
pub fn validate(
    verifier: &Verifier<LogoutToken>,
    token: &str,
    leeway: u64,
    now_ms: i64,
) -> Result<ValidatedLogout, LogoutError> {
    // 1 is about encryption. 2 signature, 3 alg, 4 iss, aud, iat and exp, 5 sub or sid,
    // 6 events, 7 no nonce: the engine and its policy.
    let now = UnixTime(now_ms.div_euclid(1000));
    let token = verifier.verify(token, now)?;
    Ok(read(token, leeway, now_ms))
}

/// Reads the logout that a validated token asks for; for callers that verify many at once. A token
/// of another kind is not taken:
///
/// ```
/// # use claimgate::{claims::LogoutToken, oidc::backchannel, verifier::ValidatedToken};
/// fn read(token: ValidatedToken<LogoutToken>) -> backchannel::ValidatedLogout {
///     backchannel::read(token, 60, 1_800_000_000_000)
/// }
/// ```
/// ```compile_fail,E0308
/// # use claimgate::{claims::IdToken, oidc::backchannel, verifier::ValidatedToken};
/// fn read(token: ValidatedToken<IdToken>) -> backchannel::ValidatedLogout {
///     backchannel::read(token, 60, 1_800_000_000_000)
/// }
/// ```
#[must_use]
pub fn read(token: ValidatedToken<LogoutToken>, leeway: u64, now_ms: i64) -> ValidatedLogout {
    let now = UnixTime(now_ms.div_euclid(1000));
    let claims = token.claims();
    let subject = claims.subject().filter(|subject| !subject.is_empty()).map(str::to_owned);
    let sid = claims.session_id().filter(|sid| !sid.is_empty());
    let target = match (sid, subject) {
        (Some(sid), subject) => LogoutTarget::Session { sid: sid.to_owned(), subject },
        (None, subject) => LogoutTarget::Subject(subject.unwrap_or_default()),
    };
    let longest = now.saturating_add(LONGEST);
    let valid_until = claims.expires_at().map_or(longest, |at| at.seconds().saturating_add(leeway + 1));
    let mark = LogoutRecord {
        issuer: token.issuer().to_owned(),
        target,
        issued_at: token.issued_at().seconds(),
        received_ms: now_ms,
        // The token is no longer valid, and any sign-in that is under way now has ended by then.
        until: valid_until.min(longest).max(now.saturating_add(SIGN_IN_LIFETIME + leeway)),
    };
    let jti = token.token_id().to_owned();
    ValidatedLogout { mark, jti, token }
}

/// Ends the sessions that the token is about, and leaves the mark; how many ended. Sessions whose
/// ID token is newer than the logout token stay: a replayed token can end nothing new.
///
/// # Errors
/// [`LogoutError::Replayed`] or [`LogoutError::Store`]; nothing of the transaction may then be kept.
pub fn apply(records: &mut dyn Records, logout: &ValidatedLogout) -> Result<usize, LogoutError> {
    let mark = &logout.mark;
    // 8. jti
    if !records.remember_logout(&logout.jti, mark)? {
        return Err(LogoutError::Replayed);
    }
    // 9 to 11, and §2.7: by sid that session, by sub alone all of them.
    Ok(records.end_logged_out(&mark.issuer, &mark.target, mark.issued_at)?)
}
