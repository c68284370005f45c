//! The database in the file system: its rights, its lock, and the files beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::system;
use claimgate::oidc::records::StoreError;

/// Most links that lead from one to the next.
const MOST_LINKS: usize = 32;

/// Returns the name of a file beside the database, such as `claimgate.db.lock`. Symbolic links are followed, as
/// SQLite does: each name of a database has the same files beside it.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = real(database).into_os_string();
    name.push(suffix);
    name.into()
}

/// Returns the database and the files beside it that hold a part of it or its key, whether they exist or not.
pub(crate) fn files_of(database: &Path) -> [PathBuf; 4] {
    ["", "-wal", "-shm", ".key"].map(|suffix| beside(database, suffix))
}

/// Returns the file that symbolic links lead to, whether it exists or not.
pub(crate) fn real(file: &Path) -> PathBuf {
    let mut file = file.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&file) {
            Ok(target) => file = folder_of(&file).join(target),
            Err(_) => return in_its_folder(&file),
        }
    }
    file
}

/// Returns a file under its name in the real folder; a symbolic link of that name is not followed.
pub(crate) fn in_its_folder(file: &Path) -> PathBuf {
    file.file_name().map_or_else(|| file.to_owned(), |name| folder_of(file).join(name))
}

/// Returns the real folder of a file.
fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

/// Creates the database file if needed, for its owner alone from the start; SQLite gives the files beside it the
/// same mode. Takes the rights of other users away from a file that exists, and logs that. The file is not opened
/// where it exists: closing it would release the locks that SQLite has in this process.
///
/// # Errors
/// The file cannot be created, or its rights cannot be changed because it belongs to another user.
pub(super) fn restrict(database: &Path) -> io::Result<()> {
    if std::fs::metadata(database).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return match create(&real(database)) {
            // Another process made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => created.map(drop),
        };
    }
    for file in [database.to_owned(), beside(database, "-wal"), beside(database, "-shm")] {
        narrow(&file)?;
    }
    Ok(())
}

/// Creates a file, for its owner alone. One that root creates in the folder of another user belongs to that user: a
/// server that runs as that user could not open it otherwise. The folder is opened once: the file is created in the
/// very folder whose owner it gets, even if another process exchanges the folder for a symbolic link meanwhile.
///
/// `file` is a name that [`real`] or [`beside`] returned: a folder that is a symbolic link is not followed.
///
/// # Errors
/// The file exists, or cannot be created.
#[cfg(unix)]
pub(super) fn create(file: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, fchown, fstat, openat};
    let name = file.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = hold_folder(file)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let created = openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    let owner = fstat(&folder)?;
    if rustix::process::geteuid().is_root() && owner.st_uid != 0 {
        let user = rustix::process::Uid::from_raw(owner.st_uid);
        let group = rustix::process::Gid::from_raw(owner.st_gid);
        // It was created just now: no other file is given away.
        fchown(&created, Some(user), Some(group))?;
    }
    Ok(created.into())
}

/// Opens the folder of a file; one that is a symbolic link is refused.
#[cfg(unix)]
fn hold_folder(file: &Path) -> io::Result<std::os::fd::OwnedFd> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    // To hold the folder and to create files in it takes no right to list it.
    #[cfg(target_os = "linux")]
    const HELD: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const HELD: OFlags = OFlags::RDONLY;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = HELD | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(CWD, folder, flags, Mode::empty())?)
}

/// Creates a file.
///
/// # Errors
/// The file exists, or cannot be created.
#[cfg(not(unix))]
pub(super) fn create(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(file)
}

