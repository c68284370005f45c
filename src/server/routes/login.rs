//! `GET /login` and `GET /login/{provider}`: the doors, and the way to a provider.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use crate::server::{App, Server, page, respond, return_to, sign_in};

#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    return_to: String,
}

/// Where to go afterwards: what was asked for, where it may be gone to, else the front page.
fn destination(app: &App, asked: &str) -> String {
    return_to::check(&app.server, asked).unwrap_or_else(|| app.path("/"))
}

pub(super) async fn doors(
    State(server): State<Server>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let app = server.app();
    let destination = destination(&app, &parameters.return_to);
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
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let app = server.app();
    match app.provider(&name) {
        Ok(provider) => {
            to_provider(&app, provider, &destination(&app, &parameters.return_to), &headers).await
        }
        Err(problem) => problem.page(&app),
    }
}

async fn to_provider(
    app: &App,
    provider: &crate::server::provider::Provider,
    destination: &str,
    headers: &HeaderMap,
) -> Response {
    match sign_in::begin(app, provider, destination, headers).await {
        Ok((address, cookies)) => respond::with_cookies(respond::go(&address), cookies),
        Err(problem) => problem.page(app),
    }
}
