//! The page of the applications: their rules as the file has them, tried out on a request of a person.

use maud::{Markup, html};
use serde::Deserialize;

use super::frame::{self, Icon};
use crate::store::ListedSession;
use crate::system;
use crate::web::access_trial::{self, Decision, Evidence, Sender, Trial};
use crate::web::app::App;
use crate::web::extract::Body;
use claimgate::access::{Application, Rule};
use claimgate::oidc::accounts;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::User;

/// Longest address that is tried out, in bytes: a longer path is refused without a look at it.
const MAX_URL: usize = 8_192;
/// The methods that the form offers; it takes others too.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The request that is tried out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    #[serde(default)]
    url: String,
    #[serde(default)]
    method: String,
    /// The username of the person; empty: someone who is not signed in.
    #[serde(default)]
    user: String,
}

impl Body for Question {
    const EXPECTED: &'static str = "send url, method and user as a form";
}

impl Question {
    fn method(&self) -> &str {
        if self.method.trim().is_empty() { METHODS[0] } else { self.method.trim() }
    }
}

/// What forward-auth decides, and on whom.
pub(crate) struct Answer<'a> {
    trial: Trial<'a>,
    user: Option<User>,
    /// The session whose sign-in is looked at: the person's newest one.
    session: Option<ListedSession>,
}

/// Why nothing can be tried out.
pub(crate) enum Refusal {
    /// No address was entered.
    Empty,
    /// The address cannot be read: the text of the error.
    Address(String),
    /// No user has this name.
    User(String),
    Store(StoreError),
}

/// Tries a request out. A person is judged by the newest session, of which rules know when and how the person
/// authenticated.
///
/// # Errors
/// A [`Refusal`].
pub(crate) async fn run<'a>(app: &'a App, question: &Question) -> Result<Answer<'a>, Refusal> {
    let url = question.url.trim();
    if url.is_empty() || app.config.applications.is_empty() {
        return Err(Refusal::Empty);
    }
    if url.len() > MAX_URL {
        return Err(Refusal::Address(format!("it is longer than {MAX_URL} bytes")));
    }
    let (sender, session) = sender(app, question.user.trim()).await?;
    let asked = (url, question.method());
    let trial = access_trial::explain(&app.config.applications, asked, &sender, system::now());
    Ok(Answer { trial: trial.map_err(Refusal::Address)?, user: sender.user, session })
}

/// Returns the person of a username with the newest session; a stranger for an empty one.
async fn sender(app: &App, username: &str) -> Result<(Sender, Option<ListedSession>), Refusal> {
    if username.is_empty() {
        return Ok((Sender::default(), None));
    }
    let name = username.to_owned();
    let user = app.store.look(move |records| accounts::user_named(records, &name));
    let user = user.await.map_err(Refusal::Store)?.ok_or_else(|| Refusal::User(username.to_owned()))?;
    let session = app.store.sessions_of(user.id).await.map_err(Refusal::Store)?.into_iter().next();
    let id = session.as_ref().and_then(|session| SessionId::from_hex(&session.id));
    let live = match id {
        Some(id) => app.store.peek(id).await.ok().flatten(),
        None => None,
    };
    let session = session.filter(|_| live.is_some());
    let evidence = live.map(|live| Evidence::Session(live.facts));
    Ok((Sender { user: Some(user), token: None, evidence }, session))
}

