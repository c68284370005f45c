//! Claimgate verifies JSON Web Tokens, maps their claims to users and teams, and holds the rules of
//! an OpenID Connect relying party.
//!
//! ```
//! use claimgate::{Verifier, claims::Policy, key::KeySet, limits::Limits, path::ClaimPath, time::UnixTime};
//!
//! fn roles(jwks: &[u8], token: &str, now: i64) -> Result<Vec<String>, Box<dyn std::error::Error>> {
//!     let verifier = Verifier::builder() // once, then shared by all threads
//!         .algorithms(["RS256"])
//!         .keys(KeySet::from_jwks(jwks, &Limits::DEFAULT)?)
//!         .policy(Policy::id_token("https://idp.example.com/realms/acme", "crm"))
//!         .build()?;
//!     let token = verifier.verify(token, UnixTime(now))?;
//!     let roles = ClaimPath::parse("$.realm_access.roles[*]")?;
//!     let selected = roles.select(token.claims().as_value(), &Limits::DEFAULT)?;
//!     Ok(selected.into_iter().filter_map(|role| role.as_str()).map(str::to_owned).collect())
//! }
//! ```
//!
//! ```text
//! token
//!   → jws       three canonical segments, JOSE header, allow-list, key, signature
//!   → claims    one JSON object, registered claims typed, the policy of a token kind
//!   → path      claim paths: a literal name, or RFC 9535 JSONPath compiled once
//!   → identity  username, profile, groups → teams, with reasons
//!   → oidc      sign-in, synchronisation, sessions, logout: typed steps, no sockets
//!   → access    rules for applications behind a proxy: host, path and method → who is admitted
//! ```
//!
//! The order of checks is fixed: size → shape → header → crit → allow-list → key → signature →
//! JSON → policy. Unverified and verified tokens are different types, and only verification makes
//! the latter; a validated token's type says which kind of token it is. The crate has no clock, no
//! network and no global state, and uses randomness in `sign` alone: time and random bytes are
//! arguments, a registry and a key set are values. The package `claimgate-server` has the
//! configuration file, the store, HTTP and the command.
//!
//! | feature | brings |
//! | --- | --- |
//! | (none) | RS, PS and HS tokens by keys of a JWK set: `limits` to `claims`, and `verifier` |
//! | `ec`, `eddsa` | ES256, ES384 and ES512; EdDSA and Ed25519 (default) |
//! | `pem` | public keys and certificates as PEM (default) |
//! | `path` | claim paths (default) |
//! | `identity` | the mapping to users and teams; implies `path` (default) |
//! | `cache` | [`Verifier::with_cache`] (default) |
//! | `sign` | key generation and signing, for test material and client assertions |
//! | `oidc` | the relying party's rules, and those of access to applications; implies `identity` |
//! | `client-assertion` | `private_key_jwt` and `client_secret_jwt`; implies `oidc` and `sign` |
//! | `aws-lc` | RSA by aws-lc-rs, to be registered by the program |
//! | `wasm-js` | `wasm32-unknown-unknown`: ring takes randomness from JavaScript |
//!
//! Out of scope: encryption (JWE), the JSON serialization of JWS, detached and unencoded payloads,
//! certificate path validation.

#![forbid(unsafe_code)]
#![deny(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Modules in the order of the data; none imports one below it.
pub mod code;
pub mod limits;
pub mod text;
pub mod time;
pub mod base64url;
pub mod json;
pub mod key;
pub mod alg;
pub mod jws;
#[cfg(feature = "path")]
pub mod path;
pub mod claims;
pub mod error;
#[cfg(feature = "identity")]
pub mod identity;
pub mod verifier;
#[cfg(feature = "sign")]
pub mod sign;
#[cfg(feature = "oidc")]
pub mod oidc;
#[cfg(feature = "oidc")]
pub mod access;

pub use code::Code;
pub use error::Error;
pub use verifier::Verifier;

/// The examples of the README, compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the guide to embedding, compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/embedding.md")]
struct EmbeddingGuide;
