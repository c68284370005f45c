//! `claimgate doctor`: reports what is wrong with the database and with the rights of the files.

use super::database::{DatabaseArguments, settings};
use super::report::Report;
use super::rights::Owners;
use super::{postgres, rights};
use crate::command::output::{self, Failure};
use crate::plural::count;
use crate::store;
use claimgate_config::Store;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate doctor\n  \
    claimgate doctor --config /etc/claimgate/claimgate.toml\n\n\
    Changes nothing, and may run beside a server.\n\
    Exit codes: 0 no problem, 1 problems, each on a line marked PROBLEM, 2 the database cannot be read.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArguments,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = &self.database.config;
        let settings = settings(config)?;
        let mut report = Report::default();
        match &settings.store {
            Store::Sqlite(database) => {
                let found = store::inspect(database, settings.normalise)
                    .map_err(|error| Failure::Usage(error.to_string()))?;
                report.line(&format!("database {}", database.display()));
                for good in &found.good {
                    report.good(good);
                }
                for problem in &found.problems {
                    report.problem(problem);
                }
            }
            Store::Postgres(store) => postgres::report_condition(&settings, store, &mut report)?,
        }
        report.line("files with secrets");
        let exposed = rights::exposed_secrets(config);
        for (file, mode) in &exposed {
            let file = file.display();
            report.problem(&format!(
                "every user of this machine may read or change {file} (mode {mode:o}): chmod 600"
            ));
        }
        if exposed.is_empty() {
            report.good("no other user of this machine may read them");
        }
        report.line("files that the server trusts");
        let database = match &settings.store {
            Store::Sqlite(database) => Some(database.as_path()),
            Store::Postgres(_) => None,
        };
        let changeable = rights::changeable(config, database, &Owners::of_a_server(database));
        for fault in &changeable {
            report.problem(fault);
        }
        if changeable.is_empty() {
            report.good("no other user of this machine may change them");
        }
        output::write(report.text.as_bytes())?;
        match report.problems {
            0 => Ok(()),
            found => Err(Failure::Refused {
                code: "store.problems",
                message: format!("{}; see the lines marked PROBLEM", count(found, "problem")),
            }),
        }
    }
}
