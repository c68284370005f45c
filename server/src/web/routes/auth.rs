//! `/auth` and `/auth/redirect`: forward-auth. A proxy asks whether a request is allowed, and gets the
//! identity of the user.

use axum::extract::RawQuery;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::web::app::App;
use crate::web::extract::Current;
use crate::web::problem::Problem;
use crate::web::respond;
use claimgate::oidc::identity_headers;

/// `/auth`: 200 and the identity; 401 without a session; 403 for a user who is in none of the teams
/// named in the query.
pub(super) async fn decide(
    Current(app): Current,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    admit(&app, query.as_deref(), &headers)
}

/// `/auth/redirect`: the same for proxies that return our response to the browser, which is redirected
/// to sign in.
pub(super) async fn redirect(
    Current(app): Current,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    admit_or_redirect(&app, query.as_deref(), &uri, &headers)
}

/// `/auth/redirect/…`: the same for a proxy that appends the requested path. The query is then the
/// application's own and names no teams.
pub(super) async fn redirect_appended(Current(app): Current, uri: Uri, headers: HeaderMap) -> Response {
    admit_or_redirect(&app, None, &uri, &headers)
}

fn admit_or_redirect(app: &App, query: Option<&str>, uri: &Uri, headers: &HeaderMap) -> Response {
    match admit(app, query, headers) {
        Ok(response) => response,
        Err(Problem::SignedOut) if accepts_page(headers) => {
            let address = requested_address(app, uri, headers);
            let encoded: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
            respond::see_other(&app.server.public_url.join(&format!("/login?return_to={encoded}")))
        }
        Err(problem) if accepts_page(headers) => problem.page(app),
        Err(problem) => problem.json(),
    }
}

fn admit(app: &App, query: Option<&str>, headers: &HeaderMap) -> Result<Response, Problem> {
    let user = app.user(headers).ok_or(Problem::SignedOut)?;
    // `?team=a&team=b`: one of them is enough.
    let mut wanted = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(name, _)| name == "team")
        .map(|(_, team)| team)
        .peekable();
    if wanted.peek().is_some() && !wanted.any(|team| user.teams.contains_key(team.as_ref())) {
        return Err(Problem::Forbidden);
    }
    Ok(respond::identity(identity_headers::of(&user)))
}

/// Reports whether the client can be shown a page. The images and script calls of a page cannot: each
/// would begin a sign-in.
fn accepts_page(headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode").and_then(|value| value.to_str().ok());
    if mode.is_some_and(|mode| mode != "navigate") {
        return false;
    }
    let accept = headers.get("accept").and_then(|value| value.to_str().ok());
    accept.is_none_or(|accept| accept.contains("text/html") || accept.contains("*/*"))
}

/// Returns the address that the browser requested: from `X-Forwarded-…` (Traefik, Caddy), or appended to
/// our path (Envoy). Untrusted: the sign-in checks it like any other `return_to`.
fn requested_address(app: &App, uri: &Uri, headers: &HeaderMap) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let path = match header("x-forwarded-uri") {
        Some(path) => path,
        None => {
            let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
            let rest = whole.split_once("/auth/redirect").map_or("", |(_, rest)| rest);
            if rest.starts_with('/') { rest } else { "/" }
        }
    };
    let host = header("x-forwarded-host").or_else(|| header("host"));
    let scheme =
        header("x-forwarded-proto").unwrap_or(if app.server.public_url.https { "https" } else { "http" });
    match host {
        Some(host) => format!("{scheme}://{host}{path}"),
        None => path.to_owned(),
    }
}
