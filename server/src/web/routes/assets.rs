//! `GET /assets/claimgate.css`: the style sheet.

use axum::response::Response;

use crate::web::{page, respond};

pub(super) async fn style() -> Response {
    respond::asset("text/css; charset=utf-8", page::STYLE)
}
