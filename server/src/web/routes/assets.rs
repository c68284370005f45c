//! `GET /assets/claimgate.css` and `GET /assets/logo`: the style sheet, and the organisation's logo.

use axum::response::Response;

use crate::web::extract::Current;
use crate::web::problem::Problem;
use crate::web::respond;

pub(super) async fn style(Current(app): Current) -> Response {
    respond::asset("text/css; charset=utf-8", app.appearance.style.clone())
}

pub(super) async fn logo(Current(app): Current) -> Result<Response, Problem> {
    let logo = app.appearance.logo.as_ref().ok_or(Problem::NotFound)?;
    Ok(respond::picture(logo.content_type, logo.bytes.to_vec()))
}
