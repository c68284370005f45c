//! Compact JWS (RFC 7515): shape, JOSE header, signature.
//!
//! Out of scope: the JSON serialization, detached or unencoded payloads (RFC 7797), encryption.

mod compact;
mod error;
mod header;
mod header_cache;
mod key_report;
mod key_table;
mod verifier;

pub use compact::{CompactJws, CompactJwsError};
pub use error::{AlgorithmError, BuildError, JwsError};
pub use header::{Header, HeaderError};
pub use key_report::{KeyReport, NoUsableKey};
pub(crate) use key_table::KeyTable;
pub use verifier::{JwsVerifier, VerifiedJws};
