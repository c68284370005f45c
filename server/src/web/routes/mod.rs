//! The routes, and the layers around all of them.

mod account;
mod admin;
mod assets;
mod auth;
mod backchannel;
mod callback;
mod console;
mod events;
mod frontchannel;
mod health;
mod home;
mod jwks;
mod logout;
mod me;
mod metrics;
mod openapi;
mod password;
mod security_events;
mod sessions;
mod sign_in;
mod table;
mod teams;
mod users;
mod verify;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::debug;

use self::table::Route;
use super::admission::{FRONT_CHANNEL_PATH, LOGOUT_PATHS, Purpose, SECURITY_EVENTS_PATH};
use super::app::{App, Server};
use super::connection::Connection;
use super::extract::{ClientAddress, Current};
use super::page::View;
use super::problem::Problem;
use super::request_log;
use super::texts::Language;

/// Longest time for a request once its body has arrived: two calls to a provider, each at its time limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);

/// Time that a refusal waits for once its client has caused more refusals than are logged: most clients send the next
/// request after the answer. Forward-auth and probes do not wait, because many people may share an address.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

impl Server {
    /// Returns the HTTP service.
    pub fn router(&self) -> Router {
        let routes = below_path(&self.app().server.public_url.path);
        routes
            .fallback(not_found)
            .method_not_allowed_fallback(async || Problem::Method.json())
            .layer(CatchPanicLayer::new())
            // Outside the others, so that it counts and secures their responses too.
            .layer(middleware::from_fn_with_state(self.clone(), admit_and_secure))
            .layer(middleware::from_fn_with_state(self.clone(), with_log_fields))
            .with_state(self.clone())
    }
}

/// Nests the routes below the path of `public_url`. Probes reach the process without that path too.
fn below_path(path: &str) -> Router<Server> {
    if path.is_empty() {
        return routes();
    }
    Router::new()
        .nest(path, routes())
        .route(&format!("{path}/"), get(home::get))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::get))
}

fn routes() -> Router<Server> {
    table::router(interface().into_iter().chain(pages()))
}

/// The routes that programs use: those of the description at `/api/openapi.json`.
fn interface() -> Vec<Route> {
    let logouts = LOGOUT_PATHS.map(|path| table::post(path, backchannel::post));
    let others = [
        table::get(FRONT_CHANNEL_PATH, frontchannel::get),
        table::post(SECURITY_EVENTS_PATH, security_events::post),
        table::get("/logout", logout::get),
        table::post("/logout", logout::post),
        table::any("/auth", auth::decide),
        table::any("/auth/redirect", auth::redirect),
        table::any("/auth/redirect/", auth::redirect_appended),
        table::any("/auth/redirect/{*original}", auth::redirect_appended),
        table::post("/api/v1/verify", verify::post),
        table::get("/api/v1/me", me::get),
        table::get("/api/v1/me/sessions", me::sessions),
        table::delete("/api/v1/me/sessions/{id}", me::end_session),
        table::post("/api/v1/admin/session", admin::open_session),
        table::get("/api/v1/users", users::list),
        table::post("/api/v1/users", users::create),
        table::get("/api/v1/users/{id}", users::show),
        table::patch("/api/v1/users/{id}", users::change),
        table::put("/api/v1/users/{id}/password", users::set_password),
        table::delete("/api/v1/users/{id}/sessions", sessions::end_all),
        table::get("/api/v1/teams", teams::list),
        table::get("/api/v1/sessions", sessions::list),
        table::delete("/api/v1/sessions/{id}", sessions::end),
        table::get("/api/v1/events", events::list),
        table::get("/api/v1/events/counts", events::counts),
        table::get("/api/openapi.json", openapi::get),
        table::get("/.well-known/jwks.json", jwks::get),
        table::get("/healthz", health::healthz),
        table::get("/readyz", health::readyz),
        table::get("/metrics", metrics::get),
    ];
    logouts.into_iter().chain(others).collect()
}

