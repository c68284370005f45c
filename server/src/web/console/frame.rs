//! What all pages of the console share: navigation, heading, style and script.

use std::path::Path;

use maud::{DOCTYPE, Markup, html};

use super::assets::{SCRIPT, STYLE};
use crate::web::app::App;
use crate::web::page::Notice;
use claimgate::time::UnixTime;
use claimgate_config::Config;

/// The pages in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Activity,
    Mapping,
    Applications,
    Providers,
    Users,
    Sessions,
    Teams,
}

impl Page {
    const ALL: [Page; 8] = [
        Page::Overview,
        Page::Activity,
        Page::Providers,
        Page::Mapping,
        Page::Applications,
        Page::Users,
        Page::Sessions,
        Page::Teams,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Page::Overview => "Overview",
            Page::Mapping => "Mapping",
            Page::Applications => "Applications",
            Page::Activity => "Activity",
            Page::Providers => "Providers",
            Page::Sessions => "Sessions",
            Page::Teams => "Teams",
            Page::Users => "Users",
        }
    }

    /// Returns its address below the path of `public_url`.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Page::Overview => "/admin",
            Page::Mapping => "/admin/mapping",
            Page::Applications => "/admin/applications",
            Page::Activity => "/admin/activity",
            Page::Providers => "/admin/providers",
            Page::Sessions => "/admin/sessions",
            Page::Teams => "/admin/teams",
            Page::Users => "/admin/users",
        }
    }

    fn icon(self) -> Icon {
        match self {
            Page::Overview => Icon::Overview,
            Page::Mapping => Icon::Mapping,
            Page::Applications => Icon::Applications,
            Page::Activity => Icon::Activity,
            Page::Providers => Icon::Providers,
            Page::Sessions => Icon::Sessions,
            Page::Teams => Icon::Teams,
            Page::Users => Icon::Users,
        }
    }
}

/// The pictures beside texts. They say nothing that the text does not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Icon {
    Overview,
    Mapping,
    Activity,
    Applications,
    Providers,
    Sessions,
    Teams,
    Users,
    Problem,
    Warning,
    Note,
    Done,
    Absent,
}

impl Icon {
    pub(crate) fn markup(self) -> Markup {
        let path = match self {
            Icon::Overview => "M4 4h7v9H4zM13 4h7v5h-7zM13 11h7v9h-7zM4 15h7v5H4z",
            Icon::Mapping => "M4 6h6M14 18h6M10 6c6 0 0 12 4 12M17 15l3 3-3 3",
            Icon::Activity => "M3 12h4l3-8 4 16 3-8h4",
            Icon::Providers => "M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8M11 12l9-9M16 7l3 3",
            Icon::Sessions => "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4.5l3 2",
            Icon::Teams => "M4 4h16v6H4zM4 14h7v6H4zM15 14h5v6h-5z",
            Icon::Applications => "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 17.5l2.2 2.2 4.3-4.7",
            Icon::Users => {
                "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M2.5 20c0-4 3-5.5 6.5-5.5s6.5 1.5 6.5 5.5M16 5.5a3 3 0 0 1 0 6M18 15c2.2.8 3.5 2.5 3.5 5"
            }
            Icon::Problem => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7.5v5M12 16v.01",
            Icon::Warning => "M12 4 2.5 20h19zM12 10v4.5M12 17v.01",
            Icon::Note => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 11v5M12 8v.01",
            Icon::Done => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M8 12l3 3 5-6",
            Icon::Absent => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M8 12h8",
        };
        html! { svg.icon viewBox="0 0 24 24" aria-hidden="true" { path d=(path) {} } }
    }
}

/// The heading of a page.
pub(crate) struct Heading<'h> {
    pub(crate) title: &'h str,
    /// What the page is for; empty where the title says it.
    pub(crate) lead: &'h str,
}

/// Who looks at a page.
pub(crate) struct Viewer<'v> {
    pub(crate) username: &'v str,
    /// When the session of the administration ends.
    pub(crate) ends: UnixTime,
}

