//! The live sessions, found by username, and the teams with their members.

use maud::{Markup, html};

use super::frame;
use crate::store::{ListedSession, ListedTeam};
use crate::web::app::App;

/// Sessions, or teams, on one page.
pub(crate) const PAGE: u32 = 50;

/// One page of a list.
pub(crate) struct Listed<'l, T> {
    /// A part of the name that was looked for.
    pub(crate) text: &'l str,
    pub(crate) rows: &'l [T],
    /// The number of the page, from 0.
    pub(crate) page: u32,
    pub(crate) has_next: bool,
}

/// Returns the sessions. `done`: whether one was ended just now.
pub(crate) fn sessions(app: &App, listed: &Listed<'_, ListedSession>, done: bool, now: i64) -> Markup {
    html! {
        @if done { div.notice.done role="status" { p { "The session has ended." } } }
        section.card aria-labelledby="found" {
            header { h2 #found { "Live sessions" } span.small.muted { "The newest first" } }
            (search(app, "/admin/sessions", "Part of the username", listed.text))
            @if listed.rows.is_empty() { p.empty { "No session matches." } } @else {
                div.table tabindex="0" role="region" aria-labelledby="found" {
                    table.stack {
                        thead { tr {
                            th scope="col" { "Username" } th scope="col" { "Signed in" } th scope="col" { "By" } th scope="col" { "Ends in" }
                            th scope="col" { span.hidden { "Change" } }
                        } }
                        tbody { @for session in listed.rows { (session_row(app, session, now)) } }
                    }
                }
            }
            (pages(app, "/admin/sessions", listed))
        }
    }
}

fn session_row(app: &App, session: &ListedSession, now: i64) -> Markup {
    let end = app.path(&format!("/admin/sessions/{}/end", session.id));
    html! {
        tr {
            td.name data-label="Username" { a href=(app.path(&format!("/admin/users/{}", session.user.0))) { (session.username) } }
            td data-label="Signed in" { (frame::duration(now - session.created)) " ago" }
            td data-label="By" { (frame::way_in(app, session.issuer.as_deref())) }
            td data-label="Ends in" { (frame::duration(session.expires - now)) }
            td data-label="" {
                form method="post" action=(end) {
                    button.quiet.small type="submit" aria-label={ "End the session of " (session.username) } { "End" }
                }
            }
        }
    }
}

/// Returns the teams.
pub(crate) fn teams(app: &App, listed: &Listed<'_, ListedTeam>) -> Markup {
    html! {
        section.card aria-labelledby="found" {
            header { h2 #found { "Teams" } span.small.muted { "Those with members" } }
            (search(app, "/admin/teams", "Part of the name", listed.text))
            @if listed.rows.is_empty() { p.empty { "No team matches." } } @else {
                div.table tabindex="0" role="region" aria-labelledby="found" {
                    table.stack {
                        thead { tr { th scope="col" { "Team" } th scope="col" { "Members" } } }
                        tbody {
                            @for team in listed.rows {
                                tr { td.name data-label="Team" { span.badge.team { (team.team) } } td data-label="Members" { (team.members) } }
                            }
                        }
                    }
                }
            }
            (pages(app, "/admin/teams", listed))
        }
    }
}

fn search(app: &App, path: &str, label: &str, text: &str) -> Markup {
    html! {
        form.actions method="get" action=(app.path(path)) role="search" {
            div.field {
                label for="text" { (label) }
                input #text name="text" type="search" value=(text) maxlength="255" autocapitalize="none" spellcheck="false";
            }
            button type="submit" { "Search" }
        }
    }
}

fn pages<T>(app: &App, path: &str, listed: &Listed<'_, T>) -> Markup {
    let link = |page: u32| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("text", listed.text).append_pair("page", &page.to_string());
        format!("{}?{}", app.path(path), query.finish())
    };
    html! {
        div.actions {
            @if listed.page > 0 { a.button.quiet href=(link(listed.page - 1)) { "Previous page" } }
            @if listed.has_next { a.button.quiet href=(link(listed.page + 1)) { "Next page" } }
        }
    }
}
