//! `claimgate mapping test`: claims with the identity that is expected of them, checked against the mapping.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use claimgate::identity::Identity;
use claimgate::text::for_display;
use claimgate_config::{Config, Extensions, Provider};
use maud::{PreEscaped, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::configuration::load;
use crate::command::output::{self, Failure};
use crate::plural::count;

/// What is done with a mapping.
#[derive(clap::Subcommand)]
pub(crate) enum MappingCommand {
    /// Check that the mapping makes of claims what a file expects
    Test(TestArguments),
}

impl MappingCommand {
    pub(crate) fn run(self, extensions: &Extensions) -> Result<(), Failure> {
        match self {
            MappingCommand::Test(arguments) => arguments.run(extensions),
        }
    }
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate mapping test cases.toml --config claimgate.toml\n  \
    claimgate mapping test cases.toml --format junit > report.xml\n\n\
    Each [[case]] has `name`, `claims` (a table) or `claims_file` (JSON, beside the file), `provider` where the \
    configuration has several, and what is expected: any of `username`, `teams` (in any order), `admin` (true or \
    false, by `admin_groups`) and `profile`, or `refused`, the code of the refusal (of a demand on claims `claims.missing` or `claims.value`):\n\n  \
    [[case]]\n  \
    name = \"an administrator\"\n  \
    claims = { sub = \"1\", preferred_username = \"ada\", groups = [\"admin\"] }\n  \
    username = \"ada\"\n  \
    teams = [\"Administrators\"]\n\n\
    Exit codes: 0 all as expected, 1 otherwise, 2 wrong usage or unreadable input.")]
pub(crate) struct TestArguments {
    /// The file with the cases
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The configuration file with the mapping
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    config: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ReportFormat {
    /// For people
    Text,
    /// One JSON document on one line
    Json,
    /// JUnit's XML
    Junit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    provider: Option<String>,
    claims: Option<Map<String, Value>>,
    claims_file: Option<PathBuf>,
    username: Option<String>,
    teams: Option<Vec<String>>,
    /// Whether `admin_groups` makes the person an administrator.
    admin: Option<bool>,
    /// The fields that are compared; others may be there.
    profile: Option<BTreeMap<String, String>>,
    refused: Option<String>,
}

/// A case with what was not as expected.
struct Outcome {
    name: String,
    differences: Vec<String>,
}

impl TestArguments {
    fn run(self, extensions: &Extensions) -> Result<(), Failure> {
        let config = load(&self.config, extensions)?;
        let unreadable =
            |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", self.file.display()));
        let text = std::fs::read_to_string(&self.file).map_err(|error| unreadable(&error))?;
        let cases: Cases = toml::from_str(&text).map_err(|error| unreadable(&error))?;
        if cases.case.is_empty() {
            return Err(unreadable(&"has no [[case]]"));
        }
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let outcomes = cases
            .case
            .into_iter()
            .map(|case| case.check(&config, folder).map_err(|error| unreadable(&error)));
        let outcomes: Vec<Outcome> = outcomes.collect::<Result<_, _>>()?;
        let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
        match self.format {
            ReportFormat::Text => output::text(&as_text(&outcomes))?,
            ReportFormat::Json => output::document(&as_json(&outcomes), output::Format::Json)?,
            ReportFormat::Junit => output::write(as_junit(&outcomes).as_bytes())?,
        }
        match failed {
            0 => Ok(()),
            failed => Err(Failure::Refused {
                code: "mapping.unexpected",
                message: format!("{} of {} not as expected", failed, count(outcomes.len(), "case")),
            }),
        }
    }
}

impl Case {
    /// Compares what a sign-in makes of the claims, by the demands on them and the mapping, with what is expected.
    ///
    /// # Errors
    /// What is wrong with the case itself.
    fn check(self, config: &Config, folder: &Path) -> Result<Outcome, String> {
        let wrong = |reason: String| format!("[[case]] `{}`: {reason}", self.name);
        let provider = self.provider(config).map_err(wrong)?;
        let claims = self.claims(folder).map_err(wrong)?;
        let expects_identity =
            self.username.is_some() || self.teams.is_some() || self.admin.is_some() || self.profile.is_some();
        if expects_identity == self.refused.is_some() {
            let reason = "write what is expected: any of username, teams, admin and profile, or refused";
            return Err(wrong(reason.to_owned()));
        }
        let identified =
            provider.check_demands(&claims).map_err(|error| (error.code(), error.to_string())).and_then(
                |()| provider.mapping.identify(&claims).map_err(|error| (error.code(), error.to_string())),
            );
        let differences = match (identified, &self.refused) {
            (Ok(identity), None) => self.differences(&identity),
            (Ok(identity), Some(refused)) => {
                vec![format!("expected the refusal {refused}, found the username {:?}", identity.username)]
            }
            (Err((code, _)), Some(refused)) if code == refused => Vec::new(),
            (Err((code, error)), Some(refused)) => {
                vec![format!("expected the refusal {refused}, found {code}: {error}")]
            }
            (Err((code, error)), None) => vec![format!("expected an identity, found {code}: {error}")],
        };
        Ok(Outcome { name: self.name, differences })
    }

