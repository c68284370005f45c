//! A mapping as it is written, in the configuration file or by an embedder.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A mapping, unchecked. Every path is a [`ClaimPath`](crate::path::ClaimPath)'s text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingSpec {
    /// Where the username stands; the first path that selects something decides.
    pub username: OneOrMany,
    /// Put before every username, after normalisation.
    pub username_prefix: String,
    /// How usernames are made comparable.
    pub normalise: Normalisation,
    /// The longest username, in characters; a longer one is refused, never cut. At most 255.
    pub username_max: usize,
    /// Refuse everybody whose `email_verified` is not the boolean true.
    pub require_verified_email: bool,
    /// Profile field → path.
    pub profile: BTreeMap<String, String>,
    /// Where the groups stand.
    pub groups: Vec<GroupSpec>,
    /// Teams that everybody gets.
    pub default_teams: Vec<String>,
    /// Refuse those whom no team rule matches.
    pub deny_unmatched: bool,
    /// Group → team rules.
    pub team: Vec<TeamSpec>,
}

impl Default for MappingSpec {
    fn default() -> Self {
        Self {
            username: OneOrMany::One("sub".to_owned()),
            username_prefix: String::new(),
            normalise: Normalisation::Default,
            username_max: 255,
            require_verified_email: false,
            profile: BTreeMap::new(),
            groups: Vec::new(),
            default_teams: Vec::new(),
            deny_unmatched: false,
            team: Vec::new(),
        }
    }
}

/// One text, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several, in order.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            OneOrMany::One(text) => std::slice::from_ref(text),
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// How usernames are made comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Lower case by Unicode's rules, white space becomes `_`, letters of all scripts stay.
    #[default]
    Default,
    /// As it came.
    None,
    /// Lower case, white space and whatever is not `a-z 0-9 - @ _ .` becomes `_`. Different names
    /// become one: for moving from a system that did this, not for new ones.
    LossyAscii,
}

/// Where groups stand: a path, or a path with options.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum GroupSpec {
    /// A path to strings, or to arrays of strings.
    Path(String),
    /// A path with options.
    #[serde(rename_all = "snake_case")]
    Detailed(GroupDetail),
}

/// The options of a group path.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupDetail {
    /// The path.
    pub path: String,
    /// Splits a string into several groups, such as `" "` or `","`.
    #[serde(default)]
    pub separator: Option<String>,
    /// Takes the member names of a selected object as groups.
    #[serde(default)]
    pub object_keys: bool,
}

/// One rule: exactly one of `group`, `prefix` and `regex`, and the teams it gives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeamSpec {
    /// Matches this group exactly.
    pub group: Option<String>,
    /// Matches groups that begin with this; `{rest}` in a team is what follows.
    pub prefix: Option<String>,
    /// Matches whole groups; `{name}` and `{1}` in a team are its captures.
    pub regex: Option<String>,
    /// A team to give.
    pub team: Option<String>,
    /// Teams to give.
    pub teams: Vec<String>,
}
