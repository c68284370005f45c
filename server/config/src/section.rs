//! A table of the file that is being resolved: its settings, and the faults found in them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use claimgate::identity::{MappingError, SettingPath};
use claimgate::oidc::client::Secret;
use claimgate::oidc::endpoint::{Endpoint, EndpointError};

use super::document::Document;
use super::error::{Fault, Note, Problem, Reason, Severity};
use super::files::{FileContent, NamedFile};

/// The remedy of an address of the server itself that is not https.
pub(super) const PUBLIC_SCHEME: &str =
    "write the address that browsers see; the proxy before Claimgate speaks TLS";

/// A fault that has been recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faulty;

/// The file that is being resolved.
pub(super) struct Source<'d> {
    pub(super) document: &'d Document<'d>,
    /// The folder of the files that it names.
    pub(super) folder: &'d Path,
    /// A file of a secret that is not written yet: its name in the document, and the secret.
    pub(super) unwritten: Option<(&'d Path, &'d Secret)>,
    pub(super) faults: RefCell<Vec<Fault>>,
    pub(super) notes: RefCell<Vec<Note>>,
    pub(super) files: RefCell<Vec<NamedFile>>,
}

impl Source<'_> {
    /// Records a fault.
    pub(super) fn record(&self, fault: Fault) -> Faulty {
        self.faults.borrow_mut().push(fault);
        Faulty
    }

    /// Returns a table of the document itself.
    pub(super) fn section(&self, path: SettingPath) -> Section<'_> {
        Section { source: self, path }
    }
}

/// A table of the file.
pub(super) struct Section<'s> {
    pub(super) source: &'s Source<'s>,
    pub(super) path: SettingPath,
}

