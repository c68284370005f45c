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

impl IntoIterator for ConfigError {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    /// Returns the faults, in the file's order; at least one.
    fn into_iter(self) -> Self::IntoIter {
        self.faults.into_iter()
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

/// The place of a setting whose value is judged later, where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The position of the value, or of the table where it is not written.
    pub position: Position,
    /// The setting's full path.
    pub setting: String,
}

impl Place {
    /// Returns a fault of the setting's value.
    #[must_use]
    pub fn fault(&self, reason: impl Into<Reason>) -> Fault {
        self.with(Problem::Value(reason.into()))
    }

    /// Returns the fault of a problem at this place.
    pub(super) fn with(&self, problem: Problem) -> Fault {
        let Place { file, position, setting } = self.clone();
        Fault { file, position: Some(position), setting: Some(setting), problem }
    }
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
    Read(Reason),
    /// The text is not TOML, or a setting is unknown or of the wrong type.
    #[error("{0}")]
    Syntax(Reason),
    /// A setting is missing, or its value is not usable.
    #[error("{0}")]
    Value(Reason),
    /// A file or folder that a setting names is missing, cannot be read or does not hold what it should.
    #[error("{0}")]
    File(Reason),
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
            Problem::File(_) => "config.file",
            Problem::Mapping(problem) => problem.code(),
        }
    }

    /// Returns what to write instead, if the fault has more to say of it than what is wrong.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        match &self.problem {
            Problem::Read(reason)
            | Problem::Syntax(reason)
            | Problem::Value(reason)
            | Problem::File(reason) => reason.remedy.as_deref(),
            Problem::Mapping(_) => None,
        }
    }

    /// Returns what is wrong, without the remedy.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.problem {
            Problem::Syntax(reason) | Problem::Value(reason) | Problem::File(reason) => {
                reason.message.clone()
            }
            Problem::Read(reason) => format!("cannot be read: {}", reason.message),
            problem => problem.to_string(),
        }
    }
}

/// What is wrong with a setting, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What is wrong.
    pub message: String,
    /// What to write instead, where the message does not say so itself.
    pub remedy: Option<String>,
}

impl From<&str> for Reason {
    fn from(message: &str) -> Self {
        Self::from(message.to_owned())
    }
}

impl From<String> for Reason {
    fn from(message: String) -> Self {
        Self { message, remedy: None }
    }
}

/// A message and a remedy.
impl<M: Into<String>, R: Into<String>> From<(M, R)> for Reason {
    fn from((message, remedy): (M, R)) -> Self {
        Self { message: message.into(), remedy: Some(remedy.into()) }
    }
}

/// Writes the message and the remedy on one line.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remedy {
            Some(remedy) => write!(f, "{}; {remedy}", self.message),
            None => f.write_str(&self.message),
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
    /// The setting's full path and its provider's id; empty for the file itself.
    pub setting: String,
    /// How much it matters.
    pub severity: Severity,
    /// The remark.
    pub reason: Reason,
}

impl Note {
    /// Returns the stable code of this remark; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.severity {
            Severity::Note => "config.note",
            Severity::Warning => "config.warning",
        }
    }
}

/// How much a [`Note`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file does what it says; this is what it means.
    Note,
    /// The file is probably not what its author wants.
    Warning,
}

impl Severity {
    /// Returns the name of this severity.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.file, self.position)?;
        if !self.setting.is_empty() {
            write!(f, ": {}", self.setting)?;
        }
        write!(f, ": {}: {}", self.severity.name(), self.reason)
    }
}
