//! Errors of claims and policies.

use serde_json::Value;

use crate::claims::NumericDate;
use crate::json::{self, JsonError};
#[cfg(feature = "path")]
use crate::path::PathError;
use crate::time::UnixTime;

/// The reason why a claims set is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The payload is not one JSON object that [`crate::json`] accepts.
    #[error("the claims set {0}")]
    Json(JsonError),
    /// A claim does not have the type that its definition requires.
    #[error("the claim `{claim}` is {found}, and must be {expected}")]
    WrongType {
        /// The claim's name.
        claim: String,
        /// What it is, such as `a string`.
        found: &'static str,
        /// What it must be, such as `a number of seconds since 1970`.
        expected: &'static str,
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
        /// The time of the verification.
        now: UnixTime,
    },
    /// `nbf` is in the future (RFC 7519 §4.1.5).
    #[error("the token is not valid before {} (now {now})", at.seconds())]
    NotYetValid {
        /// The `nbf` claim.
        at: NumericDate,
        /// The time of the verification.
        now: UnixTime,
    },
    /// `iat` is in the future.
    #[error("the token was issued at {}, which is in the future (now {now})", at.seconds())]
    IssuedInFuture {
        /// The `iat` claim.
        at: NumericDate,
        /// The time of the verification.
        now: UnixTime,
    },
    /// `iat` is further in the past than the maximum token age.
    #[error("the token was issued at {}, longer ago than the maximum age (now {now})", at.seconds())]
    TooOld {
        /// The `iat` claim.
        at: NumericDate,
        /// The time of the verification.
        now: UnixTime,
    },
    /// `iss` is none of the accepted issuers, compared exactly.
    #[error("the token is from another issuer")]
    Issuer,
    /// `tid` is the id of another tenant than that of `iss`; see [`TenantIssuers`](super::TenantIssuers).
    #[error("the token's tenant (`tid`) is not that of its issuer")]
    Tenant,
    /// `aud` holds none of the accepted audiences, or the policy names none and the token has one.
    #[error("the token is for another audience")]
    Audience,
    /// `aud` holds an accepted audience, and one beside it that is neither accepted nor trusted (OpenID Connect
    /// Core §3.1.3.7, item 3).
    #[error("the token is also for the audience `{audience}`, which is none of the trusted audiences")]
    UntrustedAudience {
        /// The audience, escaped and cut for display.
        audience: String,
    },
    /// `azp` is neither an accepted audience nor a trusted party (OpenID Connect Core §3.1.3.7, items 4 and 5).
    #[error(
        "the token was issued to the party `{party}` (`azp`), which is neither the audience nor an authorized party"
    )]
    AuthorizedParty {
        /// The party, escaped and cut for display.
        party: String,
    },
    /// `sub` is not the expected one.
    #[error("the token is about another subject")]
    Subject,
    /// `jti` is not the expected one.
    #[error("the token has another identifier (`jti`)")]
    TokenId,
    /// `nonce` is missing or not the expected one (OpenID Connect Core §3.1.3.7, item 11).
    #[error("the token has another nonce")]
    Nonce,
    /// The header's `typ`, or an event in the claims, does not fit the policy's kind of token.
    #[error("the token is of another kind (`typ`)")]
    Kind,
    /// `events` has no back-channel logout event, or one that is not an object (Back-Channel Logout
    /// §2.4).
    #[error("the token's `events` do not hold a back-channel logout")]
    Events,
    /// `events` of a security event token is no object, or one of its members is none (RFC 8417 §2.2).
    #[error("the token's `events` are not an object whose members are objects")]
    SecurityEvents,
    /// A logout token has a `nonce` (Back-Channel Logout §2.4).
    #[error("a logout token must not have a nonce")]
    NoncePresent,
    /// A logout token has neither `sub` nor `sid` (Back-Channel Logout §2.4).
    #[error("a logout token needs `sub` or `sid`")]
    NoSubjectOrSession,
    /// A claim path selects another value than [`Policy::claim`](super::Policy::claim) demands.
    #[cfg(feature = "path")]
    #[error("the claim `{claim}` {demanded}")]
    Value {
        /// The claim path.
        claim: String,
        /// What is demanded, such as `must be one of "a", "b"`.
        demanded: String,
    },
    /// A claim path of [`Policy::claim`](super::Policy::claim) would visit too many nodes.
    #[cfg(feature = "path")]
    #[error(transparent)]
    Path(#[from] PathError),
    /// The claims do not fit the type requested of [`Claims::deserialize`](super::Claims::deserialize).
    #[error("the claims do not fit the requested type: {reason}")]
    Deserialize {
        /// The message of the deserializer.
        reason: String,
    },
}

crate::code::coded!(ClaimsError);

impl ClaimsError {
    /// Returns the error of a claim that must be a string and has another value.
    pub(crate) fn not_text(claim: &str, value: &Value) -> Self {
        ClaimsError::WrongType { claim: claim.to_owned(), found: json::kind_of(value), expected: "a string" }
    }

    /// Returns the stable code of the error; see `docs/reference/errors.md`.
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
            ClaimsError::Tenant => "claims.tenant",
            ClaimsError::Audience => "claims.audience",
            ClaimsError::UntrustedAudience { .. } => "claims.audience_untrusted",
            ClaimsError::AuthorizedParty { .. } => "claims.azp",
            ClaimsError::Subject => "claims.subject",
            ClaimsError::TokenId => "claims.jti",
            ClaimsError::Nonce => "claims.nonce",
            ClaimsError::Kind => "claims.typ",
            ClaimsError::Events => "claims.events",
            ClaimsError::SecurityEvents => "claims.security_events",
            ClaimsError::NoncePresent => "claims.nonce_present",
            ClaimsError::NoSubjectOrSession => "claims.sub_or_sid",
            #[cfg(feature = "path")]
            ClaimsError::Value { .. } => "claims.value",
            #[cfg(feature = "path")]
            ClaimsError::Path(error) => error.code(),
            ClaimsError::Deserialize { .. } => "claims.deserialize",
        }
    }
}
