//! `/api/v1/sessions` and `/api/v1/users/{id}/sessions`: for administrators.

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tracing::info;

use crate::plural::count;
use crate::system;
use crate::web::app::App;
use crate::web::extract::{Admin, Current, Path, Query};
use crate::web::problem::Problem;
use crate::web::{events, request_log, respond};
use claimgate::oidc::accounts;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::UserId;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
        .look(move |records| records.list_sessions(user, limit, system::now()).map_err(Problem::from));
    Ok(respond::document(json!({"sessions": list.await?})))
}

pub(super) async fn end(
    Current(app): Current,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = SessionId::from_hex(&id).ok_or(Problem::NotFound)?;
    end_one(&app, &admin, id).await?;
    Ok(respond::document(json!({"ended": 1})))
}

/// Ends a session, and records it.
///
/// # Errors
/// Those of the rules of accounts.
pub(super) async fn end_one(app: &App, admin: &Admin, id: SessionId) -> Result<(), Problem> {
    let event = events::change(admin, "session end");
    let end = admin.change(app, move |records, by| {
        let owner = records.session_owner(id)?;
        accounts::end_session(records, by, id)?;
        let event = owner.iter().fold(event, |event, owner| event.user(&owner.username));
        Ok(((), event.detail(&id.to_string())))
    });
    end.await?;
    info!(client = request_log::fields().client, admin = admin.username(), program = admin.program(), session = %id, "session ended");
    Ok(())
}

pub(super) async fn end_all(
    Current(app): Current,
    admin: Admin,
    Path(id): Path<i64>,
) -> Result<Response, Problem> {
    let event = events::change(&admin, "session end").user_id(UserId(id));
    let end = admin.change(&app, move |records, by| {
        let ended = accounts::end_sessions(records, by, UserId(id))?;
        Ok((ended, event.detail(&count(ended, "session"))))
    });
    let ended = end.await?;
    info!(
        client = request_log::fields().client,
        admin = admin.username(),
        program = admin.program(),
        user = id,
        ended,
        "sessions ended"
    );
    Ok(respond::document(json!({"ended": ended})))
}
