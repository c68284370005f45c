//! The faults of a configuration file.

use std::fmt;

use claimgate::identity::MappingProblem;

/// A configuration file that cannot be used: all faults found in it, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<Fault>,
}

impl ConfigError {
    /// Returns the error of at least one fault.
    pub(super) fn new(mut faults: Vec<Fault>) -> Self {
        debug_assert!(!faults.is_empty());
        faults.sort_by_key(|fault| fault.position);
        Self { faults }
    }

    /// Returns the faults, in the file's order; at least one.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Returns the text of the error, with each fault's code.
    #[must_use]
    pub fn with_codes(&self) -> String {
        let lines: Vec<_> = self.faults.iter().map(|fault| format!("{fault} [{}]", fault.code())).collect();
        lines.join("\n")
    }

    /// Returns the stable code of the first fault; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.faults.first().map_or("", Fault::code)
    }
}

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }
}

/// Writes one fault a line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One fault of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name.
    pub file: String,
    /// The position in the file; none where the file cannot be read.
    pub position: Option<Position>,
    /// The setting's full path and its provider's id, such as `` provider[1].leeway (provider `acme`) ``;
    /// none where the file is not TOML.
    pub setting: Option<String>,
    /// What is wrong, and what to write instead.
    pub problem: Problem,
}

/// A position in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
}

/// What is wrong with a configuration file or a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(String),
    /// The text is not TOML, or a setting is unknown or of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// A setting is missing, or its value is not usable.
    #[error("{0}")]
    Value(String),
    /// The identity mapping does not compile.
    #[error(transparent)]
    Mapping(#[from] MappingProblem),
}

impl Fault {
    /// Returns the stable code of this fault; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.problem {
            Problem::Read(_) => "config.read",
            Problem::Syntax(_) => "config.syntax",
            Problem::Value(_) => "config.value",
            Problem::Mapping(problem) => problem.code(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(position) = self.position {
            write!(f, "{position}")?;
        }
        if let Some(setting) = &self.setting {
            write!(f, ": {setting}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Writes `:line:column`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}:{}", self.line, self.column)
    }
}

/// A remark on a file that can be used: what a setting means together with others, or what it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file's name.
    pub file: String,
    /// The position of the setting, or of the table where it is not written.
    pub position: Position,
    /// The setting's full path and its provider's id.
    pub setting: String,
    /// How much it matters.
    pub severity: Severity,
    /// The remark.
    pub text: String,
}

/// How much a [`Note`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file does what it says; this is what it means.
    Note,
    /// The file is probably not what its author wants.
    Warning,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
        };
        write!(f, "{}{}: {}: {severity}: {}", self.file, self.position, self.setting, self.text)
    }
}
