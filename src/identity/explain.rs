//! The explanation of a mapping decision: what each rule found.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Identity, IdentityError};

/// The number of unmatched rules listed.
const UNFIRED: usize = 200;
/// The number of matches listed.
const FIRED: usize = 1_000;
/// Most values, at all depths together, that a path is shown to have selected.
const VALUES: usize = 1_000;
/// Most bytes of their texts and names.
const VALUE_BYTES: usize = 16 * 1024;

/// The values that a path selected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "seen", content = "value", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Seen {
    /// None, or null.
    Absent,
    /// An empty string.
    Empty,
    /// A usable string.
    Value(String),
    /// A string with control, invisible or bidirectional characters.
    UnsafeCharacters,
    /// Other values.
    Values(Vec<Value>),
    /// Other values, too many or too long to be shown.
    Many {
        /// How many the path selected.
        selected: usize,
    },
    /// None, and the provider says by another claim that it left them out.
    LeftOut {
        /// The claim that says so.
        marker: &'static str,
    },
}

impl Seen {
    pub(super) fn values(values: &[&Value]) -> Self {
        let mut left = Room { values: VALUES, bytes: VALUE_BYTES };
        match values {
            [] => Seen::Absent,
            values if values.iter().all(|value| left.takes(value)) => {
                Seen::Values(values.iter().copied().cloned().collect())
            }
            values => Seen::Many { selected: values.len() },
        }
    }
}

/// What is left for values that are shown.
struct Room {
    values: usize,
    bytes: usize,
}

impl Room {
    /// Takes the room of a value. Returns `false` if there is not enough.
    fn takes(&mut self, value: &Value) -> bool {
        self.take(1, if let Value::String(text) = value { text.len() } else { 0 })
            && match value {
                Value::Array(elements) => elements.iter().all(|element| self.takes(element)),
                Value::Object(members) => {
                    members.iter().all(|(name, member)| self.take(0, name.len()) && self.takes(member))
                }
                _ => true,
            }
    }

    fn take(&mut self, values: usize, bytes: usize) -> bool {
        let left = self.values.checked_sub(values).zip(self.bytes.checked_sub(bytes));
        left.map(|(values, bytes)| *self = Self { values, bytes }).is_some()
    }
}

/// A path and the values that it selected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PathTrace {
    /// The path.
    pub path: String,
    /// The values: in JSON the members `seen`, which says what they are, and `value`.
    #[serde(flatten)]
    pub seen: Seen,
}

/// A profile field, its path and the values that the path selected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FieldTrace {
    /// The field.
    pub field: String,
    /// The path.
    pub path: String,
    /// The values: in JSON the members `seen`, which says what they are, and `value`.
    #[serde(flatten)]
    pub seen: Seen,
}

/// A team rule that matched a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FiredRule {
    /// The rule's number in the list, from 1.
    pub rule: usize,
    /// The rule, as text.
    pub text: String,
    /// The group it matched; empty for a rule with `all` or `any` alone.
    pub group: String,
    /// The teams it gave; none if a capture was empty or the result is not a team name.
    pub teams: Vec<String>,
}

/// A team rule that matched no group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnfiredRule {
    /// The rule's number in the list, from 1.
    pub rule: usize,
    /// The rule, as text.
    pub text: String,
}

