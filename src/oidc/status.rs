//! HTTP statuses other than the expected one, with what the response says about them.

use std::fmt;

use http::HeaderName;
use http::header::{LOCATION, WWW_AUTHENTICATE};

use super::Response;
use crate::text;

/// The status of a response that is not used, and the header fields that explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnexpectedStatus {
    /// The HTTP status.
    pub status: u16,
    /// `Location` of a redirect, for display. Redirects are not followed.
    pub location: Option<String>,
    /// `WWW-Authenticate` (RFC 9110 §11.6.1), for display.
    pub challenge: Option<String>,
}

impl UnexpectedStatus {
    /// Takes what explains the status from a response. `redact` removes secrets that the sender may have
    /// repeated.
    pub(super) fn of(response: &Response, redact: impl Fn(&str) -> String) -> Self {
        let field = |name: HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(text::for_display(&redact(value)))
        };
        let status = response.status();
        Self {
            status: status.as_u16(),
            location: field(LOCATION).filter(|_| status.is_redirection()),
            challenge: field(WWW_AUTHENTICATE),
        }
    }
}

impl fmt::Display for UnexpectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        if let Some(location) = &self.location {
            write!(f, ", a redirect to {location}, which is not followed")?;
        }
        if let Some(challenge) = &self.challenge {
            write!(f, " (WWW-Authenticate: {challenge})")?;
        }
        Ok(())
    }
}
