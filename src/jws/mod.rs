//! Compact JWS (RFC 7515): shape, JOSE header, signature.
//!
//! Not here: the JSON serialization, detached or unencoded payloads (RFC 7797), encryption.

mod compact;
mod error;
mod header;
mod header_cache;
mod verifier;

pub use compact::{CompactJws, CompactJwsError};
pub use error::JwsError;
pub use header::{Header, HeaderError};
pub(crate) use verifier::KeyTable;
pub use verifier::{AlgorithmError, BuildError, JwsVerifier, KeyReport, VerifiedJws};
