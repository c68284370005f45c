//! Verification keys, before an algorithm has prepared them.
//!
//! Scope: parsing JWKs, JWK sets, PEM and raw secrets, and the metadata that ties a key to an algorithm.
//! Out of scope: the mathematics of a key (checked once by the algorithm that uses it, in
//! [`Algorithm::prepare`](crate::alg::Algorithm::prepare)), private keys, fetching.

mod jwk;
#[cfg(feature = "pem")]
mod pem;
mod set;

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::json::member::InvalidMember;
use crate::json::{JsonError, MemberFault};

pub use set::{KeySet, SkippedKey};

/// The curves that have a registered JWK name (RFC 7518 §6.2.1.1, RFC 8812 §3.1): object identifier, name,
/// and the length of a coordinate in bytes.
const CURVES: [(&str, &str, usize); 4] = [
    ("1.2.840.10045.3.1.7", "P-256", 32),
    ("1.3.132.0.34", "P-384", 48),
    ("1.3.132.0.35", "P-521", 66),
    ("1.3.132.0.10", "secp256k1", 32),
];

/// Key bytes by family. A key belongs to exactly one family, so that a public key cannot be used as an HMAC
/// secret (RFC 8725 §2.1).
#[derive(Clone)]
#[non_exhaustive]
pub enum KeyMaterial {
    /// `kty` RSA (RFC 7518 §6.3): modulus and exponent, big-endian, no leading zero bytes.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
    /// `kty` EC (RFC 7518 §6.2): the curve's name and the affine coordinates, big-endian.
    Ec {
        /// `crv`, such as `P-256`; an unknown curve is kept for an algorithm of the caller.
        curve: String,
        /// The x coordinate.
        x: Vec<u8>,
        /// The y coordinate.
        y: Vec<u8>,
    },
    /// `kty` OKP (RFC 8037): the curve's name and the public key.
    Okp {
        /// `crv`, such as `Ed25519`.
        curve: String,
        /// The public key.
        x: Vec<u8>,
    },
    /// `kty` oct (RFC 7518 §6.4): a shared secret, zeroized when dropped.
    Secret(Zeroizing<Vec<u8>>),
    /// Any other `kty`, with its members (without the private ones of RFC 7518), for an algorithm of
    /// the caller.
    Other {
        /// The `kty` value.
        kty: String,
        /// The key's members.
        members: Map<String, Value>,
    },
    /// A SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) of an algorithm unknown to this crate.
    Spki {
        /// The algorithm's object identifier, dotted.
        oid: String,
        /// The subject public key's bytes.
        public_key: Vec<u8>,
    },
}

impl KeyMaterial {
    /// Returns the `kty` of this material as a JWK; `SPKI` for [`KeyMaterial::Spki`].
    ///
    /// ```
    /// use claimgate::key::VerificationKey;
    ///
    /// assert_eq!(VerificationKey::from_secret(b"any").material().kty(), "oct");
    /// ```
    #[must_use]
    pub fn kty(&self) -> &str {
        match self {
            KeyMaterial::Rsa { .. } => "RSA",
            KeyMaterial::Ec { .. } => "EC",
            KeyMaterial::Okp { .. } => "OKP",
            KeyMaterial::Secret(_) => "oct",
            KeyMaterial::Other { kty, .. } => kty,
            KeyMaterial::Spki { .. } => "SPKI",
        }
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMaterial").field("kty", &self.kty()).finish_non_exhaustive()
    }
}

