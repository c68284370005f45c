//! Verified tokens in a service on [tower](https://docs.rs/tower): a layer in front of axum, tonic or any other
//! service, and an endpoint for back-channel logouts.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use claimgate_tower::claimgate::claims::Policy;
//! use claimgate_tower::{BearerLayer, Issuer, Verified};
//!
//! #[derive(serde::Deserialize)]
//! struct User {
//!     sub: String,
//! }
//!
//! async fn me(Verified(user): Verified<User>) -> String {
//!     user.sub
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::access_token("https://idp.example.com/realms/acme", "crm");
//! let tokens = Issuer::discover("https://idp.example.com/realms/acme").algorithms(["RS256"]).policy(policy).spawn()?;
//! let app: Router = Router::new().route("/me", get(me)).layer(BearerLayer::new(tokens));
//! # Ok(()) }
//! ```
//!
//! [`BearerLayer`] takes the token of `Authorization: Bearer`, and answers a request without an acceptable one itself
//! (RFC 6750 §3). [`Verified`] is what a handler takes of an accepted token: a struct of its own, the
//! [`MappedIdentity`], or the [`Principal`] with all claims. [`Require`] admits by scope or team. [`Logouts`] has the
//! endpoint for back-channel logouts and refuses the tokens of sessions that were logged out.
//!
//! | decision | HTTP | gRPC |
//! | --- | --- | --- |
//! | no bearer token was sent | 401 `Bearer realm="api"` | 16, `UNAUTHENTICATED` |
//! | several `Authorization` headers, or one that is malformed | 400 `invalid_request` | 16 |
//! | the token is refused, or its session was logged out | 401 `invalid_token` | 16 |
//! | the mapping gives no identity, or scope or team are missing | 403 `insufficient_scope` | 7, `PERMISSION_DENIED` |
//! | the token cannot be judged now: no keys, or the store of logouts failed | 503 with `Retry-After` | 14, `UNAVAILABLE` |
//! | a guard or an extractor without a layer | 500, and a line of level `error` in the log | 13, `INTERNAL` |
//!
//! Which check refused a token is in the log (target `claimgate_tower`), with its
//! [code](https://github.com/claimgate/claimgate/blob/main/docs/reference/errors.md), and in no answer. One code has 100 lines a
//! minute at most, since strangers cause as many refusals as they like; `left_out` in the next line says how many had none.
//!
//! # Features
//!
//! `axum` (on by default) makes [`Verified`] an extractor and [`Refusal`] a response of axum. `reqwest` (on by default)
//! fetches keys by reqwest; without it an [`Issuer`] needs a [`Fetch`](remote::Fetch) of its own.

#![forbid(unsafe_code)]
#![deny(missing_debug_implementations)]

// None imports one below it.
mod log_limit;
pub mod refusal;
mod authorization;
pub mod principal;
pub mod verifier;
pub mod logouts;
pub mod layer;
pub mod require;
#[cfg(feature = "axum")]
mod extract;

/// The README's program is compiled by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use claimgate;
pub use claimgate_remote as remote;
pub use claimgate_remote::{Issuer, RemoteIssuers, RemoteVerifier};

pub use layer::BearerLayer;
pub use logouts::{Logout, LogoutEndpoint, LogoutStore, Logouts, MemoryLogouts, StoreError, TokenSession};
pub use principal::{FromPrincipal, MappedIdentity, Principal, Verified};
pub use refusal::Refusal;
pub use require::Require;
