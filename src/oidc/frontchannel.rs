//! Front-Channel Logout 1.0: a provider names a session in the browser that it signs out, and the session ends here.
//!
//! The request is not authenticated: every client that knows a `sid` can end its session. It ends by `iss` and `sid`
//! alone, because browsers do not send a site's cookies to a frame in a page of another site.

use std::time::Duration;

use super::authorization::SIGN_IN_LIFETIME;
use super::records::{LogoutRecord, LogoutRecords, LogoutTarget, Position, StoreError};

/// Longest `sid`, in bytes. Providers make them of some 40 characters.
const LONGEST_SID: usize = 1_024;

/// Why a front-channel logout is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontChannelError {
    /// Not exactly one `iss` and one `sid`. §2 makes both optional; a logout that names neither would need a cookie.
    #[error("the request does not name exactly one `iss` and one `sid`")]
    Request,
    /// Its `iss` is not the issuer of a provider whose front-channel logouts are accepted.
    #[error("the issuer `{0}` is not that of a provider with `frontchannel_logout`")]
    Issuer(String),
}

crate::code::coded!(FrontChannelError);

impl FrontChannelError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            FrontChannelError::Request => "frontchannel.request",
            FrontChannelError::Issuer(_) => "frontchannel.issuer",
        }
    }
}

/// The session that a request names, as the request says it (§2).
///
/// ```
/// use claimgate::oidc::frontchannel::NamedSession;
///
/// let named = NamedSession::parse("iss=https%3A%2F%2Fidp.example.com&sid=08a5019c")?;
/// assert_eq!((named.issuer(), named.sid()), ("https://idp.example.com", "08a5019c"));
/// # Ok::<(), claimgate::oidc::frontchannel::FrontChannelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSession {
    issuer: String,
    sid: String,
}

impl NamedSession {
    /// Parses the query of a request.
    ///
    /// # Errors
    /// [`FrontChannelError::Request`].
    pub fn parse(query: &str) -> Result<Self, FrontChannelError> {
        let one = |wanted: &str| {
            let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == wanted);
            match (values.next(), values.next()) {
                (Some((_, value)), None) if !value.is_empty() => Some(value.into_owned()),
                _ => None,
            }
        };
        let (issuer, sid) = one("iss").zip(one("sid")).ok_or(FrontChannelError::Request)?;
        if sid.len() > LONGEST_SID {
            return Err(FrontChannelError::Request);
        }
        Ok(Self { issuer, sid })
    }

    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns `sid`.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Returns the logout of the session, for a provider whose front-channel logouts are accepted. `leeway`, in whole
    /// seconds, is how far the clocks may differ; `kept_for` the least time for which the record is kept, in whole
    /// seconds: until every token of the session has expired. `jti` is a new text that is unlike any other.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use claimgate::oidc::frontchannel::NamedSession;
    ///
    /// let named = NamedSession::parse("iss=https%3A%2F%2Fidp.example.com&sid=08a5019c")?;
    /// let (leeway, hour) = (Duration::from_secs(60), Duration::from_secs(60 * 60));
    /// let logout = named.logout(SystemTime::now(), leeway, hour, "a text that no other logout has".to_owned());
    /// assert_eq!(logout.record().issuer, "https://idp.example.com");
    /// # Ok::<(), claimgate::oidc::frontchannel::FrontChannelError>(())
    /// ```
    #[must_use]
    pub fn logout(
        self,
        arrived: impl Into<Position>,
        leeway: Duration,
        kept_for: Duration,
        jti: String,
    ) -> FrontChannelLogout {
        let received: Position = arrived.into();
        let now = received.unix_time();
        // By then every sign-in that is in progress now has expired.
        let shortest = SIGN_IN_LIFETIME.saturating_add(leeway);
        let retention = Duration::from_secs(kept_for.max(shortest).as_secs());
        let record = LogoutRecord {
            issuer: self.issuer,
            target: LogoutTarget::Session { sid: self.sid, subject: None },
            // The provider does not say when: the time of arrival takes its place.
            issued_at: now,
            received,
            token_until: now,
            until: now.saturating_add(retention.as_secs()),
        };
        FrontChannelLogout { record, jti, retention }
    }
}

/// A front-channel logout to apply.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use claimgate::oidc::frontchannel::NamedSession;
/// use claimgate::oidc::records::{LogoutRecords, StoreError};
///
/// /// Ends the session that a request names; the provider is one whose logouts are accepted.
/// fn end(query: &str, records: &mut dyn LogoutRecords) -> Result<usize, StoreError> {
///     let Ok(named) = NamedSession::parse(query) else { return Ok(0) };
///     let (leeway, hour) = (Duration::from_secs(60), Duration::from_secs(60 * 60));
///     let logout = named.logout(SystemTime::now(), leeway, hour, "a text that no other logout has".to_owned());
///     println!("{} is kept for {:?}: {:?}", logout.jti(), logout.retention(), logout.record());
///     logout.apply(records)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontChannelLogout {
    record: LogoutRecord,
    jti: String,
    retention: Duration,
}

impl FrontChannelLogout {
    /// Returns the record of the logout.
    #[must_use]
    pub fn record(&self) -> &LogoutRecord {
        &self.record
    }

    /// Returns the text that takes the place of a logout token's `jti`.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// Returns how long the record is kept after the arrival.
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// Ends the session within a transaction, and records the logout. Returns the number of sessions ended.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the transaction may then be kept.
    pub fn apply(&self, records: &mut dyn LogoutRecords) -> Result<usize, StoreError> {
        let record = &self.record;
        records.record_logout(&self.jti, record)?;
        records.end_logged_out(&record.issuer, &record.target, record.issued_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_exactly_one_issuer_and_one_session() {
        let named = |query: &str| NamedSession::parse(query).ok().map(|named| (named.issuer, named.sid));
        let both = Some(("https://op".to_owned(), "s 1".to_owned()));
        assert_eq!(named("iss=https://op&sid=s+1"), both);
        assert_eq!(named("x=y&sid=s%201&iss=https%3A%2F%2Fop"), both);
        let long = format!("iss=https://op&sid={}", "s".repeat(LONGEST_SID + 1));
        for query in [
            "",
            "iss=https://op",
            "sid=s",
            "iss=https://op&sid=",
            "iss=&sid=s",
            "iss=https://op&sid=s&sid=t",
            "iss=https://op&iss=https://op&sid=s",
            &long,
        ] {
            assert_eq!(named(query), None, "{query}");
        }
    }
}
