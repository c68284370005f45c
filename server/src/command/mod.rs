//! The `claimgate` command as a library: arguments → engine → output.
//!
//! Exit codes: 0 success, 1 refused (the token, the path or the claims), 2 wrong usage or unreadable
//! input.

mod account;
mod algorithms;
mod backup;
mod completions;
mod condition;
mod config_check;
mod confirmation;
mod configuration;
mod database;
mod decode;
mod demo;
mod doctor;
mod explain;
mod explain_access;
mod findings;
mod health;
mod init;
mod input;
mod jsonl;
mod keygen;
mod log;
mod logging;
mod man;
mod mapping_test;
mod online;
mod output;
mod owners;
mod postgres;
mod query;
mod rehearsal;
mod report;
mod rights;
mod runtime;
mod serve;
mod session;
mod sign;
mod store_copy;
mod user;
mod verify;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use claimgate::alg::{Algorithm, Registry, RegistryBuilder};
use claimgate::sign::Signer;
use claimgate_config::Extensions;
use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches};

use self::output::Failure;

/// The `claimgate` command: server, verifier and tools, with the built-in algorithms, and the
/// algorithms and signers of the program.
///
/// Every subcommand uses the one registry that this builder collects: `algorithms`, `verify` and its
/// JSON lines, `explain`, `config check`, `serve` (after a reload too) and `demo`. Which of the
/// registered algorithms a token may use is decided by `--alg` and by `algorithms` in the
/// configuration file.
#[derive(Debug)]
#[must_use]
pub struct Command {
    registry: RegistryBuilder,
    signers: Vec<(String, Arc<dyn Signer>)>,
    name: &'static str,
    version: &'static str,
}

impl Default for Command {
    fn default() -> Self {
        Self::new()
    }
}

impl Command {
    /// Returns the command with the built-in algorithms, named `claimgate`.
    pub fn new() -> Self {
        Self {
            registry: Registry::builder().builtin(),
            signers: Vec::new(),
            name: "claimgate",
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Adds an algorithm. A name that cannot be registered (`none`, a name in use, a name that is not
    /// visible ASCII) is reported by [`run`](Self::run).
    pub fn register(mut self, algorithm: Arc<dyn Algorithm>) -> Self {
        self.registry = self.registry.register(algorithm);
        self
    }

    /// Puts an algorithm in the place of the built-in one of the same name. A name that is not registered is reported
    /// by [`run`](Self::run).
    pub fn replace(mut self, algorithm: Arc<dyn Algorithm>) -> Self {
        self.registry = self.registry.replace(algorithm);
        self
    }

    /// Leaves out the built-in algorithm of a name. A name that is not registered is reported by [`run`](Self::run).
    pub fn without(mut self, name: &str) -> Self {
        self.registry = self.registry.without(name);
        self
    }

    /// Adds a signer of client assertions (`private_key_jwt`), such as a key service, under the name by which
    /// `private_key_signer` of a `[[provider]]` chooses it. An empty name and one that is taken are reported by
    /// [`run`](Self::run).
    pub fn register_signer(mut self, name: impl Into<String>, signer: Arc<dyn Signer>) -> Self {
        self.signers.push((name.into(), signer));
        self
    }

    /// Sets the program's name, as `--help`, `--version` and completion scripts show it.
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Sets the version that `--version` shows, in place of Claimgate's; the lines on the build follow it.
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Runs the command with the arguments of the process.
    ///
    /// Returns exit code 0 for success, 1 for a refused token, path or claims, and 2 for wrong usage,
    /// unreadable input, or an algorithm or signer that cannot be registered. `--help`, `--version` and arguments
    /// that cannot be parsed end the process.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.execute(std::env::args_os()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                failure.report();
                failure.exit_code()
            }
        }
    }

    fn execute(self, arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
        let parser = parser(self.name, self.version);
        let extensions = extensions(self.registry, self.signers)
            .map_err(|(reason, code)| Failure::Usage(format!("{}: {reason} [{code}]", self.name)))?;
        let registry = &extensions.registry;
        let parsed = Arguments::from_arg_matches(&parser.clone().get_matches_from(arguments));
        match parsed.unwrap_or_else(|error| error.exit()).subcommand {
            Subcommand::Init(arguments) => arguments.run(&extensions),
            Subcommand::Serve(arguments) => arguments.run(&extensions),
            Subcommand::Demo(arguments) => arguments.run(&extensions),
            Subcommand::User(command) => command.run(),
            Subcommand::Session(command) => command.run(),
            Subcommand::Log(arguments) => arguments.run(),
            Subcommand::Provider(command) => command.run(),
            Subcommand::Store(command) => command.run(),
            Subcommand::Doctor(arguments) => arguments.run(&extensions),
            Subcommand::Health(arguments) => arguments.run(),
            Subcommand::Backup(arguments) => arguments.run(),
            Subcommand::Restore(arguments) => arguments.run(),
            Subcommand::Verify(arguments) => arguments.run(registry),
            Subcommand::Query(arguments) => arguments.run(),
            Subcommand::Explain(arguments) => arguments.run(&extensions),
            Subcommand::Config(command) => command.run(&extensions),
            Subcommand::Mapping(command) => command.run(&extensions),
            Subcommand::Decode(arguments) => arguments.run(),
            Subcommand::Keygen(arguments) => arguments.run(),
            Subcommand::Sign(arguments) => arguments.run(),
            Subcommand::Algorithms(arguments) => arguments.run(registry),
            Subcommand::Completions(arguments) => arguments.run(parser, self.name),
            // A page holds the version, not the facts of the build.
            Subcommand::Man(arguments) => arguments.run(parser.long_version(Resettable::Reset)),
        }
    }
}

