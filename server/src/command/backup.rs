//! `claimgate backup` and `claimgate restore`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::confirmation::confirm;
use super::database::{DatabaseArguments, database_file};
use super::logging;
use crate::command::output::{self, Failure};
use crate::plural::count;
use crate::store;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate backup /var/backups/claimgate.db\n  \
    claimgate backup \"claimgate-$(date +%F).db\" \\\n    --config /etc/claimgate/claimgate.toml\n  \
    claimgate backup --replace /var/backups/claimgate.db\n\n\
    Works while the server runs. FILE is one file with the state of one moment, for its owner alone, \
    and complete once it has its name. It holds password hashes and personal data.\n\
    Exit codes: 0 copied, 2 not copied.")]
pub(crate) struct BackupArguments {
    /// The file to write
    file: PathBuf,
    /// Replace FILE if it exists
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    systemctl stop claimgate\n  \
    claimgate restore /var/backups/claimgate.db \\\n    --config /etc/claimgate/claimgate.toml\n  \
    claimgate restore --yes claimgate-2026-01-31.db\n\n\
    The server must not run. Users, teams and passwords are those of the backup afterwards: deactivate \
    again whom you deactivated since. All sessions end.\n\
    Exit codes: 0 restored, 2 nothing was changed.")]
pub(crate) struct RestoreArguments {
    /// The backup to read
    file: PathBuf,
    /// Replace the database without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    database: DatabaseArguments,
}

/// What to do in place of `claimgate backup`.
const PG_DUMP: &str = "back it up with PostgreSQL's own tools, such as `pg_dump --schema claimgate`";
/// What to do in place of `claimgate restore`.
const PG_RESTORE: &str = "restore it with PostgreSQL's own tools, such as `pg_restore`, while every server is stopped, \
    and end all sessions then: some may have been ended since the backup";

impl BackupArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let database = database_file(&self.database.config, PG_DUMP)?;
        refuse_same(&self.file, &database)?;
        check_target(&self.file)?;
        if self.file.exists() && !self.replace {
            return Err(Failure::Usage(format!(
                "{} exists; add --replace to replace it",
                self.file.display()
            )));
        }
        let bar = bar();
        store::back_up(&database, &self.file, &mut |done, all| show(&bar, done, all)).map_err(usage)?;
        bar.finish_and_clear();
        output::text(&format!("copied {} to {}\n", database.display(), self.file.display()))
    }
}

impl RestoreArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        logging::start_warnings();
        let database = database_file(&self.database.config, PG_RESTORE)?;
        refuse_same(&self.file, &database)?;
        check_source(&self.file)?;
        if database.exists() {
            confirm(&format!("This replaces {}, with all users in it.", database.display()), self.yes)?;
        }
        let existed = database.exists();
        let bar = bar();
        let restored =
            store::restore(&self.file, &database, &mut |done, all| show(&bar, done, all)).map_err(usage)?;
        bar.finish_and_clear();
        if existed && restored.logouts.is_none() {
            eprintln!(
                "warning: the replaced database cannot be read, so the logouts since the backup are lost: \
                tokens that they ended are accepted again until they expire"
            );
        }
        let text = format!(
            "restored {} to {}; {} of the backup ended\n",
            count(restored.users, "user"),
            database.display(),
            count(restored.sessions, "session")
        );
        output::text(&text)
    }
}

fn usage(error: claimgate::oidc::records::StoreError) -> Failure {
    Failure::Usage(error.to_string())
}

/// Refuses a target that is a folder, or in a folder that does not exist.
fn check_target(file: &Path) -> Result<(), Failure> {
    if file.is_dir() {
        return Err(Failure::Usage(format!("{} is a folder: name a file in it", file.display())));
    }
    match file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => Err(Failure::Usage(format!(
            "the folder {} does not exist: make it, or name a file elsewhere",
            folder.display()
        ))),
        None => Ok(()),
    }
}

/// Refuses a backup that does not exist or is a folder.
fn check_source(file: &Path) -> Result<(), Failure> {
    match std::fs::metadata(file) {
        Ok(found) if found.is_dir() => {
            Err(Failure::Usage(format!("{} is a folder: name the file of the backup", file.display())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::Usage(format!("{} does not exist: name the file of the backup", file.display())))
        }
        // Other errors are those of reading it.
        _ => Ok(()),
    }
}

fn refuse_same(copy: &Path, database: &Path) -> Result<(), Failure> {
    match (copy.canonicalize(), database.canonicalize()) {
        (Ok(one), Ok(other)) if one == other => {
            Err(Failure::Usage(format!("{} is the database itself; name another file", copy.display())))
        }
        _ => Ok(()),
    }
}

/// Returns a bar on standard error, which shows nothing where that is no terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent}% of {len} pages").expect("a valid template");
    ProgressBar::new(0).with_style(style)
}

fn show(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
}
