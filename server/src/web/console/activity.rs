//! The page of the activity: the recorded events, filtered, and what explains a refusal.

use maud::{Markup, html};
use serde::Deserialize;

use super::frame;
use crate::store::{EventKind, EventQuery, ListedEvent, PageOrder};
use crate::web::app::App;

/// Events on one page.
pub(crate) const PAGE: u32 = 100;
/// The times that the filter offers: the name in the address, the text and the seconds.
const TIMES: [(&str, &str, i64); 4] = [
    ("hour", "the last hour", 3_600),
    ("day", "the last 24 hours", 86_400),
    ("week", "the last 7 days", 7 * 86_400),
    ("", "all that is kept", i64::MAX),
];
/// The seconds between two looks of a script for new events.
const EVERY: u32 = 5;

/// What is looked for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    #[serde(default)]
    user: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    time: String,
    /// The number of an event: those before it.
    before: Option<i64>,
}

impl Filter {
    /// Returns the query of a page, and one event more, which shows that there is another page. `now`: seconds since 1970.
    pub(crate) fn query(&self, now: i64) -> EventQuery {
        let seconds =
            TIMES.iter().find(|(name, ..)| *name == self.time).map_or(i64::MAX, |(_, _, time)| *time);
        let user = self.user.trim();
        EventQuery {
            kinds: EventKind::from_name(&self.kind).into_iter().collect(),
            user: Some(user.to_owned()).filter(|user| !user.is_empty()),
            provider: None,
            from: now
                .checked_sub(seconds)
                .map(|from| from.saturating_mul(1_000_000))
                .filter(|from| *from > 0),
            before: self.before,
            order: PageOrder::NewestFirst,
            limit: PAGE + 1,
        }
    }

    /// Returns the address below `/admin/activity`, with the events before a number.
    fn address(&self, app: &App, path: &str, before: Option<i64>) -> String {
        let before = before.map(|before| before.to_string());
        let parameters = [
            ("user", self.user.trim()),
            ("kind", &self.kind),
            ("time", &self.time),
            ("before", before.as_deref().unwrap_or_default()),
        ];
        address(app, &format!("/admin/activity{path}"), &parameters)
    }
}

/// Returns an address of the console with the parameters that are not empty.
fn address(app: &App, path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => app.path(path),
        query => format!("{}?{query}", app.path(path)),
    }
}

/// Returns the page.
pub(crate) fn page(app: &App, filter: &Filter, events: &[ListedEvent]) -> Markup {
    html! {
        @if !app.config.events.enabled {
            div.notice.warning { p { "Events are not recorded: " code { "[events] enabled = false" } ". What was recorded before is listed." } }
        }
        section.card aria-labelledby="events" {
            header {
                h2 #events { "Events" }
                @if filter.before.is_none() {
                    label.switch data-scripted { input #live type="checkbox" checked; "Live" }
                }
            }
            (form(app, filter))
            // The newest page alone changes.
            div #list data-poll=[filter.before.is_none().then(|| filter.address(app, "/list", None))] data-every=(EVERY) data-switch="live" {
                (list(app, filter, events))
            }
        }
    }
}

fn form(app: &App, filter: &Filter) -> Markup {
    html! {
        form.actions method="get" action=(app.path("/admin/activity")) role="search" {
            div.field {
                label for="user" { "Username" }
                input #user name="user" type="search" value=(filter.user) maxlength="255" autocapitalize="none" spellcheck="false";
            }
            div.field {
                label for="kind" { "Kind" }
                select #kind name="kind" {
                    option value="" { "All kinds" }
                    @for kind in EventKind::ALL { option value=(kind.name()) selected[kind.name() == filter.kind] { (said(kind).0) } }
                }
            }
            div.field {
                label for="time" { "Time" }
                select #time name="time" {
                    @for (name, text, _) in TIMES.iter().rev() { option value=(name) selected[*name == filter.time] { (frame::capital(text)) } }
                }
            }
            button type="submit" { "Filter" }
        }
    }
}

/// Returns the list, which a script replaces by a newer one.
pub(crate) fn list(app: &App, filter: &Filter, events: &[ListedEvent]) -> Markup {
    let shown = &events[..events.len().min(PAGE as usize)];
    let next = shown.last().filter(|_| events.len() > shown.len()).map(|last| last.id);
    html! {
        @if shown.is_empty() {
            p.empty { "No event matches." }
        } @else {
            div.table tabindex="0" role="region" aria-labelledby="events" {
                table.stack {
                    thead { tr {
                        th scope="col" { "Time (UTC)" } th.wide scope="col" { "Event" } th.name scope="col" { "Username" } th.name scope="col" { "Where" } th scope="col" { "From" }
                    } }
                    tbody { @for event in shown { (row(app, event)) } }
                }
            }
        }
        @if filter.before.is_some() || next.is_some() {
            div.actions {
                @if filter.before.is_some() { a.button.quiet href=(filter.address(app, "", None)) { "Newest events" } }
                @if let Some(next) = next { a.button.quiet href=(filter.address(app, "", Some(next))) { "Older events" } }
            }
        }
    }
}

