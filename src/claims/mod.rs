//! The claims set (RFC 7519 §4): registered claims typed, all others reachable.

mod error;
mod kind;
mod numeric_date;
mod policy;
mod registered;

use std::fmt;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::json;
use crate::limits::Limits;

pub use error::ClaimsError;
pub use kind::{AccessToken, AnyKind, IdToken, Jwt, Kind, LogoutToken, TokenKind, UnknownTokenKind};
pub use numeric_date::NumericDate;
pub use policy::Policy;
pub use registered::BACKCHANNEL_LOGOUT_EVENT;

use registered::{Known, Presence, Registered};

/// A claims set whose registered claims have the types of RFC 7519 §4.1.
///
/// It keeps the payload's text. Of ordinary ones, the registered claims are read at once and all
/// others when somebody asks for one of them.
#[derive(Clone)]
pub struct Claims {
    /// The payload; empty where `document` is there from the beginning.
    text: String,
    /// What an ordinary payload says of the claims that a policy is about.
    registered: Option<Registered>,
    /// Always a [`Value::Object`]; kept as a value so that claim paths can start from it.
    document: OnceLock<Value>,
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
        Self::of_payload(payload.to_vec(), limits)
    }

    /// As [`parse`](Self::parse), without a copy.
    pub(crate) fn of_payload(payload: Vec<u8>, limits: &Limits) -> Result<Self, ClaimsError> {
        let text = match String::from_utf8(payload) {
            Ok(text) => text,
            Err(error) => return Self::of_unusual(error.as_bytes(), limits),
        };
        match Registered::scan(&text, limits) {
            Some((registered, [expires_at, not_before, issued_at])) => Ok(Self {
                text,
                registered: Some(registered),
                document: OnceLock::new(),
                expires_at,
                not_before,
                issued_at,
            }),
            None => Self::of_unusual(text.as_bytes(), limits),
        }
    }

    fn of_unusual(payload: &[u8], limits: &Limits) -> Result<Self, ClaimsError> {
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
            text: String::new(),
            registered: None,
            expires_at: date(&members, "exp")?,
            not_before: date(&members, "nbf")?,
            issued_at: date(&members, "iat")?,
            document: Value::Object(members).into(),
        })
    }

    /// `iss`: who issued the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.string(Known::Issuer)
    }

    /// `sub`: whom it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.string(Known::Subject)
    }

    /// `aud`: whom it is for; a single string counts as a list of one.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        let scanned = self.registered.as_ref().map(|registered| registered.audience(&self.text));
        let parsed = match &self.registered {
            Some(_) => &[],
            None => match self.get("aud") {
                Some(Value::Array(values)) => values.as_slice(),
                Some(value) => std::slice::from_ref(value),
                None => &[],
            },
        };
        scanned.into_iter().flatten().chain(parsed.iter().filter_map(Value::as_str))
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
        self.string(Known::TokenId)
    }

    /// `sid`: the session at the provider (Front-Channel Logout §3); none where it is no string.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.string(Known::SessionId)
    }

    /// Any claim, by its literal name.
    #[must_use]
    pub fn get(&self, claim: &str) -> Option<&Value> {
        self.as_object().get(claim)
    }

    /// All claims.
    #[must_use]
    pub fn as_object(&self) -> &Map<String, Value> {
        self.as_value().as_object().expect("a claims set is an object")
    }

    /// All claims as one JSON value, for claim paths.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        self.document.get_or_init(|| {
            let limits = Limits { json_depth: usize::MAX, json_items: usize::MAX, ..Limits::DEFAULT };
            json::parse(self.text.as_bytes(), &limits).expect("what the scanner takes is JSON")
        })
    }

    /// The claims as a type of the caller's own.
    ///
    /// # Errors
    /// [`ClaimsError::Deserialize`] where the claims do not fit the type.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        let result = match self.text.as_str() {
            "" => T::deserialize(self.as_value()),
            text => serde_json::from_str(text),
        };
        result.map_err(|error| ClaimsError::Deserialize { reason: error.to_string() })
    }

    /// A claim that is a string; none where it is absent or something else.
    fn string(&self, known: Known) -> Option<&str> {
        match self.presence(known) {
            Presence::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What there is of a claim that policies are about; of an ordinary payload without a parse.
    fn presence(&self, known: Known) -> Presence<'_> {
        match &self.registered {
            Some(registered) => registered.presence(known, self, &self.text),
            None => Presence::of(self.get(known.name())),
        }
    }

    /// Whether `events` has a logout event, and whether that is an object as it should be.
    fn logout_event(&self) -> Option<bool> {
        match &self.registered {
            Some(registered) => registered.logout_event(),
            None => self
                .get("events")
                .and_then(|events| events.get(BACKCHANNEL_LOGOUT_EVENT))
                .map(Value::is_object),
        }
    }
}

impl PartialEq for Claims {
    fn eq(&self, other: &Self) -> bool {
        self.as_value() == other.as_value()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claims").field(self.as_value()).finish()
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
