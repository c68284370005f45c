//! The way into the console: a sign-in, then a fresh proof that opens the session of the administration.

use maud::{Markup, html};

use super::frame;
use crate::web::app::App;
use crate::web::page::Notice;
use crate::web::sign_in_link::SignInLink;
use claimgate::oidc::user::User;

/// Returns the page for a browser that another site sent here. Browsers send the cookie of the administration to a
/// page that this site led to alone, so that the browser goes on to the address itself.
pub(crate) fn arrival(app: &App, address: &str) -> Markup {
    let body = card(
        app,
        &html! {
            h1 { "Administration" }
            p { a.button href=(address) { "Open the console" } }
        },
    );
    frame::document(app, "Administration", Some(address), &body)
}

/// Returns the page for an administrator where the administration is not open. `elsewhere`: its address, where it is at
/// another host.
pub(crate) fn closed(app: &App, elsewhere: Option<&str>, notice: &Notice<'_>) -> Markup {
    let body = card(
        app,
        &html! {
            h1 { "Administration" }
            (frame::notice(notice))
            @if let Some(address) = elsewhere {
                p { "It is at " code { (address) } ", where you sign in once more." }
            }
            div.stack {
                @if let Some(address) = elsewhere { a.button #console href=(address) { "Open the console" } }
                a.button.quiet href=(app.path("/")) { "To the front page" }
            }
        },
    );
    frame::document(app, "Administration", None, &body)
}

/// Returns the page for a browser without a session of the administration. `user`: who is signed in. `address`: where
/// to go afterwards.
pub(crate) fn sign_in(app: &App, user: Option<&User>, address: &str, notice: Option<&Notice<'_>>) -> Markup {
    let by_provider = app.config.sign_in.allow_admins;
    let by_password = app.config.password.fallback;
    let providers = app.providers.iter().filter(|_| by_provider);
    let fresh = SignInLink { administration: true, ..SignInLink::returning_to(address) };
    let link = |path: &str, link: &SignInLink| format!("{}?{}", app.path(path), link.query());
    let body = card(
        app,
        &html! {
            h1 { "Administration" }
            @match user {
                Some(user) => p {
                    "You are signed in as " b #user { (user.username) } ". Confirm that it is you; the console then stays open for 15 minutes."
                },
                None => p { "Sign in as an administrator." },
            }
            @if let Some(notice) = notice { (frame::notice(notice)) }
            div.stack {
                @for (index, provider) in providers.enumerate() {
                    a.button.quiet[index > 0 || (by_password && user.is_some())] href=(link(&format!("/login/{}", provider.config.id), &fresh)) {
                        "Sign in with " (provider.config.display_name)
                    }
                }
                @if by_password && user.is_none() {
                    a.button.quiet[by_provider] href=(link("/login/password", &SignInLink::returning_to(address))) {
                        "Sign in with a password"
                    }
                }
            }
            @if by_password && user.is_some() { (password_form(app, address)) }
            @if !by_password && !by_provider {
                p { "No administrator can sign in: set " code { "allow_admins" } " in " code { "[sign_in]" } ", or use "
                    code { "claimgate user" } " on the server." }
            }
        },
    );
    frame::document(app, "Administration", None, &body)
}

fn password_form(app: &App, address: &str) -> Markup {
    html! {
        form.form method="post" action=(app.path("/admin/session")) {
            div.field {
                label for="password" { "Password" }
                input #password name="password" type="password" autocomplete="current-password" required maxlength="1024";
            }
            input type="hidden" name="return_to" value=(address);
            button type="submit" { "Confirm" }
        }
    }
}

fn card(app: &App, content: &Markup) -> Markup {
    html! { div.entry { main { (frame::brand(app)) (content) } } }
}
