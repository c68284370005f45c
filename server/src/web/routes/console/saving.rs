//! Saves a change of the configuration file: proved by a password, recorded as an event, and put in use.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tracing::{error, info};
use zeroize::Zeroizing;

use crate::editing::{EditError, Prepared};
use crate::store::Event;
use crate::web::app::App;
use crate::web::console::saving::Proposal;
use crate::web::console::session::Console;
use crate::web::extract::Admin;
use crate::web::problem::Problem;
use crate::web::reload::{Outcome, Source};
use crate::web::{events, password_check, request_log};
use claimgate::oidc::user::UserKind;

/// Why a change is not saved.
pub(super) enum NotSaved {
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

/// Saves a change of these settings, by the administrator whose password it is, and has the server use it. Returns what
/// became of the reload.
///
/// The event is in the store before the file is replaced: no change is without one. A replacement that fails after it has
/// an event of its own. All three happen in a task of their own: a client that disconnects ends none of them halfway.
///
/// # Errors
/// A [`NotSaved`]; the file is as it was.
pub(super) async fn save(
    console: &Console,
    source: &Source,
    (proposal, settings): (&Proposal, &str),
    (address, password): (IpAddr, Zeroizing<String>),
) -> Result<Outcome, NotSaved> {
    let app = &console.app;
    let checked = password_check::authenticate(app, address, &console.admin.user.username, password).await;
    checked.inspect_err(|problem| events::refused(app, problem))?;
    app.successor(proposal.config.clone()).map_err(|error| NotSaved::Refused(error.to_string()))?;
    let (file, version, after) = (source.file.clone(), proposal.before.version, proposal.after.clone());
    let prepared = blocking(move || file.prepare(version, &after)).await?;
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