/// One key with the metadata that selects it (RFC 7517 §4).
///
/// ```
/// use claimgate::key::{KeySet, VerificationKey};
/// // Two secrets, each tied to its name and to one algorithm.
/// let key = |secret: &[u8], kid: &str| VerificationKey::from_secret(secret).with_kid(kid).with_alg("HS256");
/// let old = key(b"the old secret, of at least 32 bytes", "2025");
/// let new = key(b"the new secret, of at least 32 bytes", "2026");
/// assert_eq!(new.permits("HS512").unwrap_err().code(), "key.wrong_algorithm");
/// let keys = KeySet::new([old, new]);
/// assert_eq!(keys.keys()[1].kid(), Some("2026"));
/// ```
///
/// ```
/// use claimgate::key::VerificationKey;
///
/// let key = VerificationKey::from_secret(b"short").with_kid("old").with_alg("HS256").danger_allow_weak();
/// assert_eq!((key.kid(), key.alg(), key.material().kty()), (Some("old"), Some("HS256"), "oct"));
/// assert!(key.weak_allowed() && !key.was_private());
/// ```
#[derive(Clone)]
pub struct VerificationKey {
    material: KeyMaterial,
    kid: Option<String>,
    alg: Option<String>,
    /// `issuer`, a member of Entra ID's keys.
    issuer: Option<String>,
    for_signatures: bool,
    weak_allowed: bool,
    was_private: bool,
}

impl VerificationKey {
    /// Makes a key without metadata, for every algorithm of its family.
    #[must_use]
    pub fn new(material: KeyMaterial) -> Self {
        Self {
            material,
            kid: None,
            alg: None,
            issuer: None,
            for_signatures: true,
            weak_allowed: false,
            was_private: false,
        }
    }

    /// Makes a key of a shared secret, for the HMAC family.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        Self::new(KeyMaterial::Secret(Zeroizing::new(secret.to_vec())))
    }

    /// Sets the key's name (`kid`, RFC 7517 §4.5).
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// Ties the key to one algorithm (`alg`, RFC 7517 §4.4).
    #[must_use]
    pub fn with_alg(mut self, alg: impl Into<String>) -> Self {
        self.alg = Some(alg.into());
        self
    }

    /// **Danger.** Allows this key to be weaker than RFC 7518 requires: an HMAC secret shorter than the
    /// hash, an RSA modulus of 1024 to 2047 bits (RS256 and RS512 only). For providers that issue short
    /// client secrets and cannot be changed. An empty secret is still rejected.
    #[must_use]
    pub fn danger_allow_weak(mut self) -> Self {
        self.weak_allowed = true;
        self
    }

    /// Returns the key's bytes, for the algorithm that prepares it.
    #[must_use]
    pub fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// Returns the `kid`, if the key has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns the `alg` that the key is tied to, if any.
    #[must_use]
    pub fn alg(&self) -> Option<&str> {
        self.alg.as_deref()
    }

    /// Reports whether the JWK that this key was parsed from had private members. They were removed; a
    /// published key of this sort lets every reader sign.
    #[must_use]
    pub fn was_private(&self) -> bool {
        self.was_private
    }

    /// Reports whether [`danger_allow_weak`](Self::danger_allow_weak) was called.
    #[must_use]
    pub fn weak_allowed(&self) -> bool {
        self.weak_allowed
    }

    /// Checks that the metadata allows this key to verify signatures of `algorithm`. The engine calls it
    /// before [`Algorithm::prepare`](crate::alg::Algorithm::prepare).
    ///
    /// # Errors
    /// [`KeyError::WrongUse`] for `use` other than `sig` or `key_ops` without `verify`,
    /// [`KeyError::WrongAlgorithm`] for another `alg`; `EdDSA` and `Ed25519` are one for an Ed25519 key.
    pub fn permits(&self, algorithm: &str) -> Result<(), KeyError> {
        if !self.for_signatures {
            return Err(KeyError::WrongUse);
        }
        match &self.alg {
            Some(alg) if alg != algorithm && !self.is_ed25519_under(alg, algorithm) => {
                Err(KeyError::WrongAlgorithm)
            }
            _ => Ok(()),
        }
    }
}