/// Returns what the program registers, or the reason that it cannot be registered, with its code.
fn extensions(
    registry: RegistryBuilder,
    signers: Vec<(String, Arc<dyn Signer>)>,
) -> Result<Extensions, (String, &'static str)> {
    let registry = registry.build().map_err(|error| (error.to_string(), error.code()))?;
    let mut extensions = Extensions::from(registry);
    for (name, signer) in signers {
        if name.is_empty() {
            return Err(("a signer needs a name".to_owned(), "registry.name"));
        }
        if extensions.signers.contains_key(&name) {
            return Err((format!("a signer named `{name}` is already registered"), "registry.duplicate"));
        }
        extensions.signers.insert(name, signer);
    }
    Ok(extensions)
}

#[derive(clap::Parser)]
#[command(
    about = "OpenID Connect sign-in for many systems; verified JSON Web Tokens, claims mapped to users and teams",
    after_help = "Exit codes: 0 success, 1 refused, 2 wrong usage or unreadable input.\n\n\
        Examples:\n  \
        claimgate demo\n  \
        claimgate init\n  \
        claimgate config check --online claimgate.toml\n  \
        claimgate serve --config claimgate.toml\n  \
        claimgate verify --jwks keys.json --alg RS256 \\\n    --issuer https://idp.example.com --audience crm - < token.txt\n  \
        claimgate query '$.realm_access.roles[*]' claims.json\n  \
        claimgate decode - < token.txt"
)]
struct Arguments {
    #[command(subcommand)]
    subcommand: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Write a configuration file for a provider, from six answers, and add the first administrator
    Init(Box<init::Arguments>),
    /// Run the server: sign-in, forward-auth, back-channel logout
    Serve(serve::Arguments),
    /// Run the server beside a development provider on this machine, with nothing to install
    Demo(demo::Arguments),
    /// Add, list, change and remove users
    #[command(subcommand)]
    User(user::UserCommand),
    /// List and end sessions
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Show what has happened: sign-ins, refusals, logouts and changes by administrators
    Log(log::Arguments),
    /// Follow a provider that has changed its name
    #[command(subcommand)]
    Provider(account::ProviderCommand),
    /// Copy the database to a file, while the server runs or not
    Backup(backup::BackupArguments),
    /// Replace the database by a backup, while the server is stopped
    Restore(backup::RestoreArguments),
    /// Move from one server's database file to the PostgreSQL of several servers
    #[command(subcommand)]
    Store(store_copy::StoreCommand),
    /// Report what is wrong with the configuration, the database, the system, the providers and the running server
    Doctor(doctor::Arguments),
    /// Ask the running server whether it is ready
    Health(health::Arguments),
    /// Verify a token, or a file of tokens, and print the claims
    Verify(Box<verify::Arguments>),
    /// Print the values that a claim path selects
    Query(query::Arguments),
    /// Show which user and teams a token's claims lead to, and which rules decided it
    Explain(explain::Arguments),
    /// Check the configuration file
    #[command(subcommand, after_help = "Example:\n  claimgate config check claimgate.toml")]
    Config(config_check::ConfigCommand),
    /// Check the mapping from claims to users and teams
    #[command(subcommand)]
    Mapping(mapping_test::MappingCommand),
    /// Show a token's header and claims WITHOUT verifying it
    Decode(decode::Arguments),
    /// Generate a key, for test material
    Keygen(keygen::Arguments),
    /// Sign claims, for test material
    Sign(sign::Arguments),
    /// List the registered algorithms
    Algorithms(algorithms::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Write the manual pages to a folder
    Man(man::Arguments),
}

/// Returns the argument parser under the program's own name: the examples show that name too.
fn parser(name: &'static str, version: &'static str) -> clap::Command {
    rename_examples(Arguments::command(), name)
        .name(name)
        .bin_name(name)
        .version(version)
        .long_version(version::with_build_facts(version))
}

fn rename_examples(command: clap::Command, name: &str) -> clap::Command {
    let after_help = command.get_after_help().map(|text| text.to_string());
    let command = match after_help {
        Some(text) if name != "claimgate" => {
            command.after_help(text.replace("claimgate ", &format!("{name} ")))
        }
        _ => command,
    };
    command.mut_subcommands(|subcommand| rename_examples(subcommand, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use claimgate::sign::SigningKey;

    #[test]
    fn a_signer_needs_a_name_of_its_own() {
        let signers = |names: &[&str]| -> Vec<(String, Arc<dyn Signer>)> {
            let key = || SigningKey::from_secret(&[7; 32], "HS256").expect("the secret is long enough");
            names.iter().map(|name| ((*name).to_owned(), Arc::new(key()) as Arc<dyn Signer>)).collect()
        };
        let registered = |names: &[&str]| {
            let extensions = extensions(Registry::builder().builtin(), signers(names));
            extensions.map(|extensions| extensions.signers.len()).map_err(|(_, code)| code)
        };
        assert_eq!(registered(&["a", "b"]), Ok(2));
        assert_eq!(registered(&["a", "a"]), Err("registry.duplicate"));
        assert_eq!(registered(&[""]), Err("registry.name"));
    }
}
