//! `claimgate store copy`: from the file of one server to the database of several.

use std::path::PathBuf;

use super::database::{DatabaseArguments, settings};
use super::runtime::runtime;
use super::{logging, postgres};
use crate::command::output::{self, Failure};
use crate::plural::count;
use crate::store::postgres::copy_from_sqlite;
use claimgate_config::Store;

#[derive(clap::Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy a database file into the empty PostgreSQL that the configuration names, while no server runs
    Copy(CopyArguments),
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    systemctl stop claimgate\n  \
    claimgate store copy /var/lib/claimgate/claimgate.db \\\n    --config /etc/claimgate/claimgate.toml\n\n\
    The configuration names PostgreSQL in [store]. FILE keeps its rows and its rights. Users, passwords, links, live sessions, \
    kept logouts, events and the keys of assertions are copied in one transaction, and their numbers compared: all of it or \
    nothing. People stay signed in, and applications go on with the keys that they know.\n\
    Exit codes: 0 copied, 2 nothing was copied.")]
pub(crate) struct CopyArguments {
    /// The database file to read
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseArguments,
}

impl StoreCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let StoreCommand::Copy(arguments) = self;
        arguments.run()
    }
}

impl CopyArguments {
    fn run(self) -> Result<(), Failure> {
        logging::start_warnings();
        let Store::Postgres(target) = settings(&self.database.config)?.store else {
            return Err(Failure::Usage(format!(
                "{} names no PostgreSQL: write `[store]` with its `url`, in place of `database`",
                self.database.config.display()
            )));
        };
        let server = postgres::server(&target).map_err(|error| postgres::failure(&error))?;
        let copied = runtime()?
            .block_on(copy_from_sqlite(&server, &self.file))
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let numbers = [
            count(copied.users, "user"),
            count(copied.passwords, "password"),
            count(copied.links, "link"),
            count(copied.sessions, "session"),
            count(copied.logouts, "logout"),
        ];
        if !copied.key {
            eprintln!(
                "warning: the key beside {} was not copied, because it is missing or other users could read it: \
                 sign-ins in progress begin anew, sessions are not refreshed at their provider, and assertions for \
                 applications are signed by new keys",
                self.file.display()
            );
        }
        let keys = if copied.kept > 0 { ", and the keys of assertions," } else { "" };
        let text = format!(
            "copied {} and {}{keys} from {} to {}\n",
            numbers.join(", "),
            count(copied.events, "event"),
            self.file.display(),
            target.url
        );
        output::text(&text)
    }
}
