//! The pages of the development provider.

use maud::{DOCTYPE, Markup, html};

use super::people::PEOPLE;
use super::state::OpState;

pub(super) const STYLE: &str = "
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 6vh auto; padding: 0 1rem; background: #fffbe6; color: #222; }
.warning { background: #7a4b00; color: #fff; padding: .5rem .8rem; border-radius: .3rem; }
button { font: inherit; padding: .4rem .8rem; margin: .15rem; cursor: pointer; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .3rem .6rem .3rem 0; vertical-align: middle; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #fff; padding: .6rem; }
";

fn frame(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " (development provider)" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                p.warning role="note" { "Development provider without passwords: anyone can sign in as anyone." }
                h1 { (title) }
                (body)
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
                table {
                    @for person in &PEOPLE {
                        tr {
                            td { button name="person" value=(person.sub) { (person.given_name) } }
                            td { (person.about) }
                        }
                    }
                }
                p { button name="person" value="deny" { "Deny" } }
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
            @if state.sessions.is_empty() {
                p { "No one is signed in." }
            }
            p { a href=(site) { "Back to the site" } ", which shows who is signed in there." }
            table {
                @for session in state.sessions.values() {
                    tr {
                        td { (name(&session.sub)) }
                        td {
                            form method="post" action="/log-out" {
                                input type="hidden" name="sub" value=(session.sub);
                                input type="hidden" name="sid" value=(session.sid);
                                button { "End this session by back-channel logout (sid)" }
                            }
                            form method="post" action="/log-out" {
                                input type="hidden" name="sub" value=(session.sub);
                                button { "End all sessions of this person by back-channel logout (sub)" }
                            }
                        }
                    }
                }
            }
        },
    )
}

pub(super) fn bad_request(reason: &str) -> Markup {
    frame("The request was refused", &html! { p { (reason) } })
}
