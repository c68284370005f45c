//! The replacement of a file: at once or not at all, with a copy of what was there before.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use claimgate::oidc::fingerprint::Fingerprint;
use tempfile::NamedTempFile;
use time::OffsetDateTime;

use super::place::Place;
use super::secret::NewSecret;
use super::{EditError, Edited};

/// Copies of earlier files that are kept.
const BACKUPS: usize = 10;
/// The form of the time of a copy: a zero stands for a digit.
const TIME: &str = "00000000T000000.000000Z";
/// Rights of a copy and of a secret: for its owner alone, also where others may read the file.
const COPY_MODE: u32 = 0o600;
/// Between the name of the file and the time of a copy.
const BEFORE: &str = ".before-";

/// A replacement that is on the disk under another name. Dropped, it has changed nothing.
#[derive(Debug)]
pub(crate) struct Prepared {
    place: Place,
    version: Fingerprint,
    before: String,
    new: NamedTempFile,
    secret: Option<NewSecret>,
    /// The folder, locked: no other server or request saves meanwhile.
    folder: File,
}

impl Prepared {
    /// Writes the new file beside the old one, if that is still of a version.
    ///
    /// # Errors
    /// [`EditError::Busy`], [`EditError::Changed`], [`EditError::Write`] or [`EditError::Read`].
    pub(super) fn new(place: Place, version: Fingerprint, edited: Edited) -> Result<Self, EditError> {
        let Edited { text, secret } = edited;
        let folder = File::open(&place.folder).map_err(|error| failed(&place.folder, &error))?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EditError::Busy),
            Err(TryLockError::Error(error)) => return Err(failed(&place.folder, &error)),
        }
        let before = read(&place.file)?;
        if Fingerprint::of(&before) != version {
            return Err(EditError::Changed);
        }
        let prefix = unfinished(&place.file);
        // What a stopped server left: no other one saves now.
        for file in beside(&place.file, &prefix) {
            let _ = std::fs::remove_file(file);
        }
        let new = tempfile::Builder::new().prefix(&prefix).tempfile_in(&place.folder);
        let mut new = new.map_err(|error| failed(&place.folder, &error))?;
        fill(new.as_file_mut(), &place, place.mode, &text).map_err(|error| failed(&place.file, &error))?;
        Ok(Self { place, version, before, new, secret, folder })
    }

    /// Puts the new file in the place of the old one, of which it keeps a copy; the file of a new secret is there before. Returns
    /// the copy.
    ///
    /// # Errors
    /// [`EditError::Changed`], [`EditError::Write`] or [`EditError::Read`]; the old file is in its place then.
    pub(crate) fn commit(self) -> Result<PathBuf, EditError> {
        let Self { place, version, before, new, secret, folder } = self;
        let backup = back_up(&place, &before).map_err(|error| failed(&place.folder, &error))?;
        let mut made = vec![backup.clone()];
        let replaced = (|| {
            if let Some(secret) = &secret {
                made.push(keep(&place, secret)?);
            }
            match Fingerprint::of(&read(&place.file)?) == version {
                false => Err(EditError::Changed),
                true => new.persist(&place.file).map_err(|error| failed(&place.file, &error.error)),
            }
        })();
        if let Err(error) = replaced {
            made.iter().for_each(|file| drop(std::fs::remove_file(file)));
            return Err(error);
        }
        // The new file is in its place: a failure now is one of the disk, and the file stays as it is.
        folder.sync_all().map_err(|error| failed(&place.folder, &error))?;
        let mut others = backups(&place.file);
        others.retain(|file| *file != backup);
        for file in &others[..(others.len() + 1).saturating_sub(BACKUPS)] {
            let _ = std::fs::remove_file(file);
        }
        Ok(backup)
    }
}

/// Returns the copies of a file that were made here, the oldest first. Other files whose names begin as theirs are the
/// operator's.
pub(super) fn backups(file: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}{BEFORE}", name(file));
    let mut found = beside(file, &prefix);
    found.retain(|file| name(file).strip_prefix(&prefix).is_some_and(is_time));
    found.sort();
    found
}

/// Reports whether a text is a time as the names of copies have it.
fn is_time(text: &str) -> bool {
    let fits = |(found, wanted): (char, char)| match wanted {
        '0' => found.is_ascii_digit(),
        other => found == other,
    };
    text.len() == TIME.len() && text.chars().zip(TIME.chars()).all(fits)
}

