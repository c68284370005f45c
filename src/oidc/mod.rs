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
//!
//! ```
//! use std::time::SystemTime;
//!
//! use claimgate::claims::Policy;
//! use claimgate::oidc::authorization::{
//!     self, AuthorizationOptions, AuthorizationRequest, CallbackParameters, CallbackProvider,
//! };
//! use claimgate::oidc::client::{Client, Secret};
//! use claimgate::oidc::discovery::{self, EndpointOverrides};
//! use claimgate::oidc::endpoint::Endpoint;
//! use claimgate::oidc::pending::PendingSignIn;
//! use claimgate::oidc::seal::Sealer;
//! use claimgate::oidc::userinfo::{self, SignInClaims};
//! use claimgate::oidc::{Request, Response, id_token, jwks, random_token, token};
//! use claimgate::Verifier;
//!
//! /// A whole sign-in. `send` sends a request, `browse` sends the browser to the provider and returns the query it comes
//! /// back with, `use_state` remembers a `state` and reports whether it is new.
//! fn sign_in(
//!     sealer: &Sealer,
//!     send: impl Fn(Request) -> Response,
//!     browse: impl Fn(&str) -> String,
//!     use_state: impl Fn(&str) -> bool,
//!     mut random: impl FnMut(&mut [u8]),
//! ) -> Result<(SignInClaims, String), Box<dyn std::error::Error>> {
//!     let (issuer, redirect_uri) = ("https://idp.example.com", "https://crm.example.com/callback");
//!     let client = Client::new("crm").with_secret(Secret::new("the client's secret".to_owned()));
//!     let now = SystemTime::now();
//!
//!     // Once, and again when they become stale; `claimgate-remote` does it.
//!     let address = Endpoint::parse(issuer, false)?;
//!     let document = send(discovery::request(&address));
//!     let metadata = discovery::read(&document, issuer, &EndpointOverrides::default(), false)?;
//!     let jwks_uri = metadata.jwks_uri.as_ref().ok_or("the provider publishes no keys")?;
//!     let (keys, _lifetime) = jwks::read(&send(jwks::request(jwks_uri)))?;
//!     let policy = Policy::id_token(issuer, "crm");
//!     let verifier = Verifier::builder().algorithms(["RS256"]).keys(keys).policy(policy).build()?;
//!
//!     // The browser asks to sign in.
//!     let options = AuthorizationOptions::default();
//!     let request = AuthorizationRequest {
//!         provider: "idp",
//!         metadata: &metadata,
//!         client_id: "crm",
//!         redirect_uri,
//!         options: &options,
//!         return_to: "/reports",
//!     };
//!     let redirect = authorization::begin(&request, now, &mut random);
//!     let cookie = redirect.pending.seal(sealer, &mut random);
//!     let query = browse(&redirect.url);
//!
//!     // The browser comes back.
//!     let pending = PendingSignIn::open(sealer, &cookie).ok_or("another browser began it")?;
//!     let provider = CallbackProvider { id: "idp", issuer, metadata: &metadata };
//!     let authorization = pending.accept(&provider, &CallbackParameters::parse(&query), now, use_state)?;
//!     let request = token::request(&authorization, &client, &metadata, redirect_uri, now, &mut random)?;
//!     let tokens = token::read(&send(request.http), &request.secrets)?;
//!     let id_token = id_token::validate(&verifier, &tokens, &authorization, now)?;
//!     let claims = match userinfo::request(&metadata, &id_token) {
//!         Some(request) => userinfo::merge(id_token, &send(request), verifier.jws(), "crm", now)?,
//!         None => SignInClaims::of_id_token(id_token),
//!     };
//!     Ok((claims, random_token(&mut random))) // the secret of the new session
//! }
//! ```
//!
//! The last step, for a program with the users of [`records`]:
//!
//! ```
//! use std::time::Duration;
//!
//! use claimgate::identity::{Mapping, NameSource};
//! use claimgate::oidc::facts::KeptClaims;
//! use claimgate::oidc::records::{self, Position, SignInRecords, View};
//! use claimgate::oidc::session::NewSession;
//! use claimgate::oidc::sign_in::{self, LinkByUsername, Person, SignInError, SignInPolicy, SignedIn};
//! use claimgate::oidc::sync::SyncPolicy;
//! use claimgate::oidc::userinfo::SignInClaims;
//! use claimgate::time::UnixTime;
//!
//! const POLICY: SignInPolicy = SignInPolicy {
//!     create_users: true,
//!     allow_admins: false,
//!     link_by_username: LinkByUsername::Vouched,
//!     sync: SyncPolicy::CREATION,
//!     session_lifetime: Duration::from_secs(12 * 60 * 60),
//! };
//! assert!(POLICY.link_by_username.check(NameSource::Subject).is_ok());
//!
//! /// `begun` is when the sign-in began: `AuthorizationResponse::begun`.
//! fn person(claims: SignInClaims, mapping: &Mapping, begun: Position) -> Result<Person, SignInError> {
//!     let person = Person::identify(claims, mapping, begun)?;
//!     println!("{} is in {:?}", person.username(), person.identity().teams);
//!     Ok(person.keep(KeptClaims::of_nothing(&[])))
//! }
//!
//! /// Within one transaction.
//! fn complete(
//!     records: &mut dyn SignInRecords,
//!     person: &Person,
//!     session: NewSession,
//!     now: UnixTime,
//! ) -> Result<SignedIn, SignInError> {
//!     sign_in::complete(records, person, &["email"], &POLICY, session, now)
//! }
//!
//! /// The same in three steps, of which the first and the last are the store's.
//! fn in_steps(
//!     records: &mut dyn SignInRecords,
//!     person: &Person,
//!     session: NewSession,
//!     now: UnixTime,
//! ) -> Result<SignedIn, SignInError> {
//!     let view = records::view(records, &person.lookup())?;
//!     let plan = sign_in::decide(view, person, &["email"], &POLICY, session)?;
//!     println!("{} becomes {:?}", plan.account.account.username(), plan.account.changed_kind());
//!     Ok(plan.write(records, now)?)
//! }
//!
//! /// What a sign-in would change: nothing is written.
//! fn rehearse(view: View, claims: SignInClaims, mapping: &Mapping, begun: Position) -> Result<(), SignInError> {
//!     let (person, explanation) = Person::explain(claims, mapping, begun);
//!     println!("{explanation}");
//!     let account = sign_in::decide_account(view, person?.identity(), &["email"], &POLICY)?;
//!     println!("{:?}", account.changes);
//!     Ok(())
//! }
//! ```

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
mod account_error;
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
