//! `/admin/providers/…`: a provider added by its issuer, changed or removed: looked up, tested, reviewed and saved.

use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::providers::{self as tests, TEST_TIME};
use super::saving::{Faults, Saved, done_address, save};
use crate::editing;
use crate::web::console::form_fields::Fields;
use crate::web::console::frame::{Heading, Page};
use crate::web::console::kept_secret;
use crate::web::console::provider_fields::{self, LookedUp};
use crate::web::console::provider_form::{ProviderForm, Sent, What};
use crate::web::console::providers::{self, Tested};
use crate::web::console::saving::{self, Closed, Proposal, Review};
use crate::web::console::session::Console;
use crate::web::extract::{Body, ClientAddress, Form, Path};
use crate::web::page::Notice;
use crate::web::problem::Problem;
use crate::web::provider_check;
use crate::web::reload::Source;
use crate::web::respond;
use claimgate_config::Provider;

const ADD: Heading<'_> = Heading {
    title: "Add a provider",
    lead: "Its metadata fills in the form. Nothing is saved before the provider has been tested and you have seen what changes.",
};
const EDIT: Heading<'_> = Heading {
    title: "Change a provider",
    lead: "The other settings of the provider, and its issuer, stay as the configuration file has them.",
};
const REVIEW: Heading<'_> =
    Heading { title: "Review the change", lead: "What would be written into the configuration file." };

/// What is said of a provider that no form holds.
const BY_HAND: &str =
    "The file has no such provider, or writes it in a way that this form does not change: change it by hand.";

/// The form that asks for an issuer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    issuer: String,
}

impl Body for Asked {
    const EXPECTED: &'static str = "send issuer as a form";
}

/// Asks for the issuer of a provider to add.
pub(super) async fn begin(console: Console) -> Response {
    match saving::editable(&console) {
        Ok(_) => start_page(&console, &html! {}, &ProviderForm::default()),
        Err(closed) => closed_page(&console, &closed),
    }
}

/// Fetches the discovery document of an issuer, and shows the form that it fills in.
pub(super) async fn discover(console: Console, asked: Result<Form<Asked>, Problem>) -> Response {
    let source = match saving::editable(&console) {
        Ok(source) => source,
        Err(closed) => return closed_page(&console, &closed),
    };
    let issuer = match asked {
        Ok(Form(Asked { issuer })) => issuer,
        Err(problem) => return console.problem(Page::Providers, &problem),
    };
    let mut form = ProviderForm::asked(issuer.trim(), &console.app.config);
    let proposal = match propose(&console, source, &mut form).await {
        Ok(proposal) => proposal,
        Err(faults) => {
            // The page has the field of the issuer alone.
            let of_others = form.faults.iter().filter(|(setting, _)| setting != "issuer");
            let of_others = of_others.map(|(setting, text)| format!("`{setting}` {text}"));
            let texts: Vec<String> = faults.texts.iter().cloned().chain(of_others).collect();
            return faults.with_status(start_page(&console, &saving::faults(&texts), &form));
        }
    };
    let Some(provider) = added(&proposal, &form) else { return start_page(&console, &html! {}, &form) };
    let found = match look_up(&console, provider).await {
        Ok(found) => found,
        Err(tested) => return start_page(&console, &failed(&tested), &form),
    };
    form.version = editing::version_text(proposal.before.version);
    let wanted: Vec<String> = provider.mapping.plain_group_claims().map(str::to_owned).collect();
    form.fill(&found.metadata, &wanted, &algorithms(source));
    page(&console, &html! {}, &form, Some(&found))
}

/// Shows the form of a provider of the file.
pub(super) async fn edit(console: Console, id: Result<Path<String>, Problem>) -> Response {
    let source = match saving::editable(&console) {
        Ok(source) => source,
        Err(closed) => return closed_page(&console, &closed),
    };
    let found = id.and_then(|Path(id)| console.app.provider(&id));
    let provider = match found {
        Ok(provider) => provider,
        Err(problem) => return console.problem(Page::Providers, &problem),
    };
    let metadata = provider.remote.known_metadata();
    let known = algorithms(source);
    let loaded = source.file.read();
    let loaded =
        loaded.map(|file| ProviderForm::load(&file, &provider.config.id, metadata.as_deref(), &known));
    match loaded {
        Ok(Some(form)) => page(&console, &html! {}, &form, None),
        Ok(None) => list_page(&console, &html! { p.notice.note { (BY_HAND) } }),
        Err(error) => list_page(&console, &saving::failed(&error)),
    }
}

/// Shows the form again, as it was sent.
pub(super) async fn form(console: Console, form: Result<Form<Fields>, Problem>) -> Response {
    if let Err(closed) = saving::editable(&console) {
        return closed_page(&console, &closed);
    }
    match read(&console, form) {
        Ok((form, _)) if form.what == What::Remove => match console.app.provider(&form.id) {
            Ok(provider) => {
                let path = format!("/admin/providers/{}/edit", provider.config.id);
                respond::see_other(&console.app.path(&path))
            }
            Err(problem) => console.problem(Page::Providers, &problem),
        },
        Ok((form, _)) => page(&console, &html! {}, &form, None),
        Err(problem) => console.problem(Page::Providers, &problem),
    }
}

