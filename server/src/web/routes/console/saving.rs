//! Saves a change of the configuration file: proved by a password, recorded as an event, and put in use.

use std::net::IpAddr;
use std::path::Path;

use tracing::{error, info};
use zeroize::Zeroizing;

use crate::editing::EditError;
use crate::store::Event;
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
/// an event of its own.
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
    record(console, &admin, events::change(&admin, "configuration change").detail(settings)).await?;
    let backup = match blocking(move || prepared.commit()).await {
        Ok(backup) => backup,
        Err(reason) => {
            let event = events::change(&admin, "configuration failure").detail(&reason.to_string());
            record(console, &admin, event).await?;
            error!(admin = admin.username(), %reason, "the configuration file could not be replaced");
            return Err(NotSaved::Edit(reason));
        }
    };
    info!(
        client = request_log::fields().client,
        admin = admin.username(),
        settings,
        backup = backup.file_name().map(Path::new).map(|name| name.display().to_string()),
        "configuration changed"
    );
    Ok(source.reload().await)
}

/// Records an event, with the rights that the administrator has then.
async fn record(console: &Console, admin: &Admin, event: Event) -> Result<(), Problem> {
    let recorded = admin.change(&console.app, move |_, by| {
        by.may_change(UserKind::SuperAdmin)?;
        Ok(((), event))
    });
    recorded.await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EditError> + Send + 'static,
) -> Result<T, EditError> {
    let failed = |error: tokio::task::JoinError| EditError::Write {
        file: "the configuration file".to_owned(),
        reason: error.to_string(),
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

impl From<EditError> for NotSaved {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}
