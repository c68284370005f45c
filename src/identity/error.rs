//! Why a mapping cannot be compiled, and why an identity cannot be decided.

use crate::path::PathError;

/// Why a mapping cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// A claim path does not compile.
    #[error("{setting}: `{path}`: {reason}")]
    Path {
        /// The setting that holds it.
        setting: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: PathError,
    },
    /// A regular expression does not compile, or is too large.
    #[error("{setting}: `{pattern}` is not a usable regular expression")]
    Pattern {
        /// The setting that holds it.
        setting: String,
        /// The pattern.
        pattern: String,
    },
    /// A setting has a value that means nothing.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting.
        setting: String,
        /// What is wrong, and what to write.
        reason: String,
    },
}

impl MappingError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            MappingError::Path { .. } => "mapping.path",
            MappingError::Pattern { .. } => "mapping.pattern",
            MappingError::Setting { .. } => "mapping.setting",
        }
    }
}

/// Why an identity cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// None of the username's paths selects anything.
    #[error("none of the username's claims is in the token")]
    NoUsername,
    /// A username's path selects something other than one string.
    #[error("the username's path `{path}` does not select one string")]
    UsernameType {
        /// The path.
        path: String,
    },
    /// The username holds control, invisible or bidirectional characters, or nothing visible.
    #[error("the username holds characters that no username may have")]
    UsernameCharacters,
    /// The username is longer than the setting allows.
    #[error("the username is longer than {limit} characters")]
    UsernameTooLong {
        /// The limit, in characters.
        limit: usize,
    },
    /// `email_verified` is not the boolean true.
    #[error("the e-mail address is not verified (`email_verified`)")]
    EmailNotVerified,
    /// A group path selects something other than strings.
    #[error("the group path `{path}` selects something other than strings")]
    GroupType {
        /// The path.
        path: String,
    },
    /// More groups, or a longer one, than [`Limits`](crate::limits::Limits) allow.
    #[error("more groups, or a longer one, than the limit")]
    GroupLimit,
    /// No team rule matches, and the mapping refuses those.
    #[error("no team rule matches")]
    NoTeam,
    /// A path visits more nodes than [`Limits`](crate::limits::Limits) allow.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl IdentityError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            IdentityError::NoUsername => "identity.no_username",
            IdentityError::UsernameType { .. } => "identity.username_type",
            IdentityError::UsernameCharacters => "identity.username_characters",
            IdentityError::UsernameTooLong { .. } => "identity.username_too_long",
            IdentityError::EmailNotVerified => "identity.email_not_verified",
            IdentityError::GroupType { .. } => "identity.group_type",
            IdentityError::GroupLimit => "identity.group_limit",
            IdentityError::NoTeam => "identity.no_team",
            IdentityError::Path(error) => error.code(),
        }
    }
}