/// The routes of pages, and of what pages load.
fn pages() -> Vec<Route> {
    let pages = [
        table::get("/", home::get),
        table::get("/login", sign_in::choose),
        table::get("/login/password", sign_in::password_form),
        table::post("/login/password", password::post),
        table::get("/login/{provider}", sign_in::begin),
        table::get("/callback/{provider}", callback::get),
        table::post("/callback/{provider}", callback::post),
        table::get("/logged-out", logout::logged_out),
        table::get("/me", account::get),
        table::post("/me/sessions/{id}/end", account::end),
        table::post("/me/sessions/end-others", account::end_others),
        table::get("/assets/claimgate.css", assets::style),
        table::get("/assets/logo", assets::logo),
    ];
    pages.into_iter().chain(console::routes()).collect()
}

async fn not_found(Current(app): Current, language: Language, headers: HeaderMap) -> Response {
    if accepts_page(&headers) {
        Problem::NotFound.page(&View::new(&app, language))
    } else {
        Problem::NotFound.json()
    }
}

/// Reports whether a client wants a page. Browsers name HTML; programs accept anything or send no header.
fn accepts_page(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Gives every log line of a request the client's address and the host.
async fn with_log_fields(
    Current(app): Current,
    ClientAddress(client): ClientAddress,
    mut request: Request,
    next: Next,
) -> Response {
    // HTTP/2 names the host in `:authority`; handlers read `Host`.
    let authority = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = authority {
        request.headers_mut().insert(HOST, host);
    }
    let host = request.headers().get(HOST).cloned();
    let refusals = Arc::clone(&app.process.limiter.refusals);
    request_log::about(client, host, refusals, next.run(request)).await
}

/// Admits a request if there is capacity; counts, logs and secures every response. Logged is the pattern
/// of the route: the path is the client's text, and the query may hold codes.
async fn admit_and_secure(
    Current(app): Current,
    ClientAddress(address): ClientAddress,
    language: Language,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "-".to_owned());
    let exchange = request.extensions().get::<Arc<Connection>>().map(Connection::begin);
    let purpose = match Purpose::of(route.strip_prefix(&app.server.public_url.path).unwrap_or(&route)) {
        Purpose::Logout if app.sends_logouts(address) => Purpose::ProviderLogout,
        purpose => purpose,
    };
    let wants_page = accepts_page(request.headers());
    let answered = async {
        let (request, permit) = app.process.admission.admit(request, purpose, address).await?;
        let response = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
        Ok::<_, Problem>((response.map_err(|_| Problem::Busy)?, Some(permit)))
    };
    let (mut response, mut permit) = match answered.await {
        Ok(answered) => answered,
        Err(problem) if wants_page => (problem.page(&View::new(&app, language)), None),
        Err(problem) => (problem.json(), None),
    };
    let elapsed = start.elapsed();
    let status = response.status().as_u16();
    app.metrics().answered(&route, status, elapsed.as_secs_f64());
    debug!(%method, route, status, micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), "answered");
    secure(&app, response.headers_mut());
    if request_log::is_excessive() && !matches!(purpose, Purpose::ForwardAuth | Purpose::Probe) {
        // Others may have its place meanwhile.
        permit = None;
        if let Some(_waiting) = app.process.admission.refusal_to_wait(address) {
            tokio::time::sleep(REFUSAL_PAUSE).await;
        }
    }
    match exchange {
        Some(exchange) => response.map(|body| exchange.answer(body, permit)),
        None => response,
    }
}

/// Sets the headers of every response. One with a policy of its own is framed as that policy says.
fn secure(app: &App, headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        let policy = HeaderValue::from_str(&app.content_policy).expect("a domain is visible ASCII");
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        // No path is sent: some hold codes. Not `no-referrer`: a browser without Sec-Fetch-Site would
        // then send `Origin: null` with our own forms.
        ("referrer-policy", "strict-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if app.server.public_url.https {
        headers.insert("strict-transport-security", HeaderValue::from_static("max-age=31536000"));
    }
}
