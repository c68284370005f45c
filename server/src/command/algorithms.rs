//! `claimgate algorithms`.

use claimgate::alg::Registry;
use serde_json::json;

use crate::command::output::{self, Failure, Format};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate algorithms --format json")]
pub(crate) struct Arguments {
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Arguments {
    pub(crate) fn run(self, registry: &Registry) -> Result<(), Failure> {
        let names: Vec<&str> = registry.names().collect();
        match self.format {
            Format::Text => output::text(&format!("{}\n", names.join("\n"))),
            Format::Json => output::document(&json!(names), Format::Json),
        }
    }
}
