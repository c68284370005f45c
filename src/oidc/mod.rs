//! The relying party's rules, as typed steps without sockets, clocks or randomness.
//!
//! ```text
//! discovery::ProviderMetadata    the provider's metadata, validated
//!   → authorization::begin       AuthorizationRedirect: a URL, and a PendingSignIn
//!   → PendingSignIn::seal / open the cookie of the browser that began it
//!   → PendingSignIn::accept      the callback's parameters → AuthorizationResponse
//!   → token::request / read      an HTTP request to send → TokenResponse
//!   → id_token::validate         Core §3.1.3.7 → ValidatedIdToken, with the access and refresh token
//!   → refresh::request / read    new tokens for the refresh token, later
//!   → userinfo::request / merge  SignInClaims
//!   → sign_in::decide            user found, linked, created or refused; profile and teams; session
//!
//! session_refresh::decide        what new claims of a refresh make of the user and the session
//!
//! logout::LogoutRequest          RP-Initiated Logout 1.0
//! backchannel::apply_all         Back-Channel Logout 1.0: sessions ended, the logout recorded
//! frontchannel::NamedSession     Front-Channel Logout 1.0: the session that a frame in the browser names ends
//! security_events::read          security events of CAEP and RISC (RFC 8417): those that end sessions
//! accounts                       users, passwords, activity, kinds and teams by hand
//! password                       sign-in with a password
//! return_to                      the addresses that a browser may be sent to after sign-in
//! facts                          what a session keeps of its sign-in for rules of access
//! seal                           sealed values for cookies
//! schedule::RefreshSchedule      when metadata and keys are fetched, and how long they are used
//! ```
//!
//! Each step is a type that only the previous step makes. HTTP requests are values that the caller
//! sends; storage is the port [`records`], a trait for each step, one transaction at a time; time and random bytes
//! are arguments.
//!
//! A program with its own users and sessions needs no storage of this port: it stops at
//! [`ValidatedIdToken`](id_token::ValidatedIdToken) or [`SignInClaims`](userinfo::SignInClaims), as the example
//! [`sign_in_axum`](https://github.com/claimgate/claimgate/blob/main/examples/services/src/sign_in_axum.rs) does.

pub mod fingerprint;
pub mod status;
pub mod endpoint;
pub mod discovery;
pub mod client;
pub mod schedule;
pub mod jwks;
pub mod pending;
pub mod authorization;
#[cfg(feature = "client-assertion")]
mod assertion;
pub mod token;
pub mod refresh;
pub mod id_token;
pub mod userinfo;
pub mod user;
pub mod facts;
pub mod session;
pub mod records;
pub mod accounts;
pub mod password;
pub mod sync;
pub mod sign_in;
pub mod session_refresh;
pub mod logout;
pub mod backchannel;
pub mod frontchannel;
pub mod security_events;
pub mod return_to;
pub mod seal;

/// A source of random bytes that an attacker cannot predict.
pub type Random<'r> = &'r mut dyn FnMut(&mut [u8]);

/// Returns 256 random bits as base64url: for `state`, `nonce`, PKCE verifiers and session secrets.
pub fn random_token(random: Random<'_>) -> String {
    let mut bytes = [0; 32];
    random(&mut bytes);
    crate::base64url::encode(&bytes)
}

/// An HTTP request for the caller to send: no redirects followed, the body bounded.
pub type Request = http::Request<Vec<u8>>;

/// The HTTP response to a [`Request`].
pub type Response = http::Response<Vec<u8>>;

/// Most bytes of a provider's response, JWK sets excepted: discovery documents, tokens and UserInfo
/// are a few kilobytes.
pub const MAX_RESPONSE: usize = 256 * 1024;

/// Returns the media type of a response, without parameters, in lower case.
pub(crate) fn media_type(response: &Response) -> String {
    let value = response.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
