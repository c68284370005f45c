//! The development provider of `claimgate demo`: an OpenID Provider on a loopback address, **without
//! passwords**.
//!
//! It holds its state in memory and checks what a client can get wrong (redirect URI, client secret,
//! PKCE, single use of a code). It does not authenticate people: do not use it for anything else.

mod pages;
mod people;
mod state;
mod tokens;

use std::sync::Arc;

use axum::extract::{Form, Query, RawQuery, State};
use axum::http::header::{AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64ct::{Base64, Encoding};
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use claimgate::base64url;
use claimgate::sign::{SignError, SigningKey};
use people::PEOPLE;
use state::{Code, OpState, PersonSession, random};

use crate::system;

/// The registration of the one client.
#[derive(Clone)]
pub(crate) struct DemoClient {
    /// `client_id`
    pub(crate) client_id: String,
    /// `client_secret`
    pub(crate) client_secret: String,
    /// The client's start page.
    pub(crate) site: String,
    /// The registered redirect URI.
    pub(crate) redirect_uri: String,
    /// The registered post-logout redirect URI.
    pub(crate) post_logout_redirect_uri: String,
    /// The address that receives logout tokens.
    pub(crate) backchannel_logout_uri: String,
}

/// The development provider.
pub(crate) struct DemoProvider {
    issuer: String,
    client: DemoClient,
    key: SigningKey,
    state: Mutex<OpState>,
    http: reqwest::Client,
}

impl DemoProvider {
    /// Returns a provider with a fresh RS256 key.
    ///
    /// # Errors
    /// A [`SignError`] if the operating system has no randomness.
    pub(crate) fn new(issuer: String, client: DemoClient) -> Result<Arc<Self>, SignError> {
        Ok(Arc::new(Self {
            issuer,
            client,
            key: SigningKey::generate("RS256", SigningKey::DEFAULT_RSA_BITS)?.with_kid("development"),
            state: Mutex::default(),
            http: reqwest::Client::builder().no_proxy().build().unwrap_or_default(),
        }))
    }

    /// Returns the provider's HTTP service.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/", get(overview))
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/authorize", get(authorize))
            .route("/choose", post(choose))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo).post(userinfo))
            .route("/end-session", get(end_session))
            .route("/log-out", post(log_out))
            .route("/style.css", get(async || ([("content-type", "text/css")], pages::style())))
            .with_state(Arc::clone(self))
    }

    /// Returns the browser's session at the provider.
    fn session(&self, headers: &HeaderMap) -> Option<PersonSession> {
        let cookies = headers.get(COOKIE)?.to_str().ok()?;
        let sid =
            cookies.split(';').find_map(|pair| pair.trim().strip_prefix("claimgate-development-op="))?;
        self.state.lock().sessions.get(sid).cloned()
    }

    /// Redirects to the client with a new code (RFC 6749 §4.1.2, RFC 9207 §2).
    fn redirect_with_code(&self, request: &Authorization, session: &PersonSession) -> Response {
        let code = random();
        self.state.lock().put_code(
            code.clone(),
            Code {
                sub: session.sub.clone(),
                sid: session.sid.clone(),
                nonce: request.nonce.clone(),
                challenge: request.code_challenge.clone(),
                auth_time: session.since,
                issued: system::now().0,
            },
        );
        self.redirect(request, &[("code", &code)])
    }

    /// Redirects to the client with the parameters, the issuer and the state.
    fn redirect(&self, request: &Authorization, parameters: &[(&str, &str)]) -> Response {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters).append_pair("iss", &self.issuer);
        if let Some(state) = &request.state {
            query.append_pair("state", state);
        }
        see_other(&format!("{}?{}", self.client.redirect_uri, query.finish()))
    }
}

#[derive(Clone, Deserialize)]
struct Authorization {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    code_challenge: String,
    code_challenge_method: String,
    scope: String,
    state: Option<String>,
    nonce: Option<String>,
    prompt: Option<String>,
}

