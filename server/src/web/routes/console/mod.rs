//! `/admin`: the console.

mod activity;
mod applications;
mod mapping;
mod provider_change;
mod providers;
mod saving;
mod session;
mod sessions;
mod users;

use axum::Extension;
use axum::handler::Handler;
use axum::response::Response;

use super::table::{self, Route};
use crate::system;
use crate::web::app::Server;
use crate::web::console::assets::{SCRIPT, STYLE};
use crate::web::console::charts::MINUTES;
use crate::web::console::frame::{Heading, Page};
use crate::web::console::overview;
use crate::web::console::session::Console;
use crate::web::extract::{Path, Unattended};
use crate::web::problem::Problem;
use crate::web::respond;
use claimgate::oidc::records::StoreError;

/// Returns the routes.
pub(super) fn routes() -> Vec<Route> {
    let list = table::get("/admin/activity/list", activity::list);
    vec![
        table::get("/admin", overview),
        table::get("/admin/mapping", mapping::show),
        table::post("/admin/mapping", mapping::submit),
        table::post("/admin/mapping/answer", mapping::answer),
        form("/admin/mapping/review", mapping::review),
        form("/admin/mapping/save", mapping::store),
        table::get("/admin/activity", activity::show),
        Route { answer: list.answer.layer(Extension(Unattended)), ..list },
        table::get("/admin/applications", applications::show),
        table::post("/admin/applications", applications::submit),
        table::post("/admin/applications/answer", applications::answer),
        table::get("/admin/providers", providers::show),
        form("/admin/providers/{id}/test", providers::test),
        table::get("/admin/providers/add", provider_change::begin),
        form("/admin/providers/discover", provider_change::discover),
        table::get("/admin/providers/{id}/edit", provider_change::edit),
        form("/admin/providers/form", provider_change::form),
        form("/admin/providers/review", provider_change::review),
        form("/admin/providers/save", provider_change::store),
        table::get("/admin/users", users::list),
        table::get("/admin/users/{id}", users::show),
        table::post("/admin/users/{id}", users::change),
        table::get("/admin/sessions", sessions::list),
        form("/admin/sessions/{id}/end", sessions::end),
        table::get("/admin/teams", sessions::teams),
        form("/admin/session", session::open),
        form("/admin/session/end", session::end),
        table::any("/admin/{*rest}", not_found),
        table::get("/assets/console/{file}", asset),
    ]
}

/// Returns the route of a form that is a part of a page.
fn form<H: Handler<T, Server>, T: 'static>(path: &'static str, handler: H) -> Route {
    let route = table::post(path, handler);
    Route { answer: route.answer.fallback(wrong_method), ..route }
}

async fn overview(console: Console) -> Response {
    let app = &console.app;
    let counts = async {
        let people = app.store.count_people(system::now()).await?;
        let events = match app.config.events.enabled {
            true => app.store.count_events(MINUTES).await?,
            false => Vec::new(),
        };
        Ok::<_, StoreError>((people, events))
    };
    match counts.await {
        Ok((people, events)) => {
            let heading =
                Heading { title: "Overview", lead: "The state of this server, and what to do about it." };
            console.page(Page::Overview, &heading, &overview::page(app, people, &events))
        }
        Err(error) => console.problem(Page::Overview, &Problem::Store(error)),
    }
}

async fn not_found(console: Console) -> Response {
    console.problem(Page::Overview, &Problem::NotFound)
}

/// Answers a browser that goes to the address of a form: such addresses stand in its list of visited pages.
async fn wrong_method(console: Console) -> Response {
    console.problem(Page::Overview, &Problem::Method)
}

/// Serves the style sheet and the script, which hold nothing of this server.
async fn asset(Path(file): Path<String>) -> Result<Response, Problem> {
    let path = format!("/assets/console/{file}");
    let found = [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.path == path);
    let asset = found.ok_or(Problem::NotFound)?;
    Ok(respond::immutable_asset(asset.content_type, asset.text))
}
