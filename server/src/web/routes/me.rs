//! `GET /api/v1/me`: whoever asks, as JSON.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use crate::web::respond::Problem;
use crate::web::{Server, respond};

pub(super) async fn get(State(server): State<Server>, headers: HeaderMap) -> Response {
    let app = server.app();
    let Some(user) = app.user(&headers) else { return Problem::SignedOut.json() };
    respond::document(json!({
        "id": user.id,
        "username": user.username,
        "name": user.display_name(),
        "email": user.email(),
        "kind": user.kind,
        "profile": user.profile,
        "teams": user.teams.keys().collect::<Vec<_>>(),
    }))
}