async fn overview(State(op): State<Arc<DemoProvider>>) -> Response {
    let state = op.state.lock();
    page(pages::overview(&state, &op.client.site, None))
}

async fn discovery(State(op): State<Arc<DemoProvider>>) -> Response {
    let at = |path: &str| format!("{}{path}", op.issuer);
    Json(json!({
        "issuer": op.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "end_session_endpoint": at("/end-session"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email", "phone"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    }))
    .into_response()
}

async fn jwks(State(op): State<Arc<DemoProvider>>) -> Response {
    match op.key.public_jwk() {
        Ok(key) => Json(json!({ "keys": [key] })).into_response(),
        Err(error) => bad_request(&error.to_string()),
    }
}

async fn authorize(
    State(op): State<Arc<DemoProvider>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let request = match authorization_request(&op, &query) {
        Ok(request) => request,
        Err(reason) => return bad_request(reason),
    };
    if let Some(session) = op.session(&headers)
        && request.prompt.as_deref().is_none_or(|prompt| prompt == "none")
    {
        return op.redirect_with_code(&request, &session);
    }
    page(pages::choose(&query))
}

/// Parses and checks an authorization request.
fn authorization_request(op: &DemoProvider, query: &str) -> Result<Authorization, &'static str> {
    let uri =
        format!("/?{query}").parse().map_err(|_| "The query of the authorization request is malformed.")?;
    let Query(request): Query<Authorization> = Query::try_from_uri(&uri)
        .map_err(|_| "A parameter of the authorization request is missing. The provider requires PKCE.")?;
    // An error must not redirect to an address that is not registered (RFC 6749 §4.1.2.1).
    if request.client_id != op.client.client_id || request.redirect_uri != op.client.redirect_uri {
        return Err("The client_id is unknown, or the redirect_uri differs from the registered one.");
    }
    let openid = request.scope.split(' ').any(|scope| scope == "openid");
    if request.response_type != "code" || request.code_challenge_method != "S256" || !openid {
        return Err("The provider supports only response_type=code with PKCE S256 and the scope openid.");
    }
    Ok(request)
}

#[derive(Deserialize)]
struct Choice {
    query: String,
    person: String,
}

async fn choose(State(op): State<Arc<DemoProvider>>, Form(choice): Form<Choice>) -> Response {
    let request = match authorization_request(&op, &choice.query) {
        Ok(request) => request,
        Err(reason) => return bad_request(reason),
    };
    let Some(person) = PEOPLE.iter().find(|person| person.sub == choice.person) else {
        let denied = [("error", "access_denied"), ("error_description", "The sign-in was denied")];
        return op.redirect(&request, &denied);
    };
    let session = PersonSession { sid: random(), sub: person.sub.to_owned(), since: system::now().0 };
    op.state.lock().put_session(session.clone());
    let mut response = op.redirect_with_code(&request, &session);
    let cookie = format!("claimgate-development-op={}; Path=/; HttpOnly; SameSite=Lax", session.sid);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    client_id: Option<String>,
    client_secret: Option<String>,
}

async fn token(
    State(op): State<Arc<DemoProvider>>,
    headers: HeaderMap,
    Form(request): Form<TokenRequest>,
) -> Response {
    let oauth_error = |status, error: &str| (status, Json(json!({ "error": error }))).into_response();
    if !knows_secret(&op.client, &headers, &request) {
        return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    // Removed even if the request is refused: a code is valid once.
    let code = op.state.lock().take_code(&request.code, system::now().0);
    let challenge = base64url::encode(digest(&SHA256, request.code_verifier.as_bytes()).as_ref());
    let code = code.filter(|code| {
        request.grant_type == "authorization_code"
            && request.redirect_uri == op.client.redirect_uri
            && bool::from(code.challenge.as_bytes().ct_eq(challenge.as_bytes()))
    });
    let Some(code) = code else {
        return oauth_error(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let access_token = random();
    match tokens::id_token(&op.key, &op.issuer, &op.client.client_id, &code, &access_token) {
        Ok(id_token) => {
            op.state.lock().put_access_token(access_token.clone(), code.sub);
            Json(json!({
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": 3600,
                "id_token": id_token,
            }))
            .into_response()
        }
        Err(_) => oauth_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

/// Reports whether a token request proves the client's secret.
fn knows_secret(client: &DemoClient, headers: &HeaderMap, request: &TokenRequest) -> bool {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = header.and_then(|value| value.strip_prefix("Basic ")).and_then(|value| {
        let text = String::from_utf8(Base64::decode_vec(value).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        let decode = |text: &str| {
            let mut pairs = url::form_urlencoded::parse(text.as_bytes());
            pairs.next().map(|(text, _)| text.into_owned())
        };
        Some((decode(id)?, decode(secret)?))
    });
    let given = basic.or_else(|| request.client_id.clone().zip(request.client_secret.clone()));
    given.is_some_and(|(id, secret)| {
        id == client.client_id && bool::from(secret.as_bytes().ct_eq(client.client_secret.as_bytes()))
    })
}

async fn userinfo(State(op): State<Arc<DemoProvider>>, headers: HeaderMap) -> Response {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let sub = op.state.lock().access_tokens.get(token).cloned();
    match sub.and_then(|sub| PEOPLE.iter().find(|person| person.sub == sub)) {
        Some(person) => Json(person.claims()).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[derive(Deserialize)]
struct EndSession {
    post_logout_redirect_uri: Option<String>,
    state: Option<String>,
}

/// Ends the browser's session at the provider (RP-Initiated Logout), without asking for confirmation.
async fn end_session(
    State(op): State<Arc<DemoProvider>>,
    Query(request): Query<EndSession>,
    headers: HeaderMap,
) -> Response {
    if let Some(session) = op.session(&headers) {
        op.state.lock().sessions.remove(&session.sid);
    }
    match request.post_logout_redirect_uri {
        Some(uri) if uri == op.client.post_logout_redirect_uri => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            if let Some(state) = &request.state {
                query.append_pair("state", state);
            }
            see_other(&format!("{uri}?{}", query.finish()))
        }
        Some(_) => bad_request("The post_logout_redirect_uri is not registered."),
        None => see_other("/"),
    }
}

#[derive(Deserialize)]
struct LogOut {
    sid: Option<String>,
    sub: Option<String>,
}

/// Sends a logout token to the client and shows the client's answer.
async fn log_out(State(op): State<Arc<DemoProvider>>, Form(request): Form<LogOut>) -> Response {
    let (sid, sub) = (request.sid.as_deref(), request.sub.as_deref());
    let made = tokens::logout_token(&op.key, &op.issuer, &op.client.client_id, sid, sub);
    let token = match made {
        Ok(token) => token,
        Err(error) => return bad_request(&error.to_string()),
    };
    let body =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
    let sent = op
        .http
        .post(&op.client.backchannel_logout_uri)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await;
    let answer = match sent {
        Ok(answer) => format!("{}", answer.status()),
        Err(error) => error.to_string(),
    };
    let mut state = op.state.lock();
    state.sessions.retain(|id, session| {
        !(sid == Some(id.as_str()) || (sid.is_none() && sub == Some(session.sub.as_str())))
    });
    let claims = tokens::claims_of(&token);
    let uri = &op.client.backchannel_logout_uri;
    let sent = pages::Sent { uri, token: &token, claims: &claims, answer: &answer };
    page(pages::overview(&state, &op.client.site, Some(&sent)))
}

fn page(markup: maud::Markup) -> Response {
    let policy =
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";
    let headers = [("content-security-policy", policy), ("cache-control", "no-store")];
    (headers, Html(markup.into_string())).into_response()
}

fn see_other(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => (StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response(),
        Err(_) => bad_request("The redirect address is malformed."),
    }
}

fn bad_request(reason: &str) -> Response {
    (StatusCode::BAD_REQUEST, page(pages::bad_request(reason))).into_response()
}
