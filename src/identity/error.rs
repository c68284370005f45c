//! Why a mapping cannot be compiled, and why an identity cannot be decided.

use serde_json::Value;

use super::SettingPath;
use crate::path::PathError;

/// A mapping that does not compile: one setting, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct MappingError {
    /// The setting's path within its [`MappingSpec`](super::MappingSpec), such as `team[1].regex`.
    pub setting: SettingPath,
    /// What is wrong with it.
    pub problem: MappingProblem,
}

/// What is wrong with a setting of a mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingProblem {
    /// A claim path does not compile.
    #[error("`{path}`: {reason}")]
    Path {
        /// The path.
        path: String,
        /// The reason.
        reason: PathError,
    },
    /// A regular expression does not compile, or is too large.
    #[error("`{pattern}` is not a usable regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: Box<str>,
        /// The reason.
        reason: Box<str>,
    },
    /// A setting is missing, or its value is not usable.
    #[error("{reason}")]
    Setting {
        /// What is wrong, and what to write instead.
        reason: String,
    },
}

crate::code::coded!(MappingError);

impl MappingError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.problem.code()
    }

    /// Returns the error of a setting whose value is not usable.
    pub(super) fn setting(setting: SettingPath, reason: impl Into<String>) -> Self {
        Self { setting, problem: MappingProblem::Setting { reason: reason.into() } }
    }
}

crate::code::coded!(MappingProblem);

impl MappingProblem {
    /// Returns the stable code of this problem; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            MappingProblem::Path { .. } => "mapping.path",
            MappingProblem::Pattern { .. } => "mapping.pattern",
            MappingProblem::Setting { .. } => "mapping.setting",
        }
    }
}

/// Why an identity cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// None of the username's paths selects a value.
    #[error("none of the username's claims is in the token")]
    NoUsername,
    /// A username's path selects something other than one text.
    #[error("the username's path `{path}` selects {found}, and a username is one text")]
    UsernameType {
        /// The path.
        path: String,
        /// The type of what it selects.
        found: &'static str,
    },
    /// The username is empty or white space.
    #[error("the username is empty")]
    EmptyUsername,
    /// The username has a control, invisible, blank, bidirectional, private-use or unassigned character.
    #[error("the username holds U+{:04X}, a character that no username may have: it is invisible, blank, \
        reorders text or is not assigned", u32::from(*.character))]
    UsernameCharacters {
        /// The first such character.
        character: char,
    },
    /// The username is longer than the setting allows.
    #[error("the username is longer than {limit} characters")]
    UsernameTooLong {
        /// The limit, in characters.
        limit: usize,
    },
    /// `username_regex` does not match the username.
    #[error("`username_regex` does not match {name:?}")]
    UsernameUnmatched {
        /// The name, for display.
        name: String,
    },
    /// The address is needed, and the provider does not call it verified.
    #[error("the e-mail address is not verified: `email_verified` is {found}")]
    EmailNotVerified {
        /// What the claim is.
        found: &'static str,
    },
    /// A group path selects a value that is not a text.
    #[error("the group path `{path}` selects {found}, and a group is a text")]
    GroupType {
        /// The path.
        path: String,
        /// The type of what it selects.
        found: &'static str,
    },
    /// More groups than [`Limits::groups`](crate::limits::Limits::groups).
    #[error("the claims hold more than {limit} groups")]
    TooManyGroups {
        /// The limit.
        limit: usize,
    },
    /// A group longer than [`Limits::group_bytes`](crate::limits::Limits::group_bytes).
    #[error("the group that begins with {start:?} is longer than {limit} bytes")]
    GroupTooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The start of the group.
        start: String,
    },
    /// The groups match the team rules more often, or these give more teams, than is looked at.
    #[error(
        "the groups match the team rules more than {limit} times: fewer rules, or rules that match fewer groups, are enough"
    )]
    TooManyMatches {
        /// The limit.
        limit: usize,
    },
    /// No team rule matches, and the mapping requires one.
    #[error("no team rule matches")]
    NoTeam,
    /// A path visits more nodes than [`Limits`](crate::limits::Limits) allow.
    #[error(transparent)]
    Path(#[from] PathError),
}

crate::code::coded!(IdentityError);

impl IdentityError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            IdentityError::NoUsername => "identity.no_username",
            IdentityError::UsernameType { .. } => "identity.username_type",
            IdentityError::EmptyUsername => "identity.username_empty",
            IdentityError::UsernameCharacters { .. } => "identity.username_characters",
            IdentityError::UsernameTooLong { .. } => "identity.username_too_long",
            IdentityError::UsernameUnmatched { .. } => "identity.username_unmatched",
            IdentityError::EmailNotVerified { .. } => "identity.email_not_verified",
            IdentityError::GroupType { .. } => "identity.group_type",
            IdentityError::TooManyGroups { .. } => "identity.group_limit",
            IdentityError::GroupTooLong { .. } => "identity.group_limit",
            IdentityError::TooManyMatches { .. } => "identity.match_limit",
            IdentityError::NoTeam => "identity.no_team",
            IdentityError::Path(error) => error.code(),
        }
    }
}

/// Returns the type of a claim, for people.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
