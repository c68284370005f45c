//! Verified tokens in a service: the [`claimgate`] engine with keys that fetch themselves.
//!
//! ```no_run
//! use claimgate::claims::Policy;
//! use claimgate_remote::Issuer;
//!
//! # async fn example(token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::access_token("https://idp.example.com/realms/acme", "crm");
//! let tokens = Issuer::discover("https://idp.example.com/realms/acme").algorithms(["RS256"]).policy(policy).spawn()?;
//! let token = tokens.verify(token).await?;
//! println!("{}", token.subject());
//! # Ok(()) }
//! ```
//!
//! The keys are fetched in the background and kept through an outage of the provider. A token by a key that is not
//! known causes one fetch, at most every 30 seconds; all tokens that arrive meanwhile wait for it. A token that
//! cannot be judged just now is [`VerifyError::Unavailable`], which is no refusal: the client should try again.
//!
//! [`RemoteKeys`] is the part below, for a program that combines several verifiers with the keys of one
//! provider; the server `claimgate` is built on it.
//!
//! Runs on tokio. With the feature `reqwest` (on by default) documents are fetched by [`HttpClient`]; any other
//! client implements [`Fetch`].

#![forbid(unsafe_code)]
#![deny(missing_debug_implementations)]

// None imports one below it.
pub mod fetch;
#[cfg(feature = "reqwest")]
pub mod client;
pub mod error;
pub mod options;
mod state;
pub mod keys;
pub mod issuer;
pub mod issuers;

#[cfg(feature = "reqwest")]
pub use client::HttpClient;
pub use error::{RemoteError, SetupError, VerifyError};
pub use fetch::{Fetch, FetchError};
pub use issuer::{Issuer, RemoteVerifier};
pub use issuers::RemoteIssuers;
pub use keys::{KeyRenewal, RemoteKeys};
pub use options::{Clock, Documents, Places, RemoteOptions};
pub use state::Health;
