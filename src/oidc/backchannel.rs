//! Back-Channel Logout 1.0: a validated logout token ends sessions, and the logout is recorded.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use claimgate::Verifier;
//! use claimgate::claims::LogoutToken;
//! use claimgate::oidc::backchannel::{self, LogoutError};
//! use claimgate::oidc::records::LogoutRecords;
//!
//! /// Answers a request: 200 for `Ok`, 503 if the store failed, and else 400 (§2.8). `records` is a transaction.
//! fn receive(
//!     verifier: &Verifier<LogoutToken>,
//!     body: &[u8],
//!     records: &mut dyn LogoutRecords,
//! ) -> Result<usize, LogoutError> {
//!     let token = backchannel::token_of_form(body)?;
//!     let logout = backchannel::validate(verifier, &token, SystemTime::now())?;
//!     // No access token lives longer than two hours.
//!     let logout = logout.kept_for(Duration::from_secs(2 * 60 * 60));
//!     println!("{} ends {:?}, kept for {:?}", logout.jti(), logout.target(), logout.retention());
//!     let ended = backchannel::apply_all(records, &[logout])?.remove(0)?;
//!     Ok(ended.sessions)
//! }
//!
//! /// The same for an asynchronous store: it takes the `jti` once, writes the record, and ends the sessions that
//! /// it names, of those of a subject the ones whose ID token is not newer than `issued_until`.
//! fn write(logout: &backchannel::ValidatedLogout) -> String {
//!     let record = logout.record();
//!     format!("{} {} {:?} {}", logout.jti(), record.issuer, record.target, logout.issued_until())
//! }
//! ```

use std::time::Duration;

use super::authorization::SIGN_IN_LIFETIME;
use super::records::{LogoutRecord, LogoutRecords, LogoutTarget, Position, StoreError};
use crate::claims::{AnyKind, LOGOUT_TOKEN_AGE, LogoutToken};
use crate::time::UnixTime;
use crate::verifier::{IssuerError, ValidatedToken};
use crate::{Error, Verifier};

/// Why a logout request is refused. The client gets `invalid_request` and no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutError {
    /// Not exactly one `logout_token` in a form (§2.5).
    #[error("the request does not hold exactly one logout_token")]
    Request,
    /// Its `iss` is not the issuer of a configured provider.
    #[error("the logout token's issuer is not a configured provider")]
    Issuer,
    /// The token is not valid (§2.6).
    #[error("the logout token is refused: {0}")]
    Token(Error),
    /// Its `jti` was used before (§2.6, 8).
    #[error("the logout token was used before")]
    Replayed,
    /// The store failed: no session was ended, and the provider may try again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Error> for LogoutError {
    fn from(error: Error) -> Self {
        LogoutError::Token(error)
    }
}

crate::code::coded!(LogoutError);

impl LogoutError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
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

impl From<IssuerError> for LogoutError {
    fn from(error: IssuerError) -> Self {
        match error {
            IssuerError::Token(error) => LogoutError::Token(error),
            IssuerError::Missing | IssuerError::Unknown => LogoutError::Issuer,
        }
    }
}

/// Returns the one `logout_token` of a form body (§2.5).
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

/// A token that was validated, and the logout it asks for. Only [`validate`], [`read`] and
/// [`security_events::read`](super::security_events::read) make one.
#[derive(Clone, Debug)]
pub struct ValidatedLogout {
    record: LogoutRecord,
    /// Sessions of a subject end if their ID token was issued by then.
    issued_until: UnixTime,
    /// When the token arrived.
    arrived: UnixTime,
    jti: String,
    /// Whether it may be applied twice if the store does not know any more whether it was.
    is_repeatable: bool,
    token: ValidatedToken<AnyKind>,
}

impl ValidatedLogout {
    /// Returns the token: a logout token or a security event token.
    #[must_use]
    pub fn token(&self) -> &ValidatedToken<AnyKind> {
        &self.token
    }

    /// Returns the sessions that it names.
    #[must_use]
    pub fn target(&self) -> &LogoutTarget {
        &self.record.target
    }

    /// Keeps the record for at least this long after the arrival, in whole seconds: until every token of the sessions
    /// that it names has expired.
    #[must_use]
    pub fn kept_for(mut self, time: Duration) -> Self {
        self.record.until = self.record.until.max(self.arrived.saturating_add(time.as_secs()));
        self
    }

    /// Returns how long the record is kept after the arrival.
    #[must_use]
    pub fn retention(&self) -> Duration {
        let seconds = self.record.until.0.saturating_sub(self.arrived.0);
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }

    /// Returns the record of the logout.
    #[must_use]
    pub fn record(&self) -> &LogoutRecord {
        &self.record
    }

    /// Returns the identifier that the store takes once: the `jti` of a logout token, and a text made of that of a
    /// security event token, so that neither hides the other.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// Returns the latest `iat` of an ID token whose session ends by its subject: the logout's own and the leeway.
    #[must_use]
    pub fn issued_until(&self) -> UnixTime {
        self.issued_until
    }
}

/// The effect of a logout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The number of sessions ended.
    pub sessions: usize,
    /// The sessions that the token named, if any ended.
    pub target: Option<LogoutTarget>,
}

/// A logout that had no effect: its `jti` was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed;

impl From<Replayed> for LogoutError {
    fn from(Replayed: Replayed) -> Self {
        LogoutError::Replayed
    }
}

