//! `claimgate explain` and `claimgate config check`.

use std::path::{Path, PathBuf};

use crate::config::{Config, Provider};
use claimgate::alg::Registry;
use claimgate::claims::{AnyKind, Claims};
use claimgate::jws::CompactJws;
use claimgate::key::{KeyError, KeySet};
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use claimgate::{Error, Verifier};
use serde_json::json;

use crate::command::input;
use crate::command::output::{self, Failure, Format};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate explain --config claimgate.toml - < token.txt\n  \
    claimgate explain --config claimgate.toml --format json claims.json\n\n\
    A token is verified first where the configuration names a jwks_file.\n\
    Exit codes: 0 an identity was decided, 1 refused, 2 wrong usage or unreadable input.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A token, a file that holds claims or a token, or `-` for standard input
    #[arg(default_value = "-", value_name = "TOKEN|FILE|-")]
    subject: String,
    /// The provider whose mapping it is, where the configuration has several
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Show also what a sign-in would change in the database; nothing is changed
    #[arg(long)]
    changes: bool,
    /// Judge as if it were this time
    #[arg(long, value_name = "UNIX", allow_negative_numbers = true)]
    now: Option<i64>,
    /// How to print the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration file and say what is wrong with it
    #[command(after_help = "Examples:\n  claimgate config check claimgate.toml\n  \
        claimgate config check --online claimgate.toml")]
    Check {
        /// The configuration file
        file: PathBuf,
        /// Ask the providers too: say what would not work, and print the addresses to register there
        #[arg(long)]
        online: bool,
    },
}

impl ConfigCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let ConfigCommand::Check { file, online } = self;
        let config = load(&file)?;
        for provider in config.providers.iter().filter(|provider| provider.jwks_file.is_some()) {
            keys(provider)?;
        }
        output::write(format!("{}: fine\n", file.display()).as_bytes())?;
        if online {
            return crate::command::online::check(&config);
        }
        Ok(())
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = load(&self.config)?;
        let provider = self.provider(&config)?;
        let text = if self.subject == "-" || Path::new(&self.subject).is_file() {
            String::from_utf8_lossy(&input::read(&self.subject)?).trim().to_owned()
        } else {
            self.subject.clone()
        };
        let refused = |error: Error| Failure::Refused { code: error.code(), message: error.to_string() };
        let limits = Limits::DEFAULT;
        let (claims, verified) = if text.starts_with('{') {
            (Claims::parse(text.as_bytes(), &limits).map_err(|error| refused(error.into()))?, false)
        } else if provider.jwks_file.is_some() {
            let now = self.now.map_or_else(input::now, UnixTime);
            let verifier = verifier(provider)?;
            let skipped = verifier.jws().key_report().skipped;
            for key in skipped.iter().filter(|key| key.reason != KeyError::WrongFamily) {
                eprintln!("note: not used: {key}");
            }
            let token = verifier.verify(&text, now).map_err(refused)?;
            (token.claims().clone(), true)
        } else {
            let jws = CompactJws::parse(&text, &limits).map_err(|error| refused(error.into()))?;
            (Claims::parse(&jws.unverified_payload(), &limits).map_err(|error| refused(error.into()))?, false)
        };
        let explanation = provider.mapping.explain(claims.as_value());
        let changes = match (self.changes, provider.mapping.identify(claims.as_value())) {
            (true, Ok(identity)) => {
                Some(crate::command::accounts::dry_run(&config, provider, &claims, &identity, &self.config)?)
            }
            _ => None,
        };
        match self.format {
            Format::Json => {
                let mut answer = json!({"verified": verified, "explanation": explanation});
                if let Some(changes) = &changes {
                    answer["changes"] = json!(changes);
                }
                output::document(&answer, self.format)?;
            }
            Format::Text => {
                let mark = if verified { "VERIFIED" } else { "UNVERIFIED claims" };
                let mut text = format!("{mark}\n\n{explanation}");
                if let Some(changes) = &changes {
                    text.push_str("\nA sign-in would:\n");
                    changes.iter().for_each(|change| text.push_str(&format!("  {change}\n")));
                }
                output::write(output::escaped(&text).as_bytes())?;
            }
        }
        match (explanation.code, explanation.message) {
            (Some(code), Some(message)) => Err(Failure::Refused { code, message }),
            _ => Ok(()),
        }
    }
}

impl Arguments {
    fn provider<'c>(&self, config: &'c Config) -> Result<&'c Provider, Failure> {
        match (&self.provider, config.providers.as_slice()) {
            (Some(name), _) => config
                .provider(name)
                .ok_or_else(|| Failure::Usage(format!("the configuration has no provider `{name}`"))),
            (None, [only]) => Ok(only),
            (None, several) => {
                let names: Vec<_> = several.iter().map(|provider| provider.name.as_str()).collect();
                Err(Failure::Usage(format!("say which one: --provider {}", names.join(" | --provider "))))
            }
        }
    }
}

pub(crate) fn load(file: &Path) -> Result<Config, Failure> {
    Config::load(file, &Registry::builtin())
        .map_err(|error| Failure::Usage(format!("{error} [{}]", error.code())))
}

fn keys(provider: &Provider) -> Result<KeySet, Failure> {
    let file = provider.jwks_file.as_ref().map_or_else(String::new, |file| file.display().to_string());
    KeySet::from_jwks(&input::read(&file)?, &Limits::DEFAULT)
        .map_err(|error| Failure::Usage(format!("{file}: {error} [{}]", error.code())))
}

fn verifier(provider: &Provider) -> Result<Verifier<AnyKind>, Failure> {
    Verifier::builder()
        .registry(provider.registry.clone())
        .algorithms(provider.algorithms.clone())
        .keys(keys(provider)?)
        .policy(provider.presented_policy())
        .build()
        .map_err(|error| Failure::Usage(error.to_string()))
}
