//! The file as TOML, with the span of every key and value.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use claimgate::identity::{SettingPath, Step};
use claimgate::oidc::fingerprint::Fingerprint;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::{ConfigError, Fault, Note, Place, Position, Problem, Reason, Severity};
use super::files::{FileContent, NamedFile};

/// A parsed file.
pub(super) struct Document<'t> {
    file: &'t str,
    text: &'t str,
    root: Spanned<DeValue<'t>>,
}

impl<'t> Document<'t> {
    /// Parses a text; `file` is its name in errors.
    ///
    /// # Errors
    /// A [`ConfigError`] where it is not TOML.
    pub(super) fn parse(file: &'t str, text: &'t str) -> Result<Self, ConfigError> {
        match DeTable::parse(text) {
            Ok(root) => {
                let root = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
                Ok(Self { file, text, root })
            }
            Err(error) => Err(Fault {
                file: file.to_owned(),
                position: Some(position(text, error.span().map_or(0, |span| span.start))),
                setting: None,
                problem: Problem::Syntax(error.message().into()),
            }
            .into()),
        }
    }

    /// Returns the file's name.
    pub(super) fn file(&self) -> &'t str {
        self.file
    }

    /// Returns the fingerprint of the text.
    pub(super) fn version(&self) -> Fingerprint {
        Fingerprint::of(self.text)
    }

    /// Returns the value of a setting.
    pub(super) fn value(&self, path: &SettingPath) -> Option<&Spanned<DeValue<'t>>> {
        path.steps().iter().try_fold(&self.root, step)
    }

    /// Deserializes a setting, usually a table; none where the file does not have it.
    ///
    /// # Errors
    /// A [`ConfigError`] with all settings below it that have the wrong type.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &SettingPath) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.value(path) else { return Ok(None) };
        let mut found: Vec<SettingPath> = Vec::new();
        let mut faults = Vec::new();
        let mut rest = value.clone();
        // The deserializer stops at the first fault: the setting is taken out, and the rest is read again.
        loop {
            let error = match T::deserialize(ValueDeserializer::from(rest.clone())) {
                Ok(read) if faults.is_empty() => return Ok(Some(read)),
                Ok(_) => break,
                Err(error) => error,
            };
            let place = error.span().and_then(|span| Some((find(value, &span, path)?, span)));
            let at = place.as_ref().map_or(path, |(below, _)| below);
            // That a table misses what was taken out is no fault of the file.
            if !found.iter().any(|known| known.steps().starts_with(at.steps())) {
                faults.push(self.fault(at, Problem::Syntax(type_problem(at, error.message()).into())));
            }
            match place {
                Some((below, span)) if below != *path => {
                    rest = without(rest, &span);
                    found.push(below);
                }
                _ => break,
            }
        }
        Err(ConfigError::new(faults))
    }

    /// Returns the fault of a setting, at its value or else at the table where it is missing.
    pub(super) fn fault(&self, path: &SettingPath, problem: Problem) -> Fault {
        self.fault_at(self.span(path), path, problem)
    }

    /// Returns a remark on a setting, at the place of its faults.
    pub(super) fn note(&self, path: &SettingPath, severity: Severity, reason: Reason) -> Note {
        Note {
            file: self.file.to_owned(),
            position: position(self.text, self.span(path).start),
            setting: self.name(path),
            severity,
            reason,
        }
    }

    /// Returns the place of a setting.
    pub(super) fn place(&self, path: &SettingPath) -> Place {
        let position = position(self.text, self.span(path).start);
        Place { file: self.file.to_owned(), position, setting: self.name(path) }
    }

    /// Returns the place of every table, by its path.
    pub(super) fn tables(&self) -> BTreeMap<String, Place> {
        let mut found = BTreeMap::new();
        let mut open = vec![(SettingPath::default(), &self.root)];
        while let Some((path, value)) = open.pop() {
            match value.get_ref() {
                DeValue::Table(table) => {
                    open.extend(table.iter().map(|(key, value)| (path.name(key.get_ref()), value)));
                    found.insert(path.to_string(), self.place(&path));
                }
                DeValue::Array(array) => {
                    let elements = array.iter().enumerate();
                    open.extend(elements.map(|(index, value)| (path.index(index), value)));
                }
                _ => {}
            }
        }
        found
    }

    /// Returns a file that a setting names, with the place of the setting.
    pub(super) fn named_file(&self, setting: &SettingPath, path: PathBuf, content: FileContent) -> NamedFile {
        NamedFile { place: self.place(setting), path, content }
    }

    /// Returns the span of a setting's value, or of the table where it is missing.
    fn span(&self, path: &SettingPath) -> Range<usize> {
        let mut last = &self.root;
        for next in path.steps() {
            match step(last, next) {
                Some(value) => last = value,
                None => break,
            }
        }
        last.span()
    }

    /// Returns the fault of a setting at the span of its key.
    pub(super) fn fault_at(&self, span: Range<usize>, path: &SettingPath, problem: Problem) -> Fault {
        Fault {
            file: self.file.to_owned(),
            position: Some(position(self.text, span.start)),
            setting: Some(self.name(path)),
            problem,
        }
    }

    /// Returns a setting's path and the id of the provider that it belongs to, for people.
    fn name(&self, path: &SettingPath) -> String {
        let [Step::Name(table), Step::Index(index), ..] = path.steps() else { return path.to_string() };
        let id = SettingPath::of(table).index(*index).name("id");
        let id = self.value(&id).and_then(|id| id.get_ref().as_str().map(str::to_owned));
        id.map_or_else(|| path.to_string(), |id| format!("{path} (provider `{}`)", id.escape_debug()))
    }
}

