//! Signing by whatever holds the key.

use std::fmt;
use std::pin::Pin;

use serde_json::{Map, Value};

use super::{SignError, SigningKey};
use crate::base64url;

/// A holder of a signing key: a [`SigningKey`] in memory, or a device or key service of the caller. It signs client
/// assertions as [`Client::key`](crate::oidc::client::Client::key), with the feature `client-assertion`, and tokens
/// by [`sign`].
///
/// ```
/// use claimgate::alg::Unavailable;
/// use claimgate::sign::{SignError, Signer, SigningKey, sign};
///
/// /// A key service, simulated by a key in memory.
/// #[derive(Debug)]
/// struct Service(Option<SigningKey>);
///
/// impl Signer for Service {
///     fn algorithm(&self) -> &str {
///         "ES256"
///     }
///
///     fn kid(&self) -> Option<&str> {
///         Some("arn:example:key/1")
///     }
///
///     fn signature(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError> {
///         let key = self.0.as_ref().ok_or_else(|| Unavailable::new("no connection"))?;
///         key.signature(signing_input)
///     }
/// }
///
/// let service = Service(Some(SigningKey::generate("ES256", SigningKey::DEFAULT_RSA_BITS)?));
/// let token = sign(&service, &serde_json::Map::new(), br#"{"sub":"alice"}"#)?;
/// assert_eq!(token.split('.').count(), 3);
/// let failure = sign(&Service(None), &serde_json::Map::new(), b"{}").unwrap_err();
/// assert_eq!(failure.code(), "sign.unavailable");
/// # Ok::<(), SignError>(())
/// ```
pub trait Signer: fmt::Debug + Send + Sync {
    /// Returns the JWS name of the algorithm.
    fn algorithm(&self) -> &str;

    /// Returns the key's `kid`, if it has one.
    fn kid(&self) -> Option<&str>;

    /// Returns the signature over a signing input, in the form of JWS (RFC 7518 §3): r and s of an ECDSA signature
    /// have their full length, not the form of DER that most key services return. It may block.
    ///
    /// # Errors
    /// [`SignError::Unavailable`] if there can be no signature now, [`SignError::Signing`] if there can never be one.
    fn signature(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError>;

    /// Returns a future of the same result, for a signer that waits for something beyond this process, such as a key
    /// service. `None`, the default, means that [`signature`](Self::signature) does not wait. It is called in place of
    /// `signature` by [`sign_async`], so that no thread is blocked. The future must bound its own time.
    ///
    /// A signer that can only be awaited returns [`SignError::Unavailable`] from `signature`.
    fn signature_async<'s>(&'s self, _signing_input: &'s [u8]) -> Option<Signing<'s>> {
        None
    }
}

/// The future of a signature by a [`Signer`].
pub type Signing<'s> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignError>> + Send + 's>>;

/// Signs a payload into a compact token. `alg` and `kid` are added if the header lacks them.
///
/// # Errors
/// The [`SignError`] of the signer.
pub fn sign(signer: &dyn Signer, header: &Map<String, Value>, payload: &[u8]) -> Result<String, SignError> {
    compact(signer, completed(signer, header).as_bytes(), payload)
}

/// What a signer is asked to sign: header and payload of a token whose signature is still to come.
#[cfg(feature = "client-assertion")]
pub(crate) struct Unsigned<'s> {
    signer: &'s dyn Signer,
    input: String,
}

#[cfg(feature = "client-assertion")]
impl<'s> Unsigned<'s> {
    /// Takes a payload; the header has `alg` and `kid` alone.
    pub(crate) fn new(signer: &'s dyn Signer, payload: &[u8]) -> Self {
        Self { signer, input: signing_input(completed(signer, &Map::new()).as_bytes(), payload) }
    }

    /// Returns the compact token; it takes as long as the signer does.
    pub(crate) fn sign(self) -> Result<String, SignError> {
        let signature = self.signer.signature(self.input.as_bytes())?;
        Ok(joined(self.input, &signature))
    }

    /// Returns the compact token; the signer is awaited.
    pub(crate) async fn sign_async(self) -> Result<String, SignError> {
        awaited(self.signer, self.input).await
    }
}

/// Does the same as [`sign`] without blocking the thread where the signer waits for something beyond this process: it
/// awaits [`Signer::signature_async`].
///
/// ```
/// use claimgate::sign::{SignError, Signer, SigningKey, Signing, sign_async};
///
/// /// A key service over the network, simulated by a key in memory.
/// #[derive(Debug)]
/// struct Service(SigningKey);
///
/// impl Signer for Service {
///     fn algorithm(&self) -> &str {
///         self.0.algorithm()
///     }
///
///     fn kid(&self) -> Option<&str> {
///         Some("arn:example:key/1")
///     }
///
///     fn signature(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
///         Err(claimgate::alg::Unavailable::new("it can only be awaited").into())
///     }
///
///     fn signature_async<'s>(&'s self, signing_input: &'s [u8]) -> Option<Signing<'s>> {
///         Some(Box::pin(async move { self.0.signature(signing_input) }))
///     }
/// }
///
/// async fn token(service: &Service) -> Result<String, SignError> {
///     sign_async(service, &serde_json::Map::new(), br#"{"sub":"alice"}"#).await
/// }
/// ```
///
/// # Errors
/// The [`SignError`] of the signer.
pub async fn sign_async(
    signer: &dyn Signer,
    header: &Map<String, Value>,
    payload: &[u8],
) -> Result<String, SignError> {
    awaited(signer, signing_input(completed(signer, header).as_bytes(), payload)).await
}

async fn awaited(signer: &dyn Signer, input: String) -> Result<String, SignError> {
    let signature = match signer.signature_async(input.as_bytes()) {
        Some(signing) => signing.await?,
        None => signer.signature(input.as_bytes())?,
    };
    Ok(joined(input, &signature))
}

/// Returns the JSON of a header with `alg` and `kid`.
fn completed(signer: &dyn Signer, header: &Map<String, Value>) -> String {
    let mut header = header.clone();
    header.entry("alg").or_insert_with(|| signer.algorithm().into());
    if let Some(kid) = signer.kid() {
        header.entry("kid").or_insert_with(|| kid.into());
    }
    Value::Object(header).to_string()
}

fn signing_input(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", base64url::encode(header), base64url::encode(payload))
}

/// Signs any bytes as header and payload.
pub(super) fn compact(signer: &dyn Signer, header: &[u8], payload: &[u8]) -> Result<String, SignError> {
    let input = signing_input(header, payload);
    let signature = signer.signature(input.as_bytes())?;
    Ok(joined(input, &signature))
}

fn joined(input: String, signature: &[u8]) -> String {
    input + "." + &base64url::encode(signature)
}

impl Signer for SigningKey {
    fn algorithm(&self) -> &str {
        self.algorithm
    }

    fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    fn signature(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError> {
        self.material.sign(self.algorithm, signing_input)
    }
}
