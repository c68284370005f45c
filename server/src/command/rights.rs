//! The rights of the files that a configuration names: who else may read secrets, or change what the server trusts.

use std::path::{Path, PathBuf};

use claimgate_config::{Config, FileContent, Note, Position, Severity};

use crate::store;

/// Returns the files that hold secrets and that every user of the machine may read or write, each with its mode. A
/// group may have rights: `root:claimgate` with mode 0640 is a usual way to pass a file to a service. No secret is
/// read.
pub(crate) fn exposed_secrets(config: &Path) -> Vec<(PathBuf, u32)> {
    let files = Config::secret_files(config).unwrap_or_default();
    files.into_iter().filter_map(|file| mode_for_all(&file).map(|mode| (file, mode))).collect()
}

/// Returns which files of a configuration users may change who must not, one fault each: the configuration file and
/// the files that it names, if every user may; those of the database, if others than `owners` may. A user who changes
/// them chooses who signs in.
pub(crate) fn changeable(config: &Path, database: Option<&Path>, owners: &Owners) -> Vec<String> {
    let named = Config::trusted_files(config).unwrap_or_default().into_iter();
    let named = named.filter_map(|file| Owners::ANY.fault(&file));
    let stored = database.into_iter().flat_map(store::files_of).filter_map(|file| owners.fault(&file));
    named.chain(stored).collect()
}

/// Returns a warning of each setting whose secret every user of the machine may read or write, and of each file that
/// [`changeable`] finds. `file` is the configuration file.
pub(crate) fn warnings(config: &Config, file: &Path, owners: &Owners) -> Vec<Note> {
    let own = Owners::ANY.fault(file).map(|message| Note {
        file: file.display().to_string(),
        position: Position { line: 1, column: 1 },
        setting: String::new(),
        severity: Severity::Warning,
        reason: (message, GIVE).into(),
    });
    let named = config.files.iter().filter_map(|named| {
        if named.content == FileContent::Secret
            && let Some(mode) = mode_for_all(&named.path)
        {
            let message = format!(
                "{} holds a secret, and every user of this machine may read or change it (mode {mode:o})",
                named.path.display()
            );
            return Some(named.warning((message, "chmod 600, or 640 with the service's group")));
        }
        let is_itself = named.path == file;
        let fault = match named.content {
            FileContent::Database => store::files_of(&named.path).iter().find_map(|file| owners.fault(file)),
            _ if is_itself => None,
            _ => Owners::ANY.fault(&named.path),
        };
        fault.map(|message| named.warning((message, GIVE)))
    });
    own.into_iter().chain(named).collect()
}

/// What to do about a file that others may change.
pub(super) const GIVE: &str = "give the file and its folders to root or to the user that runs the server";

/// The users that trusted files may belong to; `None`: any.
pub(crate) struct Owners(Option<Vec<u32>>);

impl Owners {
    /// Any user: an operator's own account often writes the configuration.
    const ANY: Self = Self(None);

    /// Returns root and the user of this process: a server's own.
    pub(crate) fn of_this_process() -> Self {
        #[cfg(unix)]
        return Self(Some(vec![0, rustix::process::geteuid().as_raw()]));
        #[cfg(not(unix))]
        Self::ANY
    }

    /// Returns the same, and the user that the folder of the database belongs to: a command may run as another user
    /// than the server whose files it judges.
    pub(crate) fn of_a_server(database: Option<&Path>) -> Self {
        let Self(owners) = Self::of_this_process();
        #[cfg(unix)]
        let owners = owners.map(|mut owners| {
            use std::os::unix::fs::MetadataExt;
            let folder = database.map(store::real_file).and_then(|real| Some(real.parent()?.to_owned()));
            owners
                .extend(folder.and_then(|folder| std::fs::metadata(folder).ok()).map(|folder| folder.uid()));
            owners
        });
        Self(owners)
    }

    /// Returns how another user may change or replace a file; `None` if none may, if there is no such file, or if its
    /// file system is read-only. Rights of a group are not judged.
    #[cfg(unix)]
    fn fault(&self, file: &Path) -> Option<String> {
        use rustix::fs::{StatVfsMountFlags, statvfs};
        let real = std::fs::canonicalize(file).ok()?;
        if statvfs(&real).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY)) {
            return None;
        }
        // A symbolic link can be replaced as the file that it leads to can.
        [real, store::in_its_folder(file)].iter().find_map(|path| self.fault_of(file, path))
    }

    #[cfg(not(unix))]
    fn fault(&self, _: &Path) -> Option<String> {
        None
    }

    /// Judges a path without symbolic links, except for the file itself.
    #[cfg(unix)]
    fn fault_of(&self, file: &Path, path: &Path) -> Option<String> {
        use std::os::unix::fs::MetadataExt;
        const WRITABLE_BY_ALL: u32 = 0o002;
        const STICKY: u32 = 0o1000;
        let file = file.display();
        path.ancestors().find_map(|part| {
            let found = std::fs::symlink_metadata(part).ok()?;
            let (shown, mode) = (part.display(), found.mode() & 0o7777);
            let is_open = mode & WRITABLE_BY_ALL != 0 && !found.is_symlink();
            let owner = found.uid();
            if self.0.as_ref().is_some_and(|owners| !owners.contains(&owner)) {
                return Some(match part == path {
                    true => format!("{file} belongs to the user {owner}, who may change it"),
                    false => format!("{file} can be replaced: {shown} belongs to the user {owner}"),
                });
            }
            match part == path {
                true if is_open => {
                    Some(format!("every user of this machine may change {file} (mode {mode:o})"))
                }
                // In a folder with the sticky bit users replace their own files alone.
                false if is_open && mode & STICKY == 0 => Some(format!(
                    "every user of this machine may replace {file}: {shown} has the mode {mode:o}"
                )),
                _ => None,
            }
        })
    }
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_trusted_if_no_other_user_may_change_or_replace_it() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("folder");
        std::fs::create_dir(&folder).expect("a folder");
        let file = folder.join("file");
        std::fs::write(&file, "").expect("a file");
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its owner may");
        };
        let own = std::fs::metadata(&file).expect("a file").uid();
        let owners = Owners(Some(vec![0, own]));
        for (file_mode, folder_mode, fault) in [
            (0o600, 0o700, None),
            (0o664, 0o775, None),
            (0o600, 0o1777, None),
            (0o602, 0o700, Some("may change")),
            (0o600, 0o777, Some("may replace")),
        ] {
            set(&file, file_mode);
            set(&folder, folder_mode);
            let found = owners.fault(&file);
            assert_eq!(found.is_some(), fault.is_some(), "{file_mode:o} {folder_mode:o} {found:?}");
            assert!(found.unwrap_or_default().contains(fault.unwrap_or_default()));
        }
        set(&file, 0o600);
        // By a link elsewhere: the folders of the link count as well as those of the file.
        let link = place.path().join("link");
        symlink(&file, &link).expect("a link");
        assert!(owners.fault(&link).is_some_and(|fault| fault.contains("may replace")));
        set(&folder, 0o700);
        assert_eq!(owners.fault(&link), None);
        set(place.path(), 0o777);
        assert!(owners.fault(&link).is_some_and(|fault| fault.contains("may replace")));
        set(place.path(), 0o700);
        // Of another user.
        let others = Owners(Some(vec![own + 1]));
        assert!(
            others
                .fault(&file)
                .is_some_and(|fault| fault.contains(&format!("user {own}, who may change it")))
        );
        assert_eq!(Owners::ANY.fault(&file), None);
        assert_eq!(owners.fault(&folder.join("none")), None);
    }
}
