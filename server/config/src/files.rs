//! The files that a configuration names, each with the place of its setting.

use std::path::PathBuf;

use super::error::{Fault, Note, Position, Problem, Reason, Severity};

/// A file that a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The configuration file's name.
    pub file: String,
    /// The position of the setting, or of the table where it is not written.
    pub position: Position,
    /// The setting's full path and its provider's id.
    pub setting: String,
    /// The file that the setting names.
    pub path: PathBuf,
    /// What the file should hold.
    pub content: FileContent,
}

/// What a file that a setting names should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileContent {
    /// The database; it need not exist yet.
    Database,
    /// A JWK set.
    KeySet,
    /// Certificates of authorities.
    Authorities,
    /// The server's certificate.
    Certificate,
    /// A secret or a private key.
    Secret,
}

impl NamedFile {
    /// Returns the fault of this file, at its setting.
    #[must_use]
    pub fn fault(&self, reason: impl Into<Reason>) -> Fault {
        Fault {
            file: self.file.clone(),
            position: Some(self.position),
            setting: Some(self.setting.clone()),
            problem: Problem::File(reason.into()),
        }
    }

    /// Returns a warning of this file, at its setting.
    #[must_use]
    pub fn warning(&self, reason: impl Into<Reason>) -> Note {
        Note {
            file: self.file.clone(),
            position: self.position,
            setting: self.setting.clone(),
            severity: Severity::Warning,
            reason: reason.into(),
        }
    }
}
