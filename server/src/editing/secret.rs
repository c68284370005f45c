//! A new secret: the file that will hold it, beside the configuration file.

use std::path::{Path, PathBuf};

use claimgate::oidc::client::Secret;
use zeroize::Zeroizing;

use super::place::{Obstacle, Place};

/// How the names of files of client secrets begin.
const PREFIX: &str = "client-secret-";
/// Most characters of the id that a name holds.
const MAX_ID: usize = 64;

/// A secret that is not on the disk yet.
#[derive(Clone, Debug)]
pub(crate) struct NewSecret {
    /// The name of its file, as the configuration file writes it.
    pub(crate) name: String,
    /// The name of its file in the folder of the configuration file.
    pub(super) file: String,
    pub(super) value: Secret,
}

impl NewSecret {
    /// Chooses a file for the secret of a client at the provider with an id: one that is not there yet, so that copies of
    /// the configuration file go on naming the secret that they had.
    ///
    /// # Errors
    /// An [`Obstacle`] of the folder.
    pub(super) fn beside(config: &Path, id: &str, value: Secret) -> Result<Self, Obstacle> {
        let place = Place::of(config)?;
        // The id is checked with the configuration, after this.
        let id = id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(MAX_ID);
        let base: String = PREFIX.chars().chain(id).collect();
        let is_free = |file: &String| std::fs::symlink_metadata(place.folder.join(file)).is_err();
        let mut names =
            std::iter::once(base.clone()).chain((2_u64..).map(|number| format!("{base}-{number}")));
        let file = names.find(is_free).unwrap_or(base);
        // Names in the file are relative to the folder that it is named by, which has a link where the file is elsewhere.
        let named_by =
            config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_beside = std::fs::canonicalize(named_by).is_ok_and(|folder| folder == place.folder);
        let name = match is_beside {
            true => file.clone(),
            false => place.folder.join(&file).display().to_string(),
        };
        Ok(Self { name, file, value })
    }

    /// Returns what the file will hold.
    pub(super) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}\n", self.value.expose()))
    }

    /// Returns the file in a folder.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_gets_a_file_that_is_not_there_yet() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("claimgate.toml");
        std::fs::write(&config, "").expect("a file");
        let named = |id: &str| {
            NewSecret::beside(&config, id, Secret::new("x".to_owned())).expect("a folder of its own").name
        };
        assert_eq!(named("crm"), "client-secret-crm");
        std::fs::write(folder.path().join("client-secret-crm"), "old").expect("a file");
        std::os::unix::fs::symlink("nowhere", folder.path().join("client-secret-crm-2")).expect("a link");
        assert_eq!(named("crm"), "client-secret-crm-3");
        assert_eq!(named("../../etc/x"), "client-secret-etcx");
        // By a link in another folder.
        let other = tempfile::tempdir().expect("a folder");
        let link = other.path().join("claimgate.toml");
        std::os::unix::fs::symlink(&config, &link).expect("a link");
        let secret = NewSecret::beside(&link, "b", Secret::new("x".to_owned())).expect("may be written");
        let beside = folder.path().canonicalize().expect("a folder").join("client-secret-b");
        assert_eq!(Path::new(&secret.name), beside);
        assert!(!format!("{secret:?}").contains("\"x\""));
    }
}
