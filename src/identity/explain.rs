//! Why somebody got a username and teams, or did not: what each rule saw.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Identity, IdentityError};

/// How many of the rules that did not fire are listed.
const UNFIRED: usize = 200;

/// What a path found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Nothing, or null.
    Absent,
    /// An empty string.
    Empty,
    /// A usable string.
    Value(String),
    /// A string with control, invisible or bidirectional characters.
    UnsafeCharacters,
    /// These values.
    Values(Vec<Value>),
}

impl Seen {
    pub(super) fn values(values: &[&Value]) -> Self {
        if values.is_empty() { Seen::Absent } else { Seen::Values(values.iter().copied().cloned().collect()) }
    }
}

/// A team rule that matched a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fired {
    /// The rule's place in the list, from 0.
    pub rule: usize,
    /// The rule, as text.
    pub text: String,
    /// The group it matched.
    pub group: String,
    /// The teams it gave; none where a capture was empty or made no team name.
    pub teams: Vec<String>,
}

/// Why: for each rule what it saw, and the decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// The username's paths that were tried, in order; the last one decided.
    pub username: Vec<(String, Seen)>,
    /// Each profile field, its path and what that found.
    pub profile: Vec<(String, String, Seen)>,
    /// Each group path and what it found.
    pub groups: Vec<(String, Seen)>,
    /// Groups that can match nothing because of the characters they hold.
    pub dropped_groups: Vec<String>,
    /// The team rules that matched, in the order of the groups.
    pub fired: Vec<Fired>,
    /// The team rules that matched no group; of very many, the first two hundred.
    pub unfired: Vec<String>,
    /// How many team rules there are.
    pub team_rules: usize,
    /// The teams that everybody gets.
    pub default_teams: Vec<String>,
    /// The decision, if it is one.
    pub identity: Option<Identity>,
    /// The refusal's code, if it is one.
    pub code: Option<&'static str>,
    /// The refusal in words.
    pub message: Option<String>,
}

impl Explanation {
    pub(super) fn conclude(&mut self, decision: Result<Identity, IdentityError>) {
        match decision {
            Ok(identity) => self.identity = Some(identity),
            Err(error) => {
                self.code = Some(error.code());
                self.message = Some(error.to_string());
            }
        }
    }
}

/// Who watches a decision being made. What it sees is made only if it looks.
pub(super) trait Observer {
    fn username(&mut self, path: &str, seen: &dyn Fn() -> Seen);
    fn profile(&mut self, field: &str, path: &str, seen: &dyn Fn() -> Seen);
    fn groups(&mut self, path: &str, seen: &dyn Fn() -> Seen);
    fn dropped_group(&mut self, group: &str);
    fn team_rule(&mut self, fired: &dyn Fn() -> Fired);
    /// Called once, after the groups: all rules as texts, and the teams for everybody.
    fn team_rules(&mut self, rules: &mut dyn ExactSizeIterator<Item = &str>, default_teams: &[String]);
}

/// Nobody watches.
pub(super) struct Nobody;

impl Observer for Nobody {
    fn username(&mut self, _: &str, _: &dyn Fn() -> Seen) {}
    fn profile(&mut self, _: &str, _: &str, _: &dyn Fn() -> Seen) {}
    fn groups(&mut self, _: &str, _: &dyn Fn() -> Seen) {}
    fn dropped_group(&mut self, _: &str) {}
    fn team_rule(&mut self, _: &dyn Fn() -> Fired) {}
    fn team_rules(&mut self, _: &mut dyn ExactSizeIterator<Item = &str>, _: &[String]) {}
}

impl Observer for Explanation {
    fn username(&mut self, path: &str, seen: &dyn Fn() -> Seen) {
        self.username.push((path.to_owned(), seen()));
    }

    fn profile(&mut self, field: &str, path: &str, seen: &dyn Fn() -> Seen) {
        self.profile.push((field.to_owned(), path.to_owned(), seen()));
    }

    fn groups(&mut self, path: &str, seen: &dyn Fn() -> Seen) {
        self.groups.push((path.to_owned(), seen()));
    }

    fn dropped_group(&mut self, group: &str) {
        self.dropped_groups.push(group.to_owned());
    }

    fn team_rule(&mut self, fired: &dyn Fn() -> Fired) {
        self.fired.push(fired());
    }

    fn team_rules(&mut self, rules: &mut dyn ExactSizeIterator<Item = &str>, default_teams: &[String]) {
        self.team_rules = rules.len();
        let fired: BTreeSet<usize> = self.fired.iter().map(|fired| fired.rule).collect();
        let unfired = rules.enumerate().filter(|(rule, _)| !fired.contains(rule));
        self.unfired = unfired.take(UNFIRED).map(|(rule, text)| format!("rule {rule} ({text})")).collect();
        self.default_teams = default_teams.to_vec();
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Absent => f.write_str("absent"),
            Seen::Empty => f.write_str("empty, passed over"),
            Seen::Value(text) => write!(f, "{text:?}"),
            Seen::UnsafeCharacters => f.write_str("passed over: holds characters that no name may have"),
            Seen::Values(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                f.write_str(&values.join(", "))
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Some(identity) => {
                writeln!(f, "username  {:?}", identity.username)?;
                for (field, value) in &identity.profile {
                    writeln!(f, "profile   {field} = {value:?}")?;
                }
                for team in &identity.teams {
                    writeln!(f, "team      {team:?}")?;
                }
            }
            None => writeln!(
                f,
                "refused   {}: {}",
                self.code.unwrap_or_default(),
                self.message.as_deref().unwrap_or_default()
            )?,
        }
        writeln!(f, "\nwhy")?;
        for (path, seen) in &self.username {
            writeln!(f, "  username from {path}: {seen}")?;
        }
        for (field, path, seen) in &self.profile {
            writeln!(f, "  profile {field} from {path}: {seen}")?;
        }
        for (path, seen) in &self.groups {
            writeln!(f, "  groups from {path}: {seen}")?;
        }
        for group in &self.dropped_groups {
            writeln!(f, "  group {group:?}: holds characters that no name may have, matches nothing")?;
        }
        if !self.default_teams.is_empty() {
            writeln!(f, "  default teams: {:?}", self.default_teams)?;
        }
        for fired in &self.fired {
            writeln!(
                f,
                "  rule {} ({}) fired on {:?}: {:?}",
                fired.rule, fired.text, fired.group, fired.teams
            )?;
        }
        for rule in &self.unfired {
            writeln!(f, "  {rule} matched no group")?;
        }
        let fired: BTreeSet<usize> = self.fired.iter().map(|fired| fired.rule).collect();
        match self.team_rules.saturating_sub(fired.len() + self.unfired.len()) {
            0 => Ok(()),
            more => writeln!(f, "  {more} more rules matched no group"),
        }
    }
}
