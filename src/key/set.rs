//! JWK sets (RFC 7517 §5): the keys of one issuer. An invalid key is skipped and reported; the others are used.

use std::fmt;

use serde_json::Value;

use super::{KeyError, KeyMaterial, VerificationKey, jwk};
use crate::json::{self, JsonError, MemberFault};
use crate::limits::Limits;

/// A key that was skipped, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its index in the set.
    pub index: usize,
    /// Its `kid`, if one could be parsed.
    pub kid: Option<String>,
    /// The reason.
    pub reason: KeyError,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => write!(f, "key {} (kid {kid:?}): {}", self.index, self.reason),
            None => write!(f, "key {}: {}", self.index, self.reason),
        }
    }
}

/// The keys that a verifier may use, in order, and the skipped ones.
///
/// ```
/// use claimgate::key::KeySet;
/// use claimgate::limits::Limits;
/// let mut keys = KeySet::from_jwks(&std::fs::read("vectors/demo/jwks.json")?, &Limits::DEFAULT)?;
/// assert_eq!(keys.keys()[0].material().kty(), "RSA");
/// keys.append(&KeySet::from_secret(b"a secret of at least 32 bytes, for HS256"));
///
/// let unusable = KeySet::from_jwks(br#"{"keys": [{"kty": "RSA", "kid": "a"}]}"#, &Limits::DEFAULT)?;
/// assert_eq!(unusable.skipped()[0].kid.as_deref(), Some("a"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
    skipped: Vec<SkippedKey>,
}

