//! A service on axum that signs people in at a provider (OpenID Connect, authorization code with PKCE), signs them
//! out there, and takes its back-channel logouts. What a browser holds is a cookie: sealed, while the person is at
//! the provider; then the secret of a session.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{RawQuery, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use claimgate_tower::claimgate::Code;
use claimgate_tower::claimgate::claims::{IdToken, Policy};
use claimgate_tower::claimgate::oidc::authorization::{
    self, AuthorizationOptions, AuthorizationRequest, AuthorizationResponse, CallbackError,
    CallbackParameters, CallbackProvider, SIGN_IN_LIFETIME,
};
use claimgate_tower::claimgate::oidc::client::{Client, Secret};
use claimgate_tower::claimgate::oidc::endpoint::Endpoint;
use claimgate_tower::claimgate::oidc::id_token::{self, IdTokenError, ValidatedIdToken};
use claimgate_tower::claimgate::oidc::logout::LogoutRequest;
use claimgate_tower::claimgate::oidc::pending::PendingSignIn;
use claimgate_tower::claimgate::oidc::seal::{KEY_LEN, Sealer};
use claimgate_tower::claimgate::oidc::session::SessionId;
use claimgate_tower::claimgate::oidc::token::{self, TokenResponse};
use claimgate_tower::claimgate::oidc::userinfo::{self, SignInClaims};
use claimgate_tower::claimgate::oidc::{MAX_RESPONSE, random_token};
use claimgate_tower::remote::{Fetch, HttpClient};
use claimgate_tower::{Issuer, Logouts, RemoteVerifier};
use cookie::{Cookie, SameSite};
use serde_json::{Value, json};

use crate::Failure;
use crate::sessions::{SESSION_LIFETIME, Session, Sessions};

/// The name of the provider, for a service that has several.
const PROVIDER: &str = "idp";
const SIGN_IN_COOKIE: &str = "sign-in";
const SESSION_COOKIE: &str = "session";

/// The registration of the service at the provider.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The provider's issuer.
    pub issuer: String,
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub client_secret: Secret,
    /// Where browsers reach the service, without a slash at the end. `/callback` below it is the redirect URI.
    pub public_url: String,
}

struct Service {
    client: Client,
    public_url: String,
    redirect_uri: String,
    options: AuthorizationOptions,
    id_tokens: RemoteVerifier<IdToken>,
    http: HttpClient,
    sealer: Sealer,
    sessions: Arc<Sessions>,
}

/// Builds the service.
///
/// # Errors
/// If the issuer is no address that may be called.
///
/// # Panics
/// Outside a tokio runtime.
pub fn app(registration: Registration) -> Result<Router, Failure> {
    let Registration { issuer, client_id, client_secret, public_url } = registration;
    let policy = Policy::id_token(&issuer, &client_id);
    let id_tokens = Issuer::discover(&issuer).algorithms(["RS256", "ES256"]).policy(policy).spawn()?;
    let logout_tokens = id_tokens.with_policy(Policy::logout_token(&issuer, &client_id))?;
    let sessions = Arc::new(Sessions::default());
    // Logouts outlive the sign-ins that they may overtake.
    let logouts = Logouts::new(Arc::clone(&sessions), SIGN_IN_LIFETIME);
    // Sign-ins in progress begin anew after a restart. Several processes need one key that is kept.
    let mut key = [0; KEY_LEN];
    random(&mut key);
    let service = Service {
        client: Client::new(client_id).with_secret(client_secret),
        redirect_uri: format!("{public_url}/callback"),
        options: AuthorizationOptions {
            scopes: vec!["profile".to_owned()],
            ..AuthorizationOptions::default()
        },
        http: HttpClient::new(None, Endpoint::parse(&issuer, false)?.is_loopback())?,
        sealer: Sealer::new(&key).ok_or("the key has another length")?,
        public_url,
        id_tokens,
        sessions,
    };
    Ok(Router::new()
        .route("/login", get(login))
        .route("/callback", get(callback))
        .route("/me", get(me))
        .route("/logout", post(logout))
        .with_state(Arc::new(service))
        .route_service("/backchannel-logout", logouts.endpoint(logout_tokens)))
}

/// Sends the browser to the provider.
async fn login(State(service): State<Arc<Service>>) -> Result<Response, Refused> {
    let metadata = service.id_tokens.keys().metadata().await.map_err(unavailable)?;
    let request = AuthorizationRequest {
        provider: PROVIDER,
        metadata: &metadata,
        client_id: &service.client.id,
        redirect_uri: &service.redirect_uri,
        options: &service.options,
        return_to: "/me",
    };
    let redirect = authorization::begin(&request, SystemTime::now(), &mut random);
    let sealed = redirect.pending.seal(&service.sealer, &mut random);
    let cookie = service.set_cookie(SIGN_IN_COOKIE, &sealed, SIGN_IN_LIFETIME);
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(&redirect.url)).into_response())
}

