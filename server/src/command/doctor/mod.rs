//! `claimgate doctor`: what is wrong with the configuration, the database, the files, the system, the providers and the
//! server that runs, each fault with its remedy.

mod site;
mod system;

use std::path::{Path, PathBuf};

use claimgate::identity::Normalisation;
use claimgate_config::{Config, Extensions, Fault, Severity, Sqlite, Store};
use serde_json::json;

use super::database::{MAKES_DATABASE, settings};
use super::findings::Findings;
use super::report::Report;
use super::rights::Owners;
use super::runtime::runtime;
use super::{online, owners, postgres, rights};
use crate::command::output::{self, Failure, Format};
use crate::plural::count;
use crate::store;

/// Where systemd passes secrets to a service; other processes cannot read them.
const CREDENTIALS: &str = "/run/credentials/";

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate doctor\n  \
    claimgate doctor --config /etc/claimgate/claimgate.toml\n  \
    claimgate doctor --offline --format json\n\n\
    Changes nothing, and may run beside a server: while it runs, it is asked too.\n\
    Exit codes: 0 no problem, 1 problems, each on a line marked PROBLEM, 2 the database cannot be read.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    config: PathBuf,
    /// Ask neither the providers nor the server that runs
    #[arg(long)]
    offline: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Arguments {
    pub(crate) fn run(self, extensions: &Extensions) -> Result<(), Failure> {
        let file = &self.config;
        let settings = settings(file)?;
        let mut report = Report::default();
        let config = check_configuration(file, extensions, &mut report)?;
        // Unreadable: reported at the end, after what else was found.
        let mut unreadable = None;
        match &settings.store {
            Store::Sqlite(Sqlite { file: database, .. }) => {
                report.line(&format!("database {}", database.display()));
                unreadable = self.inspect(database, settings.normalise, &mut report).err();
            }
            Store::Postgres(store) => postgres::report_condition(&settings, store, &mut report)?,
        }
        let database = match &settings.store {
            Store::Sqlite(sqlite) => Some(sqlite.file.as_path()),
            Store::Postgres(_) => None,
        };
        check_files(file, database, &mut report);
        system::check(database, &mut report);
        if let Some(config) = &config {
            self.check_addresses(config, &mut report)?;
        }
        self.print(&report)?;
        match (unreadable, report.problems) {
            (Some(failure), _) => Err(failure),
            (None, 0) => Ok(()),
            (None, found) => Err(Failure::Refused {
                code: "store.problems",
                message: format!("{}; see the lines marked PROBLEM", count(found, "problem")),
            }),
        }
    }

    /// Reports the condition of a database file. With `--offline` one that does not exist is none of its faults: before
    /// the first start there is none.
    ///
    /// # Errors
    /// [`Failure::Usage`]: there is no file, or it cannot be read as a database.
    fn inspect(
        &self,
        database: &Path,
        normalisation: Normalisation,
        report: &mut Report,
    ) -> Result<(), Failure> {
        // A folder that is closed to this user hides whether there is one.
        if database.try_exists().is_ok_and(|exists| !exists) {
            let message = format!("{} does not exist", database.display());
            if self.offline {
                report.note(&format!("{message}: {MAKES_DATABASE}"));
                return Ok(());
            }
            report.fault(&message, MAKES_DATABASE);
            return Err(Failure::Usage(format!("{message}: {MAKES_DATABASE}")));
        }
        match store::inspect(database, normalisation) {
            Ok(found) => {
                found.good.iter().for_each(|good| report.good(good));
                found.problems.iter().for_each(|problem| report.problem(problem));
                Ok(())
            }
            Err(error) => {
                let remedy =
                    "run doctor as the user that runs the server; of a damaged file restore a backup";
                report.fault(&error.to_string(), remedy);
                Err(error.into())
            }
        }
    }

    /// Reports what the addresses of the configuration mean, and asks the providers and the server.
    fn check_addresses(&self, config: &Config, report: &mut Report) -> Result<(), Failure> {
        if let Some(server) = &config.server {
            site::describe(server, report);
        }
        if self.offline {
            return Ok(());
        }
        let runtime = runtime()?;
        for provider in &config.providers {
            report.line(&format!("provider {} ({})", provider.id, provider.issuer));
            runtime.block_on(online::check_provider(provider, report));
        }
        if let Some(server) = &config.server {
            runtime.block_on(site::ask(config, server, &self.config, report));
        }
        Ok(())
    }

    fn print(&self, report: &Report) -> Result<(), Failure> {
        match self.format {
            Format::Text => output::text(&report.text),
            Format::Json => {
                let file = self.config.display().to_string();
                let found = json!({"file": file, "problems": report.problems, "report": report.lines});
                output::document(&found, self.format)
            }
        }
    }
}

/// Checks the configuration file as a server reads it. Returns it, if it can be used here.
fn check_configuration(
    file: &Path,
    extensions: &Extensions,
    report: &mut Report,
) -> Result<Option<Config>, Failure> {
    report.line(&format!("configuration {}", file.display()));
    let config = match Config::load(file, extensions) {
        Ok(config) => config,
        Err(error) => {
            error.faults().iter().for_each(|fault| add_fault(fault, report));
            report.note("the addresses, the providers and the server that runs are not checked without it");
            return Ok(None);
        }
    };
    let found = Findings::of(&config, file)?;
    found.faults.iter().for_each(|fault| add_fault(fault, report));
    let warnings = config.notes.iter().filter(|note| note.severity == Severity::Warning);
    warnings.for_each(|note| report.note(&note.to_string()));
    if found.faults.is_empty() {
        report.good("a server starts with it");
    }
    Ok(Some(config))
}

/// Adds what is wrong with the configuration. A secret that systemd passes to the service alone is none of its faults.
fn add_fault(fault: &Fault, report: &mut Report) {
    if fault.message().starts_with(CREDENTIALS) {
        return report.note(&format!("{fault}: systemd passes it to the service alone"));
    }
    match fault.remedy() {
        Some(_) => report.problem(&fault.to_string()),
        None => report.fault(&fault.to_string(), "docs/reference/configuration.md has the setting"),
    }
}

/// Reports which files other users may read, change or replace.
fn check_files(config: &Path, database: Option<&Path>, report: &mut Report) {
    report.line("files with secrets");
    let exposed = rights::exposed_secrets(config);
    for (file, mode) in &exposed {
        let message =
            format!("every user of this machine may read or change {} (mode {mode:o})", file.display());
        report.fault(&message, "chmod 600");
    }
    if exposed.is_empty() {
        report.good("no other user of this machine may read them");
    }
    report.line("files that the server trusts");
    let changeable = rights::changeable(config, database, &Owners::of_a_server(database));
    for fault in &changeable {
        report.fault(fault, rights::GIVE);
    }
    if changeable.is_empty() {
        report.good("no other user of this machine may change them");
    }
    if let Some((message, remedy)) = database.and_then(owners::foreign_files) {
        report.fault(&message, &remedy);
    }
}