    fn provider<'c>(&self, config: &'c Config) -> Result<&'c Provider, String> {
        match (&self.provider, config.providers.as_slice()) {
            (Some(id), _) => config.provider(id).ok_or_else(|| format!("there is no provider `{id}`")),
            (None, [only]) => Ok(only),
            (None, _) => Err("the configuration has several providers; write `provider`".to_owned()),
        }
    }

    fn claims(&self, folder: &Path) -> Result<Value, String> {
        match (&self.claims, &self.claims_file) {
            (Some(claims), None) => Ok(Value::Object(claims.clone())),
            (None, Some(name)) => {
                let file = folder.join(name);
                let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
                let text = std::fs::read(&file).map_err(|error| unreadable(&error))?;
                let claims: Map<String, Value> =
                    serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
                Ok(Value::Object(claims))
            }
            _ => Err("write one of claims and claims_file".to_owned()),
        }
    }

    fn differences(&self, identity: &Identity) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some(expected) = self.username.as_ref().filter(|expected| **expected != identity.username) {
            differences.push(format!("username: expected {expected:?}, found {:?}", identity.username));
        }
        if let Some(expected) = &self.teams {
            let sorted = |teams: &[String]| {
                let mut teams = teams.to_vec();
                teams.sort_unstable();
                teams
            };
            let (expected, found) = (sorted(expected), sorted(&identity.teams));
            if expected != found {
                differences.push(format!("teams: expected {expected:?}, found {found:?}"));
            }
        }
        if self.admin.is_some() && self.admin != identity.is_admin {
            let found =
                identity.is_admin.map_or("not decided by groups".to_owned(), |admin| admin.to_string());
            let expected = self.admin.unwrap_or_default();
            differences.push(format!("admin: expected {expected}, found {found}"));
        }
        for (field, expected) in self.profile.iter().flatten() {
            let found = identity.profile.get(field);
            if found != Some(expected) {
                let found = found.map_or_else(|| "none".to_owned(), |found| format!("{found:?}"));
                differences.push(format!("profile.{field}: expected {expected:?}, found {found}"));
            }
        }
        differences
    }
}

fn as_text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for Outcome { name, differences } in outcomes {
        text.push_str(&format!("{}  {name}\n", if differences.is_empty() { "ok    " } else { "FAILED" }));
        differences.iter().for_each(|difference| text.push_str(&format!("        {difference}\n")));
    }
    text
}

fn as_json(outcomes: &[Outcome]) -> Value {
    let case = |outcome: &Outcome| json!({"name": outcome.name, "ok": outcome.differences.is_empty(), "differences": outcome.differences});
    json!({"cases": outcomes.iter().map(case).collect::<Vec<_>>()})
}

/// Returns the report as JUnit's XML. maud escapes what XML needs escaped, too.
fn as_junit(outcomes: &[Outcome]) -> String {
    let failures = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    let (tests, suite) = (outcomes.len(), "claimgate mapping test");
    let report = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"))
        testsuites tests=(tests) failures=(failures) {
            testsuite name=(suite) tests=(tests) failures=(failures) {
                @for Outcome { name, differences } in outcomes {
                    testcase classname=(suite) name=(for_display(name)) {
                        @if !differences.is_empty() { failure message=(for_display(&differences.join("; "))) {} }
                    }
                }
            }
        }
    };
    format!("{}\n", report.into_string())
}
