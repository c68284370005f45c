//! `/admin/mapping`: the mapping, tried out on a token or on claims, and changed.

use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::saving::{Faults, Saved, done_address, save};
use crate::editing::mapping::{MappingDraft, MappingTable};
use crate::editing::{self, ConfigFile, Edited};
use crate::web::console::form_fields::Fields;
use crate::web::console::frame::{Heading, Page};
use crate::web::console::mapping::{self, Editor};
use crate::web::console::mapping_form::{MappingForm, Sent};
use crate::web::console::saving::{self, Closed, Proposal, Refused, Review};
use crate::web::console::session::Console;
use crate::web::console::trial::{self, Question, Refusal, Trial};
use crate::web::extract::{Body, ClientAddress, Form, Query};
use crate::web::page::Notice;
use crate::web::problem::Problem;
use crate::web::reload::Source;
use crate::web::respond;

const HEADING: Heading<'_> = Heading {
    title: "Mapping",
    lead: "Try out what the mapping makes of a token or of claims: who would sign in, in which teams, and why.",
};
const REVIEW: Heading<'_> =
    Heading { title: "Review the change", lead: "What would be written into the configuration file." };

/// What the address may fill in, as links of other pages do. Claims and tokens are not sent in addresses.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    user: String,
    /// The provider whose own mapping is changed; empty: the shared one.
    #[serde(default)]
    table: String,
    /// What was saved just now.
    #[serde(default)]
    done: String,
    /// The number of a recent sign-in, whose claims are tried out.
    #[serde(default)]
    recent: String,
}

pub(super) async fn show(console: Console, known: Result<Query<Known>, Problem>) -> Response {
    let Known { provider, user, table, done, recent } = match known {
        Ok(Query(known)) => known,
        Err(problem) => return console.problem(Page::Mapping, &problem),
    };
    let sign_in = recent.parse().ok().and_then(|number| console.app.process.recent.find(number));
    let question = match sign_in {
        Some(sign_in) => Question::of_sign_in(sign_in),
        None => Question::of_user(&console.app, provider, user.trim()),
    };
    let notice = saving::saved(&done);
    match saving::editable(&console) {
        Err(closed) => trial_page(&console, &notice, &question, saving::closed(&closed)).await,
        Ok(source) => match source.file.read().map(|file| MappingForm::load(&file, &table)) {
            Ok(Some(form)) => page(&console, source, &notice, &question, &form).await,
            Ok(None) => trial_page(&console, &notice, &question, html! { p.notice.note { (BY_HAND) } }).await,
            Err(error) => trial_page(&console, &notice, &question, saving::failed(&error)).await,
        },
    }
}

/// Answers the buttons of the form, and browsers without scripts.
pub(super) async fn submit(console: Console, form: Result<Form<Fields>, Problem>) -> Response {
    let Sent { question, form, button, .. } = match form.and_then(|Form(fields)| Sent::read(fields)) {
        Ok(sent) => sent,
        Err(problem) => return console.problem(Page::Mapping, &problem),
    };
    match (form, saving::editable(&console)) {
        (Some(mut form), Ok(source)) => {
            if let Some(button) = button {
                form.press(button);
            }
            page(&console, source, &html! {}, &question, &form).await
        }
        (_, Err(closed)) => trial_page(&console, &html! {}, &question, saving::closed(&closed)).await,
        (None, Ok(_)) => trial_page(&console, &html! {}, &question, html! {}).await,
    }
}

/// Answers a script, which asks while the form is filled in, with the part of the page that changes.
pub(super) async fn answer(console: Console, form: Result<Form<Fields>, Problem>) -> Response {
    let Sent { question, form, .. } = match form.and_then(|Form(fields)| Sent::read(fields)) {
        Ok(sent) => sent,
        Err(problem) => return problem.json(),
    };
    match (form, saving::editable(&console)) {
        (Some(mut form), Ok(source)) => {
            let proposed = propose(&console, source, &mut form).await;
            let tried = try_out(&console, &question, &form, &proposed).await;
            with_status(is_busy(&proposed, &tried), console.respond(mapping::answer(&question, &tried)))
        }
        _ => {
            let tried = trial::run(&console.app, &console.app.config, &question).await;
            let is_busy = matches!(tried, Err(Refusal::Busy));
            with_status(is_busy, console.respond(mapping::answer(&question, &tried)))
        }
    }
}

