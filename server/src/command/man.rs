//! `claimgate man`.

use std::path::PathBuf;

use crate::command::output::Failure;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate man /usr/local/share/man/man1\n\n\
    Writes claimgate.1 and a page for each subcommand, such as claimgate-config-check.1.")]
pub(crate) struct Arguments {
    /// The folder, which must exist; pages of the same names are replaced
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Arguments {
    pub(crate) fn run(self, parser: clap::Command) -> Result<(), Failure> {
        clap_mangen::generate_to(parser, &self.folder)
            .map_err(|error| Failure::Usage(format!("cannot write to {}: {error}", self.folder.display())))
    }
}