impl VerificationKey {
    /// Reports whether both names are those of EdDSA over this key's curve: RFC 9864 §2.2 renamed `EdDSA`
    /// with Ed25519 to `Ed25519`, and providers announce either for the same key.
    fn is_ed25519_under(&self, one: &str, other: &str) -> bool {
        let is_name = |name: &str| ["EdDSA", "Ed25519"].contains(&name);
        is_name(one)
            && is_name(other)
            && matches!(&self.material, KeyMaterial::Okp { curve, .. } if curve == "Ed25519")
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("kty", &self.material.kty())
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}

/// The reason that a key, or a set of keys, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not one JSON object that [`crate::json`] accepts.
    #[error("the key {0}")]
    Json(JsonError),
    /// The text of a set is not one JSON object that [`crate::json`] accepts.
    #[error("the key set {0}")]
    SetJson(JsonError),
    /// A member is absent, of the wrong type, or not canonical base64url.
    #[error("the member `{member}` {fault}")]
    Member {
        /// The member's name.
        member: &'static str,
        /// What is wrong with it.
        fault: MemberFault,
    },
    /// No PEM block with a public key or a certificate, or a block that does not parse.
    #[error("not a PEM public key or certificate: {reason}")]
    Pem {
        /// What the text looks like, or what is wrong with the block.
        reason: &'static str,
    },
    /// A private key in place of a public one.
    #[error("this is a private key; give the public one (`openssl pkey -in KEY -pubout`)")]
    Private,
    /// The set has more bytes or keys than [`crate::limits::Limits`] allow.
    #[error("the key set is larger than the limit")]
    SetTooLarge,
    /// Below the minimum strength: RSA under 2048 bits, an HMAC secret shorter than the hash
    /// (RFC 7518 §3.2, §3.3), an empty secret.
    #[error("the key is weaker than its algorithm demands")]
    Weak,
    /// Not a key: an even modulus or exponent, exponent 1, a point off the curve or of small
    /// order, a size beyond 8192 bits, public-key text given as a secret.
    #[error("the key is not valid: {reason}")]
    Invalid {
        /// The fault.
        reason: Cow<'static, str>,
    },
    /// `use` is not `sig`, or `key_ops` lacks `verify`.
    #[error("the key is not meant for verifying signatures (`use`, `key_ops`)")]
    WrongUse,
    /// The key's `alg` names another algorithm.
    #[error("the key is tied to another algorithm (`alg`)")]
    WrongAlgorithm,
    /// The key's family (`kty`, `crv`) is not the algorithm's.
    #[error("the key is of another family than the algorithm")]
    WrongFamily,
    /// No key has the token's `kid`, and every key has one.
    #[error("no key has the token's kid")]
    UnknownKid,
    /// No key fits the token's algorithm.
    #[error("no key fits the token's algorithm")]
    NoneFits,
    /// The token has no `kid`, several keys with a `kid` fit it, and the verifier requires one then
    /// ([`JwsVerifier::require_kid`](crate::jws::JwsVerifier::require_kid)).
    #[error("the token has no kid, and several keys fit it")]
    KidRequired,
    /// None of the first [`Limits::keys_tried`](crate::limits::Limits::keys_tried) keys verified
    /// the token, and there were more.
    #[error("more keys fit the token than may be tried")]
    TooManyCandidates,
}

impl From<InvalidMember> for KeyError {
    fn from(InvalidMember(member, fault): InvalidMember) -> Self {
        KeyError::Member { member, fault }
    }
}

crate::code::coded!(KeyError);

impl KeyError {
    /// Makes [`KeyError::Invalid`] with the reason, which may be of the moment.
    ///
    /// ```
    /// use claimgate::key::KeyError;
    ///
    /// let bits = 100;
    /// let error = KeyError::invalid(format!("a key of {bits} bits"));
    /// assert_eq!(error.code(), "key.invalid");
    /// ```
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        KeyError::Invalid { reason: reason.into() }
    }

    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            KeyError::Json(_) | KeyError::SetJson(_) => "key.json",
            KeyError::Member { .. } => "key.member",
            KeyError::Pem { .. } => "key.pem",
            KeyError::Private => "key.private",
            KeyError::SetTooLarge => "key.set_too_large",
            KeyError::Weak => "key.weak",
            KeyError::Invalid { .. } => "key.invalid",
            KeyError::WrongUse => "key.wrong_use",
            KeyError::WrongAlgorithm => "key.wrong_algorithm",
            KeyError::WrongFamily => "key.wrong_family",
            KeyError::UnknownKid => "key.unknown_kid",
            KeyError::NoneFits => "key.none_fits",
            KeyError::KidRequired => "key.kid_required",
            KeyError::TooManyCandidates => "key.too_many_candidates",
        }
    }
}
