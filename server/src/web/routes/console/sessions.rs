//! `/admin/sessions` and `/admin/teams`: lists with search and pages, and the end of a session.

use axum::response::Response;
use serde::Deserialize;

use super::super::sessions::end_one;
use crate::store::folded;
use crate::system;
use crate::web::console::frame::{Heading, Page};
use crate::web::console::session::Console;
use crate::web::console::sessions::{self, Listed, PAGE};
use crate::web::extract::{Admin, Path, Query};
use crate::web::problem::Problem;
use crate::web::respond;
use claimgate::oidc::session::SessionId;

/// The last page that is answered: each costs the rows before it.
const LAST_PAGE: u32 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    #[serde(default)]
    text: String,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    done: bool,
}

pub(super) async fn list(console: Console, search: Result<Query<Search>, Problem>) -> Response {
    let Search { text, page, done } = match search {
        Ok(Query(search)) => search,
        Err(problem) => return console.problem(Page::Sessions, &problem),
    };
    let (page, now, wanted) = (page.min(LAST_PAGE), system::now(), text.trim().to_owned());
    let found = console.app.store.look(move |records| {
        records.search_sessions(&wanted, page * PAGE, PAGE + 1, now).map_err(Problem::from)
    });
    let mut rows = match found.await {
        Ok(rows) => rows,
        Err(problem) => return console.problem(Page::Sessions, &problem),
    };
    let has_next = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let listed = Listed { text: text.trim(), rows: &rows, page, has_next };
    let heading = Heading { title: "Sessions", lead: "Who is signed in now, and by which provider." };
    console.page(Page::Sessions, &heading, &sessions::sessions(&console.app, &listed, done, now.0))
}

pub(super) async fn end(console: Console, id: Result<Path<String>, Problem>) -> Response {
    let app = &console.app;
    let admin = Admin::Session(console.admin.session, console.admin.user.clone());
    let id = id.and_then(|Path(id)| SessionId::from_hex(&id).ok_or(Problem::NotFound));
    let ended = match id {
        Ok(id) => end_one(app, &admin, id).await,
        Err(problem) => Err(problem),
    };
    match ended {
        Ok(()) => respond::see_other(&app.path("/admin/sessions?done=true")),
        Err(problem) => console.problem(Page::Sessions, &problem),
    }
}

pub(super) async fn teams(console: Console, search: Result<Query<Search>, Problem>) -> Response {
    let Search { text, page, .. } = match search {
        Ok(Query(search)) => search,
        Err(problem) => return console.problem(Page::Teams, &problem),
    };
    let all = console.app.store.look(|records| records.list_teams().map_err(Problem::from));
    let mut rows = match all.await {
        Ok(rows) => rows,
        Err(problem) => return console.problem(Page::Teams, &problem),
    };
    let (page, wanted) = (page.min(LAST_PAGE), folded(text.trim()));
    rows.retain(|team| folded(&team.team).contains(&wanted));
    let mut rows: Vec<_> = rows.into_iter().skip((page * PAGE) as usize).take(PAGE as usize + 1).collect();
    let has_next = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let listed = Listed { text: text.trim(), rows: &rows, page, has_next };
    let heading = Heading { title: "Teams", lead: "The teams that users are in, by the mapping or by hand." };
    console.page(Page::Teams, &heading, &sessions::teams(&console.app, &listed))
}
