//! A mapping as a form has it, and its change in the file.

use std::collections::{BTreeMap, HashMap, VecDeque};

use claimgate::base64url;
use claimgate::identity::{GroupSpec, MappingSpec, TeamSpec};
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate_config::identity_table;
use serde::Deserialize;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::tables;
use super::values::{Unsupported, set, set_list, texts};

/// Which mapping of the file is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MappingTable {
    /// `[identity]`
    Shared,
    /// The `[provider.identity]` of the provider with an index.
    Provider(usize),
}

impl MappingTable {
    /// Returns the table of the provider with an id, if it has one of its own; without an id the shared one.
    pub(crate) fn find(text: &str, provider: &str) -> Option<Self> {
        if provider.is_empty() {
            return Some(Self::Shared);
        }
        let file: toml::Table = toml::from_str(text).ok()?;
        let (index, table) = tables::provider(&file, provider)?;
        table.get("identity").map(|_| Self::Provider(index))
    }

    /// Returns the path of the table, as faults name it.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Shared => identity_table(None),
            Self::Provider(index) => identity_table(Some(*index)),
        }
    }
}

/// The part of a mapping that forms change. The rest of the table stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MappingDraft {
    pub(crate) username: Vec<String>,
    pub(crate) groups: Vec<GroupDraft>,
    /// Field and path, in the order of the form.
    pub(crate) profile: Vec<(String, String)>,
    pub(crate) default_teams: Vec<String>,
    pub(crate) team: Vec<RuleDraft>,
}

/// A source of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupDraft {
    pub(crate) path: String,
    /// Empty: none.
    pub(crate) separator: String,
    pub(crate) object_keys: bool,
}

/// A rule.
#[derive(Clone, Debug, Default, Eq)]
pub(crate) struct RuleDraft {
    /// The rule of the file that it was, by [`tag`](Self::tag); empty for a new one. No part of what is compared.
    pub(crate) from: String,
    pub(crate) matcher: Matcher,
    pub(crate) text: String,
    pub(crate) all: Vec<String>,
    pub(crate) any: Vec<String>,
    pub(crate) unless: Vec<String>,
    pub(crate) teams: Vec<String>,
}

/// How a rule matches a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Matcher {
    #[default]
    Group,
    Prefix,
    Regex,
    /// By its conditions alone.
    None,
}

impl Matcher {
    pub(crate) const ALL: [Matcher; 4] = [Matcher::Group, Matcher::Prefix, Matcher::Regex, Matcher::None];

    /// Returns the name of its setting, and of the choice in forms.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Matcher::Group => "group",
            Matcher::Prefix => "prefix",
            Matcher::Regex => "regex",
            Matcher::None => "conditions",
        }
    }
}

impl PartialEq for RuleDraft {
    fn eq(&self, other: &Self) -> bool {
        self.content() == other.content()
    }
}

impl RuleDraft {
    fn of(spec: &TeamSpec) -> Self {
        let (matcher, text) = match (&spec.group, &spec.prefix, &spec.regex) {
            (Some(text), ..) => (Matcher::Group, text.clone()),
            (_, Some(text), _) => (Matcher::Prefix, text.clone()),
            (.., Some(text)) => (Matcher::Regex, text.clone()),
            _ => (Matcher::None, String::new()),
        };
        let mut rule = Self {
            from: String::new(),
            matcher,
            text,
            all: spec.all.clone(),
            any: spec.any.clone(),
            unless: spec.unless.clone(),
            teams: spec.team.iter().chain(&spec.teams).cloned().collect(),
        };
        rule.from = rule.tag();
        rule
    }

    /// Returns what the rule says: how it matches and what, and its lists.
    fn content(&self) -> (Matcher, &str, [&[String]; 4]) {
        let Self { from: _, matcher, text, all, any, unless, teams } = self;
        (*matcher, text, [all, any, unless, teams])
    }

    /// Returns a name of a rule by what it says: it is found in a file that another person has changed meanwhile.
    fn tag(&self) -> String {
        base64url::encode(&Fingerprint::of(&format!("{:?}", self.content())).0)
    }

    /// Reports whether nothing was entered.
    pub(crate) fn is_empty(&self) -> bool {
        let (_, text, lists) = self.content();
        text.is_empty() && lists.iter().all(|list| list.is_empty())
    }
}

