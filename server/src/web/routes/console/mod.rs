//! `/admin`: the console.

mod activity;
mod applications;
mod mapping;
mod providers;
mod session;
mod sessions;
mod users;

use axum::extract::Path;
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Extension, Router};

use crate::system;
use crate::web::app::Server;
use crate::web::console::assets::{SCRIPT, STYLE};
use crate::web::console::charts::MINUTES;
use crate::web::console::frame::{Heading, Page};
use crate::web::console::overview;
use crate::web::console::session::Console;
use crate::web::extract::Unattended;
use crate::web::problem::Problem;
use crate::web::respond;
use claimgate::oidc::records::StoreError;

/// Returns the routes.
pub(super) fn routes() -> Router<Server> {
    Router::new()
        .route("/admin", get(overview))
        .route("/admin/mapping", get(mapping::show).post(mapping::submit))
        .route("/admin/mapping/answer", post(mapping::answer))
        .route("/admin/activity", get(activity::show))
        .route("/admin/activity/list", get(activity::list).layer(Extension(Unattended)))
        .route("/admin/applications", get(applications::show).post(applications::submit))
        .route("/admin/applications/answer", post(applications::answer))
        .route("/admin/providers", get(providers::show))
        .route("/admin/providers/{id}/test", post(providers::test).fallback(wrong_method))
        .route("/admin/users", get(users::list))
        .route("/admin/users/{id}", get(users::show).post(users::change))
        .route("/admin/sessions", get(sessions::list))
        .route("/admin/sessions/{id}/end", post(sessions::end).fallback(wrong_method))
        .route("/admin/teams", get(sessions::teams))
        .route("/admin/session", post(session::open).fallback(wrong_method))
        .route("/admin/session/end", post(session::end).fallback(wrong_method))
        .route("/admin/{*rest}", any(not_found))
        .route("/assets/console/{file}", get(asset))
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
