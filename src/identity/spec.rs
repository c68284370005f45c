//! A mapping as written, in the configuration file or by an embedding program.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// The profile claims of a mapping that names none (OpenID Connect Core §5.1).
const STANDARD_PROFILE: [&str; 7] =
    ["name", "given_name", "middle_name", "family_name", "email", "phone_number", "gender"];

/// A mapping, not validated. Every path is the text of a [`ClaimPath`](crate::path::ClaimPath).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingSpec {
    /// The username's paths; the first that selects a value decides.
    pub username: OneOrMany,
    /// The prefix of every username, added after normalisation.
    pub username_prefix: String,
    /// The normalisation of usernames.
    pub normalise: Normalisation,
    /// Matches the whole username after normalisation: a regular expression whose captures make the username.
    pub username_regex: Option<String>,
    /// The username that `username_regex` makes: a text with `{1}` or `{name}` for captures; `{1}` if `None`.
    pub username_template: Option<String>,
    /// What becomes of a username that `username_regex` does not match; [`Unmatched::Refuse`] if `None`.
    pub username_unmatched: Option<Unmatched>,
    /// The longest username, in characters; a longer one is refused, never cut. At most 255.
    pub username_max: usize,
    /// Whether to refuse claims whose `email_verified` is not true. Without it, an address that is said not to
    /// be verified is refused as a username.
    pub require_verified_email: bool,
    /// Whether an address without `email_verified` counts as verified: right only for a provider whose
    /// addresses always are.
    pub danger_email_is_verified: bool,
    /// Whether an address that the provider calls unverified may be a username.
    pub danger_allow_unverified_email: bool,
    /// Profile field → path; the standard claims under their own names by default.
    pub profile: BTreeMap<String, String>,
    /// The groups' paths.
    pub groups: Vec<GroupSpec>,
    /// The groups that make administrators: a person in one of them is one, another is a regular user. Empty: the
    /// mapping decides no kind.
    pub admin_groups: Vec<String>,
    /// Teams of every user.
    pub default_teams: Vec<String>,
    /// Whether to refuse claims that no team rule matches.
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
            username_regex: None,
            username_template: None,
            username_unmatched: None,
            username_max: 255,
            require_verified_email: false,
            danger_email_is_verified: false,
            danger_allow_unverified_email: false,
            profile: STANDARD_PROFILE.map(|claim| (claim.to_owned(), claim.to_owned())).into(),
            groups: Vec::new(),
            admin_groups: Vec::new(),
            default_teams: Vec::new(),
            deny_unmatched: false,
            team: Vec::new(),
        }
    }
}

/// One text, or a list of them.
///
/// ```
/// use claimgate::identity::OneOrMany;
///
/// assert_eq!(OneOrMany::One("sub".to_owned()).as_slice().len(), 1);
/// ```
#[derive(Clone, Debug)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several, in order.
    Many(Vec<String>),
}

impl OneOrMany {
    /// Returns the texts, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            OneOrMany::One(text) => std::slice::from_ref(text),
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// The normalisation of usernames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Lower case by Unicode's rules, white space becomes `_`, letters of all scripts stay.
    #[default]
    Default,
    /// Unchanged.
    None,
    /// Lower case; white space and every character other than `a-z 0-9 - @ _ .` becomes `_`. Different
    /// names may become equal: for migrations from a system with this rule, not for new ones.
    LossyAscii,
}

/// What becomes of a username that its pattern does not match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// The person is refused.
    #[default]
    Refuse,
    /// The username stays as it is: it may become the same as one that the pattern makes of another.
    Keep,
}

/// A source of groups: a path, or a path with options.
#[derive(Clone, Debug)]
pub enum GroupSpec {
    /// A path to strings, or to arrays of strings.
    Path(String),
    /// A path with options.
    Detailed(GroupDetail),
}

// Both types are read by hand: an untagged enum loses the place of a fault within it.

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrList;
        impl<'de> Visitor<'de> for TextOrList {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, texts: A) -> Result<OneOrMany, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(texts)).map(OneOrMany::Many)
            }
        }
        deserializer.deserialize_any(TextOrList)
    }
}

impl<'de> Deserialize<'de> for GroupSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathOrTable;
        impl<'de> Visitor<'de> for PathOrTable {
            type Value = GroupSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a table with `path`")
            }

            fn visit_str<E>(self, path: &str) -> Result<GroupSpec, E> {
                Ok(GroupSpec::Path(path.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<GroupSpec, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(members)).map(GroupSpec::Detailed)
            }
        }
        deserializer.deserialize_any(PathOrTable)
    }
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

/// One rule: exactly one of `group`, `prefix` and `regex`, conditions on the other groups, and the teams it gives. A rule
/// with `all` or `any` needs none of the three.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeamSpec {
    /// Matches this group exactly.
    pub group: Option<String>,
    /// Matches groups that begin with this; `{rest}` in a team is what follows.
    pub prefix: Option<String>,
    /// Matches whole groups; `{name}` and `{1}` in a team are its captures.
    pub regex: Option<String>,
    /// Gives the teams only to persons in all of these groups.
    pub all: Vec<String>,
    /// Gives the teams only to persons in at least one of these groups.
    pub any: Vec<String>,
    /// Gives the teams only to persons in none of these groups.
    pub unless: Vec<String>,
    /// A team to give.
    pub team: Option<String>,
    /// Teams to give.
    pub teams: Vec<String>,
}
