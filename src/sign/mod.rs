//! Key generation and signing, for client assertions, test material and tools.
//!
//! ```
//! use claimgate::sign::SigningKey;
//! # fn main() -> Result<(), claimgate::sign::SignError> {
//! let key = SigningKey::generate("ES256", SigningKey::DEFAULT_RSA_BITS)?.with_kid("2026-11");
//! let token = key.sign(&serde_json::Map::new(), br#"{"sub":"alice"}"#)?;
//! assert_eq!(token.split('.').count(), 3);
//! # Ok(()) }
//! ```

mod jwk;
mod private_key;
mod signer;

use std::fmt;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::alg::{Registry, Unavailable};
use crate::json::member::{self, InvalidMember};
use crate::json::{self, JsonError, MemberFault};
use crate::limits::Limits;
use private_key::Material;

#[cfg(feature = "client-assertion")]
pub(crate) use signer::Unsigned;
pub use signer::{Signer, Signing, sign, sign_async};

/// Returns the JWS names of the algorithms that can sign: those of [`Registry::builtin`].
///
/// ```
/// assert!(claimgate::sign::algorithms().any(|name| name == "EdDSA"));
/// ```
pub fn algorithms() -> impl Iterator<Item = &'static str> {
    static BUILTIN: LazyLock<Registry> = LazyLock::new(Registry::builtin);
    BUILTIN.names()
}

/// A private key or shared secret for one algorithm. Its `Debug` text has no secrets. They are wiped from
/// memory when it is dropped, as far as the underlying crates wipe theirs.
///
/// ```
/// use claimgate::sign::SigningKey;
///
/// let pem = std::fs::read_to_string("examples/rsa_private_key.pem")?;
/// let key = SigningKey::from_pem(&pem, Some("PS256"))?.with_kid("2026-11");
/// assert_eq!((key.algorithm(), key.kid()), ("PS256", Some("2026-11")));
/// assert_eq!(key.public_jwk()?["use"], "sig"); // for a JWK set
/// assert_eq!(key.signature(b"any bytes")?.len(), 256);
///
/// // The private JWK is as secret as the key.
/// let again = SigningKey::from_jwk(key.private_jwk().to_string().as_bytes(), None)?;
/// let malformed = again.sign_compact_raw(b"{}", b"no JSON")?; // for tests of verifiers
/// let secret = SigningKey::from_secret(b"a secret of at least 32 bytes, for HS256", "HS256")?;
/// assert_eq!(secret.public_jwk().unwrap_err().code(), "sign.no_public_half");
/// assert!(claimgate::sign::algorithms().any(|name| name == "EdDSA"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SigningKey {
    algorithm: &'static str,
    kid: Option<String>,
    material: Material,
}

impl SigningKey {
    /// The default size of RSA keys: a strength of about 112 bits.
    pub const DEFAULT_RSA_BITS: usize = 2048;

    /// Generates a key from the operating system's randomness. `rsa_bits` is for RSA only.
    ///
    /// # Errors
    /// [`SignError::UnknownAlgorithm`], [`SignError::RsaBits`] outside 1024 to 8192, or
    /// [`SignError::Random`].
    pub fn generate(algorithm: &str, rsa_bits: usize) -> Result<Self, SignError> {
        let algorithm = known(algorithm)?;
        Ok(Self { algorithm, kid: None, material: Material::generate(algorithm, rsa_bits)? })
    }

    /// Parses a private JWK (RFC 7517). The algorithm is the one given, else the key's own `alg`, else the usual
    /// one of its family and curve; the last two must agree with the first.
    ///
    /// # Errors
    /// A [`SignError`].
    pub fn from_jwk(text: &[u8], algorithm: Option<&str>) -> Result<Self, SignError> {
        let jwk = json::parse_document(text, &Limits::DEFAULT).map_err(SignError::Json)?;
        let own = member::text(&jwk, "alg")?;
        let kid = member::text(&jwk, "kid")?.map(str::to_owned);
        if let (Some(wanted), Some(own)) = (algorithm, own)
            && wanted != own
        {
            return Err(SignError::WrongFamily { algorithm: wanted.to_owned() });
        }
        let wanted = algorithm.or(own).map(str::to_owned);
        let material = jwk::read(jwk)?;
        Self::from_material(material, wanted.as_deref(), kid)
    }

