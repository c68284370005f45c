//! The compact serialization (RFC 7515 §7.1): three canonical base64url segments, borrowed.

use memchr::memchr_iter;

use crate::base64url;
use crate::jws::{Header, HeaderError};
use crate::limits::Limits;

/// A well-formed token, unverified.
///
/// ```
/// use claimgate::jws::CompactJws;
/// use claimgate::limits::Limits;
/// let token = std::fs::read_to_string("vectors/demo/token.txt")?;
/// let jws = CompactJws::parse(token.trim(), &Limits::DEFAULT)?;
/// assert_eq!(jws.header(&Limits::DEFAULT)?.algorithm(), "RS256");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// use claimgate::jws::CompactJws;
/// use claimgate::limits::Limits;
///
/// let token = std::fs::read_to_string("vectors/demo/token.txt")?;
/// let jws = CompactJws::parse(token.trim(), &Limits::DEFAULT)?;
/// let header = jws.header(&Limits::DEFAULT)?;
/// assert_eq!((header.algorithm(), header.kid().is_some()), ("RS256", true));
/// assert!(header.typ().is_none() || header.typ_is("JWT"));
/// assert_eq!(header.as_object()["alg"], "RS256");
/// // The sender chose what it says: a log may show it, and nothing else may use it.
/// assert!(jws.unverified_payload().starts_with(b"{"));
/// let joined = [jws.protected_segment(), jws.payload_segment()].join(&b'.');
/// assert_eq!((jws.signing_input(), jws.signature().len()), (joined.as_slice(), 256));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CompactJws<'t> {
    signing_input: &'t [u8],
    protected: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
}

/// The reason that a text is not a compact JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompactJwsError {
    /// Longer than [`Limits::token_bytes`].
    #[error("the token is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Not three segments separated by two dots.
    #[error("a compact JWS has three segments separated by dots")]
    Shape,
    /// A segment that is not canonical unpadded base64url: a character outside the alphabet (white
    /// space, padding, `+`, `/`), an impossible length, non-zero trailing bits.
    #[error("the {segment} segment is not canonical unpadded base64url: {reason}")]
    Base64Url {
        /// `header`, `payload` or `signature`.
        segment: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The header segment is longer than [`Limits::header_bytes`].
    #[error("the header segment is longer than {limit} bytes")]
    HeaderTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The signature segment is empty, as in an unsecured JWS (RFC 7515 A.5).
    #[error("the token has no signature")]
    EmptySignature,
}

crate::code::coded!(CompactJwsError);

impl CompactJwsError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            CompactJwsError::TooLong { .. } => "jws.too_long",
            CompactJwsError::Shape => "jws.shape",
            CompactJwsError::Base64Url { .. } => "jws.base64url",
            CompactJwsError::HeaderTooLong { .. } => "jws.header_too_long",
            CompactJwsError::EmptySignature => "jws.no_signature",
        }
    }
}

impl<'t> CompactJws<'t> {
    /// Splits a token and checks the form of each segment. Decodes and allocates nothing.
    ///
    /// # Errors
    /// A [`CompactJwsError`].
    pub fn parse(token: &'t str, limits: &Limits) -> Result<Self, CompactJwsError> {
        let token = token.as_bytes();
        if token.len() > limits.token_bytes {
            return Err(CompactJwsError::TooLong { limit: limits.token_bytes });
        }
        let mut dots = memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(CompactJwsError::Shape);
        };
        let jws = Self {
            signing_input: &token[..second],
            protected: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
        };
        if jws.protected.len() > limits.header_bytes {
            return Err(CompactJwsError::HeaderTooLong { limit: limits.header_bytes });
        }
        for (segment, text) in
            [("header", jws.protected), ("payload", jws.payload), ("signature", jws.signature)]
        {
            if !base64url::is_canonical(text) {
                return Err(CompactJwsError::Base64Url { segment, reason: fault(token, text) });
            }
        }
        if jws.signature.is_empty() {
            return Err(CompactJwsError::EmptySignature);
        }
        Ok(jws)
    }

    /// Returns the bytes that were signed: `BASE64URL(header) || '.' || BASE64URL(payload)`.
    #[must_use]
    pub fn signing_input(&self) -> &'t [u8] {
        self.signing_input
    }

    /// Returns the header segment, still encoded.
    #[must_use]
    pub fn protected_segment(&self) -> &'t [u8] {
        self.protected
    }

    /// Returns the payload segment, still encoded.
    #[must_use]
    pub fn payload_segment(&self) -> &'t [u8] {
        self.payload
    }

    /// Parses the JOSE header.
    ///
    /// # Errors
    /// A [`HeaderError`].
    pub fn header(&self, limits: &Limits) -> Result<Header, HeaderError> {
        Header::parse(&decode(self.protected), limits)
    }

    /// Decodes the payload. It is **unverified**: use it to choose the issuer whose keys verify the
    /// token, or to display it. The verified payload is
    /// [`VerifiedJws::payload`](crate::jws::VerifiedJws::payload).
    #[must_use]
    pub fn unverified_payload(&self) -> Vec<u8> {
        self.decode_payload()
    }

    /// Decodes the payload, for a caller that has verified the signature.
    pub(super) fn decode_payload(&self) -> Vec<u8> {
        decode(self.payload)
    }

    /// Decodes the signature.
    #[must_use]
    pub fn signature(&self) -> Vec<u8> {
        decode(self.signature)
    }

    /// Returns the decoded signature's length, in bytes.
    pub(super) fn signature_len(&self) -> usize {
        base64url::decoded_len(self.signature)
    }

    /// Decodes the signature into a buffer of at least [`signature_len`](Self::signature_len) bytes.
    pub(super) fn decode_signature<'b>(&self, buffer: &'b mut [u8]) -> &'b [u8] {
        base64url::decode_into(self.signature, buffer).expect(CANONICAL)
    }
}

/// Returns why a segment of a token is not canonical base64url.
fn fault(token: &[u8], segment: &[u8]) -> &'static str {
    const SCHEME: &[u8] = b"bearer ";
    if token.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME)) {
        "the text begins with `Bearer `, which is no part of the token"
    } else {
        base64url::fault(segment)
    }
}

fn decode(canonical: &[u8]) -> Vec<u8> {
    base64url::decode(canonical).expect(CANONICAL)
}

const CANONICAL: &str = "`parse` has checked that the segment is canonical";
