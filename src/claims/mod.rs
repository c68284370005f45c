//! The claims set (RFC 7519 §4): registered claims typed, all others reachable.

mod access_token;
#[cfg(feature = "path")]
mod demand;
mod error;
mod kind;
mod numeric_date;
mod policy;
mod registered;
#[cfg(feature = "path")]
mod requirement;
mod rules;
mod tenants;

use std::fmt;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::json::{self, JsonError};
use crate::limits::Limits;

#[cfg(feature = "path")]
pub use demand::{ClaimDemand, ClaimFault, ClaimSpec, ClaimValue};
pub use error::ClaimsError;
pub use kind::{
    AccessKind, AccessToken, AnyKind, IdToken, Jwt, Kind, LogoutToken, SecurityEvent, TokenKind, UnboundKind,
    UnknownTokenKind,
};
pub use numeric_date::NumericDate;
pub use policy::{LOGOUT_TOKEN_AGE, Policy};
pub use registered::BACKCHANNEL_LOGOUT_EVENT;
#[cfg(feature = "path")]
pub use requirement::ClaimRule;
pub use rules::SECURITY_EVENT_AGE;
pub use tenants::{TenantError, TenantIssuers};

use registered::{Dates, Known, Presence, Registered};

/// A claims set whose registered claims have the types of RFC 7519 §4.1.
///
/// Most payloads are scanned once for the claims that policies compare, and parsed in full only
/// when another claim is read.
///
/// ```
/// use claimgate::claims::Claims;
/// use claimgate::limits::Limits;
///
/// let payload = br#"{"iss": "https://idp.example.com", "sub": "ada", "aud": ["crm"], "exp": 1800000300,
///     "iat": 1800000000, "nbf": 1800000000, "jti": "1", "sid": "s", "email": "ada@example.com"}"#;
/// // Those of a token are `ValidatedToken::claims`.
/// let claims = Claims::parse(payload, &Limits::DEFAULT)?;
/// assert_eq!((claims.issuer(), claims.subject()), (Some("https://idp.example.com"), Some("ada")));
/// assert_eq!((claims.token_id(), claims.session_id()), (Some("1"), Some("s")));
/// assert!(claims.audience().any(|name| name == "crm"));
/// assert_eq!(claims.issued_at(), claims.not_before());
/// assert!(claims.expires_at() > claims.issued_at());
/// assert_eq!(claims.get("email"), claims.as_object().get("email"));
///
/// #[derive(serde::Deserialize)]
/// struct Person {
///     email: String,
/// }
/// assert_eq!(claims.deserialize::<Person>()?.email, "ada@example.com");
/// assert_eq!(claims.as_value()["sub"], "ada");
/// assert_eq!(claims.as_str().as_bytes(), payload);
/// # Ok::<(), claimgate::claims::ClaimsError>(())
/// ```
#[derive(Clone)]
pub struct Claims {
    payload: Payload,
}

/// A payload in one of two forms with the same meaning. Each `document` is a [`Value::Object`],
/// kept as a value so that claim paths can start from it.
#[derive(Clone)]
enum Payload {
    /// A text that [`Registered::scan`] accepts; `document` is parsed on first use.
    Scanned { text: String, registered: Registered, document: OnceLock<Value> },
    /// Any other JSON object, parsed in full.
    Parsed { text: String, document: Value, dates: Dates },
}

impl Claims {
    /// Parses a payload, **unverified**: the claims of an accepted token are
    /// [`ValidatedToken::claims`](crate::verifier::ValidatedToken::claims).
    ///
    /// # Errors
    /// [`ClaimsError::Json`] for anything but one JSON object without duplicate members;
    /// [`ClaimsError::WrongType`] for a registered claim of the wrong type. A present claim never
    /// counts as absent: `null` is a wrong type too.
    pub fn parse(payload: &[u8], limits: &Limits) -> Result<Self, ClaimsError> {
        Self::of_payload(payload.to_vec(), limits)
    }

    /// Does the same as [`parse`](Self::parse), without a copy.
    pub(crate) fn of_payload(payload: Vec<u8>, limits: &Limits) -> Result<Self, ClaimsError> {
        let text = match String::from_utf8(payload) {
            Ok(text) => text,
            // The first fault of the text may be another.
            Err(error) => {
                let reason = json::parse_object(error.as_bytes(), limits).err();
                return Err(ClaimsError::Json(reason.unwrap_or(JsonError::Encoding)));
            }
        };
        match Registered::scan(&text, limits) {
            Some(registered) => {
                Ok(Self { payload: Payload::Scanned { text, registered, document: OnceLock::new() } })
            }
            None => Self::parse_in_full(text, limits),
        }
    }

    fn parse_in_full(text: String, limits: &Limits) -> Result<Self, ClaimsError> {
        let members = json::parse_object(text.as_bytes(), limits).map_err(ClaimsError::Json)?;
        for claim in ["iss", "sub", "jti"] {
            if let Some(value) = members.get(claim).filter(|value| !value.is_string()) {
                return Err(ClaimsError::not_text(claim, value));
            }
        }
        if let Some(value) = members.get("aud").filter(|value| !is_audience(value)) {
            let found = match value {
                Value::Array(names) if !names.is_empty() => "an array of something else",
                other => json::kind_of(other),
            };
            let expected = "a string or an array of strings, none of them empty";
            return Err(ClaimsError::WrongType { claim: "aud".to_owned(), found, expected });
        }
        let dates = Dates {
            expires_at: date(&members, "exp")?,
            not_before: date(&members, "nbf")?,
            issued_at: date(&members, "iat")?,
        };
        Ok(Self { payload: Payload::Parsed { text, document: Value::Object(members), dates } })
    }

