//! Claimgate: verify a JSON Web Token, read its claims, decide who it is; and sign people in.
//!
//! ```text
//! token bytes
//!   → jws       three canonical segments, JOSE header, allow-list, key, signature
//!   → claims    one JSON object, registered claims typed, held against a policy
//!   → path      claim paths: a literal name, or RFC 9535 JSONPath compiled once
//!   → identity  username, profile, groups → teams, and why
//!   → oidc      sign-in, sync, sessions, logout: typed steps, no sockets
//!   → store     SQLite behind one writer; sessions in memory for reading
//!   → server    HTTP
//! ```
//!
//! The order of checks is fixed: size → shape → header → crit → allow-list → key → signature →
//! JSON → policy. Unverified and verified are different types, and only verification makes the
//! latter. Everything up to `oidc` and `config` has no clock, no network and no global state, and
//! no randomness but in `sign`: time and random bytes are arguments, a registry and a key set are values.
//!
//! | feature | brings |
//! | --- | --- |
//! | (none) | the engine: `jws` to `identity` |
//! | `sign` | key generation and signing, for test material and client assertions |
//! | `oidc` | the relying party's rules; implies `sign` |
//! | `config` | the TOML configuration file; implies `oidc` |
//! | `cli` | the `claimgate` command without the server; implies the above |
//! | `server` | HTTP, the store, the whole command; implies the above |
//! | `aws-lc` | RSA by aws-lc-rs for whoever registers it |
//!
//! Out of scope: encryption (JWE), the JSON serialization of JWS, detached and unencoded payloads,
//! certificate path validation.

#![forbid(unsafe_code)]

// Modules in the order of the data; none imports one below it.
pub mod limits;
pub mod text;
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

pub use error::Error;
pub use verifier::Verifier;

/// The README's example, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