/// Takes the browser back from the provider: the code becomes tokens, and they a session.
async fn callback(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let now = SystemTime::now();
    let parameters = CallbackParameters::parse(query.as_deref().unwrap_or_default());
    let sealed = service.cookie(&headers, SIGN_IN_COOKIE).ok_or(CallbackError::State)?;
    let pending = PendingSignIn::open(&service.sealer, &sealed).ok_or(CallbackError::State)?;
    let metadata = service.id_tokens.keys().metadata().await.map_err(unavailable)?;
    let asked = CallbackProvider { id: PROVIDER, issuer: service.id_tokens.issuer(), metadata: &metadata };
    let use_state = |state: &str| service.sessions.use_state(state, now.into());
    let authorization = pending.accept(&asked, &parameters, now, use_state)?;

    let Service { client, redirect_uri, http, .. } = &*service;
    let request = token::request(&authorization, client, &metadata, redirect_uri, now, &mut random)?;
    let response = http.fetch(request.http, MAX_RESPONSE).await.map_err(unavailable)?;
    let response = token::read(&response, &request.secrets)?;
    let id_token = service.validate(&response, &authorization).await?;
    let claims = match userinfo::request(&metadata, &id_token) {
        None => SignInClaims::of_id_token(id_token),
        Some(request) => {
            let response = http.fetch(request, MAX_RESPONSE).await.map_err(unavailable)?;
            userinfo::merge(id_token, &response, service.id_tokens.keys().jws(), &client.id, now)?
        }
    };

    // A secret of its own for each sign-in: what the browser had before opens nothing.
    let secret = random_token(&mut random);
    let session = Session::new(&claims, now.into());
    if !service.sessions.open(SessionId::of_secret(&secret), session, now.into()) {
        return Err(Refused::new("session.logged_out", "the provider has logged the session out"));
    }
    let cookies = [
        (SET_COOKIE, service.set_cookie(SESSION_COOKIE, &secret, SESSION_LIFETIME)),
        (SET_COOKIE, service.set_cookie(SIGN_IN_COOKIE, "", Duration::ZERO)),
    ];
    Ok((AppendHeaders(cookies), Redirect::to(&authorization.return_to)).into_response())
}

/// Answers who is signed in.
async fn me(State(service): State<Arc<Service>>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let id = service.session_id(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let session = service.sessions.get(id, SystemTime::now().into()).ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Json(json!({ "sub": session.subject, "name": session.name, "scope": session.scope })))
}

/// Ends the session here and sends the browser to the provider to end it there. Only a page of this service can ask
/// for it: the cookie is `SameSite=Lax`, and the method is POST.
async fn logout(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let session = service.session_id(&headers).and_then(|id| service.sessions.end(id));
    let address = session.and_then(|session| {
        LogoutRequest {
            metadata: service.id_tokens.keys().known_metadata().as_deref(),
            template: None,
            id_token: Some(session.id_token.expose()),
            client_id: &service.client.id,
            site_url: &service.public_url,
            post_logout_redirect_uri: &format!("{}/me", service.public_url),
            state: &random_token(&mut random),
        }
        .url()
    });
    let cookie = service.set_cookie(SESSION_COOKIE, "", Duration::ZERO);
    (AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(address.as_deref().unwrap_or("/me"))).into_response()
}

impl Service {
    /// Validates the ID token. Waits for a fetch of keys if no known key verifies it.
    async fn validate(
        &self,
        response: &TokenResponse,
        authorization: &AuthorizationResponse,
    ) -> Result<ValidatedIdToken, Refused> {
        let verifier = self.id_tokens.verifier();
        let validate = || id_token::validate_async(verifier, response, authorization, SystemTime::now());
        let validated =
            self.id_tokens.keys().verify(response.unverified_id_token(), validate, |error| match error {
                IdTokenError::Token(error) => Some(error),
                _ => None,
            });
        Ok(validated.await.map_err(unavailable)??)
    }

    /// Returns the name of a cookie: with TLS it belongs to this host alone.
    fn cookie_name(&self, name: &str) -> String {
        if self.public_url.starts_with("https:") { format!("__Host-{name}") } else { name.to_owned() }
    }

    fn set_cookie(&self, name: &str, value: &str, lifetime: Duration) -> String {
        let age = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        Cookie::build((self.cookie_name(name), value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.public_url.starts_with("https:"))
            .max_age(cookie::time::Duration::seconds(age))
            .build()
            .to_string()
    }

    fn cookie(&self, headers: &HeaderMap, name: &str) -> Option<String> {
        let name = self.cookie_name(name);
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = values.flat_map(Cookie::split_parse).flatten();
        cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
    }

    fn session_id(&self, headers: &HeaderMap) -> Option<SessionId> {
        self.cookie(headers, SESSION_COOKIE).map(|secret| SessionId::of_secret(&secret))
    }
}

/// A sign-in that failed. The browser learns no more than that; the log has the reason.
struct Refused {
    status: StatusCode,
    code: &'static str,
    reason: String,
}

impl Refused {
    fn new(code: &'static str, reason: impl Display) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, reason: reason.to_string() }
    }
}

impl<E: Code> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::new(error.code(), &error)
    }
}

/// Makes the answer of a provider that cannot be reached.
fn unavailable(error: impl Code) -> Refused {
    Refused { status: StatusCode::SERVICE_UNAVAILABLE, ..error.into() }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        eprintln!("sign-in refused: {} [{}]", self.reason, self.code);
        (self.status, "The sign-in failed. Please begin again.").into_response()
    }
}

/// Fills a buffer from the operating system's randomness.
fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives randomness");
}
