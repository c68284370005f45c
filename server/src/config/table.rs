//! A table of the file: its fields, and the errors that name them.

use std::path::PathBuf;

use super::ConfigError;
use super::place::line_in;
use super::resolve::Resolver;
use claimgate::oidc::client::Secret;
use claimgate::oidc::endpoint::Endpoint;

/// A table of the file, for the errors of its fields.
#[derive(Clone, Copy)]
pub(super) struct Table<'f> {
    pub(super) file: &'f Resolver<'f>,
    pub(super) name: &'static str,
    pub(super) index: usize,
}

impl Table<'_> {
    pub(super) fn error(&self, field: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            file: self.file.name.to_owned(),
            line: line_in(self.file.text, self.name, self.index, field),
            field: format!("{}.{field}", self.name),
            reason: reason.into(),
        }
    }

    pub(super) fn endpoint(
        &self,
        field: &str,
        text: Option<String>,
        http: bool,
    ) -> Result<Option<Endpoint>, ConfigError> {
        let parse = |text: String| {
            Endpoint::parse(&text, http)
                .map_err(|reason| self.error(field, format!("`{text}` is refused: {reason}")))
        };
        text.map(parse).transpose()
    }

    /// One of `field`, `field_file` and `field_env`.
    pub(super) fn secret(
        &self,
        field: &str,
        written: Option<String>,
        file: Option<PathBuf>,
        env: Option<String>,
    ) -> Result<Option<Secret>, ConfigError> {
        let (field, secret) = match (written, file, env) {
            (None, None, None) => return Ok(None),
            (Some(secret), None, None) => (field.to_owned(), secret),
            (None, Some(file), None) => {
                let field = format!("{field}_file");
                let path = self.file.folder.join(file);
                let read = std::fs::read_to_string(&path);
                let text =
                    read.map_err(|error| self.error(&field, format!("{}: {error}", path.display())))?;
                (field, text.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, None, Some(variable)) => {
                let field = format!("{field}_env");
                let value = std::env::var(&variable);
                let text = value.map_err(|_| {
                    self.error(&field, format!("the environment variable {variable} is not set"))
                })?;
                (field, text)
            }
            _ => return Err(self.error(field, format!("give one of {field}, {field}_file and {field}_env"))),
        };
        if secret.is_empty() {
            return Err(self.error(&field, "the secret is empty"));
        }
        Ok(Some(Secret::new(secret)))
    }
}
