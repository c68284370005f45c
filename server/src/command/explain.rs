//! `claimgate explain`.

use std::path::{Path, PathBuf};

use claimgate::Error;
use claimgate::alg::Registry;
use claimgate::claims::{Claims, ClaimsError};
use claimgate::identity::Explanation;
use claimgate::jws::CompactJws;
use claimgate::key::KeyError;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use serde_json::json;

use super::configuration::{load, verifier};
use super::rehearsal::rehearse;
use crate::command::input;
use crate::command::output::{self, Failure, Format};
use crate::system;
use claimgate_config::{Config, Provider};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate explain --config claimgate.toml - < token.txt\n  \
    claimgate explain --config claimgate.toml --format json claims.json\n\n\
    A token is verified first if the configuration names a jwks_file.\n\
    Exit codes: 0 an identity was decided, 1 refused, 2 wrong usage or unreadable input.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A token, a file with claims or a token, or `-` for standard input
    #[arg(default_value = "-", value_name = "TOKEN|FILE|-")]
    subject: String,
    /// The provider whose mapping applies; required if the configuration has several
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Show also what a sign-in would change in the database; nothing is changed
    #[arg(long)]
    changes: bool,
    /// Verify as of this time, in seconds since 1970
    #[arg(long, value_name = "UNIX", allow_negative_numbers = true)]
    now: Option<i64>,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What is printed.
struct Outcome<'e> {
    explanation: &'e Explanation,
    /// The demand of `[[provider.claim]]` that the claims do not meet.
    unmet: Option<ClaimsError>,
    link: Option<String>,
    changes: Option<Vec<String>>,
}

/// Claims, and whether they come from a verified token.
struct Source {
    claims: Claims,
    verified: bool,
}

impl Arguments {
    pub(crate) fn run(self, registry: &Registry) -> Result<(), Failure> {
        let config = load(&self.config, registry)?;
        let provider = self.provider(&config)?;
        let source = self.source(provider)?;
        let explanation = provider.mapping.explain(source.claims.as_value());
        let unmet = provider.check_demands(source.claims.as_value()).err();
        let changes = match &explanation.identity {
            Some(_) if self.changes && unmet.is_some() => Some(Vec::new()),
            Some(identity) if self.changes => {
                Some(rehearse(&config, provider, &source.claims, identity, &self.config)?)
            }
            _ => None,
        };
        let link = explanation.identity.as_ref().filter(|_| config.server.is_some()).map(|identity| {
            match config.sign_in.link_by_username.check(identity.name_source) {
                Ok(()) => "a user added by hand under this name would be linked to this person".to_owned(),
                Err(reason) => format!("a user added by hand under this name would not be linked: {reason}"),
            }
        });
        let outcome = Outcome { explanation: &explanation, unmet, link, changes };
        self.print(source.verified, &outcome)?;
        match (explanation.code, explanation.message) {
            (Some(code), Some(message)) => Err(Failure::Refused { code, message }),
            _ => Ok(()),
        }
    }

    fn provider<'c>(&self, config: &'c Config) -> Result<&'c Provider, Failure> {
        match (&self.provider, config.providers.as_slice()) {
            (Some(name), _) => config
                .provider(name)
                .ok_or_else(|| Failure::Usage(format!("the configuration has no provider `{name}`"))),
            (None, [only]) => Ok(only),
            (None, several) => {
                let names: Vec<_> = several.iter().map(|provider| provider.id.as_str()).collect();
                Err(Failure::Usage(format!(
                    "the configuration has several providers; choose one: --provider {}",
                    names.join(" | --provider ")
                )))
            }
        }
    }

    /// Reads the claims: bare JSON, a token verified with the key file's keys, or, without a key file,
    /// an unverified token.
    fn source(&self, provider: &Provider) -> Result<Source, Failure> {
        let refused = |error: Error| Failure::Refused { code: error.code(), message: error.to_string() };
        let limits = Limits::DEFAULT;
        let text = self.text()?;
        if text.starts_with('{') {
            let claims = Claims::parse(text.as_bytes(), &limits).map_err(|error| refused(error.into()))?;
            return Ok(Source { claims, verified: false });
        }
        if provider.jwks_file.is_none() {
            eprintln!(
                "note: the token is not verified: the provider has no `jwks_file` in the configuration"
            );
            let jws = CompactJws::parse(&text, &limits).map_err(|error| refused(error.into()))?;
            let payload = jws.unverified_payload();
            let claims = Claims::parse(&payload, &limits).map_err(|error| refused(error.into()))?;
            return Ok(Source { claims, verified: false });
        }
        let verifier = verifier(provider)?;
        for key in verifier.jws().key_report().skipped {
            // Most key sets hold keys of families that no allowed algorithm uses.
            if key.reason != KeyError::WrongFamily {
                eprintln!("note: not used: {key}");
            }
        }
        let now = self.now.map_or_else(system::now, UnixTime);
        let token = verifier.verify(&text, now).map_err(refused)?;
        Ok(Source { claims: token.claims().clone(), verified: true })
    }

    fn text(&self) -> Result<String, Failure> {
        if self.subject == "-" || Path::new(&self.subject).is_file() {
            Ok(String::from_utf8_lossy(&input::read(&self.subject)?).trim().to_owned())
        } else if self.subject.contains('.') || self.subject.starts_with('{') {
            Ok(self.subject.clone())
        } else {
            Err(Failure::Usage(format!("{} is neither a token nor a file", self.subject)))
        }
    }

    fn print(&self, verified: bool, outcome: &Outcome<'_>) -> Result<(), Failure> {
        let Outcome { explanation, unmet, link, changes } = outcome;
        let refused = unmet.as_ref().map(|error| json!({"code": error.code(), "message": error.to_string()}));
        if self.format == Format::Json {
            let mut answer =
                json!({"verified": verified, "explanation": explanation, "refused": refused, "link": link});
            if let Some(changes) = changes {
                answer["changes"] = json!(changes);
            }
            return output::document(&answer, self.format);
        }
        let heading = if verified { "VERIFIED" } else { "UNVERIFIED claims" };
        let mut text = format!("{heading}\n\n{explanation}");
        if let Some(link) = link {
            text.push_str(&format!("  {link}\n"));
        }
        if let Some(error) = unmet {
            text.push_str(&format!(
                "  a sign-in with these claims would be refused: {error} [{}]\n",
                error.code()
            ));
        }
        if let Some(changes) = changes.as_ref().filter(|changes| !changes.is_empty()) {
            text.push_str("\nA sign-in would:\n");
            changes.iter().for_each(|change| text.push_str(&format!("  {change}\n")));
        }
        output::write(output::escaped(&text).as_bytes())
    }
}
