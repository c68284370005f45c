//! What is wrong with the files that a configuration names.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use claimgate::jws::JwsVerifier;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate_config::{Config, Fault, FileContent, NamedFile, Note, Postgres, Provider, Reason, Store};
use rustix::fs::{Access, access};

use super::rights::Owners;
use super::runtime::runtime;
use super::{owners, postgres, rights};
use crate::command::output::Failure;
use crate::store::postgres::PostgresError;
use crate::web::provider::http_client;
use crate::web::run;

/// The first bytes of every SQLite database.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// What the check of a configuration found.
#[derive(Default)]
pub(crate) struct Findings {
    /// What prevents the server from starting.
    pub(crate) faults: Vec<Fault>,
    /// Remarks, in the file's order.
    pub(crate) notes: Vec<Note>,
}

impl Findings {
    /// Judges a configuration file and the files that it names as the server would use them at its start, and adds
    /// the configuration's own remarks.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the runtime cannot be built.
    pub(crate) fn of(config: &Config, file: &Path) -> Result<Self, Failure> {
        let mut findings = Self { faults: Vec::new(), notes: config.notes.clone() };
        let database = config.files.iter().find(|named| named.content == FileContent::Database);
        let owners = Owners::of_a_server(database.map(|named| named.path.as_path()));
        findings.notes.extend(rights::warnings(config, file, &owners));
        for named in &config.files {
            match named.content {
                FileContent::Database => findings.database(named),
                _ => findings.faults.extend(unreadable(&named.path).map(|reason| named.fault(reason))),
            }
        }
        if let Some(Store::Postgres(settings)) = config.server.as_ref().map(|server| &server.store) {
            findings.postgres(settings, &config.files);
        }
        if findings.faults.is_empty() {
            findings.contents(config)?;
        }
        findings.faults.sort_by_key(|fault| fault.position);
        findings.notes.sort_by_key(|note| note.position);
        Ok(findings)
    }

    fn database(&mut self, named: &NamedFile) {
        let path = &named.path;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (file, within) = (path.display(), folder.display());
        if path.is_dir() {
            return self.faults.push(named.fault((format!("{file} is a folder"), "name a file in it")));
        }
        if !folder.is_dir() {
            let message = format!("the folder {within} does not exist");
            return self.faults.push(named.fault((message, "create it for the user that runs the server")));
        }
        if path.exists() && !is_database(path) {
            let message = format!("{file} is not a database");
            return self.faults.push(named.fault((message, "name another file, or move this one away")));
        }
        if let Some(foreign) = owners::foreign_files(path) {
            self.notes.push(named.warning(foreign));
        }
        let rights = if path.exists() { access(path, Access::READ_OK | Access::WRITE_OK) } else { Ok(()) };
        if rights.and_then(|()| access(folder, Access::WRITE_OK | Access::EXEC_OK)).is_err() {
            let message = format!("this user may not write {file} or make files beside it");
            self.notes.push(named.warning((message, "the user that runs the server needs these rights")));
        }
    }

    /// Judges how PostgreSQL is reached, without connecting.
    fn postgres(&mut self, settings: &Postgres, files: &[NamedFile]) {
        let Err(error) = postgres::server(settings) else { return };
        let ca_file = files.iter().find(|named| settings.ca_file.as_ref() == Some(&named.path));
        self.faults.push(match (&error, ca_file) {
            // A file that cannot be read at all has its fault already.
            (PostgresError::Certificates { .. }, Some(_)) if !self.faults.is_empty() => return,
            (PostgresError::Certificates { .. }, Some(named)) => named.fault(error.to_string()),
            _ => settings.url_place.fault(error.to_string()),
        });
    }

    /// Reads the files, all of which can be read.
    fn contents(&mut self, config: &Config) -> Result<(), Failure> {
        run::install_tls();
        for provider in &config.providers {
            for named in config.files.iter().filter(|named| provider.jwks_file.as_ref() == Some(&named.path))
            {
                self.key_set(named, provider);
            }
            for named in config.files.iter().filter(|named| provider.ca_file.as_ref() == Some(&named.path)) {
                self.faults.extend(http_client(provider).err().map(|error| named.fault(error.to_string())));
            }
        }
        let tls = config.server.as_ref().and_then(|server| server.tls.as_ref());
        let named = config.files.iter().find(|named| named.content == FileContent::Certificate);
        if let (Some((certificate, key)), Some(named)) = (tls, named)
            && let Err(error) = runtime()?.block_on(run::load_tls(certificate, key))
        {
            self.faults.push(named.fault(error.to_string()));
        }
        Ok(())
    }

    fn key_set(&mut self, named: &NamedFile, provider: &Provider) {
        let file = named.path.display();
        let read = std::fs::read(&named.path).map_err(|error| format!("{file}: {error}"));
        let keys = read.and_then(|text| {
            KeySet::from_jwks_with_secrets(&text, &Limits::DEFAULT)
                .map_err(|error| format!("{file}: {error} [{}]", error.code()))
        });
        let keys = match keys {
            Ok(keys) => keys,
            Err(message) => return self.faults.push(named.fault(message)),
        };
        let verifier =
            JwsVerifier::with_any_keys(&provider.registry, &provider.algorithms, &keys, Limits::DEFAULT);
        if verifier.is_ok_and(|verifier| verifier.key_report().usable == 0) {
            let message = format!("{file} holds no key that fits `algorithms`");
            self.notes
                .push(named.warning((message, "`claimgate verify --jwks` names the reason of each key")));
        }
    }
}

/// Returns why a file cannot be read.
fn unreadable(path: &Path) -> Option<Reason> {
    let file = path.display();
    // Opening a FIFO would wait for its writer.
    let opened = std::fs::metadata(path).and_then(|found| match found.is_file() {
        true => File::open(path).map(|_| found),
        false => Ok(found),
    });
    match opened {
        Ok(found) if found.is_dir() => Some((format!("{file} is a folder"), "name a file").into()),
        Ok(found) if !found.is_file() => Some((format!("{file} is no regular file"), "name one").into()),
        Ok(_) => None,
        Err(error) => Some(match error.kind() {
            ErrorKind::NotFound => (
                format!("{file} does not exist"),
                "a name without a leading `/` is relative to the folder of the configuration file",
            )
                .into(),
            ErrorKind::PermissionDenied => (
                format!("this user may not read {file}"),
                "the user that runs the server needs this right; check as that user",
            )
                .into(),
            _ => format!("{file}: {error}").into(),
        }),
    }
}

/// Reports whether a regular file is empty, cannot be read, or begins as a database does.
fn is_database(path: &Path) -> bool {
    // Opening a FIFO would wait for its writer.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return false;
    }
    let mut beginning = [0; SQLITE.len()];
    let Ok(mut file) = File::open(path) else { return true };
    match file.read(&mut beginning) {
        Ok(0) | Err(_) => true,
        Ok(_) => beginning == *SQLITE,
    }
}