    /// Returns the payload as it was signed: the JSON text, with the order of its members and every digit of its
    /// numbers.
    ///
    /// ```
    /// use claimgate::{claims::Claims, limits::Limits};
    /// let claims = Claims::parse(br#"{"sub":"ada", "n": 340282366920938463463374607431768211455}"#, &Limits::DEFAULT)?;
    /// assert_eq!(claims.as_str(), r#"{"sub":"ada", "n": 340282366920938463463374607431768211455}"#);
    /// # Ok::<(), claimgate::claims::ClaimsError>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.payload {
            Payload::Scanned { text, .. } | Payload::Parsed { text, .. } => text,
        }
    }

    /// Returns `iss`, the token's issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.string(Known::Issuer)
    }

    /// Returns `sub`, the subject: the user or client that the claims are about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.string(Known::Subject)
    }

    /// Returns the names in `aud`, the recipients of the token. A single string counts as a list
    /// of one.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        let (scanned, parsed) = match &self.payload {
            Payload::Scanned { text, registered, .. } => (Some(registered.audience(text)), [].as_slice()),
            Payload::Parsed { document, .. } => match document.get("aud") {
                Some(Value::Array(names)) => (None, names.as_slice()),
                Some(name) => (None, std::slice::from_ref(name)),
                None => (None, [].as_slice()),
            },
        };
        scanned.into_iter().flatten().chain(parsed.iter().filter_map(Value::as_str))
    }

    /// Returns `exp`: the token is not valid at or after this time.
    #[must_use]
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.dates().expires_at
    }

    /// Returns `nbf`: the token is not valid before this time.
    #[must_use]
    pub fn not_before(&self) -> Option<NumericDate> {
        self.dates().not_before
    }

    /// Returns `iat`, the time of issue.
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.dates().issued_at
    }

    /// Returns `jti`, the token's identifier.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.string(Known::TokenId)
    }

    /// Returns `sid`, the session at the provider (Front-Channel Logout §3), or `None` if it is
    /// not a string.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.string(Known::SessionId)
    }

    /// Returns a claim by its literal name.
    #[must_use]
    pub fn get(&self, claim: &str) -> Option<&Value> {
        self.as_object().get(claim)
    }

    /// Returns all claims.
    #[must_use]
    pub fn as_object(&self) -> &Map<String, Value> {
        self.as_value().as_object().expect("a claims set is an object")
    }

    /// Returns all claims as one JSON value, for claim paths.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        match &self.payload {
            Payload::Scanned { text, document, .. } => document.get_or_init(|| {
                let limits = Limits { json_depth: usize::MAX, json_items: usize::MAX, ..Limits::DEFAULT };
                json::parse(text.as_bytes(), &limits).expect("a text that the scanner accepts is JSON")
            }),
            Payload::Parsed { document, .. } => document,
        }
    }

    /// Deserializes the claims into a type of the caller's choice.
    ///
    /// # Errors
    /// [`ClaimsError::Deserialize`] if the claims do not fit the type.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        let result = match &self.payload {
            Payload::Scanned { text, .. } => serde_json::from_str(text),
            Payload::Parsed { document, .. } => T::deserialize(document),
        };
        result.map_err(|error| ClaimsError::Deserialize { reason: error.to_string() })
    }

    /// Returns the dates of either form.
    fn dates(&self) -> &Dates {
        match &self.payload {
            Payload::Scanned { registered, .. } => registered.dates(),
            Payload::Parsed { dates, .. } => dates,
        }
    }

    /// Returns a claim if it is a string.
    fn string(&self, known: Known) -> Option<&str> {
        match self.presence(known) {
            Presence::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reports whether a claim is present, and in what form. Does not parse a scanned payload.
    fn presence(&self, known: Known) -> Presence<'_> {
        match &self.payload {
            Payload::Scanned { text, registered, .. } => registered.presence(known, text),
            Payload::Parsed { document, .. } => Presence::of(document.get(known.name())),
        }
    }

    /// Reports whether `events` is an object, as it is in security event tokens (RFC 8417 §2.2) and logout tokens.
    fn has_events(&self) -> bool {
        match &self.payload {
            Payload::Scanned { registered, .. } => registered.has_events(),
            Payload::Parsed { document, .. } => document.get("events").is_some_and(Value::is_object),
        }
    }

    /// Reports whether the logout event in `events` is an object, as it must be. Returns `None` if
    /// there is no logout event.
    fn logout_event(&self) -> Option<bool> {
        match &self.payload {
            Payload::Scanned { registered, .. } => registered.logout_event(),
            Payload::Parsed { document, .. } => document
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

/// Reports whether a value is an audience: one StringOrURI or an array of them (RFC 7519 §4.1.3).
/// An empty list and an empty name are rejected: no recipient has an empty name.
fn is_audience(value: &Value) -> bool {
    let is_name = |value: &Value| value.as_str().is_some_and(|name| !name.is_empty());
    match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(is_name),
        name => is_name(name),
    }
}

fn date(members: &Map<String, Value>, claim: &str) -> Result<Option<NumericDate>, ClaimsError> {
    let Some(value) = members.get(claim) else { return Ok(None) };
    NumericDate::from_json(value).map(Some).ok_or_else(|| ClaimsError::WrongType {
        claim: claim.to_owned(),
        found: if value.is_number() { "a number out of range" } else { json::kind_of(value) },
        expected: "a number of seconds since 1970, from 0 to 2^53",
    })
}
