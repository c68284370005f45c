//! Drives a release build of Claimgate, and Apache mod_auth_openidc beside it where it is
//! installed, over loopback on the same cores: unique logout tokens, unique forward-auth requests,
//! sign-ins. Says how many requests a second, how long they took, and what was durable.

mod apache;
mod attacks;
mod availability;
mod claimgate;
mod client;
mod comparisons;
mod cpu;
mod hostile;
mod measure;
mod nginx;
mod nodes;
mod postgres;
mod provider;
mod report;
mod service;
mod start;
mod steady;
mod sustained;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

pub type Failed = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Measures a release build of Claimgate under load; see docs/generated/benchmarks/load.md")]
pub struct Arguments {
    /// The program to measure
    #[arg(long, default_value = "target/release/claimgate")]
    claimgate: PathBuf,
    /// The service that embeds the library, to measure beside it
    #[arg(long, default_value = "target/release/claimgate-services")]
    service: PathBuf,
    /// Unique logout tokens; each server is sent each at most once
    #[arg(long, default_value_t = 200_000)]
    tokens: usize,
    /// Connections that send logouts
    #[arg(long, default_value_t = 128)]
    connections: usize,
    /// The longest that one measurement takes
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// How often the servers take turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Write the result here, as Markdown
    #[arg(long)]
    report: Option<PathBuf>,
    /// Where the servers keep their files; a disk, not memory, if durability is to mean something
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Only the logouts
    #[arg(long)]
    logouts_only: bool,
    /// What the dearest request of each kind costs, and what genuine clients notice of attacks, in place of the rest
    #[arg(long)]
    hostile: bool,
    /// Of `--hostile`, only the attacks whose name holds this
    #[arg(long)]
    only: Option<String>,
    /// Logouts for so many minutes, in place of the rest
    #[arg(long, value_name = "MINUTES")]
    sustained: Option<usize>,
    /// So many logouts at one, two and four nodes of a PostgreSQL, in place of the rest
    #[arg(long, value_name = "LOGOUTS", conflicts_with = "sustained")]
    nodes: Option<usize>,
    /// How long a start with many sessions and logouts takes, in place of the rest
    #[arg(long, conflicts_with_all = ["sustained", "nodes"])]
    start: bool,
    /// Logouts with and without events, and forward-auth with rules and bearer tokens, in place of the rest
    #[arg(long, conflicts_with_all = ["sustained", "nodes", "start"])]
    comparisons: bool,
    /// Without Apache
    #[arg(long)]
    no_apache: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failed> {
    let text = match *arguments {
        Arguments { sustained: Some(minutes), .. } => sustained::table(arguments, minutes)?,
        Arguments { nodes: Some(logouts), .. } => nodes::table(arguments, logouts)?,
        Arguments { comparisons: true, .. } => comparisons::table(arguments)?,
        Arguments { start: true, .. } => start::table(arguments)?,
        Arguments { hostile: true, only: Some(_), .. } => availability::table(arguments)?,
        Arguments { hostile: true, .. } => hostile::table(arguments)? + &availability::table(arguments)?,
        _ => report::write(&measure::all(arguments)?),
    };
    println!("{text}");
    if let Some(file) = &arguments.report {
        std::fs::write(file, text)?;
    }
    Ok(())
}
