//! The pages of a user who is signed in: the front page and the account with its sessions.

use maud::{Markup, html};

use super::own_sessions::OwnSessions;
use super::page::{Content, View};
use super::texts::{Texts, fill};
use crate::store::ListedSession;
use claimgate::oidc::user::User;
use claimgate::time::UnixTime;

/// What has just been done on the page of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    EndedOne,
    EndedOthers,
}

/// The front page: the signed-in user.
pub(crate) fn home(view: &View<'_>, user: &User, explanation: Option<&str>) -> Markup {
    let (app, texts) = (view.app, view.texts());
    let body = html! {
        (person(view, user, None))
        div.actions {
            form method="post" action=(app.path("/logout")) { button type="submit" { (texts.sign_out) } }
            a.button.quiet href=(app.path("/me")) { (texts.account) }
        }
        @if let Some(explanation) = explanation {
            details open {
                summary { (texts.how_decided) }
                pre #explanation { (explanation) }
            }
            // Only a demonstration explains, and its provider has a page.
            @for provider in &app.providers {
                p { a href=(provider.config.issuer) { (texts.open_provider) } ". " (texts.open_provider_explained) }
            }
        }
    };
    let content = Content::new(texts.signed_in, body);
    Content { is_wide: explanation.is_some(), ..content }.framed(view)
}

/// Returns who a user is and, of a session, how it was opened.
fn person(view: &View<'_>, user: &User, session: Option<&ListedSession>) -> Markup {
    let texts = view.texts();
    html! {
        dl {
            dt { (texts.username) } dd #user { (user.username) }
            dt { (texts.name) } dd { (user.display_name()) }
            @if let Some(email) = user.email() { dt { (texts.email) } dd #email { (email) } }
            dt { (texts.teams) }
            dd #teams {
                @if user.teams.is_empty() { (texts.no_teams) }
                @for team in user.teams.keys() { span.team { (team) } " " }
            }
            @if let Some(session) = session { dt { (texts.how_signed_in) } dd #method { (method(view, session)) } }
        }
    }
}

/// The page of the account: the user, how the user signed in, and the user's sessions, each of which can be ended.
pub(crate) fn account(view: &View<'_>, own: &OwnSessions, done: Option<Done>, now: UnixTime) -> Markup {
    let (app, texts) = (view.app, view.texts());
    let others = own.sessions.iter().any(|session| !own.is_current(session));
    let body = html! {
        (person(view, &own.user, own.sessions.iter().find(|session| own.is_current(session))))
        div.actions {
            form method="post" action=(app.path("/logout")) { button type="submit" { (texts.sign_out) } }
            a.button.quiet href=(app.path("/")) { (texts.to_front_page) }
        }
        section aria-labelledby="sessions" {
            h2 #sessions { (texts.sessions) }
            @match done {
                Some(Done::EndedOne) => p.done role="status" { (texts.session_ended_here) },
                Some(Done::EndedOthers) => p.done role="status" { (texts.other_sessions_ended) },
                None => {},
            }
            p.small { (texts.sessions_explained) }
            ul.rows {
                @for session in &own.sessions { (entry(view, own, session, now)) }
            }
            @if others {
                form method="post" action=(app.path("/me/sessions/end-others")) {
                    button.danger type="submit" { (texts.end_other_sessions) }
                }
            }
        }
    };
    Content { is_wide: true, ..Content::new(texts.your_account, body) }.framed(view)
}

/// Returns one session of the list.
fn entry(view: &View<'_>, own: &OwnSessions, session: &ListedSession, now: UnixTime) -> Markup {
    let texts = view.texts();
    let begun = duration(texts, now.0.saturating_sub(session.created));
    let ends = duration(texts, session.expires.saturating_sub(now.0));
    let is_current = own.is_current(session);
    html! {
        li {
            p {
                b { (method(view, session)) }
                @if is_current { span.badge #current { (texts.session_this) } }
                br;
                span.small {
                    span title=(date(session.created)) { (fill(texts.session_begun, &[("time", &begun)])) }
                    " · "
                    span title=(date(session.expires)) { (fill(texts.session_ends, &[("time", &ends)])) }
                }
            }
            @if !is_current {
                form method="post" action=(view.app.path(&format!("/me/sessions/{}/end", session.id))) {
                    button.danger type="submit" { (texts.end_session) }
                }
            }
        }
    }
}

/// Returns how a session was opened: the provider's name, or the password.
fn method<'a>(view: &View<'a>, session: &'a ListedSession) -> &'a str {
    let Some(issuer) = &session.issuer else { return view.texts().password };
    view.app.provider_of_issuer(issuer).map_or(issuer, |provider| &provider.config.display_name)
}

/// Returns a duration, rounded to one unit, at least a minute.
fn duration(texts: &Texts, seconds: i64) -> String {
    let minutes = (seconds / 60).max(1);
    let (unit, number) = match minutes {
        0..60 => (texts.minutes, minutes),
        60..2_880 => (texts.hours, (minutes + 30) / 60),
        _ => (texts.days, (minutes + 720) / 1_440),
    };
    fill(unit, &[("n", &number.to_string())]).into_owned()
}

/// Returns a time to the minute.
fn date(seconds: i64) -> String {
    let Ok(at) = time::OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    let (month, day) = (u8::from(at.month()), at.day());
    format!("{:04}-{month:02}-{day:02} {:02}:{:02} UTC", at.year(), at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    #[test]
    fn a_duration_has_one_unit() {
        let texts = Language::French.texts();
        for (seconds, text) in [
            (-5, "1 min"),
            (59, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (2 * 86_400 - 1, "48 h"),
            (2 * 86_400, "2 jours"),
        ] {
            assert_eq!(duration(texts, seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_time_is_shown_to_the_minute() {
        assert_eq!(date(1_800_000_059), "2027-01-15 08:00 UTC");
        assert_eq!(date(i64::MAX), "");
    }
}