    /// Parses a block `PRIVATE KEY` (PKCS#8: RFC 5208, RFC 8410), `RSA PRIVATE KEY` (PKCS#1: RFC 8017 A.1.2) or
    /// `EC PRIVATE KEY` (SEC 1: RFC 5915), not encrypted. `EC PARAMETERS` before the last are passed over.
    ///
    /// # Errors
    /// [`SignError::Pem`], or [`SignError::WrongFamily`] if the algorithm is of another family.
    pub fn from_pem(text: &str, algorithm: Option<&str>) -> Result<Self, SignError> {
        Self::from_material(Material::from_pem(text)?, algorithm, None)
    }

    /// Takes a shared secret for HS256, HS384 or HS512, of any length.
    ///
    /// # Errors
    /// [`SignError::WrongFamily`] for any other algorithm.
    pub fn from_secret(secret: &[u8], algorithm: &str) -> Result<Self, SignError> {
        Self::from_material(Material::Secret(secret.to_vec().into()), Some(algorithm), None)
    }

    fn from_material(
        material: Material,
        algorithm: Option<&str>,
        kid: Option<String>,
    ) -> Result<Self, SignError> {
        let algorithm = known(algorithm.unwrap_or_else(|| material.usual_algorithm()))?;
        if !material.fits(algorithm) {
            return Err(SignError::WrongFamily { algorithm: algorithm.to_owned() });
        }
        Ok(Self { algorithm, kid, material })
    }

    /// Sets the key's `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// Returns the JWS name of the key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// Returns the key's `kid`, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Signs a payload into a compact token. `alg` and `kid` are added if the header lacks them.
    ///
    /// # Errors
    /// [`SignError::Signing`].
    pub fn sign(&self, header: &Map<String, Value>, payload: &[u8]) -> Result<String, SignError> {
        sign(self, header, payload)
    }

    /// Signs claims into a token with `typ` `JWT`: a struct of the caller's, which must be an object in JSON.
    ///
    /// ```
    /// use claimgate::sign::SigningKey;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Claims {
    ///     sub: String,
    ///     exp: u64,
    /// }
    ///
    /// let key = SigningKey::from_secret(b"a secret of at least 32 bytes, for HS256", "HS256")?;
    /// let token = key.sign_claims(&Claims { sub: "alice".to_owned(), exp: 1_800_000_000 })?;
    /// assert_eq!(token.split('.').count(), 3);
    /// assert_eq!(key.sign_claims("alice").unwrap_err().code(), "sign.claims");
    /// # Ok::<(), claimgate::sign::SignError>(())
    /// ```
    ///
    /// # Errors
    /// [`SignError::Claims`] and [`SignError::Signing`].
    pub fn sign_claims<T: Serialize + ?Sized>(&self, claims: &T) -> Result<String, SignError> {
        let refused = |reason: String| SignError::Claims { reason };
        let claims = serde_json::to_value(claims).map_err(|error| refused(error.to_string()))?;
        if !claims.is_object() {
            return Err(refused(format!("they are {}", json::kind_of(&claims))));
        }
        let header = Map::from_iter([("typ".to_owned(), "JWT".into())]);
        self.sign(&header, claims.to_string().as_bytes())
    }

    /// Signs any bytes as header and payload, well-formed or not: for malformed test tokens.
    ///
    /// # Errors
    /// [`SignError::Signing`].
    pub fn sign_compact_raw(&self, header: &[u8], payload: &[u8]) -> Result<String, SignError> {
        signer::compact(self, header, payload)
    }

