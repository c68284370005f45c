//! The files that a configuration names, each with the place of its setting.

use std::path::PathBuf;

use super::error::{Fault, Note, Place, Problem, Reason, Severity};

/// A file that a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The place of the setting.
    pub place: Place,
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
    /// A picture that pages show.
    Image,
}

impl NamedFile {
    /// Returns the fault of this file, at its setting.
    #[must_use]
    pub fn fault(&self, reason: impl Into<Reason>) -> Fault {
        self.place.with(Problem::File(reason.into()))
    }

    /// Returns a warning of this file, at its setting.
    #[must_use]
    pub fn warning(&self, reason: impl Into<Reason>) -> Note {
        let Place { file, position, setting } = self.place.clone();
        Note { file, position, setting, severity: Severity::Warning, reason: reason.into() }
    }
}
