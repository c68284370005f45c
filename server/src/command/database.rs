//! The database that a configuration file names, for subcommands that work without the server.

use std::convert::Infallible;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::logging;
use crate::store::{AdminRecords, Store};
use claimgate::oidc::accounts;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::user::User;
use claimgate_config::{Config, Database};

use crate::command::output::Failure;

#[derive(clap::Args)]
pub(crate) struct DatabaseArguments {
    /// The configuration file that names the database
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    pub(crate) config: PathBuf,
}

/// A database that is closed, with everything in its one file, when this is dropped.
pub(crate) struct OpenDatabase(Store);

impl Deref for OpenDatabase {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.0
    }
}

impl Drop for OpenDatabase {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Opens the database that a configuration file names, and logs warnings about it to standard error. No secret of
/// the file is read.
pub(crate) fn open(config: &Path) -> Result<OpenDatabase, Failure> {
    logging::start_warnings();
    let file = settings(config)?.file;
    let is_new = !file.exists();
    let store = Store::open_for_command(&file).map_err(|error| Failure::Usage(error.to_string()))?;
    if is_new {
        eprintln!("note: {} did not exist; it is a new database", file.display());
    }
    Ok(OpenDatabase(store))
}

/// Opens the database of a server, which no other server may use.
pub(crate) fn open_for_server(file: &Path) -> Result<OpenDatabase, Failure> {
    Store::open_for_server(file).map(OpenDatabase).map_err(|error| Failure::Usage(error.to_string()))
}

/// Returns what a configuration file says of the database and of usernames given by hand.
pub(crate) fn settings(file: &Path) -> Result<Database, Failure> {
    Config::database(file).map_err(|error| Failure::Usage(format!("{error} [{}]", error.code())))?.ok_or_else(
        || {
            Failure::Usage(format!(
                "{}: there is no [server] section, so no database is configured",
                file.display()
            ))
        },
    )
}

/// Runs work in one transaction.
pub(crate) fn transact<T, E>(
    store: &OpenDatabase,
    work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: From<StoreError> + Into<Failure> + Send + 'static,
{
    store.administer_blocking(work).map_err(Into::into)
}

/// Makes a change in one transaction and leaves a notice of it for the log of the server: which command, about which
/// user, session or issuer.
pub(crate) fn change<T, E>(
    store: &OpenDatabase,
    (action, about): (&'static str, &str),
    work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: From<StoreError> + Into<Failure> + Send + 'static,
{
    let about = about.to_owned();
    transact(store, move |records| {
        let result = work(records)?;
        records.leave_notice(action, &about)?;
        Ok::<T, E>(result)
    })
}

/// Runs work in a transaction that is rolled back. Returns what it would have done.
pub(crate) fn rehearse<T, E>(
    store: &OpenDatabase,
    work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let rolled_back = store.administer_blocking(move |records| -> Result<Infallible, RolledBack<T, E>> {
        Err(RolledBack(work(records)))
    });
    match rolled_back {
        Ok(never) => match never {},
        Err(RolledBack(result)) => result,
    }
}

/// The result of a rehearsal as the error that rolls its transaction back.
struct RolledBack<T, E>(Result<T, E>);

impl<T, E: From<StoreError>> From<StoreError> for RolledBack<T, E> {
    fn from(error: StoreError) -> Self {
        Self(Err(error.into()))
    }
}

/// Returns the user of a name.
pub(crate) fn find(store: &OpenDatabase, username: &str) -> Result<User, Failure> {
    let name = username.to_owned();
    transact(store, move |records| accounts::user_named(records, &name))?.ok_or_else(|| Failure::Refused {
        code: "request.not_found",
        message: format!("there is no user `{username}`"),
    })
}
