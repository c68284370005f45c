//! The pages of the development provider.

use maud::{DOCTYPE, Markup, html};

use super::people::PEOPLE;
use super::state::OpState;
use crate::web::appearance;

/// The style sheet: the server's own, with a colour that tells this provider from it.
pub(super) fn style() -> String {
    format!("{}{}", appearance::STYLE, COLORS)
}

const COLORS: &str = "
:root { --accent: #7a4b00; --on-accent: #ffffff; --link: #7a4b00; }
@media (prefers-color-scheme: dark) { :root { --accent: #f3c566; --on-accent: #000000; --link: #f3c566; } }
";

fn frame(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Development provider" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="data:,";
            }
            body {
                header.brand { span.mark aria-hidden="true" { "D" } span { "Development provider" } }
                main.wide {
                    p.note role="note" { "Development provider without passwords: anyone can sign in as anyone." }
                    h1 { (title) }
                    (body)
                }
            }
        }
    }
}

pub(super) fn choose(query: &str) -> Markup {
    frame(
        "Choose a person to sign in as",
        &html! {
            form method="post" action="/choose" {
                input type="hidden" name="query" value=(query);
                ul.rows {
                    @for person in &PEOPLE {
                        li {
                            p { b { (person.given_name) " " (person.family_name) } br; span.small { (person.about) } }
                            button name="person" value=(person.sub) { "Sign in as " (person.given_name) }
                        }
                    }
                }
                button.danger name="person" value="deny" { "Deny" }
            }
        },
    )
}

pub(super) struct Sent<'s> {
    pub(super) uri: &'s str,
    pub(super) token: &'s str,
    pub(super) claims: &'s str,
    pub(super) answer: &'s str,
}

pub(super) fn overview(state: &OpState, site: &str, sent: Option<&Sent<'_>>) -> Markup {
    let name =
        |sub: &str| PEOPLE.iter().find(|person| person.sub == sub).map_or("", |person| person.given_name);
    frame(
        "Sessions at the provider",
        &html! {
            @if let Some(sent) = sent {
                p role="status" { "A logout token was sent to " (sent.uri) ". The answer: " strong #answer { (sent.answer) } }
                pre { (sent.claims) }
                details { summary { "The token" } pre { (sent.token) } }
            }
            p { a href=(site) { "Back to the site" } ", which shows who is signed in there." }
            @if state.sessions.is_empty() {
                p.small { "No one is signed in." }
            }
            ul.rows {
                @for session in state.sessions.values() {
                    li {
                        p { b { (name(&session.sub)) } br; span.small { "session " code { (short(&session.sid)) } } }
                        div {
                            form method="post" action="/log-out" {
                                input type="hidden" name="sub" value=(session.sub);
                                input type="hidden" name="sid" value=(session.sid);
                                button.quiet { "End this session by back-channel logout (sid)" }
                            }
                            form method="post" action="/log-out" {
                                input type="hidden" name="sub" value=(session.sub);
                                button.quiet { "End all sessions of this person by back-channel logout (sub)" }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// Returns the beginning of an identifier, by which people tell it from others.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

pub(super) fn bad_request(reason: &str) -> Markup {
    frame("The request was refused", &html! { p { (reason) } })
}
