//! `/api/v1/sessions` and `/api/v1/users/{id}/sessions`: for administrators.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tracing::info;

use super::users::may_change;
use crate::system;
use crate::web::extract::Asked;
use crate::web::respond::Problem;
use crate::web::{Server, cross_site, respond};
use claimgate::oidc::records::Records;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::UserId;

#[derive(Deserialize)]
pub(super) struct Parameters {
    user: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn list(
    State(server): State<Server>,
    Asked(Query(parameters)): Asked<Query<Parameters>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let app = server.app();
    app.admin(&headers)?;
    let user = parameters.user.map(UserId);
    let limit = parameters.limit.unwrap_or(100).min(1000);
    let list = app
        .store
        .transact(move |records| records.list_sessions(user, limit, system::now()).map_err(Problem::from));
    Ok(respond::document(json!({"sessions": list.await?})))
}

pub(super) async fn end(
    State(server): State<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let app = server.app();
    let admin = app.admin(&headers)?;
    cross_site::refuse(&headers, &app.server.public_url)?;
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
    State(server): State<Server>,
    Asked(Path(id)): Asked<Path<i64>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let app = server.app();
    let admin = app.admin(&headers)?;
    cross_site::refuse(&headers, &app.server.public_url)?;
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
