//! A provider as a form has it, and its change in the file: added, changed or removed.

use claimgate_config::{default_algorithms, default_scopes};
use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Table, TableLike, Value};

use super::tables;
use super::values::{Unsupported, set, set_list, texts};

/// The settings that forms change, beside those of the secret.
const SETTINGS: [&str; 4] = ["display_name", "client_id", "scopes", "algorithms"];
/// The setting that names the file of the client secret.
const SECRET_FILE: &str = "client_secret_file";
/// The settings in whose place it is written.
const OTHER_SECRETS: [&str; 2] = ["client_secret", "client_secret_env"];
/// The setting by which a client has no secret.
const AUTH_METHOD: &str = "token_endpoint_auth_method";

/// The part of a provider that forms change. The rest of its table stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProviderDraft {
    /// Empty: the id stands in its place.
    pub(crate) display_name: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) algorithms: Vec<String>,
}

/// A change of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProviderChange {
    /// Adds one. `secret_file`: the name of the file of its secret; none for a public client.
    Add { id: String, issuer: String, draft: ProviderDraft, secret_file: Option<String> },
    /// Changes the one with an id. `secret_file`: the file of a new secret.
    Edit { id: String, draft: ProviderDraft, secret_file: Option<String> },
    /// Removes the one with an id.
    Remove { id: String },
}

impl ProviderDraft {
    /// Returns the provider with an id, with the defaults where its table has no such setting. `None`: the text is not
    /// TOML, has no such provider, or its table has another form.
    pub(crate) fn of(text: &str, id: &str) -> Option<Self> {
        let file: toml::Table = toml::from_str(text).ok()?;
        Self::of_table(tables::provider(&file, id)?.1)
    }

    fn of_table(table: &toml::Value) -> Option<Self> {
        let text = |key: &str| match table.get(key) {
            None => Some(String::new()),
            Some(value) => value.as_str().map(str::to_owned),
        };
        let list = |key: &str, default: Vec<String>| match table.get(key) {
            None => Some(default),
            Some(value) => value.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        };
        Some(Self {
            display_name: text("display_name")?,
            client_id: text("client_id")?,
            scopes: list("scopes", default_scopes())?,
            algorithms: list("algorithms", default_algorithms())?,
        })
    }

    /// Returns the settings that differ, by the names that the file has for them.
    pub(crate) fn changed_from(&self, present: &Self) -> Vec<&'static str> {
        let is_changed = [
            self.display_name != present.display_name,
            self.client_id != present.client_id,
            self.scopes != present.scopes,
            self.algorithms != present.algorithms,
        ];
        SETTINGS.into_iter().zip(is_changed).filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
    }

    /// Takes over what another change of the file has made of the settings that this one leaves as they were: `base` is
    /// the provider that was edited, `now` that of the file.
    pub(crate) fn rebase(&mut self, base: &Self, now: &Self) {
        let changed = self.changed_from(base);
        let Self { display_name, client_id, scopes, algorithms } = now.clone();
        for setting in SETTINGS.into_iter().filter(|setting| !changed.contains(setting)) {
            match setting {
                "display_name" => self.display_name.clone_from(&display_name),
                "client_id" => self.client_id.clone_from(&client_id),
                "scopes" => self.scopes.clone_from(&scopes),
                _ => self.algorithms.clone_from(&algorithms),
            }
        }
    }

    fn write(&self, table: &mut dyn TableLike, changed: &[&str]) -> Result<(), Unsupported> {
        for setting in changed {
            match *setting {
                "display_name" => {
                    let name = Some(self.display_name.as_str()).filter(|name| !name.is_empty());
                    set(table, "display_name", name)?;
                }
                "client_id" => set(table, "client_id", Some(self.client_id.as_str()))?,
                "scopes" => set_texts(table, "scopes", &self.scopes)?,
                _ => set_texts(table, "algorithms", &self.algorithms)?,
            }
        }
        Ok(())
    }
}

