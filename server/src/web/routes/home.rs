//! `GET /`: the user who is signed in.

use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::extract::Current;
use crate::web::problem::Problem;
use crate::web::{page, respond};

pub(super) async fn get(Current(app): Current, headers: HeaderMap) -> Response {
    let user = match app.user(&headers).await {
        Ok(Some(user)) => user,
        Ok(None) => return respond::see_other(&app.path("/login")),
        Err(unsure) => return Problem::from(unsure).page(&app),
    };
    let explanation = app.process.explanations.as_ref().and_then(|explanations| {
        let session = app.session_id(&headers)?;
        explanations.lock().get(&session).cloned()
    });
    respond::html(page::home(&app, &user, explanation.as_deref()))
}
