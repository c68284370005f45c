//! Tables of the file in the text that is changed, and the text with the line ends that it had.

use claimgate_config::DEFAULT_PROVIDER_ID;
use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::values::Unsupported;

/// Returns a text with a change; line ends stay as they were. `None`: it is not TOML, or it is written in a way that is not
/// changed here.
pub(super) fn edited(
    text: &str,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), Unsupported>,
) -> Option<String> {
    let has_crlf = text.contains("\r\n");
    let mut document: DocumentMut = text.replace("\r\n", "\n").parse().ok()?;
    change(&mut document).ok()?;
    let edited = document.to_string();
    Some(if has_crlf { edited.replace('\n', "\r\n") } else { edited })
}

/// Returns the place of the provider with an id among those of a file, and its table.
pub(crate) fn provider<'f>(file: &'f toml::Table, id: &str) -> Option<(usize, &'f toml::Value)> {
    let is_named = |table: &toml::Value| {
        table.get("id").and_then(toml::Value::as_str).unwrap_or(DEFAULT_PROVIDER_ID) == id
    };
    file.get("provider")?.as_array()?.iter().enumerate().find(|(_, table)| is_named(table))
}

/// Returns the table of a provider by its place.
pub(super) fn provider_table(
    document: &mut DocumentMut,
    index: usize,
) -> Result<&mut dyn TableLike, Unsupported> {
    let table: Option<&mut dyn TableLike> = match document.get_mut("provider") {
        Some(Item::ArrayOfTables(tables)) => tables.get_mut(index).map(|table| table as _),
        Some(Item::Value(Value::Array(array))) => {
            array.get_mut(index).and_then(Value::as_inline_table_mut).map(|table| table as _)
        }
        _ => None,
    };
    table.ok_or(Unsupported)
}
