//! `/api/v1/teams`: for administrators.

use axum::response::Response;
use serde_json::json;

use crate::web::extract::{Admin, Current};
use crate::web::problem::Problem;
use crate::web::respond;

pub(super) async fn list(Current(app): Current, _: Admin) -> Result<Response, Problem> {
    let list = app.store.look(|records| records.list_teams().map_err(Problem::from));
    Ok(respond::document(json!({"teams": list.await?})))
}
