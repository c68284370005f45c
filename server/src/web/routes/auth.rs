//! `/auth` and `/auth/redirect`: forward-auth. A proxy asks whether a request is allowed, and gets the
//! identity of the user.

use axum::extract::RawQuery;
use axum::http::header::COOKIE;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;

use crate::web::app::App;
use crate::web::cookie;
use crate::web::extract::Current;
use crate::web::problem::{Problem, TeamRefusal};
use crate::web::respond;
use claimgate::oidc::identity_headers;
use claimgate::oidc::return_to::MAX_RETURN_TO;

/// `/auth`: 200 and the identity; 401 without a session; 503 if the store does not say whether the session is live; 403 for a user who is in none of the teams
/// named in the query.
pub(super) async fn decide(
    Current(app): Current,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = wanted_teams(query.as_deref())?;
    admit(&app, &wanted, &headers, || requested_address(&app, &uri, &headers)).await
}

/// `/auth/redirect`: the same for proxies that return our response to the browser, which is redirected
/// to sign in.
pub(super) async fn redirect(
    Current(app): Current,
    RawQuery(query): RawQuery,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match wanted_teams(query.as_deref()) {
        Ok(wanted) => admit_or_redirect(&app, &wanted, &method, &uri, &headers).await,
        Err(problem) => problem.json(),
    }
}

/// `/auth/redirect/…`: the same for a proxy that appends the requested path. The query is then the
/// application's own and names no teams.
pub(super) async fn redirect_appended(
    Current(app): Current,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    admit_or_redirect(&app, &[], &method, &uri, &headers).await
}

/// Returns the teams that a query names. An unknown parameter is refused: `?teams=` or `?Team=` would
/// otherwise admit every user.
fn wanted_teams(query: Option<&str>) -> Result<Vec<String>, Problem> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .map(|(name, team)| match &*name {
            "team" => Ok(team.into_owned()),
            _ => Err(Problem::Parameter(claimgate::text::for_display(&name))),
        })
        .collect()
}

async fn admit_or_redirect(
    app: &App,
    wanted: &[String],
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    let problem = match admit(app, wanted, headers, || requested_address(app, uri, headers)).await {
        Ok(response) => return response,
        Err(problem) if accepts_page(headers) => problem,
        Err(problem) => return problem.json(),
    };
    let address = requested_address(app, uri, headers);
    match problem {
        Problem::SignedOut if is_safe(method, headers) => {
            let encoded: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
            respond::see_other(&app.server.public_url.join(&format!("/login?return_to={encoded}")))
        }
        // The body of the request would be lost on the way through the sign-in.
        Problem::SignedOut => Problem::SignedOut.application_page(app, front_page_of(&address)),
        Problem::Team(mut refusal) => {
            refusal.is_page = true;
            Problem::Team(refusal).application_page(app, &address)
        }
        problem => problem.application_page(app, &address),
    }
}

/// Admits the user of the session. `?team=a&team=b`: one of them is enough.
async fn admit(
    app: &App,
    wanted: &[String],
    headers: &HeaderMap,
    address: impl FnOnce() -> String,
) -> Result<Response, Problem> {
    let user = app.user(headers).await?.ok_or(Problem::SignedOut)?;
    if !wanted.is_empty() && !wanted.iter().any(|team| user.teams.contains_key(team)) {
        let application = address();
        // The query is the application's own, and may hold secrets.
        let application = application.split(['?', '#']).next().unwrap_or_default().to_owned();
        let refusal =
            TeamRefusal { user: user.username, teams: wanted.to_vec(), application, is_page: false };
        return Err(Problem::Team(Box::new(refusal)));
    }
    let mut response = respond::identity(identity_headers::of(&user));
    // Proxies write `X-Forwarded-Uri` for a subrequest, and remove it from what a client sends: no script of a page
    // reads the cookies that are kept from scripts.
    if app.server.application_cookies && headers.contains_key("x-forwarded-uri") {
        response.headers_mut().extend(cookie::of_application(headers).map(|cookies| (COOKIE, cookies)));
    }
    Ok(response)
}

/// Reports whether the client can be shown a page: a browser that navigates. Programs, and the images and
/// script calls of a page, get a status alone: each would begin a sign-in.
fn accepts_page(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_program = headers.contains_key("x-requested-with")
        || headers.contains_key("authorization")
        || header("upgrade").is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    match header("sec-fetch-mode") {
        _ if is_program => false,
        Some(mode) => mode == "navigate",
        None => header("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}

/// Reports whether the browser's request has no body to lose: by `X-Forwarded-Method` (Traefik, Caddy), or
/// by the method that the proxy kept (nginx, Envoy).
fn is_safe(method: &Method, headers: &HeaderMap) -> bool {
    let forwarded = headers.get("x-forwarded-method").map(|value| value.as_bytes());
    matches!(forwarded.unwrap_or(method.as_str().as_bytes()), b"GET" | b"HEAD")
}

/// Returns the address of the front page of an address's host.
fn front_page_of(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + "://".len());
    address[host..].find('/').map_or(address, |slash| &address[..=host + slash])
}

/// Returns the address that the browser requested: from `X-Forwarded-…` (Traefik, Caddy), or appended to our path
/// (Envoy). Untrusted: the sign-in checks it like any other `return_to`. The front page stands for an address that is
/// longer than a sign-in returns to: an answer repeats it up to three times.
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
    let address = match host {
        Some(host) => format!("{scheme}://{host}{path}"),
        None => path.to_owned(),
    };
    match address.len() <= MAX_RETURN_TO {
        true => address,
        false => Some(front_page_of(&address))
            .filter(|page| page.len() <= MAX_RETURN_TO)
            .unwrap_or_default()
            .to_owned(),
    }
}
