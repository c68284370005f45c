//! `GET /`: who is signed in.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::{Server, page, respond};

pub(super) async fn get(State(server): State<Server>, headers: HeaderMap) -> Response {
    let app = server.app();
    let Some(user) = app.user(&headers) else {
        return respond::go(&app.path("/login"));
    };
    let explanation = app.lasting.explanations.as_ref().and_then(|known| {
        let session = app.session_id(&headers)?;
        known.lock().get(&session).cloned()
    });
    respond::html(page::home(&app, &user, explanation.as_deref()))
}