/// Validates a logout token that arrived at this time, by the numbers of §2.6. `verifier` holds the logout token
/// policy of the provider, `Policy::logout_token(issuer, client_id)`, whose leeway counts for the sessions that end,
/// too.
///
/// # Errors
/// [`LogoutError::Token`]. For an unknown key the caller may fetch the keys and try again.
pub fn validate(
    verifier: &Verifier<LogoutToken>,
    token: &str,
    arrived: impl Into<Position>,
) -> Result<ValidatedLogout, LogoutError> {
    // 1 is about encryption. 2 signature, 3 alg, 4 iss, aud, iat and exp, 5 sub or sid,
    // 6 events, 7 no nonce: the engine and its policy.
    let arrived: Position = arrived.into();
    let token = verifier.verify(token, arrived.unix_time())?;
    Ok(read(token, Duration::from_secs(verifier.policy().leeway_seconds()), arrived))
}

/// Reads the logout that a validated token asks for; for callers that verify many at once. `leeway`, in whole
/// seconds, is that of the verifier. A token of another kind is not taken:
///
/// ```
/// # use std::time::Duration;
/// # use claimgate::time::UnixTime;
/// # use claimgate::{claims::LogoutToken, oidc::backchannel, verifier::ValidatedToken};
/// fn read(token: ValidatedToken<LogoutToken>) -> backchannel::ValidatedLogout {
///     backchannel::read(token, Duration::from_secs(60), UnixTime(1_800_000_000))
/// }
/// ```
/// ```compile_fail,E0308
/// # use std::time::Duration;
/// # use claimgate::time::UnixTime;
/// # use claimgate::{claims::IdToken, oidc::backchannel, verifier::ValidatedToken};
/// fn read(token: ValidatedToken<IdToken>) -> backchannel::ValidatedLogout {
///     backchannel::read(token, Duration::from_secs(60), UnixTime(1_800_000_000))
/// }
/// ```
#[must_use]
pub fn read(
    token: ValidatedToken<LogoutToken>,
    leeway: Duration,
    arrived: impl Into<Position>,
) -> ValidatedLogout {
    let received: Position = arrived.into();
    let leeway = leeway.as_secs();
    let claims = token.claims();
    let subject = claims.subject().filter(|subject| !subject.is_empty()).map(str::to_owned);
    let sid = claims.session_id().filter(|sid| !sid.is_empty());
    let target = match (sid, subject) {
        (Some(sid), subject) => LogoutTarget::Session { sid: sid.to_owned(), subject },
        (None, subject) => LogoutTarget::Subject(subject.unwrap_or_default()),
    };
    let announced = Announced {
        issuer: token.issuer().to_owned(),
        target,
        issued_at: token.issued_at().seconds(),
        jti: token.token_id().to_owned(),
        is_repeatable: false,
        longest: LOGOUT_TOKEN_AGE,
    };
    announced.validated(token.of_any_kind(), leeway, received)
}

/// What a validated token says of a logout.
pub(super) struct Announced {
    /// The issuer of the sessions.
    pub(super) issuer: String,
    pub(super) target: LogoutTarget,
    pub(super) issued_at: UnixTime,
    /// The identifier that the store takes once.
    pub(super) jti: String,
    /// Whether it may be applied twice if the store does not know any more whether it was.
    pub(super) is_repeatable: bool,
    /// The maximum age of such tokens.
    pub(super) longest: Duration,
}

impl Announced {
    /// Returns the logout that the token asks for. `leeway`: in seconds.
    pub(super) fn validated(
        self,
        token: ValidatedToken<AnyKind>,
        leeway: u64,
        received: Position,
    ) -> ValidatedLogout {
        let Self { issuer, target, issued_at, jti, is_repeatable, longest } = self;
        let now = received.unix_time();
        // By then the token is too old, whatever its `exp`, also for a provider whose clock is ahead by the leeway.
        let longest =
            now.saturating_add(longest.as_secs().saturating_add(leeway.saturating_mul(2)).saturating_add(1));
        let expires_at = token.claims().expires_at();
        let valid_until =
            expires_at.map_or(longest, |at| at.seconds().saturating_add(leeway.saturating_add(1)));
        let begun_sign_ins = now.saturating_add(SIGN_IN_LIFETIME.as_secs().saturating_add(leeway));
        let record = LogoutRecord {
            issuer,
            target,
            issued_at,
            received,
            token_until: valid_until.min(longest),
            // By then the token has expired, and so has every sign-in that is in progress now.
            until: valid_until.min(longest).max(begun_sign_ins),
        };
        let issued_until = issued_at.saturating_add(leeway);
        ValidatedLogout { issued_until, arrived: now, record, jti, is_repeatable, token }
    }
}

/// Applies logouts one after the other, within one transaction. A replayed one has no effect, and does not affect
/// the others.
///
/// # Errors
/// [`StoreError`]: one for all; nothing of the transaction may then be kept.
pub fn apply_all(
    records: &mut dyn LogoutRecords,
    logouts: &[ValidatedLogout],
) -> Result<Vec<Result<Ended, Replayed>>, StoreError> {
    logouts.iter().map(|logout| apply(records, logout)).collect()
}

/// Ends the sessions that the token names, and records the logout. The session of a `sid` ends whatever the
/// time of its ID token; of a subject's sessions those stay whose ID token is newer by more than the leeway.
fn apply(
    records: &mut dyn LogoutRecords,
    logout: &ValidatedLogout,
) -> Result<Result<Ended, Replayed>, StoreError> {
    let record = &logout.record;
    // 8. jti
    let is_new = match logout.is_repeatable {
        true => records.record_repeatable_logout(&logout.jti, record)?,
        false => records.record_logout(&logout.jti, record)?,
    };
    if !is_new {
        return Ok(Err(Replayed));
    }
    // 9 to 11, and §2.7: by sid that session, by sub alone all of them.
    let sessions = records.end_logged_out(&record.issuer, &record.target, logout.issued_until)?;
    Ok(Ok(Ended { sessions, target: (sessions > 0).then(|| record.target.clone()) }))
}