/// Shows what the change does to the file.
pub(super) async fn review(console: Console, form: Result<Form<Fields>, Problem>) -> Response {
    match change(&console, form).await {
        Ok(change) if change.proposal.before.text == change.proposal.after.text => {
            let notice = html! { div.notice.note role="status" { p { "Nothing differs from the file: there is nothing to save." } } };
            page(&console, change.source, &notice, &change.question, &change.form).await
        }
        Ok(change) => console.page(Page::Mapping, &REVIEW, &change.review(&console, None)),
        Err(response) => response,
    }
}

/// Saves the change, and leads to the page with the new mapping.
pub(super) async fn store(
    console: Console,
    ClientAddress(address): ClientAddress,
    form: Result<Form<Fields>, Problem>,
) -> Response {
    let mut change = match change(&console, form).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let password = std::mem::take(&mut change.password);
    let settings = change.settings();
    match save(&console, change.source, (&change.proposal, &settings), (address, password)).await {
        Saved::Done(restart) => {
            let table = [("table", change.form.table.as_str())];
            respond::see_other(&done_address(&console, Page::Mapping, &table, &restart))
        }
        Saved::Problem(problem) => console.page_of(&problem, (Page::Mapping, &REVIEW), |notice| {
            change.review(&console, Some(&saving::notice_of(&problem, notice)))
        }),
        Saved::Conflict => change.conflict(&console).await,
        Saved::Notice(notice) => page(&console, change.source, &notice, &change.question, &change.form).await,
    }
}

/// A change that was sent, and that the file can take.
struct Change<'c> {
    source: &'c Source,
    question: Question,
    form: MappingForm,
    password: Zeroizing<String>,
    proposal: Proposal,
}

/// Reads a change, and checks it against the file as it is now.
///
/// # Errors
/// The answer: a page with what is wrong, or with what another person has changed meanwhile.
async fn change(console: &Console, form: Result<Form<Fields>, Problem>) -> Result<Change<'_>, Response> {
    let Sent { question, form, password, .. } = form
        .and_then(|Form(fields)| Sent::read(fields))
        .map_err(|problem| console.problem(Page::Mapping, &problem))?;
    let source = match saving::editable(console) {
        Ok(source) => source,
        Err(Closed::ReadOnly(obstacle)) => {
            let reason = saving::closed(&Closed::ReadOnly(obstacle));
            return Err(trial_page(console, &html! {}, &question, reason).await);
        }
        Err(Closed::Off | Closed::Silent) => return Err(console.problem(Page::Mapping, &Problem::Forbidden)),
    };
    let mut form =
        form.ok_or_else(|| console.problem(Page::Mapping, &Problem::BadRequest(Fields::EXPECTED)))?;
    let proposed = propose(console, source, &mut form).await;
    let proposal = match proposed {
        Ok(proposal) => proposal,
        Err(faults) => {
            let shown = page(console, source, &saving::faults(&faults.texts), &question, &form).await;
            return Err(faults.with_status(shown));
        }
    };
    let change = Change { source, question, form, password, proposal };
    if change.form.version != editing::version_text(change.proposal.before.version) {
        return Err(change.conflict(console).await);
    }
    Ok(change)
}

