//! Users: found by name, and one of them with links, sessions and what can be changed.

use maud::{Markup, html};

use super::frame;
use crate::plural::count;
use crate::store::{ListedLink, ListedSession, ListedUser};
use crate::web::app::App;
use claimgate::oidc::user::{TeamSource, User};

/// Users on one page.
pub(crate) const PAGE: u32 = 50;

/// What a list of users shows.
pub(crate) struct Found<'f> {
    /// A part of the name that was looked for.
    pub(crate) text: &'f str,
    pub(crate) users: &'f [ListedUser],
    /// The name after which the next page begins.
    pub(crate) next: Option<&'f str>,
    /// Whether this is the first page.
    pub(crate) is_first: bool,
}

/// A user with everything that a page shows.
pub(crate) struct Details {
    pub(crate) user: User,
    pub(crate) links: Vec<ListedLink>,
    pub(crate) sessions: Vec<ListedSession>,
}

/// Returns the list.
pub(crate) fn list(app: &App, found: &Found<'_>) -> Markup {
    let link = |after: Option<&str>| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("text", found.text);
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        format!("{}?{}", app.path("/admin/users"), query.finish())
    };
    html! {
        section.card aria-labelledby="found" {
            header { h2 #found { "Users" } }
            form.actions method="get" action=(app.path("/admin/users")) role="search" {
                div.field {
                    label for="text" { "Part of the username" }
                    input #text name="text" type="search" value=(found.text) maxlength="255" autocapitalize="none" spellcheck="false";
                }
                button type="submit" { "Search" }
            }
            @if found.users.is_empty() {
                p.empty { "No user has such a name." }
            } @else {
                div.table tabindex="0" role="region" aria-labelledby="found" {
                    table.stack {
                        thead { tr {
                            th scope="col" { "Username" } th scope="col" { "Kind" } th scope="col" { "Teams" }
                            th scope="col" { "Sessions" } th scope="col" { "Linked" }
                        } }
                        tbody { @for listed in found.users { (row(app, listed)) } }
                    }
                }
            }
            div.actions {
                @if !found.is_first { a.button.quiet href=(link(None)) { "First page" } }
                @if let Some(next) = found.next { a.button.quiet href=(link(Some(next))) { "Next page" } }
            }
        }
    }
}

fn row(app: &App, listed: &ListedUser) -> Markup {
    let user = &listed.user;
    html! {
        tr {
            td.name data-label="Username" {
                span.badges {
                    a href=(app.path(&format!("/admin/users/{}", user.id.0))) { (user.username) }
                    @if !user.active { span.badge.warning { "Switched off" } }
                }
            }
            td data-label="Kind" { (user.kind.name()) }
            td data-label="Teams" { (user.teams.len()) }
            td data-label="Sessions" { (listed.sessions) }
            td data-label="Linked" {
                @if listed.links > 0 { (count(listed.links, "provider subject")) } @else { "not linked" }
                @if listed.has_password { ", password" }
            }
        }
    }
}

