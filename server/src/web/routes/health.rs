//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use crate::system;
use crate::web::respond::Problem;
use crate::web::{Server, client_address, respond};
use claimgate::oidc::records::StoreError;

/// The process answers.
pub(super) async fn healthz() -> Response {
    respond::text("text/plain; charset=utf-8", "ok\n")
}

/// The store works. A provider that is down is reported and does not make this server unready:
/// those who are signed in go on.
pub(super) async fn readyz(State(server): State<Server>) -> Response {
    let app = server.app();
    let store = app.store.transact(|_| Ok::<(), StoreError>(())).await.is_ok();
    let providers: serde_json::Map<_, _> = app
        .providers
        .iter()
        .map(|provider| {
            let known = json!({
                "discovered": provider.known_metadata().is_some(),
                "keys": provider.jws.key_report().usable,
                "keys_age": provider.keys_age(system::now()),
            });
            (provider.config.name.clone(), known)
        })
        .collect();
    respond::readiness(store, json!({"store": store, "providers": providers}))
}

pub(super) async fn metrics(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let app = server.app();
    let address = app.client_address(peer, &headers);
    // A proxy on this machine must not make strangers local.
    let hidden = client_address::is_forwarded(&headers) && address == peer.ip().to_canonical();
    if hidden || !app.server.metrics_from.iter().any(|network| network.contains(&address)) {
        return Problem::NotFound.json();
    }
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    respond::text(format, app.metrics().text(&app))
}
