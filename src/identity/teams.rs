//! Team rules. For each group, exact rules cost one look-up, prefixes one per distinct length, and
//! regular expressions one pass over their set.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use regex::{Regex, RegexSet};

use super::conditions::Conditions;
use super::explain::{FiredRule, Observer};
use super::pattern::{Template, capture, captures, compile_set};
use super::spec::{MappingSpec, TeamSpec};
use super::{IdentityError, MappingError, SettingPath, is_safe_name};

/// The longest team name, in characters.
const MAX_TEAM: usize = 255;
/// Most matches of team rules and groups of one identity, each counted as often as it gives teams. A group matches each rule
/// with its prefix, so that rules and groups multiply.
const MATCHES: usize = 100_000;

#[derive(Clone, Debug)]
pub(super) struct TeamRules {
    default_teams: Vec<String>,
    deny_unmatched: bool,
    rules: Vec<Rule>,
    exact: HashMap<String, Vec<usize>>,
    /// By the prefix's length in bytes.
    prefixes: BTreeMap<usize, HashMap<String, Vec<usize>>>,
    patterns: RegexSet,
    /// Rule and expression, in the order of `patterns` and of the rules.
    expressions: Vec<(usize, Regex)>,
    /// The rules that match no group of their own, and look at the groups together.
    together: Vec<usize>,
    /// Whether a rule has conditions.
    has_conditions: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    text: String,
    conditions: Conditions,
    teams: Vec<Template>,
}

impl TeamRules {
    pub(super) fn compile(spec: &MappingSpec) -> Result<Self, MappingError> {
        let mut rules = Self {
            default_teams: spec.default_teams.clone(),
            deny_unmatched: spec.deny_unmatched,
            rules: Vec::with_capacity(spec.team.len()),
            exact: HashMap::new(),
            prefixes: BTreeMap::new(),
            patterns: RegexSet::empty(),
            expressions: Vec::new(),
            together: Vec::new(),
            has_conditions: false,
        };
        if let Some(team) = spec.default_teams.iter().find(|team| !is_team_name(team)) {
            let reason = format!("`{}` is not a team name", team.escape_debug());
            return Err(MappingError::setting(SettingPath::of("default_teams"), reason));
        }
        let with_regex = spec.team.iter().enumerate().filter_map(|(index, team)| {
            Some((index, SettingPath::of("team").index(index).name("regex"), team.regex.as_deref()?))
        });
        let (at, patterns): (Vec<_>, Vec<_>) =
            with_regex.map(|(index, setting, pattern)| (index, (setting, pattern))).unzip();
        let (set, expressions) = compile_set(&patterns, &SettingPath::of("team"))?;
        rules.patterns = set;
        rules.expressions = at.into_iter().zip(expressions).collect();
        for (index, team) in spec.team.iter().enumerate() {
            rules.add(index, team)?;
        }
        Ok(rules)
    }

    /// Adds a rule, whose expression is compiled.
    fn add(&mut self, index: usize, spec: &TeamSpec) -> Result<(), MappingError> {
        let setting = SettingPath::of("team").index(index);
        let teams: Vec<&String> = spec.team.iter().chain(&spec.teams).collect();
        if teams.is_empty() {
            return Err(MappingError::setting(setting, "give `team` or `teams`"));
        }
        let conditions = Conditions::compile(spec, &setting)?;
        let (text, gaps) = match (&spec.group, &spec.prefix, &spec.regex) {
            (Some(group), None, None) => {
                self.exact.entry(group.clone()).or_default().push(index);
                (format!("group {group:?}"), Vec::new())
            }
            (None, Some(prefix), None) => {
                let of_length = self.prefixes.entry(prefix.len()).or_default();
                of_length.entry(prefix.clone()).or_default().push(index);
                (format!("prefix {prefix:?}"), vec!["rest".to_owned()])
            }
            (None, None, Some(pattern)) => {
                let own = self.expressions.binary_search_by_key(&index, |(rule, _)| *rule);
                let gaps = own.map_or(Vec::new(), |at| captures(&self.expressions[at].1));
                (format!("regex {pattern:?}"), gaps)
            }
            (None, None, None) if conditions.require_groups() => {
                self.together.push(index);
                (String::new(), Vec::new())
            }
            _ => {
                let reason = "give exactly one of `group`, `prefix` and `regex`, or `all` or `any` alone";
                return Err(MappingError::setting(setting, reason));
            }
        };
        let written = [text, conditions.to_string()];
        self.has_conditions |= !written[1].is_empty();
        let text = written.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
        let parse = |team: &&String| {
            let template = Template::parse(team, &gaps);
            let template = template.and_then(|template| match template.is_fixed() && !is_team_name(team) {
                true => Err(format!("`{}` is not a team name", team.escape_debug())),
                false => Ok(template),
            });
            template.map_err(|reason| MappingError::setting(setting.clone(), reason))
        };
        self.rules.push(Rule { text, conditions, teams: teams.iter().map(parse).collect::<Result<_, _>>()? });
        Ok(())
    }