/// A decision, and what each rule found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The username's paths that were tried, in order; the last one decided.
    pub username: Vec<PathTrace>,
    /// `email_verified`, where the mapping looks at it.
    pub email_verified: Option<Seen>,
    /// The name that `username_regex` looked at, and the one that it made.
    pub rewritten: Option<(String, String)>,
    /// The profile fields.
    pub profile: Vec<FieldTrace>,
    /// The group paths.
    pub groups: Vec<PathTrace>,
    /// The group of `admin_groups` that the person is in.
    pub admin_group: Option<String>,
    /// The groups that make administrators.
    pub admin_groups: Vec<String>,
    /// Groups that match no rule because of the characters they contain.
    pub dropped_groups: Vec<String>,
    /// The team rules that matched, in the order of the groups, at most the first thousand matches.
    pub fired: Vec<FiredRule>,
    /// The number of further matches.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_fired: usize,
    /// The team rules that matched no group, at most the first two hundred.
    pub unfired: Vec<UnfiredRule>,
    /// The number of team rules.
    pub team_rules: usize,
    /// The teams of every user.
    pub default_teams: Vec<String>,
    /// The identity, unless it was refused.
    pub identity: Option<Identity>,
    /// The code of the refusal.
    pub code: Option<&'static str>,
    /// The text of the refusal.
    pub message: Option<String>,
    #[serde(skip)]
    refusal: Option<IdentityError>,
    /// The numbers of all rules that matched.
    #[serde(skip)]
    fired_rules: BTreeSet<usize>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Explanation {
    pub(super) fn conclude(&mut self, decision: Result<Identity, IdentityError>) {
        match decision {
            Ok(identity) => self.identity = Some(identity),
            Err(error) => {
                self.code = Some(error.code());
                self.message = Some(error.to_string());
                self.refusal = Some(error);
            }
        }
    }

    /// Returns the explanation as text, with `place` of its number after each rule: where the rule stands in a file.
    ///
    /// ```
    /// use claimgate::identity::Explanation;
    ///
    /// fn print(explanation: &Explanation, lines: &[usize]) {
    ///     let place = |rule: usize| lines.get(rule - 1).map(|line| format!("mapping.toml:{line}"));
    ///     println!("{}", explanation.with_places(&place));
    /// }
    /// ```
    pub fn with_places<'e>(
        &'e self,
        place: &'e dyn Fn(usize) -> Option<String>,
    ) -> impl fmt::Display + use<'e> {
        Placed { explanation: self, place }
    }

    /// Returns the decision, the same that [`Mapping::identify`](super::Mapping::identify) makes.
    ///
    /// ```
    /// use claimgate::identity::{Explanation, IdentityError};
    ///
    /// fn username(explanation: &Explanation) -> Result<&str, IdentityError> {
    ///     Ok(&explanation.decision()?.username)
    /// }
    /// ```
    ///
    /// # Errors
    /// The [`IdentityError`] of the refusal.
    pub fn decision(&self) -> Result<&Identity, IdentityError> {
        match (&self.identity, &self.refusal) {
            (Some(identity), _) => Ok(identity),
            (None, Some(error)) => Err(error.clone()),
            // The value of `Explanation::default`, which nothing was decided for.
            (None, None) => Err(IdentityError::NoUsername),
        }
    }
}

/// An observer of a decision. The values are built only if it calls `seen`.
pub(super) trait Observer {
    fn username(&mut self, path: &str, seen: &dyn Fn() -> Seen);
    fn email_verified(&mut self, seen: &dyn Fn() -> Seen);
    fn profile(&mut self, field: &str, path: &str, seen: &dyn Fn() -> Seen);
    fn groups(&mut self, path: &str, seen: &dyn Fn() -> Seen);
    fn rewritten(&mut self, from: &str, to: &str);
    fn admin_groups(&mut self, groups: &[String], found: Option<&str>);
    fn dropped_group(&mut self, group: &str);
    fn team_rule(&mut self, rule: usize, fired: &dyn Fn() -> FiredRule);
    /// Is called once, after the groups, with the texts of all rules and the teams of every user.
    fn team_rules(&mut self, rules: &mut dyn ExactSizeIterator<Item = &str>, default_teams: &[String]);
}

/// The observer that ignores everything.
pub(super) struct Unobserved;

impl Observer for Unobserved {
    fn username(&mut self, _: &str, _: &dyn Fn() -> Seen) {}
    fn email_verified(&mut self, _: &dyn Fn() -> Seen) {}
    fn profile(&mut self, _: &str, _: &str, _: &dyn Fn() -> Seen) {}
    fn groups(&mut self, _: &str, _: &dyn Fn() -> Seen) {}
    fn rewritten(&mut self, _: &str, _: &str) {}
    fn admin_groups(&mut self, _: &[String], _: Option<&str>) {}
    fn dropped_group(&mut self, _: &str) {}
    fn team_rule(&mut self, _: usize, _: &dyn Fn() -> FiredRule) {}
    fn team_rules(&mut self, _: &mut dyn ExactSizeIterator<Item = &str>, _: &[String]) {}
}

impl Observer for Explanation {
    fn username(&mut self, path: &str, seen: &dyn Fn() -> Seen) {
        self.username.push(PathTrace { path: path.to_owned(), seen: seen() });
    }

    fn email_verified(&mut self, seen: &dyn Fn() -> Seen) {
        self.email_verified = Some(seen());
    }

    fn profile(&mut self, field: &str, path: &str, seen: &dyn Fn() -> Seen) {
        self.profile.push(FieldTrace { field: field.to_owned(), path: path.to_owned(), seen: seen() });
    }

    fn groups(&mut self, path: &str, seen: &dyn Fn() -> Seen) {
        self.groups.push(PathTrace { path: path.to_owned(), seen: seen() });
    }

    fn rewritten(&mut self, from: &str, to: &str) {
        self.rewritten = Some((from.to_owned(), to.to_owned()));
    }

    fn admin_groups(&mut self, groups: &[String], found: Option<&str>) {
        self.admin_group = found.map(str::to_owned);
        self.admin_groups = groups.to_vec();
    }

    fn dropped_group(&mut self, group: &str) {
        self.dropped_groups.push(group.to_owned());
    }

