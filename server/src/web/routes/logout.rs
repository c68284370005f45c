//! `/logout`: the session here ends, and the provider is told through the browser (RP-Initiated
//! Logout 1.0). Only those who came from a provider are sent there.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use tracing::info;

use crate::system;
use crate::web::respond::Problem;
use crate::web::{App, Server, cross_site, page, respond};
use claimgate::oidc::records::{Records, StoreError};
use claimgate::oidc::session::Origin;
use claimgate::oidc::{logout, random_token};

pub(super) async fn get(State(server): State<Server>, headers: HeaderMap) -> Response {
    let app = server.app();
    if app.user(&headers).is_some() && !cross_site::is_own_navigation(&headers) {
        return respond::html(page::confirm_sign_out(&app));
    }
    sign_out(&app, &headers, respond::go).await
}

pub(super) async fn post(State(server): State<Server>, headers: HeaderMap) -> Response {
    let app = server.app();
    match cross_site::refuse(&headers, &app.server.public_url) {
        Ok(()) => sign_out(&app, &headers, |address| respond::html(page::leaving(&app, address))).await,
        Err(problem) => problem.page(&app),
    }
}

async fn sign_out(app: &Arc<App>, headers: &HeaderMap, leave: impl Fn(&str) -> Response) -> Response {
    let ended = match app.session_id(headers) {
        None => None,
        Some(session) => {
            let end =
                app.store.transact(move |records| -> Result<_, StoreError> { records.end_session(session) });
            match end.await {
                Ok(origin) => {
                    info!(%session, "signed out");
                    origin
                }
                Err(error) => return Problem::from(error).page(app),
            }
        }
    };
    let state = random_token(&mut system::random);
    let closed = app.cookies.close_session();
    match ended.and_then(|origin| address(app, &origin, &state)) {
        Some(address) => respond::with_cookies(leave(&address), [closed, app.cookies.begin_logout(&state)]),
        None => respond::with_cookies(respond::go(&app.path("/logged-out")), [closed]),
    }
}

fn address(app: &App, origin: &Origin, state: &str) -> Option<String> {
    let Origin::Oidc(origin) = origin else { return None };
    let provider = app.provider_of_issuer(&origin.issuer)?;
    let url = &app.server.public_url;
    logout::request(
        provider.known_metadata().as_deref(),
        provider.config.logout_url.as_deref(),
        origin,
        &provider.config.client.id,
        &url.join(""),
        &url.join("/logged-out"),
        state,
    )
}

/// `GET /logged-out`: back from the provider. `state` is compared (RP-Initiated Logout §3), and the
/// page is the same where it differs: nothing hangs on it.
pub(super) async fn landed(
    State(server): State<Server>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let app = server.app();
    let query = query.unwrap_or_default();
    let state = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state");
    let expected = app.cookies.logout(&headers);
    if state.is_some() && state.map(|(_, value)| value.into_owned()) != expected {
        tracing::debug!("a logout came back with another state");
    }
    respond::with_cookies(respond::html(page::signed_out(&app)), [app.cookies.end_logout()])
}
