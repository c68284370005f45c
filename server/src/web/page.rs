//! The HTML pages: accessible, without scripts. Every value is escaped.

use maud::{DOCTYPE, Markup, html};

use super::app::App;
use super::sign_in_link::SignInLink;
use claimgate::oidc::user::User;

/// The style sheet; a file of its own, so that the content security policy needs no exception.
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
                link rel="stylesheet" href=(app.server.public_url.join("/assets/claimgate.css"));
                // No icon: browsers would ask the application's host for one.
                link rel="icon" href="data:,";
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

/// A problem on a page.
pub(crate) struct Notice<'n> {
    pub(crate) message: &'n str,
    pub(crate) code: &'n str,
    /// Joins the page to its line in the log.
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

/// Returns the URL of a way to sign in, with the parameters of a link.
fn sign_in_url(url: String, link: &SignInLink) -> String {
    let query = link.query();
    if query.is_empty() { url } else { format!("{url}?{query}") }
}

/// The sign-in page: a button per provider and, if configured, the password form, which may be `open`.
pub(crate) fn sign_in(app: &App, link: &SignInLink, open: bool, notice: Option<&Notice<'_>>) -> Markup {
    let password = app.config.password.fallback;
    frame(
        app,
        "Sign in",
        &html! {
            @if let Some(notice) = notice { (notice.markup()) }
            ul.providers {
                @for provider in &app.providers {
                    @let href = sign_in_url(app.path(&format!("/login/{}", provider.config.id)), link);
                    li { a.button href=(href) { "Sign in with " (provider.config.display_name) } }
                }
            }
            @if password {
                details open[open] {
                    summary { "Sign in with a password" }
                    form method="post" action=(app.path("/login/password")) {
                        label for="username" { "Username" }
                        input #username name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="255";
                        label for="password" { "Password" }
                        input #password name="password" type="password" autocomplete="current-password" required maxlength="1024";
                        input type="hidden" name="return_to" value=(link.return_to);
                        button type="submit" { "Sign in" }
                    }
                }
            }
        },
    )
}

/// The front page: the signed-in user.
pub(crate) fn home(app: &App, user: &User, explanation: Option<&str>) -> Markup {
    frame(
        app,
        "Signed in",
        &html! {
            dl {
                dt { "Username" } dd #user { (user.username) }
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
                    summary { "How this was decided" }
                    pre #explanation { (explanation) }
                }
                // Only a demonstration explains, and its provider has a page.
                @for provider in &app.providers {
                    p { a href=(provider.config.issuer) { "Open the provider's page" } ", where you can end this session by a back-channel logout." }
                }
            }
        },
    )
}

/// The page after signing out. `by_provider`: the sign-in provider sent the browser here.
pub(crate) fn signed_out(app: &App, by_provider: bool) -> Markup {
    frame(
        app,
        "Signed out",
        &html! {
            @if by_provider {
                p #signed-out { "You are signed out." }
            } @else {
                p #signed-out { "You are signed out of this site. You may still be signed in at your sign-in provider: sign out there too if others use this browser." }
            }
            p { a.button href=(app.path("/login")) { "Sign in" } }
        },
    )
}

/// The page that asks before signing out: another site may have caused the request.
pub(crate) fn confirm_sign_out(app: &App) -> Markup {
    frame(
        app,
        "Sign out?",
        &html! {
            p { "You are about to sign out of this site." }
            form method="post" action=(app.path("/logout")) { button type="submit" { "Sign out" } }
            p { a href=(app.path("/")) { "Stay signed in" } }
        },
    )
}

/// The page that leads to the provider's logout. Not a redirect: the content security policy of the form
/// would then have to name every host that the provider may redirect through.
pub(crate) fn to_provider_logout(app: &App, address: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0;url=" (address) };
                title { "Signing out" }
                link rel="stylesheet" href=(app.server.public_url.join("/assets/claimgate.css"));
                link rel="icon" href="data:,";
            }
            body { main { h1 { "Signing out" } p { a #leave href=(address) { "Continue to the sign-in provider" } } } }
        }
    }
}

/// The page of a problem.
pub(crate) fn problem(app: &App, title: &str, notice: &Notice<'_>, return_to: &str) -> Markup {
    let can_retry = !notice.code.starts_with("request.");
    frame(
        app,
        title,
        &html! {
            (notice.markup())
            @if can_retry {
                @let again = SignInLink::returning_to(return_to);
                p { a.button href=(sign_in_url(app.path("/login"), &again)) { "Sign in again" } }
                @if app.config.password.fallback {
                    p { a href=(sign_in_url(app.path("/login/password"), &again)) { "Sign in with a password" } }
                }
            } @else {
                p { a.button href=(app.path("/")) { "Go to the front page" } }
            }
        },
    )
}

/// The page of an application whose proxy refuses the user. It is shown at the application's address, so
/// that every address in it is absolute.
pub(crate) fn no_access(
    app: &App,
    title: &str,
    notice: &Notice<'_>,
    user: Option<&str>,
    address: &str,
) -> Markup {
    let another = SignInLink { another_account: true, ..SignInLink::returning_to(address) };
    frame(
        app,
        title,
        &html! {
            @if let Some(user) = user { p { "You are signed in as " b #user { (user) } "." } }
            (notice.markup())
            @if user.is_some() { p {
                a.button #another href=(sign_in_url(app.server.public_url.join("/login"), &another)) { "Use another account" }
                " "
                a.button #sign-out href=(app.server.public_url.join("/logout")) { "Sign out" }
            } }
        },
    )
}

/// The page for a form that was sent to an application after the session had ended. It is shown at the
/// application's address.
pub(crate) fn session_ended(app: &App, notice: &Notice<'_>, address: &str) -> Markup {
    frame(
        app,
        "Your session has ended",
        &html! {
            p { "What you just sent did not reach the application. Go back to copy what you typed, or sign in and enter it again." }
            (notice.markup())
            p { a.button href=(sign_in_url(app.server.public_url.join("/login"), &SignInLink::returning_to(address))) { "Sign in" } }
        },
    )
}
