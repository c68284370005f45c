//! `claimgate config check`.

use std::path::{Path, PathBuf};

use claimgate::access::Header;
use claimgate_config::{Config, Extensions, Fault, Note, Position, Severity};
use serde_json::{Value, json};

use super::findings::Findings;
use super::online;
use crate::command::output::{self, Failure, Format};
use crate::plural::count;

#[derive(clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report the errors of a configuration file and of the files that it names, each with its line, and what its
    /// settings mean
    #[command(after_help = "Examples:\n  claimgate config check claimgate.toml\n  \
        claimgate config check --online claimgate.toml\n  \
        claimgate config check --format json claimgate.toml\n\n\
        Exit codes: 0 the server can start with it, 1 --online found problems, or --strict warnings, 2 errors.")]
    Check {
        /// The configuration file
        file: PathBuf,
        /// Query the providers and PostgreSQL too, report what would fail, and print the URIs to register there
        #[arg(long)]
        online: bool,
        /// Fail on warnings too
        #[arg(long)]
        strict: bool,
        /// Output format
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
}

impl ConfigCommand {
    pub(crate) fn run(self, extensions: &Extensions) -> Result<(), Failure> {
        let ConfigCommand::Check { file, online, strict, format } = self;
        let (config, findings) = match Config::load(&file, extensions) {
            Ok(config) => {
                let findings = Findings::of(&config, &file)?;
                (Some(config), findings)
            }
            Err(error) => (None, Findings { faults: error.into_iter().collect(), notes: Vec::new() }),
        };
        let usable = config.filter(|_| findings.faults.is_empty());
        let report = match usable.as_ref().filter(|_| online) {
            Some(config) => Some(online::check(config)?),
            None => None,
        };
        match format {
            Format::Text => {
                let mut text: String = findings.notes.iter().map(|note| format!("{note}\n")).collect();
                for (application, names) in usable.iter().flat_map(headers) {
                    text.push_str(&format!(
                        "{application}: gets the headers {}: let the proxy delete what clients send under these names\n",
                        names.join(", ")
                    ));
                }
                if usable.is_some() {
                    text.push_str(&format!("{}: valid\n", file.display()));
                }
                text.push_str(report.as_ref().map_or("", |report| &report.text));
                output::text(&text)?;
            }
            Format::Json => {
                let report = report.as_ref().map(|report| &report.lines);
                let headers = usable
                    .iter()
                    .flat_map(headers)
                    .map(|(application, names)| json!({"application": application, "headers": names}));
                let members = (json!(headers.collect::<Vec<_>>()), json!(report));
                output::document(&document(&file, &findings, members), format)?;
            }
        }
        verdict(&findings, report.map_or(0, |report| report.problems), strict)
    }
}

/// Returns the failure that a check ends with, if it does.
fn verdict(findings: &Findings, problems: usize, strict: bool) -> Result<(), Failure> {
    if !findings.faults.is_empty() {
        let lines: Vec<_> =
            findings.faults.iter().map(|fault| format!("{fault} [{}]", fault.code())).collect();
        return Err(Failure::Usage(lines.join("\n")));
    }
    if problems > 0 {
        return Err(online::failure(problems));
    }
    let warnings = findings.notes.iter().filter(|note| note.severity == Severity::Warning).count();
    if strict && warnings > 0 {
        let message = format!("{}, and --strict refuses warnings", count(warnings, "warning"));
        return Err(Failure::Refused { code: "config.warnings", message });
    }
    Ok(())
}

/// Returns the headers of each application, by its name: the proxy before it must overwrite or remove them. A file without
/// `[[application]]` has one entry, for all of them.
fn headers(config: &Config) -> Vec<(&str, Vec<&str>)> {
    let applications =
        config.applications.iter().map(|application| (application.name(), application.headers()));
    let all = config.applications.is_empty().then_some(("every application", &config.headers));
    let applications = applications.chain(all).filter(|_| config.server.is_some());
    applications.map(|(name, headers)| (name, headers.iter().map(Header::name).collect())).collect()
}

fn document(file: &Path, findings: &Findings, (headers, online): (Value, Value)) -> Value {
    let faults = findings.faults.iter().map(fault);
    let all: Vec<Value> = faults.chain(findings.notes.iter().map(note)).collect();
    json!({
        "file": file.display().to_string(),
        "valid": findings.faults.is_empty(),
        "findings": all,
        "headers": headers,
        "online": online,
    })
}

fn fault(fault: &Fault) -> Value {
    json!({
        "severity": "error",
        "code": fault.code(),
        "file": fault.file,
        "line": fault.position.map(|Position { line, .. }| line),
        "column": fault.position.map(|Position { column, .. }| column),
        "setting": fault.setting,
        "message": fault.message(),
        "remedy": fault.remedy(),
    })
}

fn note(note: &Note) -> Value {
    json!({
        "severity": note.severity.name(),
        "code": note.code(),
        "file": note.file,
        "line": note.position.line,
        "column": note.position.column,
        "setting": note.setting,
        "message": note.reason.message,
        "remedy": note.reason.remedy,
    })
}
