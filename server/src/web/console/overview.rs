//! The overview: how many people are here, the state of the providers, and what needs attention.

use maud::{Markup, html};

use super::charts;
use super::findings;
use super::frame::{self, Icon};
use crate::store::{EventCount, PeopleCounts};
use crate::system;
use crate::web::app::App;
use crate::web::provider::Provider;

/// Returns the page. `events`: those of the last hour, by minutes.
pub(crate) fn page(app: &App, people: PeopleCounts, events: &[EventCount]) -> Markup {
    let found = findings::all(app);
    html! {
        div.figures {
            (figure("Live sessions", people.sessions, None))
            (figure("Users", people.users, Some(format!("{} switched off", people.inactive))))
            (figure("Providers", app.providers.len() as u64, None))
            (figure("Applications", app.config.applications.iter().count() as u64, None))
        }
        section.card aria-labelledby="attention" {
            header { h2 #attention { "What needs attention" } }
            @if found.is_empty() {
                p.done { (Icon::Done.markup()) " Nothing: providers answer, and the configuration has no warnings." }
            } @else {
                (findings::list(&found))
            }
        }
        @if app.config.events.enabled {
            section.card aria-labelledby="activity" {
                header { h2 #activity { "Activity" } a.small href=(app.path("/admin/activity")) { "All events" } }
                (charts::all(events, system::now().0))
            }
        }
        section.card aria-labelledby="providers" {
            header { h2 #providers { "Providers" } a.small href=(app.path("/admin/providers")) { "Addresses, keys and a test" } }
            div.table tabindex="0" role="region" aria-labelledby="providers" {
                table.stack {
                    thead { tr { th.wide scope="col" { "Provider" } th scope="col" { "Keys" } th scope="col" { "Fetched" } th scope="col" { "Last fetch" } } }
                    tbody { @for (index, provider) in app.providers.iter().enumerate() { (row(app, index, provider)) } }
                }
            }
        }
    }
}

fn figure(label: &str, number: u64, more: Option<String>) -> Markup {
    html! {
        div.figure {
            span.number { (number) }
            span.label { (label) }
            @if let Some(more) = more { span.more { (more) } }
        }
    }
}

fn row(app: &App, index: usize, provider: &Provider) -> Markup {
    let health = provider.remote.health();
    html! {
        tr {
            td.name data-label="Provider" {
                div { b { (provider.config.display_name) } div.small.muted { (provider.config.issuer) }
                    (frame::place(app, &format!("provider[{index}]"))) }
            }
            td.keep data-label="Keys" { (health.usable_keys) " in use" }
            td.keep data-label="Fetched" {
                @match health.keys_age { Some(age) => { (frame::duration(age)) " ago" }, None => "never" }
            }
            td data-label="Last fetch" {
                @match &health.last_error {
                    Some(error) => { div { span.badge.problem { "Failed" } div.small { (error) } } },
                    None if health.fetches > 0 => { span.badge.done { "Answered" } },
                    None => { span.badge { "Not asked yet" } },
                }
            }
        }
    }
}
