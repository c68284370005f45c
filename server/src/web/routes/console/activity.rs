//! `/admin/activity`: the recorded events.

use axum::response::Response;

use crate::store::ListedEvent;
use crate::system;
use crate::web::console::activity::{self, Filter};
use crate::web::console::frame::{Heading, Page};
use crate::web::console::session::Console;
use crate::web::extract::Query;
use crate::web::problem::Problem;

const HEADING: Heading<'_> = Heading {
    title: "Activity",
    lead: "Sign-ins, refusals, logouts and changes, the newest first. Each refusal leads to its explanation.",
};

pub(super) async fn show(console: Console, filter: Result<Query<Filter>, Problem>) -> Response {
    match events(&console, filter).await {
        Ok((filter, events)) => {
            let body = activity::page(&console.app, &filter, &events);
            console.page(Page::Activity, &HEADING, &body)
        }
        Err(problem) => console.problem(Page::Activity, &problem),
    }
}

/// Answers a script, which looks for new events, with the list alone.
pub(super) async fn list(console: Console, filter: Result<Query<Filter>, Problem>) -> Response {
    match events(&console, filter).await {
        Ok((filter, events)) => console.respond(activity::list(&console.app, &filter, &events)),
        Err(problem) => problem.json(),
    }
}

async fn events(
    console: &Console,
    filter: Result<Query<Filter>, Problem>,
) -> Result<(Filter, Vec<ListedEvent>), Problem> {
    let Query(filter) = filter?;
    let events = console.app.store.list_events(filter.query(system::now().0)).await?;
    Ok((filter, events))
}
