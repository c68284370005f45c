//! The `claimgate` command: arguments → engine → output.
//!
//! Exit codes: 0 done, 1 refused (the token, path or claims), 2 wrong usage or unreadable input.

mod accounts;
mod demo;
mod explain;
mod inspect;
mod input;
mod jsonl;
mod online;
mod output;
mod query;
mod serve;
mod sign;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::output::Failure;

#[derive(Parser)]
#[command(
    name = "claimgate",
    version,
    about = "OpenID Connect sign-in for many systems; JSON Web Tokens verified, claims mapped to people and teams",
    after_help = "Exit codes: 0 done, 1 refused, 2 wrong usage or unreadable input.\n\n\
        Examples:\n  \
        claimgate demo\n  \
        claimgate config check --online claimgate.toml\n  \
        claimgate serve --config claimgate.toml\n  \
        claimgate verify --jwks keys.json --alg RS256 --issuer https://idp.example.com --audience crm - < token.txt\n  \
        claimgate query '$.realm_access.roles[*]' claims.json\n  \
        claimgate decode - < token.txt"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: sign-in, forward-auth, back-channel logout
    Serve(serve::Arguments),
    /// Try it: a server and a development provider on this machine, nothing to install
    Demo(demo::Arguments),
    /// Make, list and change users
    #[command(subcommand)]
    User(accounts::UserCommand),
    /// List and end sessions
    #[command(subcommand)]
    Session(accounts::SessionCommand),
    /// Verify a token, or a file of tokens, and print the claims
    Verify(Box<verify::Arguments>),
    /// Print the values that a claim path selects
    Query(query::Arguments),
    /// Say who a token is about, and rule by rule why
    Explain(explain::Arguments),
    /// Work with the configuration file
    #[command(subcommand, after_help = "Example:\n  claimgate config check claimgate.toml")]
    Config(explain::ConfigCommand),
    /// Show a token's header and claims WITHOUT verifying it
    Decode(inspect::DecodeArguments),
    /// Make a key, for test material
    Keygen(sign::KeygenArguments),
    /// Sign claims, for test material
    Sign(sign::SignArguments),
    /// List the algorithms that can be allowed
    Algorithms(inspect::AlgorithmsArguments),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  claimgate completions bash > /etc/bash_completion.d/claimgate")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => arguments.run(),
        Command::Demo(arguments) => arguments.run(),
        Command::User(command) => command.run(),
        Command::Session(command) => command.run(),
        Command::Verify(arguments) => arguments.run(),
        Command::Query(arguments) => arguments.run(),
        Command::Explain(arguments) => arguments.run(),
        Command::Config(command) => command.run(),
        Command::Decode(arguments) => arguments.run(),
        Command::Keygen(arguments) => arguments.run(),
        Command::Sign(arguments) => arguments.run(),
        Command::Algorithms(arguments) => arguments.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "claimgate", &mut script);
            output::write(&script)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Failure::ReaderGone
        } else {
            Failure::Usage(format!("cannot write the output: {error}"))
        }
    }
}