impl Change<'_> {
    fn review(&self, console: &Console, notice: Option<&Notice<'_>>) -> Markup {
        let review = Review {
            proposal: &self.proposal,
            fields: &self.form.fields(&self.question),
            save: "/admin/mapping/save",
            back: "/admin/mapping",
            notice,
        };
        saving::review(&console.app, &review)
    }

    /// Returns the settings that change, for the event and the log.
    fn settings(&self) -> String {
        let Proposal { before, .. } = &self.proposal;
        let table = MappingTable::find(&before.text, &self.form.table).unwrap_or(MappingTable::Shared);
        let present = MappingDraft::of(&before.text, &table).unwrap_or_default();
        format!("{}: {}", table.path(), self.form.draft.changed_from(&present).join(", "))
    }

    /// Returns the page on which the other person's change stands, and the form with what was entered, for the file as it
    /// is now.
    async fn conflict(self, console: &Console) -> Response {
        let Self { source, question, mut form, .. } = self;
        let now = match source.file.read() {
            Ok(now) => now,
            Err(error) => return page(console, source, &saving::failed(&error), &question, &form).await,
        };
        let before = saving::text_of(source, &form.version);
        if let Some(before) = &before {
            form.rebase(before, &now);
        }
        form.version = editing::version_text(now.version);
        let notice = saving::conflict(before.as_deref(), &now);
        page(console, source, &notice, &question, &form).await
    }
}

/// Checks the form against the file. The faults of its fields are noted in it.
///
/// # Errors
/// The faults that belong to no field.
async fn propose(console: &Console, source: &Source, form: &mut MappingForm) -> Result<Proposal, Faults> {
    form.tidy();
    if !form.faults.is_empty() {
        return Err(Faults::default());
    }
    let edit = form.edit();
    let edited = move |_: &ConfigFile, text: &str| edit(text).map(Edited::from).ok_or(Refused::Unsupported);
    let proposed = saving::propose(&console.app, source, edited).await;
    proposed.map_err(|refused| Faults::of(refused, BY_HAND, |text, error| form.take_faults(text, error)))
}

/// Reports whether the form was not checked, or the claims were not tried out.
fn is_busy(proposed: &Result<Proposal, Faults>, tried: &Result<Trial<'_>, Refusal>) -> bool {
    proposed.as_ref().is_err_and(|faults| faults.is_busy) || matches!(tried, Err(Refusal::Busy))
}

/// Returns an answer, with the status of a server under load if it is busy.
fn with_status(is_busy: bool, response: Response) -> Response {
    if is_busy { respond::busy(response) } else { response }
}

/// What is said of a mapping that no form holds.
const BY_HAND: &str =
    "The file writes this mapping in a way that this form does not change: change it by hand.";

/// Tries the mapping of the form out.
async fn try_out<'p>(
    console: &Console,
    question: &Question,
    form: &MappingForm,
    proposed: &'p Result<Proposal, Faults>,
) -> Result<Trial<'p>, Refusal> {
    match proposed {
        Ok(proposal) => trial::run(&console.app, &proposal.config, question).await,
        Err(faults) => {
            let own = form.faults.first().map(|(setting, text)| format!("`{setting}` {text}"));
            Err(Refusal::Draft(own.or(faults.texts.first().cloned()).unwrap_or_default()))
        }
    }
}

/// Returns the page with the form.
async fn page(
    console: &Console,
    source: &Source,
    notice: &Markup,
    question: &Question,
    form: &MappingForm,
) -> Response {
    // Rows that were added are empty, and stay on the page.
    let mut entered = form.clone();
    let proposed = propose(console, source, &mut entered).await;
    let tried = try_out(console, question, &entered, &proposed).await;
    let body = mapping::page(&console.app, notice, (question, &Editor::Form(form)), &tried);
    with_status(is_busy(&proposed, &tried), console.page(Page::Mapping, &HEADING, &body))
}

/// Returns the page that changes nothing, and says why.
async fn trial_page(console: &Console, notice: &Markup, question: &Question, reason: Markup) -> Response {
    let tried = trial::run(&console.app, &console.app.config, question).await;
    let body = mapping::page(&console.app, notice, (question, &Editor::Closed(reason)), &tried);
    with_status(matches!(tried, Err(Refusal::Busy)), console.page(Page::Mapping, &HEADING, &body))
}
