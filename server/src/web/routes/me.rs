//! `/api/v1/me`: the signed-in user and the user's sessions, as JSON.

use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use crate::web::extract::{Current, CurrentUser, Path, SameOrigin};
use crate::web::own_sessions::OwnSessions;
use crate::web::problem::Problem;
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

/// Lists the user's live sessions, the newest first.
pub(super) async fn sessions(Current(app): Current, headers: HeaderMap) -> Result<Response, Problem> {
    let own = OwnSessions::of(&app, &headers).await?;
    let provider = |issuer: &str| app.provider_of_issuer(issuer).map(|found| found.config.id.clone());
    let listed: Vec<_> = own
        .sessions
        .iter()
        .map(|session| {
            json!({
                "id": session.id,
                "current": own.is_current(session),
                "provider": session.issuer.as_deref().and_then(provider),
                "issuer": session.issuer,
                "created": session.created,
                "expires": session.expires,
            })
        })
        .collect();
    Ok(respond::document(json!({"sessions": listed})))
}

/// Ends one of the user's sessions.
pub(super) async fn end_session(
    Current(app): Current,
    _: SameOrigin,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let own = OwnSessions::of(&app, &headers).await?;
    let closed = own.end(&app, &id).await?.then(|| app.cookies.close_session());
    Ok(respond::with_cookies(respond::document(json!({"ended": 1})), closed))
}