impl MappingDraft {
    /// Returns the mapping of a file: that of the table, or the defaults where the file does not have it. `None`: the
    /// text is not TOML, or the table has another form.
    pub(crate) fn of(text: &str, table: &MappingTable) -> Option<Self> {
        let file: toml::Table = toml::from_str(text).ok()?;
        let spec = match value(&file, table) {
            Some(value) => MappingSpec::deserialize(value.clone()).ok()?,
            None => MappingSpec::default(),
        };
        let groups = spec.groups.iter().map(|group| match group {
            GroupSpec::Path(path) => GroupDraft { path: path.clone(), ..GroupDraft::default() },
            GroupSpec::Detailed(detail) => GroupDraft {
                path: detail.path.clone(),
                separator: detail.separator.clone().unwrap_or_default(),
                object_keys: detail.object_keys,
            },
        });
        Some(Self {
            username: spec.username.as_slice().to_vec(),
            groups: groups.collect(),
            profile: spec.profile.into_iter().collect(),
            default_teams: spec.default_teams,
            team: spec.team.iter().map(RuleDraft::of).collect(),
        })
    }

    /// Returns the text with this mapping, and nothing else changed. `None`: the file writes the table in a way that is
    /// not changed here.
    pub(crate) fn apply(&self, text: &str, table: &MappingTable) -> Option<String> {
        let present = Self::of(text, table)?;
        let edited = tables::edited(text, |document| self.write(table_of(document, table)?, &present))?;
        // What a form says is what the file says, and the rest of the file is as it was.
        let is_written = Self::of(&edited, table)?.sorted() == self.clone().sorted();
        (is_written && rest(text, table)? == rest(&edited, table)?).then_some(edited)
    }

    /// Returns the settings that differ, by the names that the file has for them.
    pub(crate) fn changed_from(&self, present: &Self) -> Vec<&'static str> {
        let (one, other) = (self.clone().sorted(), present.clone().sorted());
        let settings = [
            ("username", one.username != other.username),
            ("groups", one.groups != other.groups),
            ("profile", one.profile != other.profile),
            ("default_teams", one.default_teams != other.default_teams),
            ("team", one.team != other.team),
        ];
        settings.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
    }

    /// Takes over what another change of the file has made of the settings that this one leaves as they were: `base` is the
    /// mapping that was edited, `now` that of the file.
    pub(crate) fn rebase(&mut self, base: &Self, now: &Self) {
        let changed = self.changed_from(base);
        let is_kept = |setting| !changed.contains(&setting);
        let Self { username, groups, profile, default_teams, team } = now.clone();
        if is_kept("username") {
            self.username = username;
        }
        if is_kept("groups") {
            self.groups = groups;
        }
        if is_kept("profile") {
            self.profile = profile;
        }
        if is_kept("default_teams") {
            self.default_teams = default_teams;
        }
        if is_kept("team") {
            self.team = team;
        }
    }

    /// Sorts the profile, which the file keeps by name.
    fn sorted(mut self) -> Self {
        self.profile.sort();
        self
    }

    fn write(&self, table: &mut dyn TableLike, present: &Self) -> Result<(), Unsupported> {
        let changed = self.changed_from(present);
        if changed.contains(&"username") {
            match &self.username[..] {
                [one] => set(table, "username", Some(one.as_str()))?,
                many => set_list(table, "username", texts(many))?,
            }
        }
        if changed.contains(&"groups") {
            set_list(table, "groups", self.groups.iter().map(GroupDraft::value).collect())?;
        }
        if changed.contains(&"default_teams") {
            set_list(table, "default_teams", texts(&self.default_teams))?;
        }
        if changed.contains(&"profile") {
            self.write_profile(table)?;
        }
        if changed.contains(&"team") {
            write_rules(table, &self.team, &present.team)?;
        }
        Ok(())
    }

    fn write_profile(&self, table: &mut dyn TableLike) -> Result<(), Unsupported> {
        if !table.contains_key("profile") {
            table.insert("profile", Item::Table(Table::new()));
        }
        let profile = table.get_mut("profile").and_then(Item::as_table_like_mut).ok_or(Unsupported)?;
        let wanted: BTreeMap<&str, &str> =
            self.profile.iter().map(|(field, path)| (field.as_str(), path.as_str())).collect();
        let known: Vec<String> = profile.iter().map(|(field, _)| field.to_owned()).collect();
        for field in known.iter().filter(|field| !wanted.contains_key(field.as_str())) {
            profile.remove(field);
        }
        // New fields in the order of the form.
        self.profile.iter().try_for_each(|(field, path)| set(profile, field, Some(path.as_str())))
    }
}

impl GroupDraft {
    fn value(&self) -> Value {
        let Self { path, separator, object_keys } = self;
        if separator.is_empty() && !object_keys {
            return path.as_str().into();
        }
        let mut table = InlineTable::new();
        table.insert("path", path.as_str().into());
        if !separator.is_empty() {
            table.insert("separator", separator.as_str().into());
        }
        if *object_keys {
            table.insert("object_keys", true.into());
        }
        table.fmt();
        table.into()
    }
}

