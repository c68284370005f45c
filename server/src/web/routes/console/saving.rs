//! Saves a change of the configuration file: proved by a password, recorded as an event, and put in use.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum::response::Response;
use maud::{Markup, html};
use tracing::{error, info};
use zeroize::Zeroizing;

use crate::editing::{EditError, Prepared};
use crate::store::Event;
use crate::web::app::App;
use crate::web::console::frame::Page;
use crate::web::console::saving::{self, Proposal, Refused};
use crate::web::console::session::Console;
use crate::web::extract::Admin;
use crate::web::problem::Problem;
use crate::web::reload::{Outcome, Source};
use crate::web::{events, password_check, request_log, respond};
use claimgate::oidc::user::UserKind;
use claimgate_config::ConfigError;

/// Why a change is not saved.
enum NotSaved {
    Problem(Problem),
    Edit(EditError),
    /// The server would not take the configuration.
    Refused(String),
}

impl From<Problem> for NotSaved {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// What becomes of a change that was to be saved.
pub(super) enum Saved {
    /// It is in use: the settings that take effect at the next start.
    Done(Vec<&'static str>),
    /// It is not saved: the page of the change once more, with a problem.
    Problem(Problem),
    /// It is not saved: the file is no longer the one that was edited.
    Conflict,
    /// The form once more, with what has happened.
    Notice(Markup),
}

impl From<Result<Outcome, NotSaved>> for Saved {
    fn from(saved: Result<Outcome, NotSaved>) -> Self {
        match saved {
            Ok(Ok(restart)) => Self::Done(restart),
            Ok(Err(reason)) => Self::Notice(html! {
                div.notice.problem role="alert" { p { "The file is saved, and the server still uses the configuration of before: " (reason) } }
            }),
            Err(NotSaved::Problem(problem)) => Self::Problem(problem),
            Err(NotSaved::Edit(EditError::Changed)) => Self::Conflict,
            Err(NotSaved::Edit(error)) => Self::Notice(saving::failed(&error)),
            Err(NotSaved::Refused(reason)) => Self::Notice(html! {
                div.notice.problem role="alert" { p { "Nothing was saved: the server would not take this configuration: " (reason) } }
            }),
        }
    }
}

/// Why a form makes no change.
#[derive(Default)]
pub(super) struct Faults {
    /// What belongs to no field.
    pub(super) texts: Vec<String>,
    /// Whether it was not checked.
    pub(super) is_busy: bool,
}

const BUSY: &str = "The server checks other changes, one at a time: try again in a few seconds.";

impl Faults {
    /// Returns why a change is refused. `by_hand`: what is said of a file that is written in a way that the form does not change;
    /// `of_file` takes the faults that the server found in a text, and returns those that belong to no field.
    pub(super) fn of(
        refused: Refused,
        by_hand: &str,
        of_file: impl FnOnce(&str, &ConfigError) -> Vec<String>,
    ) -> Self {
        let is_busy = matches!(refused, Refused::Busy);
        let texts = match refused {
            Refused::Edit(error) => vec![error.to_string()],
            Refused::Busy => vec![BUSY.to_owned()],
            Refused::Unsupported => vec![by_hand.to_owned()],
            Refused::Faults(text, error) => of_file(&text, &error),
        };
        Self { texts, is_busy }
    }

    /// Returns an answer, with the status of a server under load where the form was not checked.
    pub(super) fn with_status(&self, response: Response) -> Response {
        if self.is_busy { respond::busy(response) } else { response }
    }
}

/// Returns the address to go to after a change was saved: a page, with parameters.
pub(super) fn done_address(
    console: &Console,
    page: Page,
    known: &[(&str, &str)],
    restart: &[&str],
) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let done: Vec<&str> = std::iter::once("saved").chain(restart.iter().copied()).collect();
    query.extend_pairs(known).append_pair("done", &done.join(","));
    format!("{}?{}", console.app.path(page.path()), query.finish())
}

/// Saves a change of these settings, by the administrator whose password it is, and has the server use it.
pub(super) async fn save(
    console: &Console,
    source: &Source,
    change: (&Proposal, &str),
    proof: (IpAddr, Zeroizing<String>),
) -> Saved {
    begin(console, source, change, proof).await.into()
}

/// Saves a change. Returns what became of the reload.
///
/// The event is in the store before the file is replaced: no change is without one. A replacement that fails after it has
/// an event of its own. All three happen in a task of their own: a client that disconnects ends none of them halfway.
///
/// # Errors
/// A [`NotSaved`]; the file is as it was.
async fn begin(
    console: &Console,
    source: &Source,
    (proposal, settings): (&Proposal, &str),
    (address, password): (IpAddr, Zeroizing<String>),
) -> Result<Outcome, NotSaved> {
    let app = &console.app;
    let checked = password_check::confirm(app, address, &console.admin.user, password).await;
    checked.inspect_err(|problem| events::refused(app, problem))?;
    app.successor(proposal.config.clone()).map_err(|error| NotSaved::Refused(error.to_string()))?;
    let (file, version, after) = (source.file.clone(), proposal.before.version, proposal.after.clone());
    let prepared = blocking(move || file.prepare(version, after)).await?;
    let admin = Admin::Session(console.admin.session, console.admin.user.clone());
    let client = request_log::fields().client;
    let whole = replace(Arc::clone(app), admin, prepared, settings.to_owned(), client);
    tokio::spawn(whole).await.unwrap_or_else(|error| Err(NotSaved::Edit(failed(&error))))
}

/// Records the change, puts the prepared file in its place, and has the server use it.
///
/// # Errors
/// A [`NotSaved`]; the file is as it was.
async fn replace(
    app: Arc<App>,
    admin: Admin,
    prepared: Prepared,
    settings: String,
    client: Option<String>,
) -> Result<Outcome, NotSaved> {
    record(&app, &admin, events::change(&admin, "configuration change").detail(&settings)).await?;
    let backup = match blocking(move || prepared.commit()).await {
        Ok(backup) => backup,
        Err(reason) => {
            let event = events::change(&admin, "configuration failure").detail(&reason.to_string());
            record(&app, &admin, event).await?;
            error!(admin = admin.username(), %reason, "the configuration file could not be replaced");
            return Err(NotSaved::Edit(reason));
        }
    };
    let backup = backup.file_name().map(Path::new).map(|name| name.display().to_string());
    info!(client, admin = admin.username(), settings, backup, "configuration changed");
    match app.process.source.get() {
        Some(source) => Ok(source.reload().await),
        None => Ok(Err("the server has no configuration file".to_owned())),
    }
}

/// Records an event, with the rights that the administrator has then.
async fn record(app: &App, admin: &Admin, event: Event) -> Result<(), Problem> {
    let recorded = admin.change(app, move |_, by| {
        by.may_change(UserKind::SuperAdmin)?;
        Ok(((), event))
    });
    recorded.await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EditError> + Send + 'static,
) -> Result<T, EditError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?
}

fn failed(error: &tokio::task::JoinError) -> EditError {
    EditError::Write { file: "the configuration file".to_owned(), reason: error.to_string() }
}

impl From<EditError> for NotSaved {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}
