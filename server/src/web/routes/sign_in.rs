//! `GET /login` and `GET /login/{provider}`: the doors, and the way to a provider.

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::{App, Server, page, respond, return_to, sign_in};

/// Where to go afterwards: the `return_to` that was asked for, where it may be gone to, else the
/// front page.
fn destination(app: &App, query: Option<&str>) -> String {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let asked = pairs.find(|(name, _)| name == "return_to");
    asked.and_then(|(_, asked)| return_to::check(&app.server, &asked)).unwrap_or_else(|| app.path("/"))
}

pub(super) async fn doors(
    State(server): State<Server>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let app = server.app();
    let destination = destination(&app, query.as_deref());
    if app.user(&headers).is_some() {
        return respond::go(&destination);
    }
    match app.providers.as_slice() {
        [only] if !app.config.password.fallback => to_provider(&app, only, &destination, &headers).await,
        _ => respond::html(page::sign_in(&app, &destination, None)),
    }
}

pub(super) async fn begin(
    State(server): State<Server>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let app = server.app();
    match app.provider(&name) {
        Ok(provider) => to_provider(&app, provider, &destination(&app, query.as_deref()), &headers).await,
        Err(problem) => problem.page(&app),
    }
}

async fn to_provider(
    app: &App,
    provider: &crate::web::provider::Provider,
    destination: &str,
    headers: &HeaderMap,
) -> Response {
    match sign_in::begin(app, provider, destination, headers).await {
        Ok((address, cookies)) => respond::with_cookies(respond::go(&address), cookies),
        Err(problem) => problem.page_with_way_back(app, destination),
    }
}
