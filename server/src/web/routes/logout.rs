//! `/logout` and `/logged-out`: RP-Initiated Logout 1.0. The session here ends, and the browser is sent
//! to the provider that the user came from, if any, to end the session there.

use std::sync::Arc;

use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;
use subtle::ConstantTimeEq;
use tracing::{debug, info};

use crate::system;
use crate::web::app::App;
use crate::web::extract::{Current, SameOrigin};
use crate::web::page::{self, View};
use crate::web::problem::Problem;
use crate::web::request_log::{self, Fields};
use crate::web::texts::Language;
use crate::web::{cross_site, events, respond};
use claimgate::oidc::logout::LogoutRequest;
use claimgate::oidc::random_token;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::{Origin, SessionId};

pub(super) async fn get(Current(app): Current, language: Language, headers: HeaderMap) -> Response {
    let view = View::new(&app, language);
    if !cross_site::is_own_navigation(&headers) {
        match app.user(&headers).await {
            Ok(Some(_)) => return respond::html(&view, page::confirm_sign_out(&view)),
            Ok(None) => {}
            Err(unsure) => return Problem::from(unsure).page(&view),
        }
    }
    sign_out(&app, &view, &headers, respond::see_other).await
}

pub(super) async fn post(
    Current(app): Current,
    same_origin: Result<SameOrigin, Problem>,
    language: Language,
    headers: HeaderMap,
) -> Response {
    let view = View::new(&app, language);
    match same_origin {
        Ok(SameOrigin) => {
            let to_provider = |address: &str| match cross_site::is_for_page(&headers) {
                true => respond::html(&view, page::to_provider_logout(&view, address)),
                // The address holds the ID token, and a script of an application on this host would read it.
                false => respond::see_other(&app.path("/logged-out")),
            };
            sign_out(&app, &view, &headers, to_provider).await
        }
        Err(problem) => problem.page(&view),
    }
}

/// Ends the session of a request. `to_provider` builds the response that leads to the provider.
async fn sign_out(
    app: &Arc<App>,
    view: &View<'_>,
    headers: &HeaderMap,
    to_provider: impl Fn(&str) -> Response,
) -> Response {
    // A secret that opens no live session costs a look at memory, and writes nothing.
    let user = match app.user(headers).await {
        Ok(user) => user,
        Err(unsure) => return Problem::from(unsure).page(view),
    };
    let origin = match app.session_id(headers).zip(user) {
        None => None,
        Some((session, user)) => match end_session(app, session, &user.username).await {
            Ok(origin) => origin,
            Err(error) => return Problem::from(error).page(view),
        },
    };
    let state = random_token(&mut system::random);
    let closed = app.cookies.close_session();
    match origin.and_then(|origin| end_session_url(app, &origin, &state)) {
        Some(address) => {
            respond::with_cookies(to_provider(&address), [closed, app.cookies.begin_logout(&state)])
        }
        None => respond::with_cookies(respond::see_other(&app.path("/logged-out")), [closed]),
    }
}

async fn end_session(app: &App, session: SessionId, user: &str) -> Result<Option<Origin>, StoreError> {
    let origin = app.store.end_session(session).await?;
    if let Some(origin) = &origin {
        let provider = match origin {
            Origin::Oidc(origin) => app.provider_of_issuer(&origin.issuer).map(|found| &*found.config.id),
            Origin::Password => None,
        };
        let Fields { client, host, .. } = request_log::fields();
        info!(client, provider, user, %session, host, "signed out");
        events::signed_out(app, user, provider, origin);
    }
    Ok(origin)
}

fn end_session_url(app: &App, origin: &Origin, state: &str) -> Option<String> {
    let Origin::Oidc(origin) = origin else { return None };
    let provider = app.provider_of_issuer(&origin.issuer)?;
    let url = &app.server.public_url;
    LogoutRequest {
        metadata: provider.remote.known_metadata().as_deref(),
        template: provider.config.logout_url.as_deref(),
        id_token: origin.id_token.as_deref(),
        client_id: &provider.config.client.id,
        site_url: &url.join(""),
        post_logout_redirect_uri: &url.join("/logged-out"),
        state,
    }
    .url()
}

/// `GET /logged-out`: the way back from the provider. `state` is compared (RP-Initiated Logout §3), but
/// a different one is only logged: the session has ended already.
pub(super) async fn logged_out(
    Current(app): Current,
    RawQuery(query): RawQuery,
    language: Language,
    headers: HeaderMap,
) -> Response {
    let view = View::new(&app, language);
    let query = query.unwrap_or_default();
    let state = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state");
    let state = state.map(|(_, value)| value.into_owned());
    let by_provider = state
        .as_deref()
        .zip(app.cookies.logout(&headers))
        .is_some_and(|(state, expected)| bool::from(state.as_bytes().ct_eq(expected.as_bytes())));
    if state.is_some() && !by_provider {
        debug!("a logout came back with another state");
    }
    respond::with_cookies(
        respond::html(&view, page::signed_out(&view, by_provider)),
        [app.cookies.end_logout()],
    )
}
