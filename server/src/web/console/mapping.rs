//! The page that tries a mapping out.

use claimgate::identity::{Explanation, Identity, PathTrace, Seen};
use maud::{Markup, html};

use super::claims_tree;
use super::frame::{self, Icon};
use super::mapping_fields;
use super::mapping_form::MappingForm;
use super::trial::{Question, Refusal, Source, Trial};
use crate::system;
use crate::web::app::App;

/// The identifier of the form.
const FORM: &str = "trial";

/// What stands beside the trial.
pub(crate) enum Editor<'e> {
    /// Why nothing is changed here.
    Closed(Markup),
    /// The mapping, to be changed.
    Form(&'e MappingForm),
}

/// Returns the page with a question and its answer. `notice`: what has happened just now.
pub(crate) fn page(
    app: &App,
    notice: &Markup,
    (question, editor): (&Question, &Editor<'_>),
    answer: &Result<Trial<'_>, Refusal>,
) -> Markup {
    html! {
        (notice)
        @if let Editor::Closed(reason) = editor { (reason) }
        div.columns {
            form.cards #(FORM) method="post" action=(app.path("/admin/mapping"))
                data-live="answer" data-action=(app.path("/admin/mapping/answer")) {
                section.card aria-labelledby="input" {
                    header { h2 #input { "Token or claims" } @if matches!(editor, Editor::Closed(_)) { (frame::place(app, "identity")) } }
                    (input(app, question))
                }
                @if let Editor::Form(form) = editor { (mapping_fields::card(app, form)) }
            }
            div #answer aria-live="polite" { (self::answer(question, answer)) }
        }
    }
}

fn input(app: &App, question: &Question) -> Markup {
    html! {
        div.field {
            label for="subject" { "A token, or claims as JSON" }
            textarea #subject name="subject" rows="14" spellcheck="false" autocomplete="off" autocapitalize="none"
                placeholder="{ \"sub\": \"1\", \"preferred_username\": \"ada\", \"groups\": [\"crm-admin\"] }" { (*question.subject) }
            p.small.muted { "It is neither stored nor logged, and changes nothing." }
        }
        @if app.server.administration.keeps_sign_ins { (recent(app)) }
        div.fields {
            div.field {
                label for="provider" { "Mapping of" }
                select #provider name="provider" {
                    option value="" { "Their issuer" }
                    @for provider in &app.providers {
                        @let id = &provider.config.id;
                        option value=(id) selected[*id == question.provider] { (provider.config.display_name) }
                    }
                }
            }
            div.field {
                label for="path" { "Claim path" }
                input.code #path name="path" value=(question.path()) placeholder="groups" spellcheck="false" autocomplete="off" autocapitalize="none";
            }
        }
        div.actions data-scriptless { button type="submit" { "Try it out" } }
    }
}

/// Returns the last sign-ins, each with a link that puts its claims into the field.
fn recent(app: &App) -> Markup {
    let (sign_ins, now) = (app.process.recent.list(), system::now());
    html! {
        details #recent {
            summary { "Claims of the last sign-ins" }
            @if sign_ins.is_empty() { p.small.muted { "None since the start." } }
            ul.rows {
                @for sign_in in &sign_ins {
                    li {
                        a href={ (app.path("/admin/mapping")) "?recent=" (sign_in.number) } {
                            (sign_in.user.as_deref().unwrap_or("refused"))
                        }
                        span.small.muted { " by " (sign_in.provider) ", " (frame::duration(now.0.saturating_sub(sign_in.at.0))) " ago" }
                    }
                }
            }
            p.small.muted { "Texts and numbers that the mapping does not read are redacted." }
        }
    }
}