/// Writes a copy under a name with the time.
fn back_up(place: &Place, text: &str) -> std::io::Result<PathBuf> {
    let now = OffsetDateTime::now_utc();
    let (day, time) = (now.date(), now.time());
    // Names in their order are times in their order.
    let path = place.folder.join(format!(
        "{}{BEFORE}{:04}{:02}{:02}T{:02}{:02}{:02}.{:06}Z",
        name(&place.file),
        day.year(),
        u8::from(day.month()),
        day.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond(),
    ));
    create(place, &path, text)?;
    Ok(path)
}

/// Writes the file of a new secret. Returns the file.
fn keep(place: &Place, secret: &NewSecret) -> Result<PathBuf, EditError> {
    let path = secret.path(&place.folder);
    create(place, &path, &secret.text()).map_err(|error| failed(&path, &error))?;
    Ok(path)
}

/// Makes a file that its owner alone reads, and which was not there before.
fn create(place: &Place, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(COPY_MODE).open(path)?;
    fill(&mut file, place, COPY_MODE, text).inspect_err(|_| drop(std::fs::remove_file(path)))
}

/// Writes a new file with owner and group of the old one, to the disk.
fn fill(file: &mut File, place: &Place, mode: u32, text: &str) -> std::io::Result<()> {
    let found = file.metadata()?;
    if (found.uid(), found.gid()) != (place.owner, place.group) {
        fchown(&*file, Some(place.owner), Some(place.group))?;
    }
    // After the owner: a change of it takes rights away, and before the text, which may hold secrets.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn read(file: &Path) -> Result<String, EditError> {
    std::fs::read_to_string(file)
        .map_err(|error| EditError::Read { file: file.display().to_string(), reason: error.to_string() })
}

