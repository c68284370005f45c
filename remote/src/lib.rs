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
//! ```
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use claimgate::claims::IdToken;
//! use claimgate::oidc::endpoint::Endpoint;
//! use claimgate::{Error, Verifier};
//! use claimgate_remote::keys::may_lack_key;
//! use claimgate_remote::options::places;
//! use claimgate_remote::{Documents, Fetch, HttpClient, RemoteError, RemoteKeys, RemoteOptions};
//!
//! fn keys(before: Option<&RemoteKeys>) -> Result<Arc<RemoteKeys>, Box<dyn std::error::Error>> {
//!     let issuer = "https://idp.example.com".to_owned();
//!     let options = RemoteOptions {
//!         name: issuer.clone(),
//!         documents: Documents::Discovery { issuer: Endpoint::parse(&issuer, false)?, overrides: Box::default() },
//!         issuer,
//!         keys_of_issuer_alone: false,
//!         danger_allow_http: false,
//!         registry: claimgate::alg::Registry::builtin(),
//!         algorithms: vec!["RS256".to_owned()],
//!         secret_algorithms: Vec::new(),
//!         own_keys: claimgate::key::KeySet::default(),
//!         places: places(128), // so many tokens may wait for keys
//!         clock: Arc::new(|| SystemTime::now().into()),
//!     };
//!     let client: Arc<dyn Fetch> = Arc::new(HttpClient::new(None, false)?);
//!     let keys = RemoteKeys::new(options, client)?;
//!     if let Some(before) = before {
//!         keys.inherit(before); // after a change of settings: no token waits for a fetch
//!     }
//!     tokio::spawn(Arc::clone(&keys).keep_fresh());
//!     Ok(keys)
//! }
//!
//! /// Verifies by a verifier of its own over the keys, again while newer keys are to be had.
//! async fn verify(keys: &Arc<RemoteKeys>, id_tokens: &Verifier<IdToken>, token: &str) -> Result<bool, RemoteError> {
//!     let verify = || id_tokens.verify_async(token, SystemTime::now());
//!     let verdict = keys.verify(token, verify, |error: &Error| Some(error)).await?;
//!     if verdict.as_ref().is_err_and(may_lack_key) {
//!         println!("of {} usable keys none fits", keys.jws().key_report().usable);
//!     }
//!     Ok(verdict.is_ok())
//! }
//!
//! /// The same by hand.
//! async fn renew(keys: &Arc<RemoteKeys>, id_tokens: &Verifier<IdToken>, token: &str) -> Result<bool, RemoteError> {
//!     let mut renewal = keys.renewal();
//!     loop {
//!         match id_tokens.verify(token, SystemTime::now()) {
//!             Ok(_) => return Ok(true),
//!             Err(error) if renewal.renew(token, &error).await? => {}
//!             Err(_) => return Ok(false),
//!         }
//!     }
//! }
//!
//! async fn endpoints(keys: &Arc<RemoteKeys>) -> Result<(), RemoteError> {
//!     keys.ready().await?;
//!     println!("{}, {:?}", keys.metadata().await?.token_endpoint.as_str(), keys.known_metadata().is_some());
//!     println!("{:?}", keys.health());
//!     Ok(())
//! }
//! ```
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
