//! Claimgate: verify a JSON Web Token, read its claims, decide who it is.
//!
//! ```text
//! token bytes
//!   → jws       three canonical segments, JOSE header, allow-list, key, signature
//!   → claims    one JSON object, registered claims typed, held against a policy
//!   → path      claim paths: a literal name, or RFC 9535 JSONPath compiled once
//!   → identity  username, profile, groups → teams, and why
//! ```
//!
//! The order of checks is fixed: size → shape → header → crit → allow-list → key → signature →
//! JSON → policy. Unverified and verified are different types, and only verification makes the
//! latter. The library has no clock, no randomness, no network and no global state; time is an
//! argument, a registry and a key set are values.
//!
//! | feature | brings |
//! | --- | --- |
//! | (none) | the engine: everything above |
//! | `config` | the TOML configuration file |
//! | `sign` | key generation and signing, for test material and tools |
//! | `cli` | the `claimgate` command; implies both |
//!
//! Out of scope: encryption (JWE), the JSON serialization of JWS, detached and unencoded payloads,
//! certificate path validation, fetching keys.

// Modules in the order of the data; none imports one below it.
pub mod limits;
pub mod time;
pub mod base64url;
pub mod json;
pub mod key;
pub mod alg;
pub mod jws;
pub mod claims;
pub mod error;
pub mod path;
pub mod identity;
pub mod verifier;
#[cfg(feature = "sign")]
pub mod sign;
#[cfg(feature = "oidc")]
pub mod oidc;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod demo;

pub use error::Error;
pub use verifier::Verifier;

/// The README's example, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