impl Section<'_> {
    /// Records the fault of a setting.
    pub(super) fn fault(&self, setting: &str, reason: impl Into<Reason>) -> Faulty {
        self.fault_at(&self.path.name(setting), reason)
    }

    /// Records the fault of an element of a list.
    pub(super) fn fault_in(&self, setting: &str, index: usize, reason: impl Into<Reason>) -> Faulty {
        self.fault_at(&self.path.name(setting).index(index), reason)
    }

    /// Records what a setting means.
    pub(super) fn note(&self, setting: &str, reason: impl Into<Reason>) {
        self.remark(&self.path.name(setting), Severity::Note, reason.into());
    }

    /// Records that a setting is probably not what the author wants.
    pub(super) fn warn(&self, setting: &str, reason: impl Into<Reason>) {
        self.remark(&self.path.name(setting), Severity::Warning, reason.into());
    }

    pub(super) fn remark(&self, path: &SettingPath, severity: Severity, reason: Reason) {
        self.source.notes.borrow_mut().push(self.source.document.note(path, severity, reason));
    }

    /// Warns of a claim path that looks like one within an object: Keycloak's `realm_access.roles` is a member of a
    /// member. Names that are addresses have dots of their own.
    pub(super) fn note_literal_name(&self, setting: &SettingPath, text: &str) {
        if !text.starts_with('$') && !text.contains("://") && text.contains(['.', '[']) {
            let message =
                format!("`{text}` has no `$` at its start, so it is the name of one claim, dots included");
            let reason = (message, format!("a path is written `$.{text}`"));
            self.remark(setting, Severity::Warning, reason.into());
        }
    }

    fn fault_at(&self, path: &SettingPath, reason: impl Into<Reason>) -> Faulty {
        self.source.record(self.source.document.fault(path, Problem::Value(reason.into())))
    }

    /// Records the fault of a mapping that this table holds.
    pub(super) fn mapping_fault(&self, error: MappingError) -> Faulty {
        let path = self.path.join(&error.setting);
        self.source.record(self.source.document.fault(&path, Problem::Mapping(error.problem)))
    }

    /// Returns the path of a file that a setting names, and records the file.
    pub(super) fn file(&self, setting: &str, name: &Path, content: FileContent) -> PathBuf {
        self.record_file(setting, self.source.folder.join(name), content)
    }

    /// Records the file that a setting stands for.
    pub(super) fn record_file(&self, setting: &str, path: PathBuf, content: FileContent) -> PathBuf {
        let named = self.source.document.named_file(&self.path.name(setting), path.clone(), content);
        self.source.files.borrow_mut().push(named);
        path
    }

    /// Returns the text of a setting that must be there.
    pub(super) fn required(
        &self,
        setting: &str,
        text: Option<String>,
        example: &str,
    ) -> Result<String, Faulty> {
        match text {
            Some(text) if text.trim() != text => Err(self.fault(
                setting,
                ("begins or ends with white space, and is compared exactly", "remove the white space"),
            )),
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => Err(self.fault(setting, ("must not be empty", format!("write {example}")))),
            None => Err(self.fault(setting, ("is missing", format!("write {example}")))),
        }
    }

    /// Parses the address of an endpoint.
    pub(super) fn endpoint(
        &self,
        setting: &str,
        text: Option<&String>,
        http: bool,
    ) -> Result<Option<Endpoint>, Faulty> {
        let parse = |text: &String| {
            Endpoint::parse(text, http).map_err(|reason| {
                self.endpoint_fault(
                    setting,
                    text,
                    reason,
                    "`danger_allow_http = true` in [[provider]] accepts it",
                )
            })
        };
        text.map(parse).transpose()
    }

    /// Returns the fault of an address that is no endpoint, with what to write instead. `scheme`: that of one that is not
    /// https.
    pub(super) fn endpoint_fault(
        &self,
        setting: &str,
        text: &str,
        reason: EndpointError,
        scheme: &str,
    ) -> Faulty {
        let message = format!("`{text}` is not accepted: {reason}");
        let whole = format!("https://{}", text.trim_start_matches('/'));
        let remedy = match reason {
            EndpointError::Scheme => scheme.to_owned(),
            EndpointError::Credentials => "write it without username and password".to_owned(),
            EndpointError::Fragment => "write it without `#` and what follows".to_owned(),
            _ if Endpoint::parse(&whole, false).is_ok() => {
                format!("write the whole address, such as `{whole}`")
            }
            _ => "write a whole address, such as `https://sso.example.com`".to_owned(),
        };
        self.fault(setting, (message, remedy))
    }

    /// Returns the secret of `setting`, `setting_file` or `setting_env`, of which at most one is there.
    pub(super) fn secret(
        &self,
        setting: &str,
        written: Option<&String>,
        file: Option<&PathBuf>,
        variable: Option<&String>,
    ) -> Result<Option<Secret>, Faulty> {
        let (setting, secret) = match (written, file, variable) {
            (None, None, None) => return Ok(None),
            (Some(secret), None, None) => {
                self.record_file(setting, self.source.document.file().into(), FileContent::Secret);
                (setting.to_owned(), secret.clone())
            }
            (None, Some(file), None) => {
                let setting = format!("{setting}_file");
                let path = self.file(&setting, file, FileContent::Secret);
                let text = match self.source.unwritten.filter(|(name, _)| *name == file.as_path()) {
                    Some((_, secret)) => secret.expose().to_owned(),
                    None => std::fs::read_to_string(&path)
                        .map_err(|error| self.fault(&setting, format!("{}: {error}", path.display())))?,
                };
                (setting, text.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, None, Some(variable)) => {
                let setting = format!("{setting}_env");
                let text = std::env::var(variable).map_err(|_| {
                    self.fault(&setting, format!("the environment variable {variable} is not set"))
                })?;
                (setting, text)
            }
            _ => {
                let reason = format!("write only one of {setting}, {setting}_file and {setting}_env");
                return Err(self.fault(setting, reason));
            }
        };
        if secret.is_empty() {
            return Err(self.fault(&setting, "the secret is empty"));
        }
        Ok(Some(Secret::new(secret)))
    }
}
