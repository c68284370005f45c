//! `GET /api/v1/frontchannelLogout`: Front-Channel Logout 1.0 §2, by `iss` and `sid` alone.

use std::time::Duration;

use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use tracing::info;

use crate::system;
use crate::web::app::App;
use crate::web::extract::{ClientAddress, Current};
use crate::web::problem::Problem;
use crate::web::provider::Provider;
use crate::web::request_log::{self, Fields};
use crate::web::{events, respond};
use claimgate::oidc::frontchannel::{FrontChannelError, NamedSession};
use claimgate::oidc::random_token;
use claimgate::text::for_display;

/// Ends the session that the query names. The page is for a frame of the provider's.
pub(super) async fn get(
    Current(app): Current,
    ClientAddress(address): ClientAddress,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let result = match app.process.limiter.allow_front_channel(address) {
        true => log_out(&app, query.as_deref().unwrap_or_default()).await,
        false => Err(Problem::TooManyLogouts),
    };
    app.metrics().logged_out_by_front_channel(result.as_ref().err().map_or("ok", Problem::code));
    match result {
        Ok(provider) => {
            let cookie = stale_cookie(&app, &headers).await;
            respond::with_cookies(respond::framed(&ancestors(provider)), cookie)
        }
        Err(problem) => problem.json(),
    }
}

/// Ends the session, and logs that it ended. Returns the provider that named it.
async fn log_out<'a>(app: &'a App, query: &str) -> Result<&'a Provider, Problem> {
    let named = NamedSession::parse(query)?;
    let provider = app
        .provider_of_issuer(named.issuer())
        .filter(|provider| provider.config.frontchannel_logout)
        .ok_or_else(|| FrontChannelError::Issuer(for_display(named.issuer())))?;
    request_log::note_provider(&provider.config.id);
    let sid = for_display(named.sid());
    let jti = format!("front-channel {}", random_token(&mut system::random));
    let leeway = Duration::from_secs(provider.config.leeway);
    let logout = named.logout(system::position(), leeway, provider.remembers_logouts_for, jti);
    let issuer = logout.record().issuer.clone();
    let logout = app.store.log_out_by_front_channel(logout).await?;
    let ended = logout.ended.sessions;
    // A request that ends nothing may be a stranger's, whose text would displace the logouts that were recorded.
    if ended > 0 {
        events::logged_out(app, (provider, &issuer), ("front_channel", ""), &logout);
        let Fields { client, host, provider, .. } = request_log::fields();
        info!(client, provider, sid, ended, host, "front-channel logout");
    }
    Ok(provider)
}

/// Returns the header that deletes the session's cookie, if the request has one of a session that has ended. Most
/// browsers send none to a frame in a page of another site.
async fn stale_cookie(app: &App, headers: &HeaderMap) -> Option<HeaderValue> {
    app.cookies.session_secret(headers)?;
    let is_live = !matches!(app.peek(headers).await, Ok(None));
    (!is_live).then(|| app.cookies.close_session())
}

/// Returns the origins whose pages may frame the answer: the issuer's, and that of the endpoint that signs out.
fn ancestors(provider: &Provider) -> String {
    let metadata = provider.remote.known_metadata();
    let end_session = metadata.as_deref().and_then(|metadata| metadata.end_session_endpoint.as_ref());
    let urls = [Some(provider.config.issuer.as_str()), end_session.map(|endpoint| endpoint.as_str())];
    let mut origins: Vec<String> = urls
        .into_iter()
        .flatten()
        .filter_map(|url| url::Url::parse(url).ok())
        .map(|url| url.origin().ascii_serialization())
        .collect();
    origins.dedup();
    origins.join(" ")
}