/// Takes the rights of other users away from a file, if it exists, and logs that. Returns whether there were any.
///
/// # Errors
/// The rights cannot be changed: the file belongs to another user than this one; for root, than its folder.
pub(super) fn narrow(file: &Path) -> io::Result<bool> {
    let Some(mode) = open_to_others(file) else { return Ok(false) };
    #[cfg(unix)]
    close_to_others(file).map_err(|error| {
        let reason = format!(
            "other users have rights to {} (mode {mode:o}), and they cannot be taken away: {error}",
            file.display()
        );
        io::Error::new(error.kind(), reason)
    })?;
    let (file, may_have_changed) = (file.display(), mode & 0o022 != 0);
    let mode = format!("{mode:o}");
    if may_have_changed {
        warn!(%file, mode, "other users could change this file, and may have; it is for its owner alone now");
    } else {
        warn!(%file, mode, "other users could read this file; it is for its owner alone now");
    }
    Ok(true)
}

/// Takes the rights of other users away from a file that exists. The user of the folder decides where the names in it
/// lead, also by symbolic links: root changes the rights of a file for that user alone if the file is that user's. The
/// file is held while its owner is compared, so that no other file gets the rights, whatever the name leads to then.
///
/// # Errors
/// The rights cannot be changed, or root finds a file that belongs neither to root in a folder of root's nor to the user
/// of the folder.
#[cfg(unix)]
fn close_to_others(file: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, fstat, openat};
    let file = in_its_folder(file);
    let name = file.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = hold_folder(&file)?;
    // A descriptor that is opened for no access releases no locks when it is closed.
    #[cfg(target_os = "linux")]
    let held = openat(&folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    #[cfg(not(target_os = "linux"))]
    let held = openat(&folder, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    let (owner, found) = (fstat(&folder)?.st_uid, fstat(&held)?);
    if rustix::process::geteuid().is_root() && owner != 0 && found.st_uid != owner {
        let reason = format!(
            "it belongs to the user {}, and the folder to {}",
            system::user_name(found.st_uid),
            system::user_name(owner)
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    let own = Mode::from_raw_mode(found.st_mode) & Mode::RWXU;
    #[cfg(target_os = "linux")]
    rustix::fs::chmod(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held)), own)?;
    #[cfg(not(target_os = "linux"))]
    rustix::fs::fchmod(&held, own)?;
    Ok(())
}

/// Returns the mode of a file to which users other than its owner have rights.
pub(super) fn open_to_others(file: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
        Some(mode).filter(|mode| mode & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        None
    }
}

/// Returns the number of names that a file has; 0 if it does not exist.
fn names(file: &Path) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(file).map_or(0, |metadata| metadata.nlink())
    }
    #[cfg(not(unix))]
    {
        u64::from(file.exists())
    }
}