impl KeySet {
    /// Makes a set of keys.
    ///
    /// ```
    /// use claimgate::key::{KeySet, VerificationKey};
    /// use claimgate::limits::Limits;
    ///
    /// let jwk = br#"{"kty": "EC", "crv": "P-256", "kid": "a", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    ///     "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
    /// let published = KeySet::from_jwk(jwk, &Limits::DEFAULT)?;
    /// assert!(published.keys()[0].kid() == Some("a") && !published.keys()[0].was_private());
    ///
    /// let secret = VerificationKey::from_secret(b"a secret of at least 32 bytes, for HS256");
    /// let keys = KeySet::new([secret.with_kid("s").with_alg("HS256")]);
    /// assert_eq!(keys.keys()[0].alg(), Some("HS256"));
    ///
    /// // For an old system that cannot be changed; without it, HS256 refuses a secret this short.
    /// let weak = KeySet::from_secret(b"short").danger_allow_weak_keys();
    /// assert!(weak.keys()[0].weak_allowed());
    /// assert!(VerificationKey::from_secret(b"short").danger_allow_weak().weak_allowed());
    /// # Ok::<(), claimgate::key::KeyError>(())
    /// ```
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = VerificationKey>) -> Self {
        Self { keys: keys.into_iter().collect(), skipped: Vec::new() }
    }

    /// Makes a set of one shared secret, for the HMAC family.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        Self::new([VerificationKey::from_secret(secret)])
    }

    /// Parses a JWK set as issuers publish it: an object whose member `keys` is an array of JWKs (RFC 7517 §5). A byte
    /// order mark before it is ignored. A symmetric key in it is no secret to its readers, who could sign with it where
    /// HMAC algorithms are allowed: it is skipped as [`KeyError::Private`]. A key pair is used for its public half.
    ///
    /// # Errors
    /// [`KeyError::SetTooLarge`], [`KeyError::SetJson`] or [`KeyError::Member`] if the set itself is
    /// malformed. A malformed key in it, also one that holds a member twice, is in
    /// [`skipped`](Self::skipped) instead.
    pub fn from_jwks(text: &[u8], limits: &Limits) -> Result<Self, KeyError> {
        Self::read(text, limits, true)
    }

    /// Parses a JWK set that is kept secret, such as a file of the program: symmetric keys in it are used, too.
    ///
    /// ```
    /// use claimgate::key::KeySet;
    /// use claimgate::limits::Limits;
    ///
    /// let set = br#"{"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}"#;
    /// assert_eq!(KeySet::from_jwks_with_secrets(set, &Limits::DEFAULT)?.keys().len(), 1);
    /// let published = KeySet::from_jwks(set, &Limits::DEFAULT)?;
    /// assert_eq!((published.keys().len(), published.skipped()[0].reason.code()), (0, "key.private"));
    /// # Ok::<(), claimgate::key::KeyError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_jwks`](Self::from_jwks).
    pub fn from_jwks_with_secrets(text: &[u8], limits: &Limits) -> Result<Self, KeyError> {
        Self::read(text, limits, false)
    }

    fn read(text: &[u8], limits: &Limits, published: bool) -> Result<Self, KeyError> {
        if text.len() > limits.jwks_bytes {
            return Err(KeyError::SetTooLarge);
        }
        let text = json::without_byte_order_mark(text);
        let (mut set, faults) = json::parse_list(text, "keys", limits).map_err(KeyError::SetJson)?;
        let keys = match set.remove("keys") {
            Some(Value::Array(keys)) => keys,
            other => {
                let fault = other.map_or(MemberFault::Absent, |found| MemberFault::Type {
                    found: json::kind_of(&found),
                    expected: "an array of keys",
                });
                return Err(KeyError::Member { member: "keys", fault });
            }
        };
        if keys.len() > limits.keys_in_set {
            return Err(KeyError::SetTooLarge);
        }
        let mut faults = faults.into_iter().peekable();
        Ok(Self::collect(keys.into_iter().enumerate().map(|(index, key)| {
            let fault = faults.next_if(|(at, _)| *at == index);
            let Value::Object(members) = key else {
                let found = json::kind_of(&key);
                return (None, Err(KeyError::Json(JsonError::NotAnObject { found })));
            };
            let kid = members.get("kid").and_then(Value::as_str).map(str::to_owned);
            let key = match (fault, jwk::from_object(members)) {
                (Some((_, fault)), _) => Err(KeyError::Json(fault)),
                (None, Ok(key)) if published && matches!(key.material(), KeyMaterial::Secret(_)) => {
                    Err(KeyError::Private)
                }
                (None, key) => key,
            };
            (kid, key)
        })))
    }

    /// Parses a single JWK (RFC 7517 §4).
    ///
    /// # Errors
    /// As [`from_jwks`](Self::from_jwks), and the [`KeyError`] of a malformed key.
    pub fn from_jwk(text: &[u8], limits: &Limits) -> Result<Self, KeyError> {
        if text.len() > limits.jwks_bytes {
            return Err(KeyError::SetTooLarge);
        }
        let members = json::parse_document(text, limits).map_err(KeyError::Json)?;
        Ok(Self::new([jwk::from_object(members)?]))
    }

    /// Parses every `PUBLIC KEY`, `RSA PUBLIC KEY` and `CERTIFICATE` block of a PEM text (RFC 7468).
    ///
    /// ```
    /// use claimgate::key::KeySet;
    ///
    /// let pem = "-----BEGIN PUBLIC KEY-----\n\
    ///     MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A\n\
    ///     iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\n\
    ///     -----END PUBLIC KEY-----\n";
    /// assert_eq!(KeySet::from_pem(pem)?.keys()[0].material().kty(), "EC");
    /// # Ok::<(), claimgate::key::KeyError>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyError::Pem`] if there is no block; the first block's [`KeyError`] if no block is a key.
    #[cfg(feature = "pem")]
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let set = Self::collect(super::pem::read(text)?.into_iter().map(|key| (None, key)));
        match set.skipped.first() {
            Some(skipped) if set.keys.is_empty() => Err(skipped.reason.clone()),
            _ => Ok(set),
        }
    }

    fn collect(keys: impl Iterator<Item = (Option<String>, Result<VerificationKey, KeyError>)>) -> Self {
        let mut set = Self::default();
        for (index, (kid, key)) in keys.enumerate() {
            match key {
                Ok(key) => set.keys.push(key),
                Err(reason) => set.skipped.push(SkippedKey { index, kid, reason }),
            }
        }
        set
    }

    /// **Danger.** Applies [`VerificationKey::danger_allow_weak`] to every key of the set.
    #[must_use]
    pub fn danger_allow_weak_keys(mut self) -> Self {
        for key in &mut self.keys {
            key.weak_allowed = true;
        }
        self
    }

    /// Appends the keys of another set, and those that were skipped in it.
    pub fn append(&mut self, other: &KeySet) {
        self.keys.extend_from_slice(&other.keys);
        self.skipped.extend_from_slice(&other.skipped);
    }

    /// Keeps the keys that name this issuer or none. Entra ID's keys for all tenants have a member `issuer`, the template
    /// with `{tenantid}`; one with the issuer of a single tenant must verify no other tenant's tokens.
    ///
    /// ```
    /// use claimgate::key::KeySet;
    /// use claimgate::limits::Limits;
    ///
    /// fn of_tenant(jwks: &[u8]) -> Result<KeySet, claimgate::key::KeyError> {
    ///     Ok(KeySet::from_jwks(jwks, &Limits::DEFAULT)?.of_issuer("https://login.example.com/{tenantid}/v2.0"))
    /// }
    /// ```
    #[must_use]
    pub fn of_issuer(mut self, issuer: &str) -> Self {
        self.keys.retain(|key| key.issuer.as_deref().is_none_or(|named| named == issuer));
        self
    }

    /// Returns the keys, in order.
    #[must_use]
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// Returns the keys that could not be parsed.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }
}
