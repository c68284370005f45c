//! `GET /api/v1/me`: the signed-in user, as JSON.

use axum::response::Response;
use serde_json::json;

use crate::web::extract::CurrentUser;
use crate::web::respond;

pub(super) async fn get(CurrentUser(user): CurrentUser) -> Response {
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