/// Returns the answer alone.
pub(crate) fn answer(question: &Question, answer: &Result<Trial<'_>, Refusal>) -> Markup {
    match answer {
        Ok(trial) => tried(question, trial),
        Err(Refusal::Draft(reason)) => html! {
            section.card aria-labelledby="decision" {
                header { h2 #decision { "Decision" } }
                div.notice.problem #draft { p { "The mapping that you entered cannot be used yet: " (frame::prose(reason)) } }
            }
        },
        Err(Refusal::Busy) => html! {
            section.card aria-labelledby="decision" {
                header { h2 #decision { "Decision" } }
                div.notice.problem { p { "The server tries other claims out, one at a time: try again in a few seconds." } }
            }
        },
        Err(Refusal::Empty) => html! {
            section.card aria-labelledby="decision" {
                header { h2 #decision { "Decision" } }
                p.muted { "Paste a token, or write claims: here stands who would sign in, which rules gave which teams, and what a sign-in would change." }
            }
        },
        Err(refusal) => {
            let (message, code) = match refusal {
                Refusal::Unreadable(code, message) => (message.clone(), *code),
                Refusal::Provider => {
                    ("the configuration has no such provider".to_owned(), "request.malformed")
                }
                Refusal::Store(error) => (error.to_string(), error.code()),
                Refusal::Empty | Refusal::Draft(_) | Refusal::Busy => (String::new(), ""),
            };
            html! {
                section.card aria-labelledby="decision" {
                    header { h2 #decision { "Decision" } }
                    div.notice.problem { p { "This cannot be read: " (message) } p.small { "Error " code { (code) } } }
                }
            }
        }
    }
}

fn tried(question: &Question, trial: &Trial<'_>) -> Markup {
    let explanation = &trial.explanation;
    html! {
        section.card aria-labelledby="decision" {
            header { h2 #decision { "Decision" } (source(&trial.source)) }
            @if let Source::Unverified(code, message) = &trial.source {
                p.small.muted { "Not verified: " (message) " [" (code) "]. Anyone can write such a token." }
            }
            @match &explanation.identity {
                Some(identity) => { (decided(identity)) }
                None => { div.notice.problem {
                    p { b { "Refused: " } (explanation.message.as_deref().unwrap_or_default()) }
                    p.small { "Error " code #code { (explanation.code.unwrap_or_default()) } ", explained in the reference of errors" }
                } }
            }
            @if let Some(error) = &trial.unmet {
                div.notice.problem { p { b { "A sign-in would be refused: " } (error) } p.small { "Error " code { (error.code()) } } }
            }
            @if !trial.changes.is_empty() {
                div { h3 { "A sign-in would" } ul #changes { @for change in &trial.changes { li { (frame::prose(change)) } } } }
            }
        }
        section.card aria-labelledby="why" {
            header { h2 #why { "Why" } span.small.muted { "Mapping of " (trial.config.providers[trial.index].display_name) } }
            (why(trial))
        }
        section.card aria-labelledby="claims" {
            header { h2 #claims { "Claims" } span.small.muted { "A value puts its path into the field" } }
            @if let Some(selected) = &trial.selected { (selection(question.path(), selected)) }
            (claims_tree::tree(&trial.claims, FORM))
        }
    }
}

fn source(source: &Source) -> Markup {
    match source {
        Source::Written => html! { span.badge #source { "Claims as written" } },
        Source::Verified(algorithm) => html! { span.badge.done #source { "Verified by " (algorithm) } },
        Source::Unverified(..) => html! { span.badge.warning #source { "Unverified token" } },
    }
}

fn decided(identity: &Identity) -> Markup {
    html! {
        dl {
            dt { "Username" } dd { b #username { (identity.username) } }
            @for (field, value) in &identity.profile { dt { (field) } dd { (value) } }
            dt { "Teams" }
            dd {
                @if identity.teams.is_empty() { "none" }
                span.badges #teams { @for team in &identity.teams { span.badge.team { (team) } } }
            }
        }
    }
}

/// Returns what a path selected.
fn selection(path: &str, selected: &Result<Vec<String>, String>) -> Markup {
    html! {
        div.notice.note #selected {
            @match selected {
                Err(error) => { p { code { (path) } " is no path: " (error) } }
                Ok(values) if values.is_empty() => { p { code { (path) } " selects nothing" } }
                Ok(values) => {
                    p { code { (path) } " selects" }
                    @for value in values { p { code { (value) } } }
                }
            }
        }
    }
}

fn why(trial: &Trial<'_>) -> Markup {
    let Explanation {
        username,
        email_verified,
        profile,
        groups,
        dropped_groups,
        fired,
        more_fired,
        unfired,
        default_teams,
        ..
    } = &trial.explanation;
    let usable = |seen: &Seen| matches!(seen, Seen::Value(_) | Seen::Values(_) | Seen::Many { .. });
    html! {
        ul.rows {
            @for PathTrace { path, seen, .. } in username { (line(usable(seen), html! { "Username from " code { (path) } ": " (seen) })) }
            @if let Some(seen) = email_verified { (line(true, html! { code { "email_verified" } ": " (seen) })) }
            @for field in profile {
                (line(usable(&field.seen), html! { (field.field) " from " code { (field.path) } ": " (field.seen) }))
            }
            @for PathTrace { path, seen, .. } in groups { (line(usable(seen), html! { "Groups from " code { (path) } ": " (seen) })) }
            @for group in dropped_groups {
                (line(false, html! { "The group " code { (format!("{group:?}")) } " holds characters that no name may have, and matches nothing" }))
            }
            @if !default_teams.is_empty() { (line(true, html! { "Every user is in " (default_teams.join(", ")) })) }
            @for rule in fired {
                (line(!rule.teams.is_empty(), html! {
                    "Rule " (rule.rule) " (" (rule.text) ") fired"
                    @if !rule.group.is_empty() { " on " code { (rule.group) } }
                    @if rule.teams.is_empty() { ", and gave no team" } @else { ": " b { (rule.teams.join(", ")) } }
                    " " (rule_place(trial, rule.rule))
                }))
            }
            @if *more_fired > 0 { (line(true, html! { (more_fired) " more matches of rules and groups" })) }
            @for rule in unfired {
                (line(false, html! {
                    "Rule " (rule.rule) " (" (rule.text) ") matched no group " (rule_place(trial, rule.rule))
                }))
            }
        }
    }
}

/// Returns where a team rule stands in the file.
fn rule_place(trial: &Trial<'_>, rule: usize) -> Markup {
    let place = trial.config.team_rule_place(&trial.config.providers[trial.index], rule);
    html! { @if let Some(place) = place { (frame::file_line(&place.file, place.position.line)) } }
}

fn line(is_used: bool, text: Markup) -> Markup {
    let (class, icon) = if is_used { ("done", Icon::Done) } else { ("note", Icon::Absent) };
    html! { li.trace { span class=(class) { (icon.markup()) } div { (text) } } }
}
