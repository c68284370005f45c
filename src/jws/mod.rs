//! Compact JWS (RFC 7515): shape, JOSE header, signature.
//!
//! Not here: the JSON serialization, detached or unencoded payloads (RFC 7797), encryption.

mod compact;
mod header;
mod route;
mod verify;

pub use compact::{CompactJws, JwsError};
pub use header::{Header, HeaderError};
pub(crate) use verify::KeyTable;
pub use verify::{AlgorithmError, BuildError, JwsVerifier, KeyReport, VerifiedJws};
