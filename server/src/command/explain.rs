//! `claimgate explain`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use claimgate::Error;
use claimgate::claims::{Claims, ClaimsError};
use claimgate::identity::Explanation;
use claimgate::jws::CompactJws;
use claimgate::key::KeyError;
use claimgate::limits::Limits;
use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};
use claimgate::time::UnixTime;
use serde_json::json;

use super::configuration::{load, verifier};
use super::database::{find, look, open};
use super::explain_access;
use super::rehearsal::rehearse;
use crate::command::input;
use crate::command::output::{self, Failure, Format};
use crate::system;
use crate::web::access_trial::{Evidence, Sender};
use claimgate_config::{Config, Extensions, Provider};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate explain --config claimgate.toml - < token.txt\n  \
    claimgate explain --config claimgate.toml --format json claims.json\n  \
    claimgate explain --config claimgate.toml \\\n    --url https://wiki.example.com/admin/ --user ada\n  \
    claimgate explain --config claimgate.toml \\\n    --url https://wiki.example.com/save --method POST token.txt\n  \
    claimgate explain --config claimgate.toml \\\n    --url https://wiki.example.com/api/ --bearer token.txt\n\n\
    A token is verified first if the configuration names a jwks_file.\n\
    With --url: which [[application.rule]] decides on the request, and whether it admits the user of --user, a \
    person with the claims, or, with neither, a client that is not signed in.\n\
    Exit codes: 0 an identity was decided, or the request is admitted; 1 refused; 2 wrong usage or unreadable input.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A token, a file with claims or a token, or `-` for standard input, which is the default without --url
    #[arg(value_name = "TOKEN|FILE|-")]
    subject: Option<String>,
    /// Explain what forward-auth decides on a request for this address
    #[arg(long, value_name = "URL", conflicts_with_all = ["changes"])]
    url: Option<String>,
    /// The method of the request
    #[arg(long, value_name = "METHOD", requires = "url", default_value = "GET")]
    method: String,
    /// The token or the claims are those of a bearer token, and its user is the one that its subject is linked to
    #[arg(long, requires = "url", requires = "subject")]
    bearer: bool,
    /// The user who sends the request, from the database
    #[arg(long, value_name = "NAME", requires = "url", conflicts_with_all = ["subject"])]
    user: Option<String>,
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
    pub(crate) fn run(self, extensions: &Extensions) -> Result<(), Failure> {
        let config = load(&self.config, extensions)?;
        if let Some(url) = &self.url {
            return self.explain_request(&config, url);
        }
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
        let links = config.server.is_some() && unmet.is_none();
        let link = explanation.identity.as_ref().filter(|_| links).map(|identity| {
            match config.sign_in.link_by_username.check(identity.name_source) {
                Ok(()) => "a user added by hand under this name would be linked to this person".to_owned(),
                Err(reason) => format!("a user added by hand under this name would not be linked: {reason}"),
            }
        });
        let outcome = Outcome { explanation: &explanation, unmet, link, changes };
        let place = |rule| {
            let place = config.team_rule_place(provider, rule)?;
            Some(format!("{}:{}", place.file, place.position.line))
        };
        self.print(source.verified, &outcome, &place)?;
        let unmet = outcome.unmet.map(|error| (error.code(), error.to_string()));
        match explanation.code.zip(explanation.message).or(unmet) {
            Some((code, message)) => Err(Failure::Refused { code, message }),
            None => Ok(()),
        }
    }

    /// Explains what forward-auth decides on a request.
    fn explain_request(&self, config: &Config, url: &str) -> Result<(), Failure> {
        let sender = match (&self.user, &self.subject) {
            (Some(name), _) => Sender { user: Some(find(&open(&self.config)?, name)?), ..Sender::default() },
            (None, Some(_)) if self.bearer => self.bearer(config)?,
            (None, Some(_)) => self.person(config)?,
            (None, None) => Sender::default(),
        };
        let now = self.now.map_or_else(system::now, UnixTime);
        explain_access::run(config, (url, &self.method), &sender, now, self.format)
    }

    /// Returns what a request with the claims as a bearer token is sent by.
    fn bearer(&self, config: &Config) -> Result<Sender, Failure> {
        let provider = self.provider(config)?;
        let claims = self.source(provider)?.claims;
        let refused = |error: ClaimsError| Failure::Refused {
            code: error.code(),
            message: format!("a bearer token with these claims would be refused: {error}"),
        };
        let mut demands = provider.demands.presented.iter();
        demands.try_for_each(|demand| demand.check(claims.as_value())).map_err(refused)?;
        let user = match claims.subject().filter(|_| config.server.is_some()) {
            Some(subject) => {
                let link = (provider.issuer_named(claims.issuer()).to_owned(), subject.to_owned());
                look(&open(&self.config)?, move |records| records.user_by_link(&link.0, &link.1))?
            }
            None => None,
        };
        Ok(Sender { user, token: Some(claims), evidence: None })
    }

    /// Returns the user that a new person with the claims would be.
    fn person(&self, config: &Config) -> Result<Sender, Failure> {
        let provider = self.provider(config)?;
        let source = self.source(provider)?;
        let refused = |error: ClaimsError| Failure::Refused {
            code: error.code(),
            message: format!("a sign-in with these claims would be refused: {error}"),
        };
        provider.check_demands(source.claims.as_value()).map_err(refused)?;
        let identity = provider
            .mapping
            .identify(source.claims.as_value())
            .map_err(|error| Failure::Refused { code: error.code(), message: error.to_string() })?;
        let user = User {
            id: UserId(0),
            username: identity.username,
            kind: if identity.is_admin == Some(true) { UserKind::Admin } else { UserKind::Regular },
            active: true,
            profile: identity.profile,
            teams: identity.teams.into_iter().map(|team| (team, TeamSource::Mapping)).collect(),
        };
        Ok(Sender { user: Some(user), token: None, evidence: Some(Evidence::Claims(source.claims)) })
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
        let subject = self.subject.as_deref().unwrap_or("-");
        if subject == "-" || Path::new(subject).is_file() {
            Ok(String::from_utf8_lossy(&input::read(subject)?).trim().to_owned())
        } else if subject.matches('.').count() == 2 || subject.starts_with('{') {
            Ok(subject.to_owned())
        } else {
            Err(Failure::Usage(format!("{subject} is neither a token nor a file")))
        }
    }

    /// Prints the outcome. `place` says where the team rule of a number stands.
    fn print(
        &self,
        verified: bool,
        outcome: &Outcome<'_>,
        place: &dyn Fn(usize) -> Option<String>,
    ) -> Result<(), Failure> {
        let Outcome { explanation, unmet, link, changes } = outcome;
        let refused = unmet.as_ref().map(|error| json!({"code": error.code(), "message": error.to_string()}));
        if self.format == Format::Json {
            let fired = explanation.fired.iter().map(|fired| fired.rule);
            let rules = fired.chain(explanation.unfired.iter().map(|unfired| unfired.rule));
            let places: BTreeMap<usize, String> =
                rules.filter_map(|rule| Some((rule, place(rule)?))).collect();
            let mut answer = json!({"verified": verified, "explanation": explanation, "places": places,
                "refused": refused, "link": link});
            if let Some(changes) = changes {
                answer["changes"] = json!(changes);
            }
            return output::document(&answer, self.format);
        }
        let heading = if verified { "VERIFIED" } else { "UNVERIFIED claims" };
        let mut text = format!("{heading}\n\n{}", explanation.with_places(place));
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
        output::text(&text)
    }
}