impl ProviderChange {
    /// Returns the id of the provider.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Add { id, .. } | Self::Edit { id, .. } | Self::Remove { id } => id,
        }
    }

    /// Returns the text with this change, and nothing else changed. `None`: the file has no such provider, or writes it in
    /// a way that is not changed here.
    pub(crate) fn apply(&self, text: &str) -> Option<String> {
        let before: toml::Table = toml::from_str(text).ok()?;
        let known = tables::provider(&before, self.id()).map(|(index, _)| index);
        let edited = tables::edited(text, |document| match self {
            Self::Add { id, issuer, draft, secret_file } => add(document.as_table_mut(), |table| {
                set(table, "id", Some(id.as_str()))?;
                draft.write(table, &["display_name"])?;
                set(table, "issuer", Some(issuer.as_str()))?;
                draft.write(table, &["client_id"])?;
                match secret_file {
                    Some(file) => set(table, SECRET_FILE, Some(file.as_str()))?,
                    None => set(table, AUTH_METHOD, Some("none"))?,
                }
                draft.write(table, &["scopes", "algorithms"])
            }),
            Self::Edit { draft, secret_file, .. } => {
                let present = ProviderDraft::of(text, self.id()).ok_or(Unsupported)?;
                let table = tables::provider_table(document, known.ok_or(Unsupported)?)?;
                draft.write(table, &draft.changed_from(&present))?;
                secret_file.as_ref().map_or(Ok(()), |file| set_secret(table, file))
            }
            Self::Remove { .. } => remove(document.as_table_mut(), known.ok_or(Unsupported)?),
        })?;
        let after: toml::Table = toml::from_str(&edited).ok()?;
        self.is_all(before, after, known).then_some(edited)
    }

    /// Reports whether this change is all that two files differ in, and is in the second. `known`: the place of the
    /// provider in the first.
    fn is_all(&self, mut before: toml::Table, mut after: toml::Table, known: Option<usize>) -> bool {
        let (Some(one), Some(other)) = (providers(&mut before), providers(&mut after)) else { return false };
        match (self, known) {
            (Self::Add { id, issuer, draft, .. }, _) => {
                let is_written = other.pop().is_some_and(|table| {
                    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
                    (text("id"), text("issuer")) == (Some(id), Some(issuer))
                        && ProviderDraft::of_table(&table).as_ref() == Some(draft)
                });
                is_written && before == after
            }
            (Self::Edit { draft, secret_file, .. }, Some(index)) => {
                let is_written = ProviderDraft::of_table(&other[index]).as_ref() == Some(draft);
                let secrets: &[&str] = match secret_file {
                    Some(_) => &[SECRET_FILE, OTHER_SECRETS[0], OTHER_SECRETS[1], AUTH_METHOD],
                    None => &[],
                };
                for table in
                    [&mut one[index], &mut other[index]].into_iter().filter_map(toml::Value::as_table_mut)
                {
                    SETTINGS.iter().chain(secrets).for_each(|setting| drop(table.remove(*setting)));
                }
                is_written && before == after
            }
            (Self::Remove { .. }, Some(index)) => {
                one.remove(index);
                before == after
            }
            _ => false,
        }
    }

    /// Returns what changes, for the event and the log. `text` is the file before.
    pub(crate) fn settings(&self, text: &str) -> String {
        let id = self.id();
        match self {
            Self::Add { issuer, .. } => format!("provider {id} added: {issuer}"),
            Self::Remove { .. } => format!("provider {id} removed"),
            Self::Edit { draft, secret_file, .. } => {
                let present = ProviderDraft::of(text, id).unwrap_or_default();
                let mut changed = draft.changed_from(&present);
                changed.extend(secret_file.as_ref().map(|_| SECRET_FILE));
                format!("provider {id}: {}", changed.join(", "))
            }
        }
    }
}

fn providers(file: &mut toml::Table) -> Option<&mut Vec<toml::Value>> {
    file.get_mut("provider")?.as_array_mut()
}

/// Adds a table behind the last provider.
fn add(
    document: &mut Table,
    fill: impl FnOnce(&mut dyn TableLike) -> Result<(), Unsupported>,
) -> Result<(), Unsupported> {
    match document.entry("provider").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new())) {
        Item::ArrayOfTables(tables) => {
            let mut table = Table::new();
            fill(&mut table)?;
            tables.push(table);
        }
        Item::Value(Value::Array(array)) => {
            let mut table = InlineTable::new();
            fill(&mut table)?;
            table.fmt();
            array.push(table);
        }
        _ => return Err(Unsupported),
    }
    Ok(())
}

fn remove(document: &mut Table, index: usize) -> Result<(), Unsupported> {
    match document.get_mut("provider") {
        Some(Item::ArrayOfTables(tables)) if index < tables.len() => drop(tables.remove(index)),
        Some(Item::Value(Value::Array(array))) if index < array.len() => drop(array.remove(index)),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// Writes a list, also an empty one: without the setting its default would be in use.
fn set_texts(table: &mut dyn TableLike, key: &str, wanted: &[String]) -> Result<(), Unsupported> {
    match wanted {
        [] => set(table, key, Some(Array::new())),
        wanted => set_list(table, key, texts(wanted)),
    }
}

/// Names the file of a new secret in the place of the secret before, whose comments stay.
fn set_secret(table: &mut dyn TableLike, file: &str) -> Result<(), Unsupported> {
    for other in OTHER_SECRETS {
        let Some(behind) = table.get(other).and_then(Item::as_value).map(|value| value.decor().clone())
        else {
            continue;
        };
        let above = table.key(other).map(|key| key.leaf_decor().clone());
        table.remove(other);
        let mut value = Value::from(file);
        *value.decor_mut() = behind;
        table.insert(SECRET_FILE, Item::Value(value));
        if let (Some(above), Some(mut key)) = (above, table.key_mut(SECRET_FILE)) {
            *key.leaf_decor_mut() = above;
        }
    }
    if table.get(AUTH_METHOD).and_then(Item::as_str) == Some("none") {
        table.remove(AUTH_METHOD);
    }
    set(table, SECRET_FILE, Some(file))
}

#[cfg(test)]
mod tests;