/// Returns the page with a question and its answer.
pub(crate) fn page(app: &App, question: &Question, answer: &Result<Answer<'_>, Refusal>) -> Markup {
    if app.config.applications.is_empty() {
        return html! {
            section.card aria-labelledby="none" {
                header { h2 #none { "No rules" } }
                p { "The file has no " code { "[[application]]" } ": forward-auth admits every signed-in user, or only members of the teams in the proxy's "
                    code { "?team=" } "." }
                p.muted { "With rules, each request is judged by host, path and method, and tried out here." }
            }
        };
    }
    html! {
        div.columns {
            section.card aria-labelledby="input" {
                header { h2 #input { "Request" } }
                (form(app, question))
            }
            div #answer aria-live="polite" { (self::answer(app, answer)) }
        }
        @for (index, application) in app.config.applications.iter().enumerate() {
            (rules(app, index, application))
        }
    }
}

fn form(app: &App, question: &Question) -> Markup {
    html! {
        form.form #trial method="post" action=(app.path("/admin/applications"))
            data-live="answer" data-action=(app.path("/admin/applications/answer")) {
            div.field {
                label for="url" { "Address" }
                input.code #url name="url" type="text" inputmode="url" value=(question.url) placeholder="https://wiki.example.com/admin/" required
                    maxlength=(MAX_URL) autocomplete="off" autocapitalize="none" spellcheck="false";
            }
            div.fields {
                div.field {
                    label for="method" { "Method" }
                    input #method name="method" value=(question.method()) list="methods" maxlength="32" autocomplete="off" autocapitalize="characters" spellcheck="false";
                    datalist #methods { @for method in METHODS { option value=(method) {} } }
                }
                div.field {
                    label for="user" { "Username" }
                    input #user name="user" value=(question.user) maxlength="255" placeholder="not signed in" autocomplete="off" autocapitalize="none" spellcheck="false";
                }
            }
            p.small.muted { "Nothing is sent to the application. The address is neither stored nor logged." }
            div.actions data-scriptless { button type="submit" { "Try it out" } }
        }
    }
}

/// Returns the answer alone.
pub(crate) fn answer(app: &App, answer: &Result<Answer<'_>, Refusal>) -> Markup {
    let message = match answer {
        Ok(answer) => return decided(app, answer),
        Err(Refusal::Empty) => {
            return html! {
                section.card aria-labelledby="decision" {
                    header { h2 #decision { "Decision" } }
                    p.muted { "Enter an address: here stands which rule decides on the request, whether the person is admitted, and why." }
                }
            };
        }
        Err(Refusal::Address(reason)) => format!("This address cannot be read: {reason}"),
        Err(Refusal::User(name)) => format!("No user has the name {name}."),
        Err(Refusal::Store(error)) => format!("The database does not answer: {error} [{}]", error.code()),
    };
    html! {
        section.card aria-labelledby="decision" {
            header { h2 #decision { "Decision" } }
            div.notice.problem { p { (message) } }
        }
    }
}

fn decided(app: &App, answer: &Answer<'_>) -> Markup {
    let Answer { trial, user, session } = answer;
    html! {
        section.card aria-labelledby="decision" {
            header {
                h2 #decision { "Decision" }
                @match trial.decision {
                    Decision::Admitted => span.badge.done #verdict { "Admitted" },
                    Decision::Refused(..) => span.badge.problem #verdict { "Refused" },
                }
            }
            @if let Decision::Refused(code, reason) = &trial.decision {
                div.notice.problem { p { (frame::capital(reason)) "." } p { (consequence(code)) } p.small { "Error " code #code { (code) } } }
            }
            dl {
                dt { "Person" } dd { (person(app, user.as_ref())) }
                @if user.is_some() { dt { "Sign-in" } dd { (sign_in(app, session.as_ref())) } }
                @if let Some(application) = trial.application() {
                    dt { "Application" } dd { b #application { (application.name()) } }
                }
                @if let Some(rule) = trial.rule() {
                    dt { "Rule" } dd { b #rule { (rule.number()) } ": " (access_trial::paths(rule)) "; " (access_trial::methods(rule)) }
                    dt { "Admits" } dd { (rule.who()) }
                    @for demand in access_trial::demands(rule) { dt { "Demands" } dd { (demand) } }
                }
            }
        }
        @if let Some(application) = trial.application() {
            section.card aria-labelledby="why" {
                header { h2 #why { "Why" } span.small.muted { "The first rule that fits decides" } }
                (why(app, trial, application))
            }
        }
    }
}

/// Returns what the client of a refused request sees.
fn consequence(code: &str) -> &'static str {
    match code {
        "request.signed_out" => "A browser is sent to the sign-in; a program gets the status 401.",
        "access.authentication" => "A browser is sent to sign in again; a program gets the status 401.",
        _ => "The client gets the status 403; a new sign-in alone does not change that.",
    }
}

fn person(app: &App, user: Option<&User>) -> Markup {
    html! {
        @match user {
            None => { "Not signed in" }
            Some(user) => {
                a href=(app.path(&format!("/admin/users/{}", user.id.0))) { (user.username) } ", " (user.kind.name())
                @if !user.active { " " span.badge.warning { "Switched off" } }
                @if user.teams.is_empty() { ", in no team" } @else {
                    ", in " (user.teams.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
                }
            }
        }
    }
}

fn sign_in(app: &App, session: Option<&ListedSession>) -> Markup {
    html! {
        @match session {
            None => { "No live session: judged as after a sign-in of which nothing is known" }
            Some(session) => {
                (frame::duration(system::now().0 - session.created)) " ago, by " (frame::way_in(app, session.issuer.as_deref()))
                ": the newest session is judged"
            }
        }
    }
}

/// Returns the rules in their order, up to the one that decides.
fn why(app: &App, trial: &Trial<'_>, application: &Application) -> Markup {
    let decides = trial.rule().map(Rule::number);
    let index = app.config.applications.iter().position(|own| std::ptr::eq(own, application));
    html! {
        ul.rows {
            @for rule in application.rules() {
                @let (class, icon, says) = match decides {
                    _ if trial.is_ambiguous() => ("note", Icon::Note, "is not asked: the request is refused before"),
                    Some(number) if number < rule.number() => ("note", Icon::Note, "is not asked any more"),
                    Some(number) if number == rule.number() => match trial.decision {
                        Decision::Admitted => ("done", Icon::Done, "fits, and admits the request"),
                        Decision::Refused(..) => ("problem", Icon::Problem, "fits, and refuses the request"),
                    },
                    _ => ("note", Icon::Absent, "does not fit"),
                };
                li.trace {
                    span class=(class) { (icon.markup()) }
                    div {
                        "Rule " (rule.number()) " (" (access_trial::paths(rule)) "; " (access_trial::methods(rule)) ") " (says) " "
                        @if let Some(index) = index { (rule_place(app, index, rule)) }
                    }
                }
            }
        }
    }
}

/// Returns the rules of an application as a table.
fn rules(app: &App, index: usize, application: &Application) -> Markup {
    let id = format!("application-{index}");
    html! {
        section.card aria-labelledby=(id) {
            header { h2 id=(id) { (application.name()) } (frame::place(app, &format!("application[{index}]"))) }
            @if !application.bearer_audience().is_empty() {
                p.small.muted { "Accepts bearer tokens for " code { (application.bearer_audience().join(", ")) } }
            }
            div.table tabindex="0" role="region" aria-labelledby=(id) {
                table.stack.rules {
                    thead { tr {
                        th scope="col" { "Rule" } th scope="col" { "Paths" } th scope="col" { "Methods" } th scope="col" { "Admits" } th scope="col" { "File" }
                    } }
                    tbody {
                        @for rule in application.rules() {
                            tr {
                                td data-label="Rule" { (rule.number()) }
                                td.keep data-label="Paths" { div { (list(rule.paths(), "every path")) } }
                                td.keep data-label="Methods" { (access_trial::methods(rule)) }
                                td data-label="Admits" { div {
                                    (rule.who())
                                    @for demand in access_trial::demands(rule) { div.small.muted { "with " (demand) } }
                                } }
                                td data-label="File" { (rule_place(app, index, rule)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn list<'t>(texts: impl Iterator<Item = &'t str>, all: &str) -> Markup {
    let texts: Vec<&str> = texts.collect();
    html! {
        @if texts.is_empty() { (all) }
        @for text in texts { div { code { (text) } } }
    }
}

fn rule_place(app: &App, application: usize, rule: &Rule) -> Markup {
    frame::place(app, &format!("application[{application}].rule[{}]", rule.number() - 1))
}
