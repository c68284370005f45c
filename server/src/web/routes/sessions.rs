//! `/api/v1/sessions` and `/api/v1/users/{id}/sessions`: for administrators.

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tracing::info;

use super::users::may_change;
use crate::system;
use crate::web::extract::{Admin, Current, Path, Query, SameOrigin};
use crate::web::problem::Problem;
use crate::web::respond;
use claimgate::oidc::records::Records;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::UserId;

#[derive(Deserialize)]
pub(super) struct Parameters {
    user: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn list(
    Current(app): Current,
    _: Admin,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Problem> {
    let user = parameters.user.map(UserId);
    let limit = parameters.limit.unwrap_or(100).min(1000);
    let list = app
        .store
        .transact(move |records| records.list_sessions(user, limit, system::now()).map_err(Problem::from));
    Ok(respond::document(json!({"sessions": list.await?})))
}

pub(super) async fn end(
    Current(app): Current,
    Admin(admin): Admin,
    _: SameOrigin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = SessionId::from_hex(&id).ok_or(Problem::NotFound)?;
    let kind = admin.kind;
    let end = app.store.transact(move |records| -> Result<(), Problem> {
        let owner = records.session_owner(id)?.ok_or(Problem::NotFound)?;
        may_change(kind, owner.kind)?;
        Ok(records.end_session(id).map(drop)?)
    });
    end.await?;
    info!(admin = admin.username, session = %id, "session ended");
    Ok(respond::document(json!({"ended": 1})))
}

pub(super) async fn end_all(
    Current(app): Current,
    Admin(admin): Admin,
    _: SameOrigin,
    Path(id): Path<i64>,
) -> Result<Response, Problem> {
    let kind = admin.kind;
    let end = app.store.transact(move |records| -> Result<usize, Problem> {
        let user = records.user(UserId(id))?.ok_or(Problem::NotFound)?;
        may_change(kind, user.kind)?;
        Ok(records.end_sessions_of(user.id)?)
    });
    let ended = end.await?;
    info!(admin = admin.username, user = id, ended, "sessions ended");
    Ok(respond::document(json!({"ended": ended})))
}
