//! The files that hold secrets, and those that a configuration trusts.

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
        let mut found = files(file, &|key, named| match key {
            _ if is_secret(key) => Some(file.to_owned()),
            _ if is_secret_file(key) => Some(folder_of(file).join(named)),
            _ => None,
        })?;
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Returns the files whose content a server trusts, beside the database: the configuration file itself, and those
    /// that it names.
    ///
    /// # Errors
    /// A [`ConfigError`]: the file cannot be read or is not TOML.
    pub fn trusted_files(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
        let is_file = |key: &str| key.ends_with("_file") || ["tls_certificate", "tls_key"].contains(&key);
        let mut found = files(file, &|key, named| is_file(key).then(|| folder_of(file).join(named)))?;
        found.push(file.to_owned());
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// Returns the files that `of` makes of the settings of a file and their texts.
fn files(file: &Path, of: &dyn Fn(&str, &str) -> Option<PathBuf>) -> Result<Vec<PathBuf>, ConfigError> {
    let (name, text) = read(file)?;
    let document = Document::parse(&name, &text)?;
    let mut found = Vec::new();
    if let Some(root) = document.value(&SettingPath::default()) {
        collect(root.get_ref(), of, &mut found);
    }
    Ok(found)
}

fn collect(value: &DeValue<'_>, of: &dyn Fn(&str, &str) -> Option<PathBuf>, found: &mut Vec<PathBuf>) {
    match value {
        DeValue::Table(table) => {
            for (key, value) in table {
                let (key, value) = (key.get_ref().as_ref(), value.get_ref());
                match value.as_str().and_then(|text| of(key, text)) {
                    Some(file) => found.push(file),
                    None => collect(value, of, found),
                }
            }
        }
        DeValue::Array(elements) => elements.iter().for_each(|value| collect(value.get_ref(), of, found)),
        _ => {}
    }
}

/// Reports whether a setting names a file that holds a secret.
fn is_secret_file(setting: &str) -> bool {
    setting.strip_suffix("_file").is_some_and(is_secret) || ["private_key_file", "tls_key"].contains(&setting)
}
