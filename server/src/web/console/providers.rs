//! The page of the providers: what is registered where, the state of their keys, and a test of each.

use maud::{Markup, html};

use super::frame::{self, Icon};
use super::saving::{self, Closed};
use crate::plural::count;
use crate::web::app::App;
use crate::web::check_steps::{Outcome, Steps};
use crate::web::provider::Provider;
use crate::web::provider_check;
use claimgate::key::KeyError;
use claimgate::oidc::client::AuthMethod;
use claimgate_remote::RemoteKeys;

/// Most characters of one step that are shown: a part of it is the provider's text.
const MAX_STEP: usize = 600;

/// What a test has shown.
pub(crate) enum Tested {
    Steps(Steps),
    /// The provider did not answer in time.
    Slow,
    /// Another test takes place, or several did just now.
    Busy,
}

/// Returns the page. `notice`: what has happened just now; `closed`: why nothing is changed here; `tested`: the provider that
/// was tested, with what was found.
pub(crate) fn page(
    app: &App,
    notice: &Markup,
    closed: Option<&Closed>,
    tested: Option<(&str, &Tested)>,
) -> Markup {
    html! {
        (notice)
        @match closed {
            Some(reason) => (saving::closed(reason)),
            None => div.actions { a.button href=(app.path("/admin/providers/add")) { "Add a provider" } },
        }
        @for (index, provider) in app.providers.iter().enumerate() {
            @let found = tested.filter(|(id, _)| *id == provider.config.id).map(|(_, found)| found);
            (card(app, (index, closed.is_none()), provider, found))
        }
    }
}

fn card(
    app: &App,
    (index, is_editable): (usize, bool),
    provider: &Provider,
    tested: Option<&Tested>,
) -> Markup {
    let id = format!("provider-{index}");
    let action = app.path(&format!("/admin/providers/{}/test", provider.config.id));
    html! {
        section.card #(provider.config.id) aria-labelledby=(id) {
            header { h2 id=(id) { (provider.config.display_name) } (frame::place(app, &format!("provider[{index}]"))) }
            @if let Some(tested) = tested { (result(tested)) }
            div.columns {
                div.part { h3 { "Settings" } (settings(provider)) }
                div.part { h3 { "Keys" } (keys(&provider.remote, provider.config.uses_only_secret())) }
                @for remote in provider.own_remotes().skip(1) {
                    div.part { h3 { "Keys of its security events" } (keys(remote, false)) }
                }
            }
            div.part { h3 { "Addresses to register at the provider" } (uri_list(&provider_check::uris(&app.config, &provider.config))) }
            form.actions.test method="post" action=(action) {
                button.quiet[is_editable] type="submit" { "Test " span.hidden { (provider.config.display_name) } }
                @if is_editable {
                    a.button.quiet href=(app.path(&format!("/admin/providers/{}/edit", provider.config.id))) { "Change " span.hidden { (provider.config.display_name) } }
                }
                p.small.muted { "Fetches metadata and keys anew, and asks whether the provider knows the client. Nothing is changed, there or here." }
            }
        }
    }
}

fn settings(provider: &Provider) -> Markup {
    let config = &provider.config;
    let client = &config.client;
    let method = client.method.and_then(|method| AuthMethod::ALL.iter().find(|(_, known)| *known == method));
    html! {
        dl {
            dt { "Issuer" } dd { code { (config.issuer) } }
            dt { "Id here" } dd { code { (config.id) } }
            dt { "Client" } dd { code { (client.id) } }
            dt { "Secret" } dd { @if client.secret.is_some() { "set" } @else { "not set" } }
            @if client.key.is_some() { dt { "Private key" } dd { "set" } }
            dt { "Client authentication" }
            dd { @match method { Some((name, _)) => code { (name) }, None => { "as the provider announces" } } }
            dt { "Algorithms" } dd { (config.algorithms.join(", ")) }
            dt { "Scopes" } dd { (config.authorization.scopes.join(" ")) }
        }
    }
}

fn keys(remote: &RemoteKeys, uses_only_secret: bool) -> Markup {
    let health = remote.health();
    let report = remote.jws().key_report();
    html! {
        dl {
            dt { "In use" }
            dd {
                (health.usable_keys) " "
                @if uses_only_secret { span.muted { "(the client secret verifies tokens)" } }
            }
            dt { "Last refresh" }
            dd { @match health.keys_age { Some(age) => { (frame::duration(age)) " ago" }, None => "never" } }
            dt { "Fetches" } dd { (health.fetches) " answered, " (health.failures) " failed" }
            dt { "Metadata" } dd { @if health.discovered { "known" } @else { "not fetched yet" } }
            dt { "Last error" }
            dd {
                @match &health.last_error {
                    Some(error) => { span.badge.problem { "Failed" } " " (cut(error)) },
                    None if health.fetches > 0 => { span.badge.done { "None" } },
                    None => { "not asked yet" },
                }
            }
            @let others = report.skipped.iter().filter(|key| key.reason == KeyError::WrongFamily).count();
            @if others > 0 { dt { "Not used" } dd { (count(others as u64, "key")) " of other algorithms" } }
            @for skipped in report.skipped.iter().filter(|key| key.reason != KeyError::WrongFamily).take(20) { dt { "Not used" } dd { (cut(&skipped.to_string())) } }
        }
    }
}

/// Returns addresses to register at a provider, each with a button that copies it.
pub(crate) fn uri_list(uris: &[(&'static str, String)]) -> Markup {
    html! {
        ul.uris {
            @for (name, uri) in uris {
                li {
                    div.small.muted { (frame::capital(name)) }
                    div.copy {
                        code { (uri) }
                        button.quiet.small type="button" data-scripted data-copy=(uri) aria-label={ "Copy the " (name) } { "Copy" }
                    }
                }
            }
        }
    }
}

/// Returns what a test has shown.
pub(crate) fn result(tested: &Tested) -> Markup {
    let found = match tested {
        Tested::Steps(steps) => &steps.0,
        Tested::Slow => {
            return html! { div.notice.problem role="alert" { p { "The provider did not answer in time. Check that this server reaches it." } } };
        }
        Tested::Busy => {
            return html! { div.notice.warning role="alert" { p { "Another test takes place, or several did just now: try again in half a minute." } } };
        }
    };
    let problems = found.iter().filter(|(outcome, _)| *outcome == Outcome::Problem).count();
    html! {
        div.notice.(if problems == 0 { "done" } else { "problem" }) role="status" {
            p { b #result {
                @match problems {
                    0 => "Sign-in and logout can work.",
                    1 => "One problem would make sign-in or logout fail.",
                    _ => { (problems) " problems would make sign-in or logout fail." }
                }
            } }
        }
        (steps(found))
    }
}

/// Returns steps with what each has shown.
pub(crate) fn steps(found: &[(Outcome, String)]) -> Markup {
    html! {
        ul.rows {
            @for (outcome, text) in found {
                @let (class, icon, name) = match outcome {
                    Outcome::Good => ("done", Icon::Done, "Good: "),
                    Outcome::Note => ("note", Icon::Note, "Note: "),
                    Outcome::Problem => ("problem", Icon::Problem, "Problem: "),
                };
                li.trace { span class=(class) { (icon.markup()) } div { span.hidden { (name) } (sentence(text)) } }
            }
        }
    }
}

/// Returns the beginning of a step, with a capital unless it begins with an address.
fn sentence(text: &str) -> String {
    if text.starts_with("http") { cut(text) } else { frame::capital(&cut(text)) }
}

/// Returns the beginning of a text that is a provider's.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(MAX_STEP).collect()
}
