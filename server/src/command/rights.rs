//! The rights of the files that hold secrets.

use std::path::{Path, PathBuf};

use claimgate_config::{Config, FileContent, Note};

/// Returns the files that hold secrets and that every user of the machine may read or write, each with its mode. A
/// group may have rights: `root:claimgate` with mode 0640 is a usual way to pass a file to a service. No secret is
/// read.
pub(crate) fn exposed_secrets(config: &Path) -> Vec<(PathBuf, u32)> {
    let files = Config::secret_files(config).unwrap_or_default();
    files.into_iter().filter_map(|file| mode_for_all(&file).map(|mode| (file, mode))).collect()
}

/// Returns a warning of each setting whose secret every user of the machine may read or write.
pub(crate) fn exposed(config: &Config) -> impl Iterator<Item = Note> {
    let secrets = config.files.iter().filter(|named| named.content == FileContent::Secret);
    secrets.filter_map(|named| {
        let mode = mode_for_all(&named.path)?;
        let message = format!(
            "{} holds a secret, and every user of this machine may read or change it (mode {mode:o})",
            named.path.display()
        );
        Some(named.warning((message, "chmod 600, or 640 with the service's group")))
    })
}

#[cfg(unix)]
fn mode_for_all(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    Some(mode).filter(|mode| mode & 0o006 != 0)
}

#[cfg(not(unix))]
fn mode_for_all(_: &Path) -> Option<u32> {
    None
}
