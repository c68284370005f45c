//! Changes of the configuration file in the console: who may make them, and how they are shown before they are saved.

use maud::{Markup, html};

use super::frame;
use super::session::Console;
use crate::editing::{self, ConfigFile, EditError, Edited, Line, Obstacle, Snapshot};
use crate::web::app::App;
use crate::web::page::Notice;
use crate::web::problem::Problem;
use crate::web::reload::Source;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::user::UserKind;
use claimgate_config::{Config, ConfigError, Note, Severity, Store};

/// Why a page changes nothing.
pub(crate) enum Closed {
    /// This administrator may not change the file, or the server has none.
    Silent,
    /// The file has the setting off.
    Off,
    /// The server may not replace the file.
    ReadOnly(Obstacle),
}

/// Returns the file, where this administrator may change it here.
///
/// # Errors
/// A [`Closed`].
pub(crate) fn editable(console: &Console) -> Result<&Source, Closed> {
    let app = &console.app;
    let source = app.process.source.get().ok_or(Closed::Silent)?;
    if console.admin.user.kind != UserKind::SuperAdmin {
        return Err(Closed::Silent);
    }
    if !app.server.administration.edits_configuration {
        return Err(Closed::Off);
    }
    match source.file.obstacle() {
        Some(obstacle) => Err(Closed::ReadOnly(obstacle)),
        None => Ok(source),
    }
}

/// Returns what a page says where nothing is changed.
pub(crate) fn closed(reason: &Closed) -> Markup {
    match reason {
        Closed::Silent => html! {},
        Closed::Off => html! {
            p.small.muted #closed { "Settings are changed in the configuration file. " code { "admin_edit_configuration = true" } " in " code { "[server]" }
                " lets super-admins change them here." }
        },
        Closed::ReadOnly(obstacle) => html! {
            div.notice.note #closed {
                p { "Settings cannot be changed here: " (obstacle.reason) "." }
                p.small { "To change them here: " (frame::prose(&obstacle.remedy)) ". Else change the file by hand, and reload the server." }
            }
        },
    }
}

/// A change that the file can take.
pub(crate) struct Proposal {
    /// The file as it is.
    pub(crate) before: Snapshot,
    pub(crate) after: Edited,
    /// The configuration after the change.
    pub(crate) config: Config,
}

/// Why there is no [`Proposal`].
pub(crate) enum Refused {
    Edit(EditError),
    /// Others are being checked.
    Busy,
    /// The file writes the setting in a way that forms do not change.
    Unsupported,
    /// The server would not start with the file: the text, and its faults.
    Faults(String, ConfigError),
}

/// Makes a change of the file's text, and checks the result as the server does when it starts.
///
/// # Errors
/// A [`Refused`].
pub(crate) async fn propose(
    app: &App,
    source: &Source,
    edit: impl FnOnce(&ConfigFile, &str) -> Result<Edited, Refused> + Send + 'static,
) -> Result<Proposal, Refused> {
    let file = source.file.clone();
    let turn = app.process.limiter.begin_check().await.ok_or(Refused::Busy)?;
    let proposed = tokio::task::spawn_blocking(move || {
        // Until the work is done, also where the client has disconnected.
        let _turn = turn;
        let before = file.read().map_err(Refused::Edit)?;
        let after = edit(&file, &before.text)?;
        match file.check(&after) {
            Ok(config) => Ok(Proposal { before, after, config }),
            Err(error) => Err(Refused::Faults(after.text, error)),
        }
    });
    proposed.await.unwrap_or(Err(Refused::Unsupported))
}

/// What is shown before a change is saved.
pub(crate) struct Review<'r> {
    pub(crate) proposal: &'r Proposal,
    /// The fields of the form that the change was made with.
    pub(crate) fields: &'r [(String, String)],
    /// Where it is saved, and where it is edited on.
    pub(crate) save: &'r str,
    pub(crate) back: &'r str,
    pub(crate) notice: Option<&'r Notice<'r>>,
}

