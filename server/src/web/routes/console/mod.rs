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
use axum::routing::{get, post};
use axum::{Extension, Router};

use crate::system;
use crate::web::app::Server;
use crate::web::console::assets::{SCRIPT, STYLE};
use crate::web::console::charts::MINUTES;
use crate::web::console::frame::{Heading, Page};
use crate::web::console::overview;
use crate::web::console::session::{Console, english};
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
        .route("/admin/providers/{id}/test", post(providers::test))
        .route("/admin/users", get(users::list))
        .route("/admin/users/{id}", get(users::show).post(users::change))
        .route("/admin/sessions", get(sessions::list))
        .route("/admin/sessions/{id}/end", post(sessions::end))
        .route("/admin/teams", get(sessions::teams))
        .route("/admin/session", post(session::open))
        .route("/admin/session/end", post(session::end))
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
        Err(error) => Problem::Store(error).page(&english(app)),
    }
}

/// Serves the style sheet and the script, which hold nothing of this server.
async fn asset(Path(file): Path<String>) -> Result<Response, Problem> {
    let path = format!("/assets/console/{file}");
    let found = [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.path == path);
    let asset = found.ok_or(Problem::NotFound)?;
    Ok(respond::immutable_asset(asset.content_type, asset.text))
}