    /// Returns the signature over any bytes, in the form of JWS.
    ///
    /// # Errors
    /// [`SignError::Signing`].
    pub fn signature(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError> {
        self.material.sign(self.algorithm, signing_input)
    }

    /// Returns the public JWK, to verify with. A shared secret has none: that is an error.
    ///
    /// # Errors
    /// [`SignError::NoPublicHalf`].
    pub fn public_jwk(&self) -> Result<Value, SignError> {
        Ok(self.described(jwk::public(&self.material).ok_or(SignError::NoPublicHalf)?))
    }

    /// Returns the private JWK. **Secret**: its holder can sign in your name.
    #[must_use]
    pub fn private_jwk(&self) -> Value {
        self.described(jwk::private(&self.material))
    }

    fn described(&self, mut jwk: Map<String, Value>) -> Value {
        jwk.insert("alg".to_owned(), self.algorithm.into());
        jwk.insert("use".to_owned(), "sig".into());
        if let Some(kid) = &self.kid {
            jwk.insert("kid".to_owned(), kid.as_str().into());
        }
        Value::Object(jwk)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

fn known(algorithm: &str) -> Result<&'static str, SignError> {
    algorithms()
        .find(|name| *name == algorithm)
        .ok_or_else(|| SignError::UnknownAlgorithm { name: algorithm.to_owned() })
}

/// The reason that a key cannot be generated, parsed or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// Not one of [`algorithms`].
    #[error("the algorithm `{name}` cannot sign: only the built-in algorithms can")]
    UnknownAlgorithm {
        /// The requested name.
        name: String,
    },
    /// The key cannot sign with the algorithm: another family, another curve, or tied to another.
    #[error("the key is not one for `{algorithm}` (`kty`, `crv`, `alg`)")]
    WrongFamily {
        /// The requested algorithm.
        algorithm: String,
    },
    /// The key is not one JSON object that [`crate::json`] accepts.
    #[error("the key {0}")]
    Json(JsonError),
    /// A member is absent, of the wrong type, or not canonical base64url.
    #[error("the key's member `{member}` {fault}; is it a private key?")]
    Member {
        /// The member's name.
        member: &'static str,
        /// What is wrong with it.
        fault: MemberFault,
    },
    /// The members are not a key: wrong lengths, or the public half of another key.
    #[error("the key's members do not fit together")]
    Invalid,
    /// No block `PRIVATE KEY` (PKCS#8) of a known family, `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC 1) of a
    /// known curve, or an encrypted one.
    #[error(
        "not a PEM private key of RSA, P-256, P-384, P-521 or Ed25519 \
        (`openssl pkcs8 -topk8 -nocrypt -in KEY` makes one)"
    )]
    Pem,
    /// The RSA key size is refused.
    #[error("RSA keys have 1024 to 8192 bits here")]
    RsaBits,
    /// A shared secret has no public half.
    #[error("a shared secret has no public half")]
    NoPublicHalf,
    /// The operating system has no randomness.
    #[error("the operating system gave no randomness")]
    Random,
    /// The claims to sign are not an object in JSON.
    #[error("the claims cannot be signed: {reason}")]
    Claims {
        /// What they are, or the message of the serializer.
        reason: String,
    },
    /// Signing failed, for example because an RSA key is too small for its hash.
    #[error("the key cannot make this signature")]
    Signing,
    /// What holds the key, such as a device or a key service, is not available now.
    #[error("the signer is not available now: {0}")]
    Unavailable(Unavailable),
}

impl From<Unavailable> for SignError {
    fn from(reason: Unavailable) -> Self {
        SignError::Unavailable(reason)
    }
}

impl From<InvalidMember> for SignError {
    fn from(InvalidMember(member, fault): InvalidMember) -> Self {
        SignError::Member { member, fault }
    }
}

crate::code::coded!(SignError);

impl SignError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SignError::UnknownAlgorithm { .. } => "sign.unknown_algorithm",
            SignError::WrongFamily { .. } => "sign.wrong_family",
            SignError::Json(_) => "sign.json",
            SignError::Member { .. } => "sign.member",
            SignError::Invalid => "sign.invalid",
            SignError::Pem => "sign.pem",
            SignError::RsaBits => "sign.rsa_bits",
            SignError::NoPublicHalf => "sign.no_public_half",
            SignError::Random => "sign.random",
            SignError::Claims { .. } => "sign.claims",
            SignError::Signing => "sign.signing",
            SignError::Unavailable(_) => "sign.unavailable",
        }
    }
}

#[cfg(test)]
mod tests;
