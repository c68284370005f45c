//! The database that a configuration file names, for subcommands that work without the server.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::runtime::runtime;
use super::{logging, owners, postgres};
use crate::store::postgres::Administration;
use crate::store::{
    self, AdminRecords, BY_COMMAND, Event, EventKind, EventQuery, ListedEvent, SqliteStore, UNREADABLE,
    UserRow,
};
use claimgate::oidc::accounts;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::{User, UserId};
use claimgate_config::{Config, Database, Store};

use crate::command::output::Failure;

/// What to do where there is no database file.
pub(crate) const MAKES_DATABASE: &str =
    "`claimgate serve` or `claimgate user add` makes it, or `database` names another file";

#[derive(clap::Args)]
pub(crate) struct DatabaseArguments {
    /// The configuration file that names the database
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    pub(crate) config: PathBuf,
}

/// A database that is open for a command.
pub(crate) struct OpenDatabase {
    engine: Engine,
    /// Whether the configuration has events recorded.
    records_events: bool,
}

enum Engine {
    /// Closed, with everything in its one file, when this is dropped.
    Sqlite(SqliteStore),
    /// With the runtime that its connections need.
    Postgres(Runtime, Box<Administration>),
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Engine::Sqlite(store) = self {
            store.close();
        }
    }
}

impl OpenDatabase {
    fn administer<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(store) => store.administer_blocking(work),
            Engine::Postgres(runtime, administration) => runtime.block_on(administration.administer(work)),
        }
    }

    fn look<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(store) => store.administer_blocking(work),
            Engine::Postgres(runtime, administration) => runtime.block_on(administration.look(work)),
        }
    }

    /// Lists events.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn list_events(&self, query: EventQuery) -> Result<Vec<ListedEvent>, StoreError> {
        match &self.engine {
            Engine::Sqlite(store) => store.list_events(query),
            Engine::Postgres(runtime, administration) => {
                Ok(runtime.block_on(administration.list_events(&query))?)
            }
        }
    }
}

/// Opens the database that a configuration file names, and logs warnings about it to standard error. No secret of
/// the file is read but the password of PostgreSQL. A file that is missing is an error: the command's user would own it,
/// and the service could not open it. So is a database of PostgreSQL without a schema.
pub(crate) fn open(config: &Path) -> Result<OpenDatabase, Failure> {
    open_as(config, false)
}

/// Opens it as [`open`] does, or makes a new one, which it says.
pub(crate) fn open_or_create(config: &Path) -> Result<OpenDatabase, Failure> {
    open_as(config, true)
}

fn open_as(config: &Path, creates: bool) -> Result<OpenDatabase, Failure> {
    logging::start_warnings();
    let Database { store, events, .. } = settings(config)?;
    let records_events = events.enabled;
    let file = match store {
        Store::Sqlite(sqlite) => sqlite.file,
        Store::Postgres(settings) => {
            let runtime = runtime()?;
            let open = async {
                let server = postgres::server(&settings)?;
                if creates {
                    Administration::open(server).await
                } else {
                    Administration::open_existing(server).await
                }
            };
            let administration = runtime.block_on(open).map_err(|error| postgres::failure(&error))?;
            let engine = Engine::Postgres(runtime, Box::new(administration));
            return Ok(OpenDatabase { engine, records_events });
        }
    };
    let is_new = !file.exists();
    if is_new
        && !creates
        && let Some(remedy) = owners::remedy_for_command(&file)
    {
        return Err(Failure::Usage(format!("{} cannot be opened; {remedy}", file.display())));
    }
    if is_new && !creates {
        return Err(Failure::Usage(format!("{} does not exist: {MAKES_DATABASE}", file.display())));
    }
    let store = SqliteStore::open_for_command(&file)
        .map_err(|error| unusable(&error, owners::remedy_for_command(&file)))?;
    if is_new {
        eprintln!("note: {} did not exist; it is a new database", file.display());
    }
    Ok(OpenDatabase { engine: Engine::Sqlite(store), records_events })
}

/// The store of a server; a database file is closed, with everything in it, when this is dropped.
pub(crate) struct ServerStore(pub(crate) store::Store);

