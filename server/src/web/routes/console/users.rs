//! `/admin/users`: users found by name, and one of them.

use axum::response::Response;
use serde::Deserialize;
use tracing::info;

use crate::plural::count;
use crate::store::AdminRecords;
use crate::system;
use crate::web::console::frame::{Heading, Page};
use crate::web::console::session::Console;
use crate::web::console::users::{self, Details, Found, PAGE};
use crate::web::extract::{Admin, Body, Form, Path, Query};
use crate::web::problem::Problem;
use crate::web::{events, request_log, respond};
use claimgate::oidc::accounts::{self, AccountError, UserChanges};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::UserId;

/// Sessions of a user on one page: as many as a user may have.
const SESSIONS: u32 = claimgate::oidc::records::MAX_SESSIONS_OF_USER;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    #[serde(default)]
    text: String,
    #[serde(default)]
    after: String,
}

pub(super) async fn list(console: Console, search: Result<Query<Search>, Problem>) -> Response {
    let Search { text, after } = match search {
        Ok(Query(search)) => search,
        Err(problem) => return console.problem(Page::Users, &problem),
    };
    let (is_first, wanted) = (after.is_empty(), text.trim().to_owned());
    let listed = console
        .app
        .store
        .look(move |records| records.search_users(&wanted, &after, PAGE + 1).map_err(Problem::from));
    let mut users = match listed.await {
        Ok(users) => users,
        Err(problem) => return console.problem(Page::Users, &problem),
    };
    let has_next = users.len() > PAGE as usize;
    users.truncate(PAGE as usize);
    let next = users.last().filter(|_| has_next).map(|last| last.user.username.as_str());
    let found = Found { text: text.trim(), users: &users, next, is_first };
    let heading =
        Heading { title: "Users", lead: "Who is known here, who is signed in, and by which provider." };
    console.page(Page::Users, &heading, &users::list(&console.app, &found))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    done: Option<String>,
}

pub(super) async fn show(
    console: Console,
    id: Result<Path<i64>, Problem>,
    done: Result<Query<Done>, Problem>,
) -> Response {
    match (id, done) {
        (Ok(Path(id)), Ok(Query(Done { done }))) => page(&console, UserId(id), done.as_deref()).await,
        (Err(problem), _) | (_, Err(problem)) => console.problem(Page::Users, &problem),
    }
}

async fn page(console: &Console, id: UserId, done: Option<&str>) -> Response {
    let now = system::now();
    let details = console.app.store.look(move |records| details(records, id, now).map_err(Problem::from));
    let details = match details.await {
        Ok(Some(details)) => details,
        Ok(None) => return console.problem(Page::Users, &Problem::NotFound),
        Err(problem) => return console.problem(Page::Users, &problem),
    };
    let done = done.and_then(|name| ACTIONS.iter().find(|(known, _)| *known == name)).map(|(_, text)| *text);
    let heading = Heading { title: &details.user.username, lead: "One user, with links and sessions." };
    console.page(Page::Users, &heading, &users::show(&console.app, &details, done, now.0))
}

fn details(
    records: &mut dyn AdminRecords,
    id: UserId,
    now: claimgate::time::UnixTime,
) -> Result<Option<Details>, claimgate::oidc::records::StoreError> {
    let Some(user) = records.user(id)? else { return Ok(None) };
    let links = records.list_links(id)?;
    Ok(Some(Details { user, links, sessions: records.list_sessions(Some(id), SESSIONS, now)? }))
}

/// The changes, with what is said once they are made.
const ACTIONS: [(&str, &str); 6] = [
    ("activate", "The user may sign in again."),
    ("deactivate", "The user is switched off, and every session has ended."),
    ("rename", "The user has another name."),
    ("unlink", "The links are deleted, and every session has ended."),
    ("end_sessions", "Every session has ended."),
    ("end_session", "The session has ended."),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    action: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    session: String,
    /// Whether the change may leave no super-admin who can sign in.
    #[serde(default)]
    even_last_super_admin: bool,
}

impl Body for Change {
    const EXPECTED: &'static str = "send action, and username or session where it needs one, as a form";
}

pub(super) async fn change(
    console: Console,
    id: Result<Path<i64>, Problem>,
    form: Result<Form<Change>, Problem>,
) -> Response {
    let changed = match (id, form) {
        (Ok(Path(id)), Ok(Form(change))) => (id, make(&console, UserId(id), change).await),
        (Err(problem), _) | (_, Err(problem)) => return console.problem(Page::Users, &problem),
    };
    match changed {
        (id, Ok(action)) => {
            respond::see_other(&console.app.path(&format!("/admin/users/{id}?done={action}")))
        }
        (id, Err(problem)) => {
            let is_last = matches!(problem, Problem::LastSuperAdmin);
            console.problem_with(Page::Users, &problem, &users::refused(&console.app, id, is_last))
        }
    }
}

/// Makes a change by the rules of accounts, and records it. Returns its name.
async fn make(console: &Console, id: UserId, change: Change) -> Result<&'static str, Problem> {
    let Some((action, _)) = ACTIONS.into_iter().find(|(name, _)| *name == change.action) else {
        return Err(Problem::BadRequest(Change::EXPECTED));
    };
    let session = match action {
        "end_session" => Some(SessionId::from_hex(&change.session).ok_or(Problem::NotFound)?),
        _ => None,
    };
    let (app, now) = (&console.app, system::now());
    let admin = Admin::Session(console.admin.session, console.admin.user.clone());
    let name = match action {
        "rename" => "user rename",
        "unlink" => "user unlink",
        "end_sessions" | "end_session" => "session end",
        _ => "user change",
    };
    let (event, normalise) = (events::change(&admin, name), app.config.normalise);
    let made = admin.change(app, move |records, by| {
        let user = records.user(id)?.ok_or(AccountError::NotFound)?;
        let detail = match session {
            Some(session) => {
                if records.session_owner(session)?.is_none_or(|owner| owner.id != id) {
                    return Err(AccountError::NotFound);
                }
                accounts::end_session(records, by, session)?;
                session.to_string()
            }
            None => match action {
                "rename" => {
                    let renamed = accounts::rename(records, by, id, (&change.username, normalise), now)?;
                    format!("to {}", renamed.username)
                }
                "unlink" => count(accounts::unlink(records, by, id, None, now)?.links, "link"),
                "end_sessions" => count(accounts::end_sessions(records, by, id)?, "session"),
                _ => {
                    let changes =
                        UserChanges { active: Some(action == "activate"), ..UserChanges::default() };
                    let by = if change.even_last_super_admin { by.even_the_last_super_admin() } else { by };
                    accounts::change(records, by, id, changes, now)?;
                    format!("{action}d")
                }
            },
        };
        Ok(((), event.user(&user.username).user_id(id).detail(&detail)))
    });
    made.await?;
    info!(
        client = request_log::fields().client,
        admin = admin.username(),
        user = id.0,
        action,
        "user changed"
    );
    Ok(action)
}