/// Tests the provider with the change, and shows what the change does to the file.
pub(super) async fn review(console: Console, form: Result<Form<Fields>, Problem>) -> Response {
    match change(&console, form).await {
        Ok(change) if change.proposal.before.text == change.proposal.after.text => {
            let notice = html! { div.notice.note role="status" { p { "Nothing differs from the file: there is nothing to save." } } };
            page(&console, &notice, &change.form, None)
        }
        Ok(change) => {
            let tested = match change.provider() {
                Some(provider) => Some(tests::run(&console, provider).await),
                None => None,
            };
            console.page(Page::Providers, &REVIEW, &change.review(&console, tested.as_ref(), None))
        }
        Err(response) => response,
    }
}

/// Saves the change, and leads to the page of the providers.
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
    let settings = change.form.change(change.secret_file()).settings(&change.proposal.before.text);
    match save(&console, change.source, (&change.proposal, &settings), (address, password)).await {
        Saved::Done(restart) => respond::see_other(&done_address(&console, Page::Providers, &[], &restart)),
        Saved::Problem(problem) => console.page_of(&problem, (Page::Providers, &REVIEW), |notice| {
            change.review(&console, None, Some(&saving::notice_of(&problem, notice)))
        }),
        Saved::Conflict => conflict(&console, change.source, change.form),
        Saved::Notice(notice) => match change.form.what {
            What::Remove => list_page(&console, &notice),
            _ => page(&console, &notice, &change.form, None),
        },
    }
}

/// A change that was sent, and that the file can take.
struct Change<'c> {
    source: &'c Source,
    form: ProviderForm,
    password: Zeroizing<String>,
    proposal: Proposal,
}

/// Reads a change, and checks it against the file as it is now.
///
/// # Errors
/// The answer: a page with what is wrong, or with what another person has changed meanwhile.
async fn change(console: &Console, form: Result<Form<Fields>, Problem>) -> Result<Change<'_>, Response> {
    let source = saving::editable(console).map_err(|closed| closed_page(console, &closed))?;
    let read = read(console, form);
    let (mut form, password) = read.map_err(|problem| console.problem(Page::Providers, &problem))?;
    let proposal = match propose(console, source, &mut form).await {
        Ok(proposal) => proposal,
        Err(faults) => {
            let notice = saving::faults(&faults.texts);
            let shown = match form.what {
                What::Remove => list_page(console, &notice),
                _ => page(console, &notice, &form, None),
            };
            return Err(faults.with_status(shown));
        }
    };
    if form.version != editing::version_text(proposal.before.version) {
        return Err(conflict(console, source, form));
    }
    Ok(Change { source, form, password, proposal })
}

