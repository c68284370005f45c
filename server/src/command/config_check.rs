//! `claimgate config check`.

use std::path::PathBuf;

use claimgate::alg::Registry;

use super::configuration::{keys, load};
use super::{online, rights};
use crate::command::output::{self, Failure};

#[derive(clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report the errors of a configuration file, each with its line
    #[command(after_help = "Examples:\n  claimgate config check claimgate.toml\n  \
        claimgate config check --online claimgate.toml")]
    Check {
        /// The configuration file
        file: PathBuf,
        /// Query the providers too, report what would fail, and print the URIs to register there
        #[arg(long)]
        online: bool,
    },
}

impl ConfigCommand {
    pub(crate) fn run(self, registry: &Registry) -> Result<(), Failure> {
        let ConfigCommand::Check { file, online } = self;
        let config = load(&file, registry)?;
        for provider in config.providers.iter().filter(|provider| provider.jwks_file.is_some()) {
            keys(provider)?;
        }
        output::write(format!("{}: valid\n", file.display()).as_bytes())?;
        for (exposed, mode) in rights::exposed_secrets(&file) {
            output::write(
                format!(
                    "warning: {} holds a secret, and every user of this machine may read or change it (mode {mode:o}): chmod 600, or 640 with the service's group\n",
                    exposed.display()
                )
                .as_bytes(),
            )?;
        }
        if online { online::check(&config) } else { Ok(()) }
    }
}