/// Writes the rules in their order. One that was in the file keeps its place in the text of the others, its comments and
/// what did not change.
fn write_rules(
    table: &mut dyn TableLike,
    wanted: &[RuleDraft],
    present: &[RuleDraft],
) -> Result<(), Unsupported> {
    let mut left: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (at, rule) in present.iter().enumerate() {
        left.entry(&rule.from).or_default().push_back(at);
    }
    let chosen: Vec<Option<usize>> =
        wanted.iter().map(|rule| left.get_mut(rule.from.as_str())?.pop_front()).collect();
    let rules = || wanted.iter().zip(&chosen);
    match table.get_mut("team") {
        None => {
            let mut tables = ArrayOfTables::new();
            for rule in wanted {
                let mut table = Table::new();
                rule.write(&mut table, None)?;
                tables.push(table);
            }
            table.insert("team", Item::ArrayOfTables(tables));
        }
        Some(Item::ArrayOfTables(tables)) => {
            let before: Vec<Table> = tables.iter().cloned().collect();
            let mut positions: Vec<_> = before.iter().map(Table::position).collect();
            positions.sort_unstable();
            tables.clear();
            for (index, (rule, at)) in rules().enumerate() {
                let mut table = at.map_or_else(|| new_like(&before), |at| before[at].clone());
                rule.write(&mut table, at.map(|at| &present[at]))?;
                table.set_position(positions.get(index).copied().flatten());
                tables.push(table);
            }
        }
        Some(Item::Value(Value::Array(array))) => {
            let before: Vec<Value> = array.iter().cloned().collect();
            array.clear();
            for (rule, at) in rules() {
                let mut value = match at {
                    Some(at) => before[*at].clone(),
                    None => InlineTable::new().into(),
                };
                rule.write(value.as_inline_table_mut().ok_or(Unsupported)?, at.map(|at| &present[at]))?;
                match at {
                    Some(_) => array.push_formatted(value),
                    None => {
                        value.as_inline_table_mut().ok_or(Unsupported)?.fmt();
                        array.push(value);
                    }
                }
            }
        }
        Some(_) => return Err(Unsupported),
    }
    if wanted.is_empty() {
        table.remove("team");
    }
    Ok(())
}

/// Returns an empty table that is set off from the one before it as the others are.
fn new_like(others: &[Table]) -> Table {
    let mut table = Table::new();
    let prefix = others.last().and_then(|last| last.decor().prefix()?.as_str());
    if prefix == Some("") {
        table.decor_mut().set_prefix("");
    }
    table
}

impl RuleDraft {
    fn write(&self, table: &mut dyn TableLike, present: Option<&Self>) -> Result<(), Unsupported> {
        if present == Some(self) {
            return Ok(());
        }
        for matcher in [Matcher::Group, Matcher::Prefix, Matcher::Regex] {
            set(table, matcher.name(), (self.matcher == matcher).then_some(self.text.as_str()))?;
        }
        for (key, wanted) in [("all", &self.all), ("any", &self.any), ("unless", &self.unless)] {
            set_list(table, key, texts(wanted))?;
        }
        if present.is_none_or(|present| present.teams != self.teams) {
            let one = match &self.teams[..] {
                [one] if !table.contains_key("teams") => Some(one.as_str()),
                _ => None,
            };
            set(table, "team", one)?;
            let several = if one.is_some() { Vec::new() } else { texts(&self.teams) };
            set_list(table, "teams", several)?;
        }
        Ok(())
    }
}

fn value<'v>(file: &'v toml::Table, table: &MappingTable) -> Option<&'v toml::Value> {
    match table {
        MappingTable::Shared => file.get("identity"),
        MappingTable::Provider(index) => file.get("provider")?.as_array()?.get(*index)?.get("identity"),
    }
}

/// Returns a file without what forms change of a mapping.
fn rest(text: &str, table: &MappingTable) -> Option<toml::Table> {
    let mut file: toml::Table = toml::from_str(text).ok()?;
    let mapping = match table {
        MappingTable::Shared => file.get_mut("identity"),
        MappingTable::Provider(index) => file
            .get_mut("provider")
            .and_then(|providers| providers.get_mut(*index))
            .and_then(|provider| provider.get_mut("identity")),
    };
    if let Some(mapping) = mapping.and_then(toml::Value::as_table_mut) {
        for setting in ["username", "groups", "profile", "default_teams", "team"] {
            mapping.remove(setting);
        }
    }
    // A table that was added is no change of another one.
    if file.get("identity").and_then(toml::Value::as_table).is_some_and(toml::Table::is_empty) {
        file.remove("identity");
    }
    Some(file)
}

fn table_of<'d>(
    document: &'d mut DocumentMut,
    table: &MappingTable,
) -> Result<&'d mut dyn TableLike, Unsupported> {
    let item = match table {
        MappingTable::Shared => {
            Some(document.as_table_mut().entry("identity").or_insert_with(toml_edit::table))
        }
        MappingTable::Provider(index) => tables::provider_table(document, *index)?.get_mut("identity"),
    };
    item.and_then(Item::as_table_like_mut).ok_or(Unsupported)
}

#[cfg(test)]
mod tests;
