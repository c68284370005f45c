//! `GET /metrics`: for the networks of `metrics_from`; all others get 404.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::extract::Current;
use crate::web::problem::Problem;
use crate::web::respond;

pub(super) async fn get(
    Current(app): Current,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !app.is_within(&app.server.metrics_from, peer, &headers) {
        return Problem::NotFound.json();
    }
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    respond::text(format, app.metrics().text(&app.store, &app.providers))
}
