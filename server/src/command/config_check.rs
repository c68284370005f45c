//! `claimgate config check`.

use std::path::PathBuf;

use claimgate::alg::Registry;
use claimgate_config::{Config, Severity};

use super::configuration::{keys, load};
use super::runtime::runtime;
use super::{online, rights};
use crate::command::output::{self, Failure};
use crate::plural::count;
use crate::web::provider::fetcher;
use crate::web::run;

#[derive(clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report the errors of a configuration file, each with its line, and what its settings mean
    #[command(after_help = "Examples:\n  claimgate config check claimgate.toml\n  \
        claimgate config check --online claimgate.toml")]
    Check {
        /// The configuration file
        file: PathBuf,
        /// Query the providers too, report what would fail, and print the URIs to register there
        #[arg(long)]
        online: bool,
        /// Fail on warnings too
        #[arg(long)]
        strict: bool,
    },
}

impl ConfigCommand {
    pub(crate) fn run(self, registry: &Registry) -> Result<(), Failure> {
        let ConfigCommand::Check { file, online, strict } = self;
        let config = load(&file, registry)?;
        for provider in config.providers.iter().filter(|provider| provider.jwks_file.is_some()) {
            keys(provider)?;
        }
        open_files(&config)?;
        let exposed = rights::exposed_secrets(&file);
        let mut text: String = config.notes.iter().map(|note| format!("{note}\n")).collect();
        for (file, mode) in &exposed {
            text.push_str(&format!(
                "warning: {} holds a secret, and every user of this machine may read or change it (mode {mode:o}): chmod 600, or 640 with the service's group\n",
                file.display()
            ));
        }
        text.push_str(&format!("{}: valid\n", file.display()));
        output::write(output::escaped(&text).as_bytes())?;
        if online {
            online::check(&config)?;
        }
        let warnings = config.notes.iter().filter(|note| note.severity == Severity::Warning).count();
        match exposed.len() + warnings {
            found if strict && found > 0 => {
                let message = format!("{}, and --strict refuses warnings", count(found, "warning"));
                Err(Failure::Refused { code: "config.warnings", message })
            }
            _ => Ok(()),
        }
    }
}

/// Opens the certificates that the file names, as the server would at its start.
fn open_files(config: &Config) -> Result<(), Failure> {
    for provider in config.providers.iter().filter(|provider| provider.ca_file.is_some()) {
        fetcher(provider).map_err(|error| Failure::Usage(format!("provider {}: {error}", provider.id)))?;
    }
    let Some((certificate, key)) = config.server.as_ref().and_then(|server| server.tls.as_ref()) else {
        return Ok(());
    };
    run::install_tls();
    runtime()?
        .block_on(run::load_tls(certificate, key))
        .map(drop)
        .map_err(|error| Failure::Usage(error.to_string()))
}
