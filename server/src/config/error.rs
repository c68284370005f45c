//! Why a configuration cannot be used.

use claimgate::identity::MappingError;

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {reason}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// Not TOML, an unknown field, a missing one, or one of the wrong type.
    #[error("{file}:{line}:{column}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong, with the field's name.
        reason: String,
    },
    /// A field has a value that means nothing.
    #[error("{file}:{line}: {field}: {reason}")]
    Value {
        /// The file.
        file: String,
        /// The line, from 1; 0 where it cannot be told.
        line: usize,
        /// The field.
        field: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// The identity mapping does not compile.
    #[error("{file}:{line}: {reason}")]
    Mapping {
        /// The file.
        file: String,
        /// The line, from 1; 0 where it cannot be told.
        line: usize,
        /// What is wrong, with the setting's name.
        reason: MappingError,
    },
}

impl ConfigError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ConfigError::Read { .. } => "config.read",
            ConfigError::Syntax { .. } => "config.syntax",
            ConfigError::Value { .. } => "config.value",
            ConfigError::Mapping { reason, .. } => reason.code(),
        }
    }
}
