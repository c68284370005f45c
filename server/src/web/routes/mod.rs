//! The routes, and what every answer has.

mod assets;
mod auth;
mod backchannel;
mod callback;
mod health;
mod home;
mod sign_in;
mod logout;
mod me;
mod password;
mod sessions;
mod users;
mod verify;

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};
use tracing::debug;

use super::Server;
use super::admission::MAX_BODY;
use super::respond::Problem;

/// The longest that a body may pause.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a request may take: two calls to a provider, at their limits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);

pub(super) fn router(server: &Server) -> Router {
    let routes = Router::new()
        .route("/", get(home::get))
        .route("/login", get(sign_in::doors))
        .route("/login/password", post(password::post))
        .route("/login/{provider}", get(sign_in::begin))
        .route("/callback/{provider}", get(callback::get))
        .route("/logout", get(logout::get).post(logout::post))
        .route("/logged-out", get(logout::landed))
        .route("/backchannel-logout", post(backchannel::post))
        .route("/api/v1/backchannelLogout", post(backchannel::post))
        .route("/api/v1/Oidc/backchannelLogout", post(backchannel::post))
        .route("/auth", any(auth::decide))
        .route("/auth/redirect", any(auth::redirect))
        .route("/auth/redirect/", any(auth::redirect_appended))
        .route("/auth/redirect/{*original}", any(auth::redirect_appended))
        .route("/api/v1/verify", post(verify::post))
        .route("/api/v1/me", get(me::get))
        .route("/api/v1/users", get(users::list).post(users::create))
        .route("/api/v1/users/{id}", get(users::show).patch(users::change))
        .route("/api/v1/users/{id}/password", put(users::set_password))
        .route("/api/v1/users/{id}/sessions", delete(sessions::end_all))
        .route("/api/v1/teams", get(users::teams))
        .route("/api/v1/sessions", get(sessions::list))
        .route("/api/v1/sessions/{id}", delete(sessions::end))
        .route("/assets/claimgate.css", get(assets::style))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics));
    let path = server.app().server.public_url.path.clone();
    let routes = match path.as_str() {
        "" => routes,
        path => Router::new()
            .nest(path, routes)
            .route(&format!("{path}/"), get(home::get))
            // Probes ask the process, not the public address.
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(health::metrics)),
    };
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(async || Problem::Method.json())
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // Outermost: what timed out or panicked is counted and secured like anything else.
        .layer(middleware::from_fn_with_state(server.clone(), finish))
        .with_state(server.clone())
}

async fn not_found(State(server): State<Server>, headers: HeaderMap) -> Response {
    if super::extract::is_browser(&headers) {
        Problem::NotFound.page(&server.app())
    } else {
        Problem::NotFound.json()
    }
}

/// Counts, logs (the path without its query: codes travel there) and secures every answer.
async fn finish(State(server): State<Server>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    // The pattern, not what a stranger wrote.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "-".to_owned());
    let app = server.app();
    let places = &app.lasting.places;
    let mut response = match places.take(&request) {
        Ok(_place) => {
            let (request, counted) = places.count(request);
            let response = next.run(request).await;
            if counted.refused() { Problem::Busy.json() } else { response }
        }
        Err(problem) => problem.json(),
    };
    let elapsed = begun.elapsed();
    let status = response.status().as_u16();
    app.metrics().answered(&route, status, elapsed.as_secs_f64());
    debug!(%method, route, status, micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), "answered");
    let headers = response.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let policy = HeaderValue::from_str(&app.content_policy).expect("a domain is visible ASCII");
    headers.insert("content-security-policy", policy);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        // No path travels, for codes are in some. Not `no-referrer`: browsers that do not know
        // Sec-Fetch-Site would then call the origin of our own forms null.
        ("referrer-policy", "strict-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if app.server.public_url.https {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert("strict-transport-security", value);
    }
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.json()
    }
}