/// Returns a page with the navigation.
pub(crate) fn page(
    app: &App,
    viewer: &Viewer<'_>,
    page: Page,
    heading: &Heading<'_>,
    body: &Markup,
) -> Markup {
    document(
        app,
        heading.title,
        None,
        &html! {
            a.skip href="#main" { "Skip to the content" }
            div.layout {
                header.side {
                    (brand(app))
                    nav aria-label="Administration" {
                        ul {
                            @for other in Page::ALL {
                                li {
                                    a href=(app.path(other.path())) aria-current=[(other == page).then_some("page")] {
                                        (other.icon().markup()) (other.name())
                                    }
                                }
                            }
                        }
                    }
                    div.who {
                        span { span.muted { "Signed in as " } b #viewer { (viewer.username) } }
                        span.muted { "until " (clock(viewer.ends)) }
                        form method="post" action=(app.path("/admin/session/end")) {
                            button.quiet.small type="submit" { "Leave administration" }
                        }
                    }
                }
                main.page #main tabindex="-1" {
                    div.head { h1 { (heading.title) } @if !heading.lead.is_empty() { p { (heading.lead) } } }
                    (body)
                }
            }
        },
    )
}

/// Returns a problem, with its code and the reference of its line in the log.
pub(crate) fn notice(notice: &Notice<'_>) -> Markup {
    html! {
        div.notice.problem role="alert" {
            p { (prose(notice.message)) }
            p.small { "Error " code #code { (notice.code) } ", reference " code #reference { (notice.reference) } }
        }
    }
}

/// Returns the name of the program, with its mark.
pub(crate) fn brand(app: &App) -> Markup {
    html! { a.brand href=(app.path("/admin")) { span.mark aria-hidden="true" { "C" } span { "Claimgate" } } }
}

/// Returns a document. `refresh` is an address that the browser goes to at once.
pub(crate) fn document(app: &App, title: &str, refresh: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if let Some(address) = refresh { meta http-equiv="refresh" content={ "0;url=" (address) }; }
                title { (title) " – Claimgate" }
                link rel="stylesheet" href=(app.path(&STYLE.path));
                link rel="icon" href="data:,";
                script src=(app.path(&SCRIPT.path)) defer {}
            }
            body { (body) }
        }
    }
}

/// Returns where a setting stands in the configuration file, such as `claimgate.toml:12`; nothing where it does not.
pub(crate) fn place(app: &App, setting: &str) -> Markup {
    place_in(&app.config, setting)
}

/// Returns where a setting stands in the file of a configuration; nothing where it does not.
pub(crate) fn place_in(config: &Config, setting: &str) -> Markup {
    html! {
        @if let Some(place) = config.places.get(setting) {
            (file_line(&place.file, place.position.line))
        }
    }
}

/// Returns a line of a file; the folder shows when it is pointed at.
pub(crate) fn file_line(file: &str, line: usize) -> Markup {
    let name = Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy());
    html! { span.place title=(file) { code { (name) ":" (line) } } }
}

/// Returns a text in which names stand between backticks.
pub(crate) fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Returns the name of the provider by which a person signed in, or "password".
pub(crate) fn way_in<'a>(app: &'a App, issuer: Option<&'a str>) -> &'a str {
    match issuer {
        Some(issuer) => {
            app.provider_of_issuer(issuer).map_or(issuer, |provider| &provider.config.display_name)
        }
        None => "password",
    }
}

/// Returns a text with a capital at the beginning.
pub(crate) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(char::to_uppercase).into_iter().flatten().chain(characters).collect()
}

/// Returns the time of day of an instant, by the server's calendar.
fn clock(at: UnixTime) -> Markup {
    let seconds = at.0.rem_euclid(86_400);
    html! { time { (format!("{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60)) } }
}

/// Returns a duration in words, such as "5 minutes".
pub(crate) fn duration(seconds: i64) -> String {
    let (number, noun) = match seconds {
        ..60 => (seconds.max(0), "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        let of = [-5, 1, 59, 60, 7_199, 172_799, 172_800].map(duration);
        assert_eq!(of, ["0 seconds", "1 second", "59 seconds", "1 minute", "1 hour", "47 hours", "2 days"]);
    }
}
