//! Changes of the configuration file by the server itself: the file that an operator edits by hand, comments kept.
//!
//! `place` says whether the file may be replaced, `secret` where a new secret is kept, `replace` replaces the file, `diff` shows a
//! change, `mapping` and `provider` make one with the help of `tables` and `values`.

mod place;
mod secret;
mod replace;
mod diff;
mod values;
mod tables;
pub(crate) mod mapping;
pub(crate) mod provider;

use std::path::{Path, PathBuf};

use claimgate::base64url;
use claimgate::oidc::client::Secret;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate_config::{Config, ConfigError, Extensions};

pub(crate) use diff::{Line, diff};
pub(crate) use place::Obstacle;
pub(crate) use replace::Prepared;
pub(crate) use secret::NewSecret;
pub(crate) use tables::provider as provider_of;

/// The largest file that is edited, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The configuration file of a server.
#[derive(Clone)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    extensions: Extensions,
}

/// What a file held at one time.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) text: String,
    pub(crate) version: Fingerprint,
}

/// What a change makes of the file.
#[derive(Clone, Debug)]
pub(crate) struct Edited {
    pub(crate) text: String,
    /// A secret whose file the text names, and which is not on the disk yet.
    pub(crate) secret: Option<NewSecret>,
}

/// A change without a new secret.
impl From<String> for Edited {
    fn from(text: String) -> Self {
        Self { text, secret: None }
    }
}

/// Why a change of the file is not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    /// The file cannot be read.
    #[error("{file} cannot be read: {reason}")]
    Read { file: String, reason: String },
    /// The file may not be replaced.
    #[error("{0}")]
    Obstacle(Obstacle),
    /// The file is no longer the one that was edited.
    #[error("the file has changed meanwhile")]
    Changed,
    /// Another change is being saved.
    #[error("another change of the file is being saved: try again")]
    Busy,
    /// A file cannot be written.
    #[error("{file} cannot be written: {reason}")]
    Write { file: String, reason: String },
}

impl ConfigFile {
    /// Returns a file, whose providers may use the algorithms and signers of the program.
    pub(crate) fn new(path: &Path, extensions: &Extensions) -> Self {
        Self { path: path.to_owned(), extensions: extensions.clone() }
    }

    /// Returns the path, as the command names it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`EditError::Read`], also for a file of more than 1 MiB.
    pub(crate) fn read(&self) -> Result<Snapshot, EditError> {
        let error = |reason: String| EditError::Read { file: self.path.display().to_string(), reason };
        let length = std::fs::metadata(&self.path).map_err(|reason| error(reason.to_string()))?.len();
        if length > MAX_FILE {
            return Err(error(format!("it has {length} bytes, and at most {MAX_FILE} are edited")));
        }
        let text = std::fs::read_to_string(&self.path).map_err(|reason| error(reason.to_string()))?;
        Ok(Snapshot { version: Fingerprint::of(&text), text })
    }

    /// Checks a change as the server checks the file when it starts.
    ///
    /// # Errors
    /// A [`ConfigError`] with all faults found.
    pub(crate) fn check(&self, edited: &Edited) -> Result<Config, ConfigError> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let secret = edited.secret.as_ref().map(|secret| (Path::new(&secret.name), &secret.value));
        Config::parse_beside(&edited.text, &self.path.display().to_string(), folder, &self.extensions, secret)
    }

    /// Returns the names of the algorithms that providers may use.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = &str> {
        self.extensions.registry.names()
    }

    /// Chooses a file for a new secret of the client at the provider with an id.
    ///
    /// # Errors
    /// [`EditError::Obstacle`].
    pub(crate) fn new_secret(&self, id: &str, value: Secret) -> Result<NewSecret, EditError> {
        NewSecret::beside(&self.path, id, value).map_err(EditError::Obstacle)
    }

    /// Returns what prevents the server from replacing the file, if something does.
    pub(crate) fn obstacle(&self) -> Option<Obstacle> {
        place::Place::of(&self.path).err()
    }

    /// Prepares a change of the file of a version. Nothing has changed until it is committed.
    ///
    /// # Errors
    /// An [`EditError`].
    pub(crate) fn prepare(&self, version: Fingerprint, edited: Edited) -> Result<Prepared, EditError> {
        let place = place::Place::of(&self.path).map_err(EditError::Obstacle)?;
        Prepared::new(place, version, edited)
    }

    /// Returns the text of a version of which there is a backup beside the file.
    pub(crate) fn backup_of(&self, version: Fingerprint) -> Option<String> {
        replace::backups(&place::Place::of(&self.path).ok()?.file)
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .find(|text| Fingerprint::of(text) == version)
    }
}

/// Returns a version as a text for forms.
pub(crate) fn version_text(version: Fingerprint) -> String {
    base64url::encode(&version.0)
}
