//! The PostgreSQL of a configuration file: how it is reached, and what is said of it.

use claimgate_config::{Database, Postgres};

use super::condition;
use super::report::Report;
use super::runtime::runtime;
use crate::command::output::Failure;
use crate::store::postgres::{Address, Facts, PostgresError, Server, Settings, examine, inspect};

/// Returns the server that a table `[store]` names, with the standby that it requires. Does not connect.
pub(crate) fn server(settings: &Postgres) -> Result<Server, PostgresError> {
    Ok(any_server(settings)?.require_standby(settings.require_synchronous))
}

/// Returns the server that a table `[store]` names, with a standby or without.
fn any_server(settings: &Postgres) -> Result<Server, PostgresError> {
    let Postgres { url, password, ca_file, danger_plaintext, .. } = settings;
    let (password, ca_file) = (password.as_ref(), ca_file.as_deref());
    Address { url, password, ca_file, danger_plaintext: *danger_plaintext }.resolve()
}

/// Returns the settings of a node.
pub(crate) fn node(settings: &Postgres) -> Settings {
    let Postgres { revocation_bound, require_synchronous, .. } = *settings;
    Settings { revocation_bound, require_synchronous }
}

/// Returns an error of PostgreSQL as the failure of a command.
pub(crate) fn failure(error: &PostgresError) -> Failure {
    Failure::Usage(error.to_string())
}

/// Connects to the database and reports what it is. Changes nothing.
pub(crate) fn report(settings: &Postgres, report: &mut Report) -> Result<(), Failure> {
    report.line(&format!("store {}", settings.url));
    match runtime()?.block_on(async { examine(&any_server(settings)?).await }) {
        Ok(facts) => describe(&facts, settings, report),
        Err(error) => report.problem(&error.to_string()),
    }
    Ok(())
}

/// Connects to the database, and reports what it is and its condition. Changes nothing.
pub(crate) fn report_condition(
    database: &Database,
    settings: &Postgres,
    report: &mut Report,
) -> Result<(), Failure> {
    report.line(&format!("store {}", settings.url));
    let read = async {
        let server = any_server(settings)?;
        let facts = examine(&server).await?;
        let condition = match facts.schema {
            Some((_, works_for)) if works_for <= facts.known_schema => {
                Some(inspect(&server, database.normalise).await?)
            }
            _ => None,
        };
        Ok::<_, PostgresError>((facts, condition))
    };
    match runtime()?.block_on(read) {
        Ok((facts, condition)) => {
            describe(&facts, settings, report);
            if let Some(condition) = condition {
                condition::describe(&condition, &facts.standbys, facts.known_schema, report);
            }
        }
        Err(error) => report.problem(&error.to_string()),
    }
    Ok(())
}

fn describe(facts: &Facts, settings: &Postgres, report: &mut Report) {
    let tls = if facts.is_encrypted { "within TLS" } else { "without TLS" };
    report.good(&format!("PostgreSQL {}, a primary, reached {tls}", facts.version));
    let known = facts.known_schema;
    match facts.schema {
        None => report.note("there is no schema yet: the first start of a server makes it"),
        Some((version, works_for)) if works_for > known => {
            let error = PostgresError::NewerSchema { found: version, known };
            report.problem(&error.to_string());
        }
        Some((version, _)) if version < known => {
            report.note(&format!(
                "the schema has version {version}: the next start of a server makes it {known}"
            ));
        }
        Some((version, _)) => report.good(&format!("the schema has version {version} of {known}")),
    }
    match (facts.standbys.as_str(), settings.require_synchronous) {
        ("", true) => report.problem(&PostgresError::NoStandby.to_string()),
        ("", false) => report.note(
            "no synchronous standby (synchronous_standby_names is empty): a failover can lose logouts that were \
             acknowledged",
        ),
        (names, _) => report.good(&format!("commits wait for the synchronous standby: {names}")),
    }
}
