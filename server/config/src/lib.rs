//! The configuration file: from a text to settings that are valid by their types.
//!
//! `document` is the file as TOML with the span of every key and value, `settings` the names that
//! exist, `raw` the settings as they are written, `checked` the settings as the server gets them.
//! `server` (with `administration`), `store`, `events`, `pages`, `sign_in`, `provider` (with `security_events`), `applications` and `admin_clients` each resolve one table. Every fault names the file, the line,
//! the column and the setting; `docs/reference/configuration.md` is checked against `settings`.

mod error;
mod extensions;
mod files;
mod duration;
mod color;
mod document;
mod section;
mod claim;
mod raw;
mod refresh;
mod checked;
mod settings;
mod administration;
mod store;
mod events;
mod pages;
mod server;
mod sign_in;
mod algorithms;
mod authorization;
mod issuer;
mod security_events;
mod provider;
mod applications;
mod admin_clients;
mod resolve;
mod secret_files;

use std::io::ErrorKind;
use std::path::Path;

use claimgate::oidc::client::Secret;

pub use checked::{
    AdminClient, Administration, Config, Database, Demands, Events, Listener, Logo, Pages, Postgres,
    Provider, PublicUrl, SecurityEvents, Server, Sqlite, Store, TransmitterKeys, Trust, identity_table,
};
pub use color::{Color, LEGIBLE};
use document::Document;
pub use document::is_secret;
pub use duration::seconds;
pub use error::{ConfigError, Fault, Note, Place, Position, Problem, Reason, Severity};
pub use extensions::Extensions;
pub use files::{FileContent, NamedFile};
pub use provider::DEFAULT_PROVIDER_ID;
pub use raw::{default_algorithms, default_scopes};
pub use refresh::SessionRefresh;
pub use settings::Table;

impl Config {
    /// Reads a file. It may name the algorithms and signers of the extensions; each [`Provider`] keeps the registry.
    /// Files that the configuration names are relative to its own folder. Secrets in files and
    /// environment variables are read now.
    ///
    /// # Errors
    /// A [`ConfigError`] with all faults found.
    pub fn load(file: &Path, extensions: &Extensions) -> Result<Self, ConfigError> {
        let (name, text) = read(file)?;
        Self::parse(&text, &name, folder_of(file), extensions)
    }

    /// Parses a text. `name` is its name in errors, `folder` the folder of the files it names.
    ///
    /// # Errors
    /// A [`ConfigError`] with all faults found.
    pub fn parse(
        text: &str,
        name: &str,
        folder: &Path,
        extensions: &Extensions,
    ) -> Result<Self, ConfigError> {
        Self::parse_beside(text, name, folder, extensions, None)
    }

    /// Parses a text as [`parse`](Self::parse) does, where a file of a secret that it names is not written yet:
    /// `unwritten` has the name of that file in the text, and the secret.
    ///
    /// # Errors
    /// A [`ConfigError`] with all faults found.
    pub fn parse_beside(
        text: &str,
        name: &str,
        folder: &Path,
        extensions: &Extensions,
        unwritten: Option<(&Path, &Secret)>,
    ) -> Result<Self, ConfigError> {
        resolve::resolve(&Document::parse(name, text)?, (folder, unwritten), extensions)
    }

    /// Returns the database that a file names; none where it has no `[server]`. Reads no secret and no key but the
    /// password of PostgreSQL: an operator who manages users need not have the server's rights.
    ///
    /// # Errors
    /// A [`ConfigError`] of the names in the file, of `[store]`, and of the types in `[server]` and `[identity]`.
    pub fn database(file: &Path) -> Result<Option<Database>, ConfigError> {
        let (name, text) = read(file)?;
        resolve::database(&Document::parse(&name, &text)?, folder_of(file))
    }

    /// Returns where the server of a file listens; none where it has no `[server]`. Reads no other file.
    ///
    /// # Errors
    /// A [`ConfigError`] of the names in the file, of the types in `[server]`, and of `listen`.
    pub fn listener(file: &Path) -> Result<Option<Listener>, ConfigError> {
        let (name, text) = read(file)?;
        resolve::listener(&Document::parse(&name, &text)?, folder_of(file))
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// Reads a file; returns its name and its text.
fn read(file: &Path) -> Result<(String, String), ConfigError> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let remedy = match error.kind() {
                ErrorKind::NotFound => "`claimgate init` writes one, or name another file",
                ErrorKind::PermissionDenied => "run the command as the user that runs the server, or as root",
                ErrorKind::IsADirectory => "name a file in it",
                ErrorKind::InvalidData => "save it as UTF-8",
                _ => "see that the disk works, or name another file",
            };
            let problem = Problem::Read((error.to_string(), remedy).into());
            Err(Fault { file: name, position: None, setting: None, problem }.into())
        }
    }
}