fn row(app: &App, event: &ListedEvent) -> Markup {
    let time = event.time();
    let (day, clock) = time.split_at_checked(10).unwrap_or((&time, ""));
    let (name, class) = said(event.kind);
    html! {
        tr {
            td.keep data-label="Time (UTC)" {
                time datetime=(time) { (clock.get(1..9).unwrap_or_default()) span.small.muted { " " (day) } }
            }
            td data-label="Event" { div {
                span.badge.(class) { (name) } " " code { (event.code) }
                @if event.count > 1 { " " span.muted { "× " (event.count) } }
                @if let Some(detail) = &event.detail { div.small.muted { (detail) } }
                @if let Some((text, href)) = explanation(app, event) { div.small { a href=(href) { (text) } } }
            } }
            td data-label="Username" { div {
                @if let Some(user) = &event.user { a href=(address(app, "/admin/users", &[("text", user)])) { (user) } }
                @if let Some(admin) = &event.admin { div.small.muted { "by " (admin) } }
                @if event.user.is_none() && event.admin.is_none() { span.muted { "unknown" } }
            } }
            td data-label="Where" {
                @if let Some(id) = &event.provider { div { (provider_name(app, id)) } }
                @if let Some(application) = &event.application {
                    div { (application) @if let Some(rule) = &event.rule { div.small.muted { (rule) } } }
                }
            }
            td.keep data-label="From" { (event.client.as_deref().unwrap_or_default()) }
        }
    }
}

fn provider_name<'a>(app: &'a App, id: &'a str) -> &'a str {
    app.provider(id).map_or(id, |provider| &provider.config.display_name)
}

/// Returns the name of a kind, and the class of its badge.
fn said(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::SignIn => ("Sign-in", "done"),
        EventKind::Refusal => ("Sign-in refused", "problem"),
        EventKind::AccessRefusal => ("Access refused", "problem"),
        EventKind::Logout => ("Logout", "note"),
        EventKind::Administration => ("Administration", "team"),
    }
}

/// Returns what explains a refusal: the text and the address of a link.
fn explanation(app: &App, event: &ListedEvent) -> Option<(&'static str, String)> {
    let user = event.user.as_deref().unwrap_or_default();
    let provider = event.provider.as_deref().unwrap_or_default();
    match (event.kind, event.code.split('.').next().unwrap_or_default()) {
        (EventKind::AccessRefusal, _) => {
            let (url, method) = request_of(app, event);
            let parameters = [("url", url.as_str()), ("method", &method), ("user", user)];
            Some(("Try the request out", address(app, "/admin/applications", &parameters)))
        }
        (EventKind::Refusal, "password") => {
            Some(("See the user", address(app, "/admin/users", &[("text", user)])))
        }
        (EventKind::Refusal, "provider" | "fetch" | "discovery" | "jwks" | "token")
            if !provider.is_empty() =>
        {
            Some(("Test the provider", format!("{}#{provider}", app.path("/admin/providers"))))
        }
        (EventKind::Refusal, _) => {
            let parameters = [("provider", provider), ("user", user)];
            Some(("Try the mapping out", address(app, "/admin/mapping", &parameters)))
        }
        _ => None,
    }
}

/// Returns an address and a method that the rule of a refusal fits: paths are not recorded, since they may hold secrets.
fn request_of(app: &App, event: &ListedEvent) -> (String, String) {
    let origin = event.application.clone().unwrap_or_default();
    let rule =
        event.rule.as_deref().and_then(|rule| rule.rsplit_once(", rule ")).and_then(|(name, number)| {
            let number: usize = number.parse().ok()?;
            let application =
                app.config.applications.iter().find(|application| application.name() == name)?;
            application.rules().get(number.checked_sub(1)?)
        });
    let path = rule.and_then(|rule| rule.paths().next()).map_or("/".to_owned(), |path| path.replace('*', ""));
    let method = rule.and_then(|rule| rule.methods().first()).cloned().unwrap_or_default();
    (if origin.is_empty() { origin } else { origin + &path }, method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_query() {
        let filter = Filter {
            user: " ada ".to_owned(),
            kind: "refusal".to_owned(),
            time: "hour".to_owned(),
            before: Some(9),
        };
        let query = filter.query(10_000);
        assert_eq!((query.user.as_deref(), query.kinds), (Some("ada"), vec![EventKind::Refusal]));
        assert_eq!((query.from, query.before, query.limit), (Some(6_400_000_000), Some(9), PAGE + 1));
        let all = Filter { kind: "no kind".to_owned(), ..Filter::default() }.query(10_000);
        assert_eq!((all.user, all.kinds.len(), all.from, all.before), (None, 0, None, None));
    }
}