/// Returns the page of one user. `done`: what was changed just now.
pub(crate) fn show(app: &App, details: &Details, done: Option<&str>, now: i64) -> Markup {
    let Details { user, links, sessions } = details;
    let action = app.path(&format!("/admin/users/{}", user.id.0));
    html! {
        @if let Some(done) = done { div.notice.done role="status" { p { (done) } } }
        div.columns {
            section.card aria-labelledby="account" {
                header { h2 #account { "Account" }
                    @if user.active { span.badge.done { "Active" } } @else { span.badge.warning { "Switched off" } } }
                (account(user))
                (forms(&action, user, !links.is_empty()))
            }
            section.card aria-labelledby="links" {
                header { h2 #links { "Linked to" } }
                @if links.is_empty() { p.muted { "No subject of a provider is linked to this user." } } @else { ul.rows {
                    @for link in links {
                        li {
                            @let provider = app.provider_of_issuer(&link.issuer);
                            b { (provider.map_or("a provider that the file does not have", |provider| &provider.config.display_name)) }
                            div.small.muted { (link.issuer) ", " code { (link.subject) } }
                        }
                    }
                } }
            }
        }
        section.card aria-labelledby="sessions" {
            header { h2 #sessions { "Sessions" } span.small.muted { (count(sessions.len() as u64, "live session")) } }
            @if sessions.is_empty() { p.muted { "The user is not signed in." } } @else { (session_table(app, &action, sessions, now)) }
        }
    }
}

/// Returns what to do about a refused change of a user. `is_last`: it would have switched off the last super-admin who
/// can sign in.
pub(crate) fn refused(app: &App, id: i64, is_last: bool) -> Markup {
    let user = app.path(&format!("/admin/users/{id}"));
    html! {
        @if is_last {
            section.card {
                p { "Switched off, the user is signed out of this console too. On the server "
                    code { "claimgate user activate NAME" } " switches the user on again, and "
                    code { "claimgate user add NAME --kind super-admin" } " adds another super-admin." }
                form.actions method="post" action=(user) {
                    input type="hidden" name="even_last_super_admin" value="true";
                    a.button href=(user) { "Keep the user" }
                    button.danger type="submit" name="action" value="deactivate" { "Switch off all the same" }
                }
            }
        } @else {
            div.actions { a.button.quiet href=(user) { "Back to the user" } }
        }
    }
}

fn account(user: &User) -> Markup {
    html! {
        dl {
            dt { "Username" } dd { b #username { (user.username) } }
            dt { "Kind" } dd { (user.kind.name()) }
            @for (field, value) in &user.profile { dt { (field) } dd { (value) } }
            dt { "Teams" }
            dd {
                @if user.teams.is_empty() { "none" }
                span.badges {
                    @for (team, source) in &user.teams {
                        span.badge.team { (team) @if matches!(source, TeamSource::Mapping) { " (by the mapping)" } @else { " (by hand)" } }
                    }
                }
            }
        }
    }
}

fn forms(action: &str, user: &User, is_linked: bool) -> Markup {
    let confirm = |text: &str| format!("{text} {}?", user.username);
    html! {
        form.actions method="post" action=(action) {
            input type="hidden" name="action" value="rename";
            div.field { label for="name" { "Username" } input #name name="username" value=(user.username) required maxlength="255" autocapitalize="none" spellcheck="false"; }
            button.quiet type="submit" { "Rename" }
        }
        div.actions {
            @if user.active {
                form method="post" action=(action) data-confirm=(confirm("Switch off and sign out")) {
                    button.danger type="submit" name="action" value="deactivate" { "Switch off" }
                }
            } @else {
                form method="post" action=(action) { button type="submit" name="action" value="activate" { "Switch on" } }
            }
            form method="post" action=(action) data-confirm=(confirm("Sign out")) {
                button.quiet type="submit" name="action" value="end_sessions" { "End all sessions" }
            }
            @if is_linked {
                form method="post" action=(action) data-confirm=(confirm("Delete the links of")) {
                    button.danger type="submit" name="action" value="unlink" { "Unlink" }
                }
            }
        }
    }
}

fn session_table(app: &App, action: &str, sessions: &[ListedSession], now: i64) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-labelledby="sessions" {
            table.stack {
                thead { tr { th scope="col" { "Signed in" } th scope="col" { "By" } th scope="col" { "Ends in" } th scope="col" { span.hidden { "Change" } } } }
                tbody {
                    @for session in sessions {
                        tr {
                            td data-label="Signed in" { (frame::duration(now - session.created)) " ago" }
                            td data-label="By" {
                                (frame::way_in(app, session.issuer.as_deref()))
                            }
                            td data-label="Ends in" { (frame::duration(session.expires - now)) }
                            td data-label="" {
                                form method="post" action=(action) {
                                    input type="hidden" name="session" value=(session.id);
                                    button.quiet.small type="submit" name="action" value="end_session" { "End" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
