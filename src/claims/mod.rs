//! The claims set (RFC 7519 §4): registered claims typed, all others reachable.

mod date;
mod error;
mod policy;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::json;
use crate::limits::Limits;

pub use date::NumericDate;
pub use error::ClaimsError;
pub use policy::{BACKCHANNEL_LOGOUT_EVENT, Policy, TokenKind};

/// A claims set whose registered claims have the types of RFC 7519 §4.1.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// Always a [`Value::Object`]; kept as a value so that claim paths can start from it.
    document: Value,
    expires_at: Option<NumericDate>,
    not_before: Option<NumericDate>,
    issued_at: Option<NumericDate>,
}

impl Claims {
    /// Parses a payload.
    ///
    /// # Errors
    /// [`ClaimsError::Json`] for anything but one JSON object without duplicate members;
    /// [`ClaimsError::WrongType`] for a registered claim of the wrong type. A present claim never
    /// counts as absent: `null` is a wrong type too.
    pub fn parse(payload: &[u8], limits: &Limits) -> Result<Self, ClaimsError> {
        let members = json::parse_object(payload, limits).map_err(ClaimsError::Json)?;
        for claim in ["iss", "sub", "jti"] {
            if members.get(claim).is_some_and(|value| !value.is_string()) {
                return Err(ClaimsError::WrongType { claim: claim.to_owned() });
            }
        }
        if members.get("aud").is_some_and(|value| !is_audience(value)) {
            return Err(ClaimsError::WrongType { claim: "aud".to_owned() });
        }
        Ok(Self {
            expires_at: date(&members, "exp")?,
            not_before: date(&members, "nbf")?,
            issued_at: date(&members, "iat")?,
            document: Value::Object(members),
        })
    }

    /// `iss`: who issued the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub`: whom it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `aud`: whom it is for; a single string counts as a list of one.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        let values = match self.get("aud") {
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        values.iter().filter_map(Value::as_str)
    }

    /// `exp`: the time from which on it must not be accepted.
    #[must_use]
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.expires_at
    }

    /// `nbf`: the time before which it must not be accepted.
    #[must_use]
    pub fn not_before(&self) -> Option<NumericDate> {
        self.not_before
    }

    /// `iat`: when it was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.issued_at
    }

    /// `jti`: its identifier.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// Any claim, by its literal name.
    #[must_use]
    pub fn get(&self, claim: &str) -> Option<&Value> {
        self.as_object().get(claim)
    }

    /// All claims.
    #[must_use]
    pub fn as_object(&self) -> &Map<String, Value> {
        self.document.as_object().expect("a claims set is an object")
    }

    /// All claims as one JSON value, for claim paths.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.document
    }

    /// The claims as a type of the caller's own.
    ///
    /// # Errors
    /// [`ClaimsError::Deserialize`] where the claims do not fit the type.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        T::deserialize(&self.document).map_err(|error| ClaimsError::Deserialize { reason: error.to_string() })
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.get(claim).and_then(Value::as_str)
    }
}

/// RFC 7519 §4.1.3: one StringOrURI or an array of them. An empty list or name is for nobody.
fn is_audience(value: &Value) -> bool {
    let is_name = |value: &Value| value.as_str().is_some_and(|name| !name.is_empty());
    match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(is_name),
        name => is_name(name),
    }
}

fn date(members: &Map<String, Value>, claim: &str) -> Result<Option<NumericDate>, ClaimsError> {
    match members.get(claim) {
        None => Ok(None),
        Some(value) => NumericDate::from_json(value)
            .map(Some)
            .ok_or_else(|| ClaimsError::WrongType { claim: claim.to_owned() }),
    }
}
