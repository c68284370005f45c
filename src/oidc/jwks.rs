//! A provider's JWK set: the request and its response.

use std::time::Duration;

use http::header::CACHE_CONTROL;

use super::endpoint::Endpoint;
use super::status::UnexpectedStatus;
use super::{Request, Response};
use crate::key::{KeyError, KeySet};
use crate::limits::Limits;

/// Why a fetched JWK set is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The status is not 200.
    #[error("the JWK set was answered with {0}")]
    Status(UnexpectedStatus),
    /// Not a JWK set.
    #[error("the JWK set is refused: {0}")]
    Set(KeyError),
}

impl From<KeyError> for JwksError {
    fn from(error: KeyError) -> Self {
        JwksError::Set(error)
    }
}

crate::code::coded!(JwksError);

impl JwksError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            JwksError::Status(_) => "jwks.status",
            JwksError::Set(error) => error.code(),
        }
    }
}

/// Builds the request for a JWK set.
#[must_use]
pub fn request(jwks_uri: &Endpoint) -> Request {
    let request = http::Request::builder().uri(jwks_uri.as_str());
    let request = request.header(http::header::ACCEPT, "application/jwk-set+json, application/json");
    request.body(Vec::new()).expect("a parsed URL is a URI")
}

/// Parses the response. Returns the keys and their lifetime by `Cache-Control`.
///
/// # Errors
/// A [`JwksError`].
pub fn read(response: &Response) -> Result<(KeySet, Option<Duration>), JwksError> {
    if response.status() != http::StatusCode::OK {
        return Err(JwksError::Status(UnexpectedStatus::of(response, str::to_owned)));
    }
    let keys = KeySet::from_jwks(response.body(), &Limits::DEFAULT)?;
    let control = response.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    Ok((keys, control.and_then(max_age)))
}

/// Returns `max-age` (RFC 9111 §5.2.2), or 0 if the response must not be stored.
fn max_age(control: &str) -> Option<Duration> {
    let mut age = None;
    for directive in control.split(',').map(|text| text.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control_is_read() {
        assert_eq!(max_age("public, max-age=300"), Some(Duration::from_secs(300)));
        assert_eq!(max_age("Max-Age=\"7\""), Some(Duration::from_secs(7)));
        assert_eq!(max_age("max-age=300, no-store"), Some(Duration::from_secs(0)));
        assert_eq!(max_age("max-age=-1"), None);
        assert_eq!(max_age(""), None);
    }
}
