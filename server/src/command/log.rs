//! `claimgate log`: the events that the server and the commands have recorded.

use std::time::Duration;

use clap::ValueEnum;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::database::{DatabaseArguments, OpenDatabase, open};
use crate::command::output::{self, Failure, Format};
use crate::store::{EventKind, EventQuery, ListedEvent, MAX_PAGE, PageOrder};
use crate::system;

/// Interval between questions for new events.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate log --since 2h\n  \
    claimgate log --user ada --kind sign_in,refusal,logout\n  \
    claimgate log --kind administration --since 2026-01-01T00:00:00Z \\\n    --limit 5000 --format json\n  \
    claimgate log --follow --provider keycloak\n\n\
    Prints the newest events, up to --limit, the oldest of them first. A refusal or a logout is there within a \
    second. A server under attack counts what it does not record one by one: see `dropped`.\n\
    Exit codes: 0 printed, also where there are none, 2 wrong usage or an unreadable database.")]
pub(crate) struct Arguments {
    /// Print further events as they happen, until the command is stopped
    #[arg(long)]
    follow: bool,
    /// Only events about this user, or changes that this administrator made
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only events of this provider, by its `id` in the configuration
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Only events since this time: a time as in RFC 3339, or so long ago, such as 30m, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    since: Option<i64>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = time_of, conflicts_with = "follow")]
    until: Option<i64>,
    /// Only events of these kinds, separated by commas
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    kind: Vec<Kind>,
    /// Most events to print, of those that there are already
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    limit: u32,
    /// Output format: one line for each event, or one JSON object on a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    /// A person has signed in
    SignIn,
    /// A sign-in was refused, or failed
    Refusal,
    /// A request to an application was refused
    AccessRefusal,
    /// A person has signed out, or the provider has ended sessions
    Logout,
    /// An administrator has changed something
    Administration,
}

impl From<Kind> for EventKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::SignIn => EventKind::SignIn,
            Kind::Refusal => EventKind::Refusal,
            Kind::AccessRefusal => EventKind::AccessRefusal,
            Kind::Logout => EventKind::Logout,
            Kind::Administration => EventKind::Administration,
        }
    }
}

/// Parses a time, or a duration until now. Returns microseconds since 1970.
fn time_of(text: &str) -> Result<i64, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return i64::try_from(time.unix_timestamp_nanos() / 1_000).map_err(|error| error.to_string());
    }
    let seconds = claimgate_config::seconds(text);
    let seconds =
        seconds.map_err(|_| "give a time such as 2026-01-31T08:00:00Z, or 30m, 2h or 7d".to_owned())?;
    let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    Ok(system::micros().saturating_sub(micros))
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let store = open(&self.database.config)?;
        // Before the list: what comes meanwhile is in it, or follows it.
        let newest = store.list_events(EventQuery { limit: 1, ..EventQuery::default() })?;
        let events = self.newest(&store)?;
        self.print(&events)?;
        let known = newest.iter().chain(events.last()).map(|event| event.id).max();
        if self.follow { self.follow(&store, known.map_or(0, |known| known + 1)) } else { Ok(()) }
    }

    fn query(&self) -> EventQuery {
        EventQuery {
            kinds: self.kind.iter().map(|kind| (*kind).into()).collect(),
            user: self.user.clone(),
            provider: self.provider.clone(),
            from: self.since,
            before: self.until,
            order: PageOrder::NewestFirst,
            limit: MAX_PAGE,
        }
    }

    /// Returns the newest events, page by page, the oldest first.
    fn newest(&self, store: &OpenDatabase) -> Result<Vec<ListedEvent>, Failure> {
        let mut query = self.query();
        let mut events: Vec<ListedEvent> = Vec::new();
        loop {
            let wanted = self.limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
            query.limit = wanted.min(MAX_PAGE);
            let page = store.list_events(query.clone())?;
            let is_last = page.len() < usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
            query.before = page.last().map(|oldest| oldest.id);
            events.extend(page);
            if is_last {
                events.reverse();
                return Ok(events);
            }
        }
    }

    /// Prints the events that are recorded from now on.
    fn follow(&self, store: &OpenDatabase, mut next: i64) -> Result<(), Failure> {
        let mut query = EventQuery { order: PageOrder::OldestFirst, ..self.query() };
        loop {
            query.from = Some(next);
            let events = store.list_events(query.clone())?;
            self.print(&events)?;
            match events.last() {
                Some(newest) => next = newest.id + 1,
                None => std::thread::sleep(FOLLOW_INTERVAL),
            }
        }
    }

    fn print(&self, events: &[ListedEvent]) -> Result<(), Failure> {
        let lines = events.iter().map(|event| match self.format {
            Format::Json => {
                let json = serde_json::to_string(event).expect("texts and numbers are JSON");
                format!("{}\n", output::escaped(&json))
            }
            Format::Text => line(event),
        });
        let text: String = lines.collect();
        if text.is_empty() { Ok(()) } else { output::text(&text) }
    }
}

/// Returns the line of an event: its time, its kind, and what is known, each with its name.
fn line(event: &ListedEvent) -> String {
    let mut line = format!("{}  {}", event.time(), event.kind.name());
    for (name, value) in event.members() {
        line.push_str(&format!("  {name}={}", word(value)));
    }
    if event.count != 1 {
        line.push_str(&format!("  count={}", event.count));
    }
    line.push('\n');
    line
}

/// Returns a text as one word: in quotes if it has a space or a quote, with its unsafe characters escaped.
fn word(text: &str) -> String {
    let is_plain = |character: char| character != ' ' && character != '"' && character != '\\';
    let shown = output::one_line(text);
    if !text.is_empty() && text.chars().all(is_plain) {
        return shown;
    }
    format!("\"{}\"", shown.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_token_steers_no_terminal() {
        assert_eq!(word("ada"), "ada");
        assert_eq!(word("Ada \"L\""), "\"Ada \\\"L\\\"\"");
        assert_eq!(word("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}d");
    }

    #[test]
    fn a_time_is_one_of_rfc_3339_or_so_long_ago() {
        assert_eq!(time_of("1970-01-01T00:00:01.5Z"), Ok(1_500_000));
        assert_eq!(time_of("1970-01-01T01:00:00+01:00"), Ok(0));
        let before = system::micros() - 7_200_000_000;
        let two_hours_ago = time_of("2h").expect("a duration");
        assert!((before..before + 60_000_000).contains(&two_hours_ago), "{two_hours_ago}, {before}");
        assert!(time_of("yesterday").is_err());
    }
}
