//! The JOSE header (RFC 7515 §4).
//!
//! `jku`, `jwk`, `x5u` and `x5c` are ignored: a token does not choose its own key.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::json::{self, JsonError};
use crate::limits::Limits;

/// A parsed JOSE header, unverified. A clone shares the contents.
///
/// ```
/// use claimgate::jws::Header;
/// use claimgate::limits::Limits;
///
/// let header = Header::parse(br#"{"alg": "RS256", "typ": "application/at+jwt", "kid": "a"}"#, &Limits::DEFAULT)?;
/// assert_eq!((header.algorithm(), header.kid()), ("RS256", Some("a")));
/// assert!(header.typ_is("at+jwt") && header.typ() == Some("application/at+jwt"));
/// assert_eq!(header.as_object().len(), 3);
/// # Ok::<(), claimgate::jws::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Header(Arc<Contents>);

#[derive(Debug, PartialEq)]
struct Contents {
    members: Map<String, Value>,
    /// `typ` without `application/`, computed once: it is compared for each token.
    typ: Option<String>,
}

/// The reason that a JOSE header is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The header is not one JSON object that [`crate::json`] accepts.
    #[error("the header {0}")]
    Json(JsonError),
    /// No `alg` (RFC 7515 §4.1.1).
    #[error("the header has no `alg`")]
    NoAlgorithm,
    /// `alg`, `kid`, `typ` or `cty` is not a string.
    #[error("the header's member `{member}` is {found}, and must be a string")]
    WrongType {
        /// The member's name.
        member: &'static str,
        /// What it is, such as `a number`.
        found: &'static str,
    },
    /// `crit` is malformed, or names an extension that is not supported (RFC 7515 §4.1.11).
    #[error("the header marks an extension as critical that is not understood, or malformed")]
    Critical,
    /// `b64` other than true: an unencoded payload (RFC 7797), which RFC 7519 does not allow.
    #[error("the header asks for an unencoded payload")]
    UnencodedPayload,
}

crate::code::coded!(HeaderError);

impl HeaderError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            HeaderError::Json(_) => "header.json",
            HeaderError::NoAlgorithm => "header.no_alg",
            HeaderError::WrongType { .. } => "header.type",
            HeaderError::Critical => "header.crit",
            HeaderError::UnencodedPayload => "header.b64",
        }
    }
}

impl Header {
    /// Parses the decoded header segment.
    ///
    /// # Errors
    /// A [`HeaderError`]. The only accepted `crit` is `["b64"]` with `"b64": true`, which changes
    /// nothing (RFC 7797 §6).
    pub fn parse(json: &[u8], limits: &Limits) -> Result<Self, HeaderError> {
        let members = json::parse_object(json, limits).map_err(HeaderError::Json)?;
        for member in ["alg", "kid", "typ", "cty"] {
            if let Some(value) = members.get(member).filter(|value| !value.is_string()) {
                return Err(HeaderError::WrongType { member, found: json::kind_of(value) });
            }
        }
        if !members.contains_key("alg") {
            return Err(HeaderError::NoAlgorithm);
        }
        if members.get("b64").is_some_and(|value| value != &Value::Bool(true)) {
            return Err(HeaderError::UnencodedPayload);
        }
        if members.get("crit").is_some_and(|crit| !is_understood(crit, &members)) {
            return Err(HeaderError::Critical);
        }
        let typ = members.get("typ").and_then(Value::as_str).map(|typ| short(typ).to_owned());
        Ok(Self(Arc::new(Contents { members, typ })))
    }

    /// Returns `alg`, the algorithm that the token names (RFC 7515 §4.1.1).
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.text("alg").unwrap_or_default()
    }

    /// Returns `kid`, a hint at the key (RFC 7515 §4.1.4). It is only compared with the known keys.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.text("kid")
    }

    /// Returns `typ`, the media type of the whole token (RFC 7515 §4.1.9).
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.text("typ")
    }

    /// Reports whether `typ` is this media type. Case is ignored, and `application/` may be omitted
    /// (RFC 7515 §4.1.9).
    #[must_use]
    pub fn typ_is(&self, media_type: &str) -> bool {
        self.0.typ.as_ref().is_some_and(|typ| typ.eq_ignore_ascii_case(short(media_type)))
    }

    /// Returns all members.
    #[must_use]
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0.members
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.0.members.get(member).and_then(Value::as_str)
    }
}

/// Reports whether `crit` is a list of distinct supported extensions that are present (RFC 7515 §4.1.11). The
/// only supported one is `b64`, whose value the caller has checked.
fn is_understood(crit: &Value, members: &Map<String, Value>) -> bool {
    let Value::Array(names) = crit else { return false };
    matches!(names.as_slice(), [name] if name == "b64") && members.contains_key("b64")
}

fn short(media_type: &str) -> &str {
    const PREFIX: &str = "application/";
    match media_type.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &media_type[PREFIX.len()..],
        _ => media_type,
    }
}