/// Returns the page of a change: what it does to the file, what it means, and the form that saves it.
pub(crate) fn review(app: &App, review: &Review<'_>) -> Markup {
    let Review { proposal, fields, save, back, notice } = review;
    let file = app.process.source.get().map(|source| source.file.path().display().to_string());
    html! {
        @if let Some(notice) = notice {
            div.notice.note { p { b { "Nothing was saved." } } }
            (frame::notice(notice))
        }
        section.card aria-labelledby="change" {
            header { h2 #change { "What changes" } @if let Some(file) = &file { code.small { (file) } } }
            (diff(&proposal.before.text, &proposal.after.text))
            @if let Some(secret) = &proposal.after.secret {
                p.small { "The secret is written into the file " code { (secret.name) } " beside it, which its owner alone reads, and is shown nowhere." }
            }
            (consequences(app, proposal))
        }
        section.card aria-labelledby="confirm" {
            header { h2 #confirm { "Save" } }
            p { "The file is replaced, a copy of the present one is kept beside it, and the server uses the new one at once. "
                @if app.config.events.enabled { "The change is recorded as an event." } @else { "The change is in the log alone: " code { "[events] enabled = false" } " records no event." }
            }
            form.form method="post" action=(app.path(save)) {
                @for (name, value) in *fields { input type="hidden" name=(name) value=(value); }
                div.field {
                    label for="password" { "Your password" }
                    input #password name="password" type="password" autocomplete="current-password" required maxlength="1024";
                }
                div.actions {
                    button type="submit" { "Save" }
                    button.quiet type="submit" formaction=(app.path(back)) formnovalidate { "Back to the form" }
                }
            }
        }
    }
}

/// Returns what a change brings beside the settings themselves.
fn consequences(app: &App, proposal: &Proposal) -> Markup {
    let known = |note: &Note| {
        app.config.notes.iter().any(|known| (&known.setting, &known.reason) == (&note.setting, &note.reason))
    };
    let warnings = proposal.config.notes.iter();
    let warnings = warnings.filter(|note| note.severity == Severity::Warning && !known(note));
    html! {
        @for note in warnings {
            div.notice.warning.new { p { b { (note.setting) } ": " (frame::prose(&note.reason.to_string())) } }
        }
        @if proposal.before.version != app.config.version {
            div.notice.warning { p { "The file was changed since this server read it. Saving puts those changes in use too." } }
        }
        @if matches!(app.server.store, Store::Postgres(_)) {
            div.notice.warning { p { "Other servers over this database have files of their own, which stay as they are: give them this change too"
                @if proposal.after.secret.is_some() { ", and the file of the secret" } "." } }
        }
    }
}

/// Returns the lines of a change, without secrets.
pub(crate) fn diff(before: &str, after: &str) -> Markup {
    let lines = editing::diff(before, after);
    html! {
        @if lines.is_empty() { p.muted { "Nothing that can be shown." } } @else {
            div.diff tabindex="0" role="region" aria-label="Lines removed and added" {
                pre {
                    @for line in lines {
                        @match line {
                            Line::Place(text) => { span.place { (text) } },
                            Line::Same(text) => { span { "  " (text) } },
                            Line::Removed(text) => { del { "- " (text) } },
                            Line::Added(text) => { ins { "+ " (text) } },
                        }
                        "\n"
                    }
                }
            }
        }
    }
}

/// Returns the text of the version that a form carries, if there is a copy of it.
pub(crate) fn text_of(source: &Source, version: &str) -> Option<String> {
    let bytes = claimgate::base64url::decode(version.as_bytes()).ok()?;
    source.file.backup_of(bytes.try_into().ok().map(Fingerprint)?)
}

/// Returns what a page says where the file has changed since the form was loaded; `before` is its text of then.
pub(crate) fn conflict(before: Option<&str>, now: &Snapshot) -> Markup {
    html! {
        div.notice.warning #conflict role="alert" {
            p { b { "The configuration file has changed while you edited it." } " Nothing was saved, and what you entered is below. Review it again: it is compared with the file as it is now." }
            @if before.is_some() { p.small { "Where you changed nothing, the form has what the file has now." } }
        }
        @if let Some(before) = before {
            section.card aria-labelledby="theirs" {
                header { h2 #theirs { "What changed meanwhile" } }
                (diff(before, &now.text))
            }
        }
    }
}

/// Returns what a page says of a file that cannot be edited.
pub(crate) fn failed(error: &EditError) -> Markup {
    html! { div.notice.problem role="alert" { p { "The configuration file cannot be changed: " (error) "." } } }
}

/// Returns the faults of a change that belong to no field.
pub(crate) fn faults(texts: &[String]) -> Markup {
    html! {
        @if !texts.is_empty() {
            div.notice.problem #faults role="alert" {
                p { b { "Nothing was saved." } }
                @for text in texts { p { (frame::prose(text)) } }
            }
        }
    }
}

/// The settings that a reload does not change.
const AT_RESTART: [&str; 5] = ["listen", "database", "logout_memory", "store", "tls_certificate"];

/// Returns what the page of a change says of a problem of its save.
pub(crate) fn notice_of<'n>(problem: &Problem, notice: &Notice<'n>) -> Notice<'n> {
    match problem {
        Problem::WrongPassword => Notice { message: "The password is wrong.", ..*notice },
        _ => Notice { ..*notice },
    }
}

/// Returns what is said once a change is saved: `done` is `saved`, and the settings that take effect at the next start.
pub(crate) fn saved(done: &str) -> Markup {
    let mut words = done.split(',');
    if words.next() != Some("saved") {
        return html! {};
    }
    let later: Vec<&str> = words.filter(|word| AT_RESTART.contains(word)).collect();
    html! {
        div.notice.done #saved role="status" {
            p { "Saved, and in use. A copy of the file of before is kept beside it." }
            @if !later.is_empty() {
                p { "The file has other changes that take effect at the next start of the server: " @for setting in &later { code { (setting) } " " } }
            }
        }
    }
}
