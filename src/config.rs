//! The configuration file: what somebody wrote, turned into types that cannot be invalid.
//!
//! TOML. Unknown fields are refused, and every error names the file, the line and the field.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::identity::{Mapping, MappingError, MappingSpec, OneOrMany};
use crate::limits::Limits;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    provider: RawProvider,
    #[serde(default)]
    identity: MappingSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProvider {
    issuer: String,
    client_id: OneOrMany,
    #[serde(default = "default_algorithms")]
    algorithms: Vec<String>,
    jwks_file: Option<PathBuf>,
    #[serde(default = "default_leeway")]
    leeway: u64,
    #[serde(default)]
    token: Token,
}

fn default_algorithms() -> Vec<String> {
    vec!["RS256".to_owned()]
}

fn default_leeway() -> u64 {
    crate::claims::Policy::DEFAULT_LEEWAY
}

/// Which kind of token the identity is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Token {
    /// An OpenID Connect ID token.
    #[default]
    IdToken,
    /// An RFC 9068 access token.
    AccessToken,
    /// Any JWT.
    Jwt,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    provider: Provider,
    mapping: Mapping,
}

/// Whose tokens are accepted, and how they are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The `iss` of its tokens, compared exactly.
    pub issuer: String,
    /// The accepted `aud`: the client's identifier, or several.
    pub audiences: Vec<String>,
    /// The algorithms allowed.
    pub algorithms: Vec<String>,
    /// A file with its JWK set; a relative name starts from the configuration file's folder.
    pub jwks_file: Option<PathBuf>,
    /// How far the clocks may be apart, in seconds.
    pub leeway: u64,
    /// Which kind of token the identity is taken from.
    pub token: Token,
}

impl Config {
    /// Reads a file; `is_known` says which algorithm names exist.
    ///
    /// # Errors
    /// A [`ConfigError`].
    pub fn load(file: &Path, is_known: &dyn Fn(&str) -> bool) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Read { file: name.clone(), reason: error.to_string() })?;
        let mut config = Self::parse(&text, &name, is_known)?;
        if let Some(jwks) = &mut config.provider.jwks_file {
            *jwks = file.parent().unwrap_or(Path::new("")).join(&jwks);
        }
        Ok(config)
    }

    /// Parses a text; `name` is what its errors call it.
    ///
    /// # Errors
    /// A [`ConfigError`] other than [`ConfigError::Read`].
    pub fn parse(text: &str, name: &str, is_known: &dyn Fn(&str) -> bool) -> Result<Self, ConfigError> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            ConfigError::Syntax { file: name.to_owned(), line, column, reason: error.message().to_owned() }
        })?;
        let value = |field: &'static str, reason: String| ConfigError::Value {
            file: name.to_owned(),
            line: line_of(text, field.rsplit('.').next().unwrap_or(field)),
            field,
            reason,
        };
        if raw.provider.issuer.is_empty() {
            return Err(value("provider.issuer", "must not be empty; write the provider's `iss`".to_owned()));
        }
        let audiences = raw.provider.client_id.as_slice().to_vec();
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            return Err(value("provider.client_id", "must name at least one client".to_owned()));
        }
        if raw.provider.algorithms.is_empty() {
            return Err(value("provider.algorithms", "must name at least one algorithm".to_owned()));
        }
        if let Some(unknown) = raw.provider.algorithms.iter().find(|name| !is_known(name)) {
            let reason = format!("`{unknown}` is no algorithm; `claimgate algorithms` lists them");
            return Err(value("provider.algorithms", reason));
        }
        let mapping = Mapping::compile(&raw.identity, &Limits::DEFAULT)
            .map_err(|reason| ConfigError::Mapping { file: name.to_owned(), reason })?;
        let provider = Provider {
            issuer: raw.provider.issuer,
            audiences,
            algorithms: raw.provider.algorithms,
            jwks_file: raw.provider.jwks_file,
            leeway: raw.provider.leeway,
            token: raw.provider.token,
        };
        Ok(Self { provider, mapping })
    }

    /// Whose tokens are accepted.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// From claims to a person.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

/// Line and column of an offset, from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// The first line that sets a key, from 1; 0 where none does.
fn line_of(text: &str, key: &str) -> usize {
    let sets = |line: &str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().position(sets).map_or(0, |line| line + 1)
}

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
        field: &'static str,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// The identity mapping does not compile.
    #[error("{file}: {reason}")]
    Mapping {
        /// The file.
        file: String,
        /// What is wrong, with the setting's name.
        reason: MappingError,
    },
}

impl ConfigError {
    /// The stable code of this error; see `docs/errors.md`.
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