impl Drop for ServerStore {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Opens the store of a server. No other server may use a database file.
pub(crate) async fn open_for_server(store: &Store) -> Result<ServerStore, Failure> {
    match store {
        Store::Sqlite(sqlite) => SqliteStore::open_within(&sqlite.file, sqlite.logout_memory)
            .map(|store| ServerStore(store::Store::Sqlite(store)))
            .map_err(|error| unusable(&error, owners::remedy_for_server(&sqlite.file))),
        Store::Postgres(settings) => {
            let open = async {
                store::Store::open_postgres(postgres::server(settings)?, postgres::node(settings)).await
            };
            open.await.map(ServerStore).map_err(|error| postgres::failure(&error))
        }
    }
}

/// Returns the failure of a database file that cannot be opened, with what to do about it.
fn unusable(error: &StoreError, remedy: Option<String>) -> Failure {
    let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
    Failure::Usage(format!("{error}{remedy}"))
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

/// Returns the database file that a configuration file names, for what SQLite alone needs. `instead` says what to do
/// with PostgreSQL.
pub(crate) fn database_file(config: &Path, instead: &str) -> Result<PathBuf, Failure> {
    match settings(config)?.store {
        Store::Sqlite(sqlite) => Ok(sqlite.file),
        Store::Postgres(settings) => {
            Err(Failure::Usage(format!("the data is in PostgreSQL, at {}: {instead}", settings.url)))
        }
    }
}

/// Runs work that only reads in one transaction.
pub(crate) fn look<T, E>(
    store: &OpenDatabase,
    work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: From<StoreError> + Into<Failure> + Send + 'static,
{
    store.look(work).map_err(Into::into)
}

/// Makes a change in one transaction, records it as an event and leaves a notice of it for the log of the server: which
/// command, about which user, session or issuer.
pub(crate) fn change<T, E>(
    store: &OpenDatabase,
    (action, about): (&'static str, &str),
    work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: From<StoreError> + Into<Failure> + Send + 'static,
{
    let (about, records_events) = (about.to_owned(), store.records_events);
    let changed = store.administer(move |records| {
        // A session that ends has an owner until then.
        let session = SessionId::from_hex(&about);
        let owner = session.map(|session| records.session_owner(session)).transpose()?.flatten();
        let result = work(records)?;
        records.leave_notice(action, &about)?;
        if records_events {
            let event = event_of(records, action, &about, owner)?;
            records.record_event(&event)?;
        }
        Ok::<T, E>(result)
    });
    changed.map_err(Into::into)
}

/// Returns the event of a change that a command has made.
fn event_of(
    records: &mut dyn AdminRecords,
    action: &'static str,
    about: &str,
    owner: Option<User>,
) -> Result<Event, StoreError> {
    let event = Event::new(EventKind::Administration, action).by(BY_COMMAND);
    if let Some(owner) = owner {
        return Ok(event.user(&owner.username).detail(about));
    }
    let (before, name) = about.rsplit_once(" to ").unwrap_or(("", about));
    // The user as it is now; none after a removal, and for what is about an issuer.
    let user = accounts::user_named(records, name)?;
    Ok(match user {
        Some(user) if !before.is_empty() => event.user(&user.username).detail(&format!("was {before}")),
        Some(user) => event.user(&user.username),
        None => event.detail(about),
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
    let rolled_back = store.administer(move |records| -> Result<Infallible, RolledBack<T, E>> {
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

/// A user that a command names.
pub(crate) enum Found {
    /// The user.
    User(User),
    /// The row, and why it cannot be read.
    Row(UserRow, String),
}

impl Found {
    /// Returns the user's identifier.
    pub(crate) fn id(&self) -> UserId {
        match self {
            Found::User(user) => user.id,
            Found::Row(row, _) => row.id,
        }
    }

    /// Returns the user's name.
    pub(crate) fn username(&self) -> &str {
        match self {
            Found::User(user) => &user.username,
            Found::Row(row, _) => &row.username,
        }
    }
}

/// Returns the user of a name, or the row if it cannot be read.
pub(crate) fn find_row(store: &OpenDatabase, username: &str) -> Result<Found, Failure> {
    let name = username.to_owned();
    match store.look(move |records| accounts::user_named(records, &name)) {
        Ok(Some(user)) => Ok(Found::User(user)),
        Ok(None) => Err(Failure::Refused {
            code: "request.not_found",
            message: format!("there is no user `{username}`"),
        }),
        Err(error) => {
            let name = username.to_owned();
            let row = look(store, move |records| records.user_row(&name))?;
            row.map(|row| Found::Row(row, error.reason.clone())).ok_or_else(|| error.into())
        }
    }
}

/// Returns the user of a name.
pub(crate) fn find(store: &OpenDatabase, username: &str) -> Result<User, Failure> {
    match find_row(store, username)? {
        Found::User(user) => Ok(user),
        Found::Row(row, reason) => Err(Failure::Usage(format!(
            "the row of the user {:?} cannot be read ({reason}): {UNREADABLE}",
            row.username
        ))),
    }
}
