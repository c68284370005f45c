//! `GET /metrics`: for the networks of `metrics_from`; all others get 404.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::extract::{ClientAddress, Current};
use crate::web::problem::Problem;
use crate::web::{client_address, respond};

pub(super) async fn get(
    Current(app): Current,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
) -> Response {
    // The client behind an untrusted proxy on this machine must not count as local.
    let hidden = client_address::is_forwarded(&headers) && address == peer.ip().to_canonical();
    if hidden || !app.server.metrics_from.iter().any(|network| network.contains(&address)) {
        return Problem::NotFound.json();
    }
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    respond::text(format, app.metrics().text(&app.store, &app.providers))
}
