//! `claimgate completions`.

use crate::command::output::{self, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate completions bash > /etc/bash_completion.d/claimgate")]
pub(crate) struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

impl Arguments {
    pub(crate) fn run(self, mut parser: clap::Command, name: &str) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut parser, name, &mut script);
        output::write(&script)
    }
}
