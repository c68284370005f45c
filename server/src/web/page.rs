//! The pages: plain, accessible, without scripts. Every value is escaped.

use maud::{DOCTYPE, Markup, html};

use super::App;
use claimgate::oidc::user::User;

/// The style sheet, served as a file so that the policy needs no exception.
pub(crate) const STYLE: &str = include_str!("style.css");

fn frame(app: &App, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="stylesheet" href={ (app.path("/assets/claimgate.css")) };
            }
            body {
                main {
                    h1 { (title) }
                    (body)
                }
            }
        }
    }
}

/// What went wrong, for a page.
pub(crate) struct Notice<'n> {
    pub(crate) message: &'n str,
    pub(crate) code: &'n str,
    /// What joins the page to its line in the log.
    pub(crate) reference: &'n str,
}

impl Notice<'_> {
    fn markup(&self) -> Markup {
        html! {
            div.problem role="alert" {
                p { (self.message) }
                p.small { "Error " code #code { (self.code) } ", reference " code #reference { (self.reference) } }
            }
        }
    }
}

/// The address of a door, which leads to `return_to`.
fn door(app: &App, path: &str, return_to: &str) -> String {
    let login = app.path(path);
    let encoded: String = url::form_urlencoded::byte_serialize(return_to.as_bytes()).collect();
    if return_to.is_empty() { login } else { format!("{login}?return_to={encoded}") }
}

/// The doors: a button per provider, and the password form where it exists.
pub(crate) fn sign_in(app: &App, return_to: &str, notice: Option<&Notice<'_>>) -> Markup {
    let password = app.config.password.fallback;
    frame(
        app,
        "Sign in",
        &html! {
            @if let Some(notice) = notice { (notice.markup()) }
            ul.doors {
                @for provider in &app.providers {
                    @let href = door(app, &format!("/login/{}", provider.config.name), return_to);
                    li { a.button href=(href) { "Sign in with " (provider.config.title) } }
                }
            }
            @if password {
                details open[notice.is_some()] {
                    summary { "Sign in with a password" }
                    form method="post" action=(app.path("/login/password")) {
                        label for="username" { "User name" }
                        input #username name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="255";
                        label for="password" { "Password" }
                        input #password name="password" type="password" autocomplete="current-password" required maxlength="1024";
                        input type="hidden" name="return_to" value=(return_to);
                        button type="submit" { "Sign in" }
                    }
                }
            }
        },
    )
}

/// Who is signed in.
pub(crate) fn home(app: &App, user: &User, explanation: Option<&str>) -> Markup {
    frame(
        app,
        "Signed in",
        &html! {
            dl {
                dt { "User" } dd #user { (user.username) }
                dt { "Name" } dd { (user.display_name()) }
                @if let Some(email) = user.email() { dt { "Email" } dd #email { (email) } }
                dt { "Teams" }
                dd #teams {
                    @if user.teams.is_empty() { "none" }
                    @for (index, team) in user.teams.keys().enumerate() {
                        @if index > 0 { ", " }
                        span.team { (team) }
                    }
                }
            }
            form method="post" action=(app.path("/logout")) { button type="submit" { "Sign out" } }
            @if let Some(explanation) = explanation {
                details open {
                    summary { "Why" }
                    pre #explanation { (explanation) }
                }
                // A demonstration's: its provider has a page.
                @for provider in &app.providers {
                    p { a href=(provider.config.issuer) { "To the provider's page" } ", which can end this session from there." }
                }
            }
        },
    )
}

/// Nobody is signed in any more.
pub(crate) fn signed_out(app: &App) -> Markup {
    frame(
        app,
        "Signed out",
        &html! {
            p #signed-out { "You are signed out here." }
            p { a.button href=(app.path("/login")) { "Sign in" } }
        },
    )
}

/// Asks before signing out, for a request that another site may have caused.
pub(crate) fn confirm_sign_out(app: &App) -> Markup {
    frame(
        app,
        "Sign out?",
        &html! {
            form method="post" action=(app.path("/logout")) { button type="submit" { "Sign out" } }
        },
    )
}

/// On the way to the provider's own sign-out. A page rather than a redirect: the form's policy
/// would have to name every host that the provider may send the browser through.
pub(crate) fn leaving(app: &App, address: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0;url=" (address) };
                title { "Signing out" }
                link rel="stylesheet" href={ (app.path("/assets/claimgate.css")) };
            }
            body { main { h1 { "Signing out" } p { a #leave href=(address) { "Go on" } } } }
        }
    }
}

/// Something was refused or went wrong.
pub(crate) fn problem(app: &App, title: &str, notice: &Notice<'_>, return_to: &str) -> Markup {
    let again = !notice.code.starts_with("request.");
    frame(
        app,
        title,
        &html! {
            (notice.markup())
            @if again {
                p { a.button href=(door(app, "/login", return_to)) { "Sign in again" } }
            } @else {
                p { a.button href=(app.path("/")) { "To the start" } }
            }
        },
    )
}
