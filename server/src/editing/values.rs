//! Values of a table changed in place, so that what did not change keeps its comments, its order and its spelling.

use std::collections::{HashMap, VecDeque};

use toml_edit::{Array, Item, TableLike, Value};

/// The file writes a setting in a way that is not changed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsupported;

/// Writes a setting, or removes it.
pub(super) fn set(
    table: &mut dyn TableLike,
    key: &str,
    wanted: Option<impl Into<Value>>,
) -> Result<(), Unsupported> {
    let Some(mut wanted) = wanted.map(Into::into) else {
        table.remove(key);
        return Ok(());
    };
    match table.get_mut(key) {
        Some(Item::Value(value)) if content(value) == content(&wanted) => {}
        Some(Item::Value(value)) => {
            // With the comment behind it.
            *wanted.decor_mut() = value.decor().clone();
            *value = wanted;
        }
        None | Some(Item::None) => drop(table.insert(key, Item::Value(wanted))),
        Some(_) => return Err(Unsupported),
    }
    Ok(())
}

/// Writes a list, or removes it where it is empty. Elements that stay keep their lines and comments.
pub(super) fn set_list(table: &mut dyn TableLike, key: &str, wanted: Vec<Value>) -> Result<(), Unsupported> {
    if wanted.is_empty() {
        table.remove(key);
        return Ok(());
    }
    match table.get_mut(key) {
        Some(Item::Value(Value::Array(array))) => merge(array, wanted),
        _ => set(table, key, Some(wanted.into_iter().collect::<Array>()))?,
    }
    Ok(())
}

/// Returns texts as elements of a list.
pub(super) fn texts(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(text.as_str())).collect()
}

fn merge(array: &mut Array, wanted: Vec<Value>) {
    let mut before: HashMap<String, VecDeque<Value>> = HashMap::new();
    let is_apart = array.get(1).is_none_or(|second| prefix(second) == Some(" "));
    for (index, value) in array.iter().enumerate() {
        let mut value = value.clone();
        // The first has no space before it, and may become another.
        if index == 0 && is_apart && prefix(&value).is_none_or(str::is_empty) {
            value.decor_mut().set_prefix(" ");
        }
        before.entry(content(&value)).or_default().push_back(value);
    }
    // A new element stands as the last one does: on a line of its own, or after a space.
    let last = array.get(array.len().saturating_sub(1)).and_then(prefix);
    // Without the comment of the line before.
    let prefix = last.and_then(|prefix| prefix.rsplit_once('\n')).map(|(_, indent)| format!("\n{indent}"));
    let trailing = array.trailing_comma();
    array.clear();
    for value in wanted {
        let known = before.get_mut(&content(&value)).and_then(VecDeque::pop_front);
        match (known, &prefix) {
            (Some(mut known), _) => {
                if array.is_empty() {
                    trim_first(&mut known);
                }
                array.push_formatted(known);
            }
            (None, Some(prefix)) if !array.is_empty() => {
                array.push_formatted(value.decorated(prefix.as_str(), ""));
            }
            (None, _) => array.push(value),
        }
    }
    array.set_trailing_comma(trailing);
}

fn prefix(value: &Value) -> Option<&str> {
    value.decor().prefix()?.as_str()
}

/// Takes the space away that stood behind a comma.
fn trim_first(value: &mut Value) {
    if prefix(value) == Some(" ") {
        value.decor_mut().set_prefix("");
    }
}

/// Returns what a value says in the one spelling that equal values have, however they are written.
fn content(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return toml::Value::from(text).to_string();
    }
    let mut value = value.clone();
    value.decor_mut().clear();
    let written = format!("x = {value}");
    toml::from_str::<toml::Table>(&written).map_or(written, |plain| plain.to_string())
}

#[cfg(test)]
mod tests {
    use toml_edit::DocumentMut;

    use super::*;

    fn edited(text: &str, key: &str, wanted: &[&str]) -> String {
        let mut document: DocumentMut = text.parse().expect("TOML");
        let wanted: Vec<String> = wanted.iter().map(|&text| text.to_owned()).collect();
        set_list(document.as_table_mut(), key, texts(&wanted)).expect("a list");
        document.to_string()
    }

    #[test]
    fn elements_that_stay_keep_their_lines_and_comments() {
        let text = "# all\nx = [ # first\n  'a', # of a\n  \"b\",\n]\ny = 1\n";
        let after = edited(text, "x", &["a", "b", "c"]);
        assert_eq!(after, "# all\nx = [ # first\n  'a', # of a\n  \"b\",\n  \"c\",\n]\ny = 1\n");
        assert_eq!(edited("x = [\"a\", \"b\"] # two\n", "x", &["b"]), "x = [\"b\"] # two\n");
        assert_eq!(edited("x = [\"a\"]\n", "x", &["a", "c"]), "x = [\"a\", \"c\"]\n");
        assert_eq!(edited("x = [\"a\", \"b\"]\n", "x", &["b", "a"]), "x = [\"b\", \"a\"]\n");
        assert_eq!(edited("x = [\"a\",\"b\"]\n", "x", &["b", "a"]), "x = [\"b\",\"a\"]\n");
        assert_eq!(edited("x = [\"a\"]\ny = 1\n", "x", &[]), "y = 1\n");
        assert_eq!(edited("y = 1\n", "x", &["a"]), "y = 1\nx = [\"a\"]\n");
        assert_eq!(edited("x = \"a\" # one\n", "x", &["a", "b"]), "x = [\"a\", \"b\"] # one\n");
    }

    // attack: console.mapping-form-costs
    #[test]
    fn a_long_list_is_replaced_in_time_that_grows_as_its_length() {
        let texts = |letter: char| (0..20_000).map(|index| format!("{letter}{index}")).collect::<Vec<_>>();
        let before: Array = super::texts(&texts('a')).into_iter().collect();
        let (begun, mut array) = (std::time::Instant::now(), before);
        merge(&mut array, super::texts(&texts('b')));
        assert_eq!(array.len(), 20_000);
        // Each compared with each other took minutes.
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        assert_eq!(
            edited("x = [\"a\", 'a', { b = 1, a = 2 }] # two\n", "x", &["a", "a"]),
            "x = [\"a\", 'a'] # two\n"
        );
    }

    #[test]
    fn a_value_keeps_the_comment_behind_it() {
        let mut document: DocumentMut = "x = 'a' # why\n".parse().expect("TOML");
        set(document.as_table_mut(), "x", Some("a")).expect("a text");
        assert_eq!(document.to_string(), "x = 'a' # why\n");
        set(document.as_table_mut(), "x", Some("b\n\"]")).expect("a text");
        let text = document.to_string();
        assert!(text.ends_with("# why\n"), "{text}");
        assert_eq!(toml::from_str::<toml::Table>(&text).expect("TOML")["x"].as_str(), Some("b\n\"]"));
        let mut tables: DocumentMut = "[[x]]\n".parse().expect("TOML");
        assert_eq!(set(tables.as_table_mut(), "x", Some("a")), Err(Unsupported));
    }
}
