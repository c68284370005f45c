//! The users of a database: the one that runs the server owns its folder, and its files must be that user's.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::{store, system};

/// Returns what gives this user, who runs the server, the rights that a server needs on its database; `None` if it has
/// them.
pub(crate) fn remedy_for_server(database: &Path) -> Option<String> {
    let folder = folder_of(database);
    if !folder.is_dir() {
        return Some(format!(
            "`install -d -m 0700 -o {} {}`, as root, makes the folder",
            system::user_name(own_id()),
            folder.display()
        ));
    }
    let denied = denied(database);
    (!denied.is_empty()).then(|| {
        let owner = system::owner_with_group(own_id());
        format!("`chown {owner} {}`, as root, gives this user what the server needs", listed(&denied))
    })
}

/// Returns how a command is run that this user has no right to run on a database; `None` if it has.
pub(crate) fn remedy_for_command(database: &Path) -> Option<String> {
    let denied = denied(database);
    let owner = std::fs::metadata(folder_of(database)).ok()?.uid();
    (!denied.is_empty()).then(|| match owner {
        0 => "run the command as root".to_owned(),
        owner => format!(
            "run the command as the user that runs the server: as root, `runuser -u {} -- claimgate …`",
            system::user_name(owner)
        ),
    })
}

/// Returns what is wrong where files of a database belong to another user than their folder, and what to do: the user of
/// the folder runs the server, and cannot open them. Of a folder of root's nothing is known.
pub(crate) fn foreign_files(database: &Path) -> Option<(String, String)> {
    let folder = folder_of(database);
    let user = std::fs::metadata(&folder).ok()?.uid();
    let is_foreign = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|found| found.uid() != user);
    let foreign: Vec<PathBuf> = files_of(database).filter(is_foreign).collect();
    if user == 0 || foreign.is_empty() {
        return None;
    }
    let (owner, user, files) = (system::owner_with_group(user), system::user_name(user), listed(&foreign));
    let message = format!(
        "{files}: not of the user {user}, to whom the folder {} belongs: a server that runs as {user} cannot open them",
        folder.display()
    );
    Some((message, format!("`chown {owner} {files}`, as root, gives them to it")))
}

/// The user that runs a server, by name, and a group that this user is in.
pub(crate) struct ServiceUser {
    pub(crate) name: String,
    /// The primary group; that of the folder where it is not known.
    pub(crate) group: String,
}

/// Returns the user that runs the server of a database: the owner of its folder, if that is another than this one.
pub(crate) fn service_user(database: &Path) -> Option<ServiceUser> {
    let folder = std::fs::metadata(folder_of(database)).ok()?;
    let group = || system::primary_group(folder.uid()).unwrap_or(folder.gid());
    (folder.uid() != own_id())
        .then(|| ServiceUser { name: system::user_name(folder.uid()), group: system::group_name(group()) })
}

fn own_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn folder_of(database: &Path) -> PathBuf {
    let real = store::real_file(database);
    real.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn files_of(database: &Path) -> impl Iterator<Item = PathBuf> {
    let mut lock = store::real_file(database).into_os_string();
    lock.push(".lock");
    store::files_of(database).into_iter().chain([lock.into()])
}

/// Returns what this user may not write: the folder, and files in it.
fn denied(database: &Path) -> Vec<PathBuf> {
    let folder = folder_of(database);
    let is_closed = access(&folder, Access::WRITE_OK | Access::EXEC_OK).is_err();
    let may_write = |file: &Path| access(file, Access::READ_OK | Access::WRITE_OK).is_ok();
    let files = files_of(database).filter(|file| file.exists() && !may_write(file));
    is_closed.then_some(folder).into_iter().chain(files).collect()
}

fn listed(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
}
