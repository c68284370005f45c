//! The files that hold secrets.

use std::path::{Path, PathBuf};

use claimgate::identity::SettingPath;
use toml::de::DeValue;

use super::document::{Document, is_secret};
use super::{Config, ConfigError, folder_of, read};

impl Config {
    /// Returns the files that hold a secret or a private key: those that a configuration file names, and the file
    /// itself if a secret is written in it.
    ///
    /// # Errors
    /// A [`ConfigError`]: the file cannot be read or is not TOML.
    pub fn secret_files(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
        let (name, text) = read(file)?;
        let document = Document::parse(&name, &text)?;
        let mut found = Vec::new();
        if let Some(root) = document.value(&SettingPath::default()) {
            collect(root.get_ref(), file, &mut found);
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

fn collect(value: &DeValue<'_>, file: &Path, found: &mut Vec<PathBuf>) {
    match value {
        DeValue::Table(table) => {
            for (key, value) in table {
                let (key, value) = (key.get_ref().as_ref(), value.get_ref());
                match value.as_str() {
                    Some(_) if is_secret(key) => found.push(file.to_owned()),
                    Some(named) if is_secret_file(key) => found.push(folder_of(file).join(named)),
                    _ => collect(value, file, found),
                }
            }
        }
        DeValue::Array(elements) => elements.iter().for_each(|value| collect(value.get_ref(), file, found)),
        _ => {}
    }
}

/// Reports whether a setting names a file that holds a secret.
fn is_secret_file(setting: &str) -> bool {
    setting.strip_suffix("_file").is_some_and(is_secret) || ["private_key_file", "tls_key"].contains(&setting)
}