fn failed(file: &Path, error: &std::io::Error) -> EditError {
    let reason = match error.kind() {
        ErrorKind::StorageFull => "the disk is full".to_owned(),
        _ => error.to_string(),
    };
    EditError::Write { file: file.display().to_string(), reason }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns how the names of files begin that are not in their place yet.
fn unfinished(file: &Path) -> String {
    format!(".{}.saving-", name(file))
}

/// Returns the files of the same folder whose names begin with a prefix.
fn beside(file: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = file.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let entries = entries.into_iter().flatten().flatten();
    let fitting = entries.filter(|entry| {
        entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
    });
    fitting.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use claimgate::oidc::client::Secret;

    use super::*;

    fn folder_with(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("claimgate.toml");
        std::fs::write(&file, text).expect("a file");
        (folder, file)
    }

    fn prepare(file: &Path, version: &str, text: &str) -> Result<Prepared, EditError> {
        prepare_with(file, version, Edited::from(text.to_owned()))
    }

    fn prepare_with(file: &Path, version: &str, edited: Edited) -> Result<Prepared, EditError> {
        Prepared::new(Place::of(file).expect("may be replaced"), Fingerprint::of(version), edited)
    }

    fn text(file: &Path) -> String {
        std::fs::read_to_string(file).expect("a file")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_with_its_rights_and_a_copy_is_kept() {
        let (folder, file) = folder_with("old");
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("its owner may");
        // A link to it stays a link.
        let link = folder.path().join("link.toml");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let backup = prepare(&link, "old", "new").and_then(Prepared::commit).expect("saved");
        assert_eq!((text(&file).as_str(), text(&backup).as_str()), ("new", "old"));
        assert!(link.is_symlink());
        for (file, mode) in [(&file, 0o640), (&backup, 0o600)] {
            assert_eq!(file.metadata().expect("a file").mode() & 0o7777, mode, "{}", file.display());
        }
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[test]
    fn of_two_changes_of_one_version_the_second_is_refused() {
        let (folder, file) = folder_with("old");
        let first = prepare(&file, "old", "first").expect("prepared");
        assert!(matches!(prepare(&file, "old", "second"), Err(EditError::Busy)));
        first.commit().expect("saved");
        assert!(matches!(prepare(&file, "old", "second"), Err(EditError::Changed)));
        assert_eq!(text(&file), "first");
        // By hand, after the check.
        let late = prepare(&file, "first", "second").expect("prepared");
        std::fs::write(&file, "by hand").expect("a file");
        assert!(matches!(late.commit(), Err(EditError::Changed)));
        assert_eq!(text(&file), "by hand");
        assert_eq!(names(folder.path()).len(), 2, "no copy of a change that was not made");
    }

    #[test]
    fn a_change_that_is_dropped_leaves_nothing() {
        let (folder, file) = folder_with("old");
        drop(prepare(&file, "old", "new").expect("prepared"));
        assert_eq!((text(&file).as_str(), names(folder.path()).len()), ("old", 1));
        // What a stopped server left goes with the next change.
        std::fs::write(folder.path().join(".claimgate.toml.saving-x"), "half").expect("a file");
        prepare(&file, "old", "new").and_then(Prepared::commit).expect("saved");
        assert!(!names(folder.path()).iter().any(|name| name.contains("saving")));
    }

    #[test]
    fn files_of_the_operator_are_no_copies_and_the_new_copy_stays() {
        let (folder, file) = folder_with("old");
        let mut kept: Vec<String> = (0..10).map(|index| format!("claimgate.toml.before-a{index}")).collect();
        kept.push("claimgate.toml.before-1.2-upgrade".to_owned());
        kept.push("claimgate.toml.before-20260101T000000.000000Z.gz".to_owned());
        // Copies of a clock that was ahead.
        let ahead = (10..20).map(|day| format!("claimgate.toml.before-299901{day}T000000.000000Z"));
        let ahead: Vec<String> = ahead.collect();
        for name in kept.iter().chain(&ahead) {
            std::fs::write(folder.path().join(name), "another's").expect("a file");
        }
        let backup = prepare(&file, "old", "new").and_then(Prepared::commit).expect("saved");
        assert_eq!(text(&backup), "old");
        let left = names(folder.path());
        assert!(kept.iter().all(|name| left.contains(name)), "{left:?}");
        assert_eq!(ahead.iter().filter(|name| left.contains(name)).count(), BACKUPS - 1);
    }

    // attack: console.secret-of-provider
    #[test]
    fn a_new_secret_has_a_file_for_its_owner_alone_or_none() {
        let (folder, file) = folder_with("old");
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("its owner may");
        let edited = |text: &str| {
            let value = Secret::new("a secret".to_owned());
            let secret = NewSecret::beside(&file, "crm", value).expect("may be written");
            Edited { text: text.to_owned(), secret: Some(secret) }
        };
        let secret = folder.path().join("client-secret-crm");
        // Neither prepared nor refused is it on the disk.
        drop(prepare_with(&file, "old", edited("new")).expect("prepared"));
        let late = prepare_with(&file, "old", edited("new")).expect("prepared");
        std::fs::write(&file, "by hand").expect("a file");
        assert!(matches!(late.commit(), Err(EditError::Changed)) && !secret.exists());
        prepare_with(&file, "by hand", edited("new")).and_then(Prepared::commit).expect("saved");
        assert_eq!((text(&file).as_str(), text(&secret).as_str()), ("new", "a secret\n"));
        assert_eq!(secret.metadata().expect("a file").mode() & 0o7777, 0o600);
        // A file that has come meanwhile is not replaced.
        let taken = edited("newer");
        std::fs::write(folder.path().join("client-secret-crm-2"), "another's").expect("a file");
        let refused = prepare_with(&file, "new", taken).and_then(Prepared::commit);
        assert!(matches!(refused, Err(EditError::Write { .. })) && text(&file) == "new", "{refused:?}");
        assert_eq!(text(&folder.path().join("client-secret-crm-2")), "another's");
        assert_eq!(backups(&file).len(), 1);
    }

    #[test]
    fn ten_copies_are_kept_the_newest() {
        let (folder, file) = folder_with("0");
        std::fs::write(folder.path().join("claimgate.toml.bak"), "another's").expect("a file");
        for index in 0..12 {
            prepare(&file, &index.to_string(), &(index + 1).to_string())
                .and_then(Prepared::commit)
                .expect("saved");
        }
        let texts: Vec<String> = backups(&file).iter().map(|file| text(file)).collect();
        assert_eq!(texts, ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
        assert!(folder.path().join("claimgate.toml.bak").exists());
    }
}
