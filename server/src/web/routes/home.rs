//! `GET /`: the user who is signed in.

use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::account_page;
use crate::web::extract::Current;
use crate::web::page::View;
use crate::web::problem::Problem;
use crate::web::respond;
use crate::web::texts::Language;

pub(super) async fn get(Current(app): Current, language: Language, headers: HeaderMap) -> Response {
    let view = View::new(&app, language);
    let user = match app.user(&headers).await {
        Ok(Some(user)) => user,
        Ok(None) => return respond::see_other(&app.path("/login")),
        Err(unsure) => return Problem::from(unsure).page(&view),
    };
    let explanation = app.process.explanations.as_ref().and_then(|explanations| {
        let session = app.session_id(&headers)?;
        explanations.lock().get(&session).cloned()
    });
    respond::html(&view, account_page::home(&view, &user, explanation.as_deref()))
}
