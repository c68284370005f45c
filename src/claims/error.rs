//! Why claims are refused.

use crate::claims::NumericDate;
use crate::json::JsonError;
use crate::time::UnixTime;

/// Why a claims set is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The payload is not one JSON object as [`crate::json`] wants it.
    #[error("the claims are {0}")]
    Json(JsonError),
    /// A claim has another type than its definition gives it.
    #[error("the claim `{claim}` has the wrong type")]
    WrongType {
        /// The claim's name.
        claim: String,
    },
    /// A required claim is absent or null.
    #[error("the claim `{claim}` is required and missing")]
    Missing {
        /// The claim's name.
        claim: String,
    },
    /// A required claim holds an empty string, array or object.
    #[error("the claim `{claim}` is required and empty")]
    Empty {
        /// The claim's name.
        claim: String,
    },
    /// `exp` has passed (RFC 7519 §4.1.4).
    #[error("the token expired at {} (now {now})", at.seconds())]
    Expired {
        /// The `exp` claim.
        at: NumericDate,
        /// The time it was judged at.
        now: UnixTime,
    },
    /// `nbf` has not come (RFC 7519 §4.1.5).
    #[error("the token is not valid before {} (now {now})", at.seconds())]
    NotYetValid {
        /// The `nbf` claim.
        at: NumericDate,
        /// The time it was judged at.
        now: UnixTime,
    },
    /// `iat` lies in the future.
    #[error("the token was issued at {}, which is in the future (now {now})", at.seconds())]
    IssuedInFuture {
        /// The `iat` claim.
        at: NumericDate,
        /// The time it was judged at.
        now: UnixTime,
    },
    /// `iat` lies further back than the maximum age.
    #[error("the token was issued at {}, longer ago than the maximum age (now {now})", at.seconds())]
    TooOld {
        /// The `iat` claim.
        at: NumericDate,
        /// The time it was judged at.
        now: UnixTime,
    },
    /// `iss` is none of the accepted issuers, compared exactly.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` holds none of the accepted audiences.
    #[error("the token is for another audience")]
    Audience,
    /// `azp` is another party, or is missing from an ID token for several audiences
    /// (OpenID Connect Core §3.1.3.7, items 4 and 5).
    #[error("the token was issued to another party (`azp`)")]
    AuthorizedParty,
    /// `sub` is not the expected one.
    #[error("the token is about another subject")]
    Subject,
    /// `jti` is not the expected one.
    #[error("the token has another identifier (`jti`)")]
    TokenId,
    /// `nonce` is missing or not the expected one (OpenID Connect Core §3.1.3.7, item 11).
    #[error("the token has another nonce")]
    Nonce,
    /// The header's `typ`, or what the claims say the token is, does not fit what is wanted.
    #[error("the token is of another kind (`typ`)")]
    Kind,
    /// `events` lacks the back-channel logout event, or holds something other than an object there
    /// (Back-Channel Logout §2.4).
    #[error("the token's `events` do not hold a back-channel logout")]
    Events,
    /// A logout token has a `nonce` (Back-Channel Logout §2.4).
    #[error("a logout token must not have a nonce")]
    NoncePresent,
    /// A logout token has neither `sub` nor `sid` (Back-Channel Logout §2.4).
    #[error("a logout token needs `sub` or `sid`")]
    NobodyToLogOut,
    /// The claims do not fit the type asked for in [`Claims::deserialize`](super::Claims::deserialize).
    #[error("the claims do not fit the wanted type: {reason}")]
    Deserialize {
        /// What did not fit.
        reason: String,
    },
}

impl ClaimsError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ClaimsError::Json(_) => "claims.json",
            ClaimsError::WrongType { .. } => "claims.type",
            ClaimsError::Missing { .. } => "claims.missing",
            ClaimsError::Empty { .. } => "claims.empty",
            ClaimsError::Expired { .. } => "claims.expired",
            ClaimsError::NotYetValid { .. } => "claims.not_yet_valid",
            ClaimsError::IssuedInFuture { .. } => "claims.issued_in_future",
            ClaimsError::TooOld { .. } => "claims.too_old",
            ClaimsError::Issuer => "claims.issuer",
            ClaimsError::Audience => "claims.audience",
            ClaimsError::AuthorizedParty => "claims.azp",
            ClaimsError::Subject => "claims.subject",
            ClaimsError::TokenId => "claims.jti",
            ClaimsError::Nonce => "claims.nonce",
            ClaimsError::Kind => "claims.typ",
            ClaimsError::Events => "claims.events",
            ClaimsError::NoncePresent => "claims.nonce_present",
            ClaimsError::NobodyToLogOut => "claims.sub_or_sid",
            ClaimsError::Deserialize { .. } => "claims.deserialize",
        }
    }
}