/// Returns the value one step below another.
fn step<'v, 't>(value: &'v Spanned<DeValue<'t>>, step: &Step) -> Option<&'v Spanned<DeValue<'t>>> {
    match step {
        Step::Name(name) => value.get_ref().as_table()?.get(name.as_str()),
        Step::Index(index) => value.get_ref().as_array()?.get(*index),
    }
}

/// Returns the path of the key or value with a span, at or below a value.
fn find(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &SettingPath) -> Option<SettingPath> {
    let below = match value.get_ref() {
        DeValue::Table(table) => table.iter().find_map(|(key, value)| {
            let path = path.name(key.get_ref());
            if key.span() == *span { Some(path) } else { find(value, span, &path) }
        }),
        DeValue::Array(array) => {
            array.iter().enumerate().find_map(|(index, value)| find(value, span, &path.index(index)))
        }
        _ => None,
    };
    below.or_else(|| (value.span() == *span).then(|| path.clone()))
}

/// Returns a value without the member or element that a span is of, at any depth.
fn without<'t>(value: Spanned<DeValue<'t>>, span: &Range<usize>) -> Spanned<DeValue<'t>> {
    let at = value.span();
    let rest = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .filter(|(key, value)| key.span() != *span && value.span() != *span)
                .map(|(key, value)| (key, without(value, span)))
                .collect(),
        ),
        DeValue::Array(array) => DeValue::Array(
            array
                .into_iter()
                .filter(|value| value.span() != *span)
                .map(|value| without(value, span))
                .collect(),
        ),
        other => other,
    };
    Spanned::new(at, rest)
}

/// Words of the deserializer, and those of people.
const TYPES: [(&str, &str); 17] = [
    ("invalid type: ", "has the wrong type: "),
    ("invalid value: ", "has an unusable value: "),
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("expected struct MappingSpec", "expected a table"),
    ("expected struct TeamSpec", "expected a table"),
    ("expected struct Server", "expected a table"),
    ("expected struct Store", "expected a table"),
    ("expected struct SignIn", "expected a table"),
    ("expected struct Provider", "expected a table"),
    ("expected struct Verify", "expected a table"),
    ("expected struct ClaimSpec", "expected a table"),
    ("expected a boolean", "expected true or false"),
    ("expected a string", "expected a text in quotes"),
    ("expected path string", "expected a text in quotes"),
    ("expected usize", "expected a whole number"),
    ("expected u64", "expected a whole number"),
];

/// Reports whether the value of a setting is a secret.
#[must_use]
pub fn is_secret(setting: &str) -> bool {
    setting.ends_with("_secret") || setting == "password"
}

/// Returns the message of a wrong type in the words of TOML; a secret does not appear in it.
fn type_problem(path: &SettingPath, message: &str) -> String {
    if let Some(Step::Name(name)) = path.steps().last()
        && is_secret(name)
    {
        return "must be a text in quotes".to_owned();
    }
    TYPES.iter().fold(message.to_owned(), |message, (serde, people)| message.replace(serde, people))
}

/// Returns line and column of a byte offset.
fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    Position { line, column }
}