    /// Returns the teams of a person with these groups; `are_all` is whether the person may have no others.
    ///
    /// # Errors
    /// [`IdentityError::TooManyMatches`]; [`IdentityError::NoTeam`], if the groups are all.
    pub(super) fn assign(
        &self,
        groups: &[String],
        are_all: bool,
        observer: &mut dyn Observer,
    ) -> Result<Vec<String>, IdentityError> {
        let mut given = Given { rules: &self.rules, teams: Vec::new(), left: MATCHES };
        let together: HashSet<&str> = match self.has_conditions {
            true => groups.iter().map(String::as_str).filter(|group| is_safe_name(group)).collect(),
            false => HashSet::new(),
        };
        // Of each rule once, however many groups it matches.
        let held: Vec<OnceCell<bool>> = match self.has_conditions {
            true => vec![OnceCell::new(); self.rules.len()],
            false => Vec::new(),
        };
        let held = |rule: usize| {
            !self.has_conditions
                || *held[rule].get_or_init(|| self.rules[rule].conditions.hold(&together, are_all))
        };
        for group in groups {
            // A group with a control or invisible character matches no rule.
            if !is_safe_name(group) {
                observer.dropped_group(group);
                continue;
            }
            let mut fire = |rule: usize, gap: &dyn Fn(&str) -> Option<String>| match held(rule) {
                true => given.add(rule, group, gap, observer),
                false => given.pay(1),
            };
            for rule in self.exact.get(group).into_iter().flatten() {
                fire(*rule, &|_| None)?;
            }
            for (length, prefixes) in self.prefixes.range(..=group.len()) {
                let Some(start) = group.get(..*length) else { continue };
                for rule in prefixes.get(start).into_iter().flatten() {
                    fire(*rule, &|_| Some(group[*length..].to_owned()))?;
                }
            }
            for matched in &self.patterns.matches(group) {
                let (rule, regex) = &self.expressions[matched];
                let Some(captures) = regex.captures(group) else { continue };
                fire(*rule, &|gap| capture(&captures, gap))?;
            }
        }
        for rule in self.together.iter().filter(|rule| held(**rule)) {
            given.add(*rule, "", &|_| None, observer)?;
        }
        let mut fired = given.teams;
        observer.team_rules(&mut self.rules.iter().map(|rule| rule.text.as_str()), &self.default_teams);
        if self.deny_unmatched && are_all && fired.is_empty() {
            return Err(IdentityError::NoTeam);
        }
        fired.sort_unstable();
        let teams = self.default_teams.iter().cloned().chain(fired.into_iter().map(|(_, team)| team));
        Ok(deduplicate(teams.collect()))
    }
}

/// The teams that rules have given, with the rules.
struct Given<'r> {
    rules: &'r [Rule],
    teams: Vec<(usize, String)>,
    /// The rest of [`MATCHES`].
    left: usize,
}

impl Given<'_> {
    fn pay(&mut self, matches: usize) -> Result<(), IdentityError> {
        let left = self.left.checked_sub(matches);
        self.left = left.ok_or(IdentityError::TooManyMatches { limit: MATCHES })?;
        Ok(())
    }

    /// Adds the teams of a rule, for a group that it matches.
    fn add(
        &mut self,
        rule: usize,
        group: &str,
        gap: &dyn Fn(&str) -> Option<String>,
        observer: &mut dyn Observer,
    ) -> Result<(), IdentityError> {
        let Rule { text, teams, .. } = &self.rules[rule];
        self.pay(teams.len().max(1))?;
        let before = self.teams.len();
        let teams = teams.iter().filter_map(|team| team.fill(gap)).filter(|team| is_team_name(team));
        self.teams.extend(teams.map(|team| (rule, team)));
        observer.team_rule(rule + 1, &|| FiredRule {
            rule: rule + 1,
            text: text.clone(),
            group: group.to_owned(),
            teams: self.teams[before..].iter().map(|(_, team)| team.clone()).collect(),
        });
        Ok(())
    }
}

/// Removes repeated teams; the first occurrence stays.
fn deduplicate(mut teams: Vec<String>) -> Vec<String> {
    let mut known = HashSet::with_capacity(teams.len());
    let keep: Vec<bool> = teams.iter().map(|team| known.insert(team.as_str())).collect();
    let mut keep = keep.into_iter();
    teams.retain(|_| keep.next().expect("one for each"));
    teams
}

/// Reports whether a text may be the name of a team: not blank, within 255 characters, and safe to show.
pub(crate) fn is_team_name(name: &str) -> bool {
    !name.trim().is_empty() && is_safe_name(name) && name.chars().count() <= MAX_TEAM
}
