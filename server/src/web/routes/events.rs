//! `/api/v1/events`: what has happened, for administrators.

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use crate::store::{EventKind, EventQuery, MAX_MINUTES, MAX_PAGE, PageOrder};
use crate::web::extract::{Admin, Current, Query};
use crate::web::problem::Problem;
use crate::web::respond;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    kind: Option<String>,
    user: Option<String>,
    provider: Option<String>,
    since: Option<i64>,
    until: Option<i64>,
    before: Option<i64>,
    limit: Option<u32>,
}

/// Lists events, the newest first. `next` is the `before` of the next page; null on the last one.
pub(super) async fn list(
    Current(app): Current,
    _: Admin,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Problem> {
    let limit = parameters.limit.unwrap_or(100).clamp(1, MAX_PAGE);
    let micros = |seconds: i64| seconds.saturating_mul(1_000_000);
    let until = parameters.until.map(micros);
    let query = EventQuery {
        kinds: kinds(parameters.kind.as_deref())?,
        user: parameters.user,
        provider: parameters.provider,
        from: parameters.since.map(micros),
        before: until.into_iter().chain(parameters.before).min(),
        order: PageOrder::NewestFirst,
        limit,
    };
    let events = app.store.list_events(query).await?;
    let is_full = events.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = events.last().filter(|_| is_full).map(|oldest| oldest.id);
    Ok(respond::document(json!({"events": events, "next": next})))
}

/// Parses names of kinds, separated by commas.
fn kinds(names: Option<&str>) -> Result<Vec<EventKind>, Problem> {
    let names = names.into_iter().flat_map(|names| names.split(','));
    let kinds = names.map(|name| EventKind::from_name(name).ok_or(Problem::BadRequest(EXPECTED)));
    kinds.collect()
}

const EXPECTED: &str =
    "`kind` is a list of sign_in, refusal, access_refusal, logout and administration, separated by commas";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    minutes: Option<u32>,
}

/// Counts the events of each kind by minutes, without the minutes in which there was none.
pub(super) async fn counts(
    Current(app): Current,
    _: Admin,
    Query(window): Query<Window>,
) -> Result<Response, Problem> {
    let minutes = window.minutes.unwrap_or(60).clamp(1, MAX_MINUTES);
    Ok(respond::document(json!({"counts": app.store.count_events(minutes).await?})))
}