impl Change<'_> {
    /// Returns the provider as it will be; none where it is removed.
    fn provider(&self) -> Option<&Provider> {
        added(&self.proposal, &self.form)
    }

    fn secret_file(&self) -> Option<String> {
        self.proposal.after.secret.as_ref().map(|secret| secret.name.clone())
    }

    fn review(&self, console: &Console, tested: Option<&Tested>, notice: Option<&Notice<'_>>) -> Markup {
        let kept = kept(console, &self.form);
        let review = Review {
            proposal: &self.proposal,
            fields: &self.form.fields(kept.as_deref()),
            save: "/admin/providers/save",
            back: "/admin/providers/form",
            notice,
        };
        let uris = self.provider().filter(|_| self.form.what == What::Add);
        let uris = uris.map(|provider| provider_check::uris(&self.proposal.config, provider));
        let removed = console.app.provider(&self.form.id).ok().filter(|_| self.form.what == What::Remove);
        html! {
            @if let Some(tested) = tested {
                section.card aria-labelledby="tested" {
                    header { h2 #tested { "Connection test" } }
                    (providers::result(tested))
                }
            }
            @if let Some(uris) = uris {
                section.card aria-labelledby="register" {
                    header { h2 #register { "Addresses to register at the provider" } }
                    (providers::uri_list(&uris))
                }
            }
            @if self.form.what == What::Remove {
                (provider_fields::consequences(removed.map(|provider| provider.config.issuer.as_str())))
            }
            (saving::review(&console.app, &review))
        }
    }
}

/// Answers where this administrator changes nothing.
fn closed_page(console: &Console, closed: &Closed) -> Response {
    match closed {
        Closed::ReadOnly(_) => list_page(console, &html! {}),
        Closed::Off | Closed::Silent => console.problem(Page::Providers, &Problem::Forbidden),
    }
}

/// Reads the fields of the form, with the secret that was entered there or on an earlier page; and the password.
///
/// # Errors
/// The problem of the request.
fn read(
    console: &Console,
    form: Result<Form<Fields>, Problem>,
) -> Result<(ProviderForm, Zeroizing<String>), Problem> {
    let Form(fields) = form?;
    let Sent { mut form, kept_secret, password } = Sent::read(fields)?;
    if form.secret.is_none() && !kept_secret.is_empty() {
        form.secret = kept_secret::open(console, &subject(console, &form), &kept_secret);
        if form.secret.is_none() {
            let text =
                "must be entered again: the page was open for too long, or the provider is another by now";
            form.faults.push(("client_secret".to_owned(), text.to_owned()));
        }
    }
    Ok((form, password))
}

/// Returns what the secret of a form is for: also the issuer, which another provider with the same id does not have.
fn subject(console: &Console, form: &ProviderForm) -> String {
    let issuer = console.app.provider(&form.id).ok().filter(|_| form.what != What::Add);
    let issuer = issuer.map_or("", |provider| provider.config.issuer.as_str());
    format!("{} {issuer}", form.subject())
}

/// Returns the secret of a form, sealed for the next page.
fn kept(console: &Console, form: &ProviderForm) -> Option<String> {
    form.secret.as_ref().map(|secret| kept_secret::seal(console, &subject(console, form), secret))
}

/// Checks the form against the file. The faults of its fields are noted in it.
///
/// # Errors
/// The faults that belong to no field.
async fn propose(console: &Console, source: &Source, form: &mut ProviderForm) -> Result<Proposal, Faults> {
    form.tidy();
    form.refuse_plain_http(console.app.server.public_url.https);
    if !form.faults.is_empty() {
        return Err(Faults::default());
    }
    let proposed = saving::propose(&console.app, source, form.edit()).await;
    proposed.map_err(|refused| Faults::of(refused, BY_HAND, |text, error| form.take_faults(text, error)))
}

/// Returns the provider of a form in the configuration that it makes.
fn added<'p>(proposal: &'p Proposal, form: &ProviderForm) -> Option<&'p Provider> {
    proposal.config.providers.iter().find(|provider| provider.id == form.id)
}

/// Fetches the discovery document of a provider that is not there yet, in the turn of a test.
///
/// # Errors
/// Why there is none.
async fn look_up(console: &Console, provider: &Provider) -> Result<LookedUp, Tested> {
    let Some(_turn) = console.app.process.limiter.begin_provider_test() else { return Err(Tested::Busy) };
    tests::note(console, provider, "provider looked up");
    let found = tokio::time::timeout(TEST_TIME, provider_check::look_up(provider)).await;
    match found.map_err(|_| Tested::Slow)? {
        (Some(metadata), steps) => Ok(LookedUp { metadata, steps }),
        (None, steps) => Err(Tested::Steps(steps)),
    }
}

/// Returns why a provider was not found.
fn failed(tested: &Tested) -> Markup {
    html! {
        section.card aria-labelledby="not-found" {
            header { h2 #not-found { "The provider was not found" } }
            @match tested {
                Tested::Steps(steps) => (providers::steps(&steps.0)),
                other => (providers::result(other)),
            }
        }
    }
}

/// Returns the names of the algorithms that this server has.
fn algorithms(source: &Source) -> Vec<String> {
    source.file.algorithms().map(str::to_owned).collect()
}

/// Returns the page on which the other person's change stands, and the form with what was entered, for the file as it is
/// now.
fn conflict(console: &Console, source: &Source, mut form: ProviderForm) -> Response {
    let now = match source.file.read() {
        Ok(now) => now,
        Err(error) => return list_page(console, &saving::failed(&error)),
    };
    let before = saving::text_of(source, &form.version);
    if let Some(before) = &before {
        form.rebase(before, &now);
    }
    form.version = editing::version_text(now.version);
    let notice = saving::conflict(before.as_deref(), &now);
    match form.what {
        What::Remove => list_page(console, &notice),
        _ => page(console, &notice, &form, None),
    }
}

fn start_page(console: &Console, notice: &Markup, form: &ProviderForm) -> Response {
    console.page(Page::Providers, &ADD, &provider_fields::start(&console.app, notice, form))
}

fn page(console: &Console, notice: &Markup, form: &ProviderForm, found: Option<&LookedUp>) -> Response {
    let kept = kept(console, form);
    let heading = if form.what == What::Add { &ADD } else { &EDIT };
    let body = provider_fields::page(&console.app, notice, (form, kept.as_deref()), found);
    console.page(Page::Providers, heading, &body)
}

/// Returns the page of the providers, with what has happened.
fn list_page(console: &Console, notice: &Markup) -> Response {
    let closed = saving::editable(console).err();
    console.page(
        Page::Providers,
        &tests::HEADING,
        &providers::page(&console.app, notice, closed.as_ref(), None),
    )
}