/// Sets the mode of a file that is created: for its owner alone.
pub(super) fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A lock that one server, or one restoration, has on a database. It ends with its process.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock. Its file stays: to remove it would let two processes lock two files of one name.
    ///
    /// # Errors
    /// [`StoreError`]: another process has the lock, the file cannot be created, or the database has a further name
    /// (a hard link), which a lock beside the first name would not cover.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        if names(database) > 1 {
            let reason = "the file has more than one name (hard links): remove the others, or copy the file";
            return Err(StoreError { reason: format!("{}: {reason}", database.display()) });
        }
        let name = beside(database, ".lock");
        let failed = |error: io::Error| StoreError { reason: format!("{}: {error}", name.display()) };
        let file = match create(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().append(true).open(&name)
            }
            created => created,
        };
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError {
                reason: format!(
                    "{}: a server runs on this database; stop it first (one database serves one server)",
                    database.display()
                ),
            }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    use super::*;

    /// A user that is not root.
    const ANOTHER: u32 = 65_534;

    #[test]
    fn a_file_is_not_created_through_a_link_in_the_place_of_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::create_dir(&target).expect("a folder");
        symlink(&target, &link).expect("a link");
        assert!(create(&link.join("claimgate.db")).is_err());
        assert!(std::fs::read_dir(&target).expect("a folder").next().is_none());
        // Under its real name, for its owner alone, and once.
        let file = real(&link.join("claimgate.db"));
        create(&file).expect("a file");
        assert_eq!(std::fs::metadata(&file).expect("a file").mode() & 0o777, 0o600);
        assert!(create(&file).is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn root_takes_no_rights_away_from_a_file_that_the_user_of_the_folder_does_not_have() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: root alone gives files to another user");
            return;
        }
        let parent = tempfile::tempdir().expect("a folder");
        let [folder, foreign, own] = ["state", "passwd", "own"].map(|name| parent.path().join(name));
        std::fs::create_dir(&folder).expect("a folder");
        chown(&folder, Some(ANOTHER), Some(ANOTHER)).expect("root may");
        let mode = |file: &Path| std::fs::metadata(file).expect("a file").mode() & 0o777;
        let write = |file: &Path, owner: u32| {
            std::fs::write(file, "x").expect("a file");
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).expect("root may");
            chown(file, Some(owner), Some(owner)).expect("root may");
        };
        write(&foreign, 0);
        write(&own, ANOTHER);
        let database = folder.join("claimgate.db");
        for name in [database.clone(), folder.join("claimgate.db-wal"), folder.join("hard")] {
            match name.ends_with("hard") {
                true => std::fs::hard_link(&foreign, &name).expect("a second name"),
                false => symlink(&foreign, &name).expect("a link"),
            }
            let error = narrow(&name).expect_err("root's file, in another user's folder");
            assert!(error.to_string().contains("it belongs to the user root"), "{error}");
            assert_eq!(mode(&foreign), 0o644, "{}", name.display());
        }
        assert!(restrict(&database).is_err());
        std::fs::remove_file(folder.join("claimgate.db-wal")).expect("a link");
        std::fs::remove_file(&database).expect("a link");
        // What is the user's own, also behind a link.
        symlink(&own, &database).expect("a link");
        restrict(&database).expect("the user's own file");
        assert_eq!(mode(&own), 0o600);
        // In a folder of root's, whose links are root's, too.
        let link = parent.path().join("link");
        symlink(&foreign, &link).expect("a link");
        assert_eq!(narrow(&link).ok(), Some(true));
        assert_eq!(mode(&foreign), 0o600);
    }

    #[test]
    fn a_file_that_is_narrowed_keeps_its_locks() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = folder.path().join("claimgate.db");
        let file = File::create(&name).expect("a file");
        std::fs::set_permissions(&name, PermissionsExt::from_mode(0o644)).expect("its owner may");
        rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("a lock");
        let inode = file.metadata().expect("a file").ino();
        let is_locked = || {
            let locks = std::fs::read_to_string("/proc/locks").expect("the locks");
            locks.contains(&format!(":{inode} "))
        };
        assert!(is_locked());
        assert_eq!(narrow(&name).ok(), Some(true));
        assert!(is_locked());
    }

    /// Exchanges a folder and a link, which leads to a folder of root's, again and again while files are created.
    #[test]
    fn root_gives_no_file_away_in_a_folder_of_its_own_while_folder_and_link_are_exchanged() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: root alone gives files to another user");
            return;
        }
        let parent = tempfile::tempdir().expect("a folder");
        let [folder, link, target] = ["data", "link", "target"].map(|name| parent.path().join(name));
        std::fs::create_dir(&folder).expect("a folder");
        chown(&folder, Some(ANOTHER), Some(ANOTHER)).expect("root may");
        std::fs::create_dir(&target).expect("a folder");
        symlink(&target, &link).expect("a link");
        let ended = AtomicBool::new(false);
        let (mut in_target, mut given) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE).expect("exchanged");
                }
            });
            for index in 0..5_000 {
                let _ = create(&real(&folder.join(index.to_string())));
            }
            ended.store(true, Ordering::Relaxed);
        });
        let data = if folder.is_symlink() { &link } else { &folder };
        for (path, user, count) in [(&target, 0, &mut in_target), (data, ANOTHER, &mut given)] {
            for file in std::fs::read_dir(path).expect("a folder").flatten() {
                assert_eq!(file.metadata().expect("a file").uid(), user, "{}", file.path().display());
                *count += 1;
            }
        }
        assert!(in_target > 0 && given > 0, "no exchange came between: {in_target}, {given}");
    }
}
