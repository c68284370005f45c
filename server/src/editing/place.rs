//! Whether the server may replace a file, so that the new one has the owner and the rights of the old one.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, getxattr};
use rustix::process::{Gid, getegid, geteuid, getgroups};

use crate::system;

/// The right of the owner to write.
const OWNER_WRITES: u32 = 0o200;

/// What prevents the server from replacing a file, and what the operator can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

/// A file that may be replaced.
#[derive(Debug)]
pub(super) struct Place {
    /// The file itself, behind symbolic links, which stay.
    pub(super) file: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

impl Place {
    /// Looks at a file and its folder. What is judged here may change before the file is replaced, and fails then.
    ///
    /// # Errors
    /// An [`Obstacle`].
    pub(super) fn of(path: &Path) -> Result<Self, Obstacle> {
        let shown = path.display();
        let gone = |error: std::io::Error| Obstacle {
            reason: format!("{shown}: {error}"),
            remedy: "check the file and the rights to its folders".to_owned(),
        };
        let file = std::fs::canonicalize(path).map_err(gone)?;
        let found = std::fs::metadata(&file).map_err(gone)?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let place =
            Self { owner: found.uid(), group: found.gid(), mode: found.mode() & 0o7777, file, folder };
        if found.mode() & OWNER_WRITES == 0 {
            let reason = format!("{shown} is read-only (mode {:o})", place.mode);
            return Err(Obstacle { reason, remedy: format!("`chmod u+w {shown}` allows changes here") });
        }
        place.check_rights()?;
        if found.nlink() > 1 {
            let reason =
                format!("{shown} has {} names (hard links), and a new file would have one", found.nlink());
            return Err(Obstacle { reason, remedy: "make a copy of it under this name".to_owned() });
        }
        if getxattr(&place.file, "system.posix_acl_access", &mut [0; 0][..]).is_ok() {
            let reason = format!("{shown} has an access control list, which a new file would not have");
            return Err(Obstacle { reason, remedy: format!("`setfacl -b {shown}` removes it") });
        }
        Ok(place)
    }

    /// Checks that this process may write the file and make files of its owner and group in its folder.
    fn check_rights(&self) -> Result<(), Obstacle> {
        let folder = self.folder.display();
        for (path, rights) in
            [(&self.file, Access::WRITE_OK), (&self.folder, Access::WRITE_OK | Access::EXEC_OK)]
        {
            let shown = path.display();
            match access(path, rights) {
                Ok(()) => {}
                Err(rustix::io::Errno::ROFS) => {
                    return Err(Obstacle {
                        reason: format!("{shown} is on a file system that is read-only for this server"),
                        remedy: format!(
                            "for a systemd service with ProtectSystem, `ReadWritePaths={folder}` allows changes"
                        ),
                    });
                }
                Err(error) => {
                    return Err(Obstacle {
                        reason: format!("the user that runs this server may not write {shown} ({error})"),
                        remedy: format!("give that user the folder {folder} and the file in it"),
                    });
                }
            }
        }
        let (user, group) = (geteuid(), getegid().as_raw());
        let others: Vec<u32> = getgroups().unwrap_or_default().into_iter().map(Gid::as_raw).collect();
        match user.is_root() {
            true => Ok(()),
            false => self.check_ownership(user.as_raw(), group, &others),
        }
    }

    /// Checks that a process of a user, a group and other groups may make files of the owner and the group of the file.
    fn check_ownership(&self, user: u32, group: u32, others: &[u32]) -> Result<(), Obstacle> {
        let file = self.file.display();
        if user != self.owner {
            let (owner, user) = (system::user_name(self.owner), system::user_name(user));
            return Err(Obstacle {
                reason: format!("{file} belongs to the user {owner}, and a new file would belong to {user}"),
                remedy: format!("`chown {user} {file}` gives it to the user that runs this server"),
            });
        }
        if self.group != group && !others.contains(&self.group) {
            return Err(Obstacle {
                reason: format!(
                    "{file} belongs to the group {}, which this server is not in",
                    system::group_name(self.group)
                ),
                remedy: format!(
                    "`chgrp {} {file}` gives it to the server's group",
                    system::group_name(group)
                ),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_may_not_be_replaced_has_an_obstacle_with_a_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("claimgate.toml");
        assert!(Place::of(&file).is_err_and(|obstacle| obstacle.reason.contains("No such file")));
        std::fs::write(&file, "").expect("a file");
        let place = Place::of(&file).expect("a new file is the process's own");
        assert_eq!(place.mode & 0o200, 0o200);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o440)).expect("its owner may");
        let read_only = Place::of(&file).expect_err("read-only, also for root");
        assert!(read_only.to_string().contains("mode 440") && read_only.remedy.contains("chmod u+w"));
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("its owner may");
        std::fs::hard_link(&file, folder.path().join("other")).expect("a second name");
        assert!(Place::of(&file).is_err_and(|obstacle| obstacle.reason.contains("2 names")));
    }

    #[test]
    fn a_file_of_another_user_or_group_has_a_remedy_with_names() {
        let file = PathBuf::from("/etc/claimgate.toml");
        let place = Place { file, folder: PathBuf::from("/etc"), owner: 0, group: 0, mode: 0o644 };
        let (group, other) = (system::group_name(0), system::user_name(65_534));
        let foreign = place.check_ownership(65_534, 65_534, &[]).expect_err("another user's");
        assert_eq!(
            foreign.reason,
            format!("/etc/claimgate.toml belongs to the user root, and a new file would belong to {other}")
        );
        assert!(foreign.remedy.starts_with(&format!("`chown {other} /etc/claimgate.toml`")));
        let foreign = place.check_ownership(0, 65_534, &[]).expect_err("another group's");
        assert!(foreign.reason.contains(&format!("belongs to the group {group}, which")), "{foreign}");
        let own = system::group_name(65_534);
        assert!(foreign.remedy.starts_with(&format!("`chgrp {own} /etc/claimgate.toml`")), "{foreign}");
        assert!(place.check_ownership(0, 65_534, &[0]).is_ok());
    }

    #[test]
    fn a_symbolic_link_leads_to_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().join("real.toml");
        std::fs::write(&real, "").expect("a file");
        let link = folder.path().join("claimgate.toml");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        assert_eq!(Place::of(&link).expect("may be replaced").file, real.canonicalize().expect("a file"));
    }
}
