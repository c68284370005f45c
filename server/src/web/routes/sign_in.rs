//! `GET /login` and `GET /login/{provider}`: the sign-in page, and the redirect to a provider.

use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::app::App;
use crate::web::extract::{Current, Path};
use crate::web::provider::Provider;
use crate::web::{page, respond, sign_in};

/// Shows the ways to sign in; if a provider is the only one, redirects to it.
pub(super) async fn choose(Current(app): Current, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let destination = destination(&app, query.as_deref());
    if app.user(&headers).is_some() {
        return respond::see_other(&destination);
    }
    match app.providers.as_slice() {
        [only] if !app.config.password.fallback => to_provider(&app, only, &destination, &headers).await,
        _ => respond::html(page::sign_in(&app, &destination, None)),
    }
}

/// Redirects to the named provider.
pub(super) async fn begin(
    Current(app): Current,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match app.provider(&name) {
        Ok(provider) => to_provider(&app, provider, &destination(&app, query.as_deref()), &headers).await,
        Err(problem) => problem.page(&app),
    }
}

/// Returns the address to go to after the sign-in: the query's `return_to` if it is allowed, else the
/// front page.
fn destination(app: &App, query: Option<&str>) -> String {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let wanted = pairs.find(|(name, _)| name == "return_to");
    app.destination(&wanted.map(|(_, wanted)| wanted).unwrap_or_default())
}

async fn to_provider(app: &App, provider: &Provider, destination: &str, headers: &HeaderMap) -> Response {
    match sign_in::begin(app, provider, destination, headers).await {
        Ok((address, cookies)) => respond::with_cookies(respond::see_other(&address), cookies),
        Err(problem) => problem.page_returning(app, destination),
    }
}