    fn team_rule(&mut self, rule: usize, fired: &dyn Fn() -> FiredRule) {
        self.fired_rules.insert(rule);
        match self.fired.len() {
            0..FIRED => self.fired.push(fired()),
            _ => self.more_fired += 1,
        }
    }

    fn team_rules(&mut self, rules: &mut dyn ExactSizeIterator<Item = &str>, default_teams: &[String]) {
        self.team_rules = rules.len();
        let unfired = (1..).zip(rules).filter(|(rule, _)| !self.fired_rules.contains(rule));
        let unfired = unfired.map(|(rule, text)| UnfiredRule { rule, text: text.to_owned() });
        self.unfired = unfired.take(UNFIRED).collect();
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
            Seen::LeftOut { marker } => {
                write!(f, "left out by the provider, which says so by `{marker}`: a sign-in keeps the teams")
            }
            Seen::Many { selected: 1 } => f.write_str("one value, too long to be shown"),
            Seen::Many { selected } => write!(f, "{selected} values, too many or too long to be shown"),
            Seen::Values(held) => {
                let values: Vec<String> = held.iter().map(Value::to_string).collect();
                f.write_str(&values.join(", "))?;
                let is_null = |value: &Value| match value {
                    Value::Array(elements) => elements.iter().any(Value::is_null),
                    value => value.is_null(),
                };
                if held.iter().any(is_null) { f.write_str(" (null is passed over)") } else { Ok(()) }
            }
        }
    }
}

impl Explanation {
    fn fmt_decision(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(identity) = &self.identity else {
            let message = self.message.as_deref().unwrap_or_default();
            return writeln!(f, "refused   {}: {message}", self.code.unwrap_or_default());
        };
        writeln!(f, "username  {:?}", identity.username)?;
        for (field, value) in &identity.profile {
            writeln!(f, "profile   {field} = {value:?}")?;
        }
        match identity.is_admin {
            Some(true) => writeln!(f, "kind      admin")?,
            Some(false) => writeln!(f, "kind      regular")?,
            None => {}
        }
        for team in &identity.teams {
            writeln!(f, "team      {team:?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Placed { explanation: self, place: &|_| None }.fmt(f)
    }
}

/// An explanation, and where its rules stand.
struct Placed<'e> {
    explanation: &'e Explanation,
    place: &'e dyn Fn(usize) -> Option<String>,
}

impl fmt::Display for Placed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.explanation.fmt_decision(f)?;
        writeln!(f, "\nwhy")?;
        self.explanation.fmt_values(f)?;
        self.fmt_rules(f)
    }
}

impl Placed<'_> {
    fn fmt_rules(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { fired, more_fired, fired_rules, unfired, team_rules, .. } = self.explanation;
        let place = |rule| (self.place)(rule).map(|place| format!(", {place}")).unwrap_or_default();
        for FiredRule { rule, text, group, teams } in fired {
            let on = if group.is_empty() { String::new() } else { format!(" on {group:?}") };
            writeln!(f, "  rule {rule} ({text}) fired{on}: {teams:?}{}", place(*rule))?;
        }
        if *more_fired > 0 {
            writeln!(f, "  {more_fired} more matches of rules and groups")?;
        }
        for UnfiredRule { rule, text } in unfired {
            writeln!(f, "  rule {rule} ({text}) matched no group{}", place(*rule))?;
        }
        match team_rules.saturating_sub(fired_rules.len() + unfired.len()) {
            0 => Ok(()),
            more => writeln!(f, "  {more} more rules matched no group"),
        }
    }
}

impl Explanation {
    /// Writes what the paths selected.
    fn fmt_values(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PathTrace { path, seen } in &self.username {
            writeln!(f, "  username from {path}: {seen}")?;
        }
        if let Some((from, to)) = &self.rewritten {
            writeln!(f, "  username_regex makes of {from:?}: {to:?}")?;
        }
        if let Some(seen) = &self.email_verified {
            writeln!(f, "  email_verified: {seen}")?;
        }
        for FieldTrace { field, path, seen } in &self.profile {
            writeln!(f, "  profile {field} from {path}: {seen}")?;
        }
        for PathTrace { path, seen } in &self.groups {
            writeln!(f, "  groups from {path}: {seen}")?;
        }
        for group in &self.dropped_groups {
            writeln!(f, "  group {group:?}: holds characters that no name may have, matches nothing")?;
        }
        match (&self.admin_group, self.admin_groups.as_slice()) {
            (Some(group), _) => writeln!(f, "  kind admin by the group {group:?}")?,
            (None, []) => {}
            (None, groups) => writeln!(f, "  admin_groups: the person is in none of {groups:?}")?,
        }
        if !self.default_teams.is_empty() {
            writeln!(f, "  default teams: {:?}", self.default_teams)?;
        }
        Ok(())
    }
}
