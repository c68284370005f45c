//! Claims as a tree, in which each value leads to its path.

use claimgate::path::ClaimPath;
use maud::{Markup, html};
use serde_json::Value;

/// Most values that a tree shows.
const MOST_VALUES: usize = 1_000;
/// Most characters of a name or a value that a tree shows.
const MOST_CHARACTERS: usize = 200;
/// Longest path that a value leads to, in bytes. A page has each path three times.
const LONGEST_PATH: usize = 512;

/// Returns the tree of an object. A value is a button of the form `form`, which sends its path as `insert`; a text alone
/// if the path is too long.
pub(crate) fn tree(claims: &Value, form: &str) -> Markup {
    let mut left = MOST_VALUES;
    let markup = members(claims, Some("$"), form, &mut left);
    html! {
        div.tree { (markup) }
        @if left == 0 { p.muted { "Further values are not shown." } }
    }
}

fn members(value: &Value, path: Option<&str>, form: &str, left: &mut usize) -> Markup {
    html! {
        ul {
            @match value {
                Value::Object(members) => {
                    @for (name, value) in members {
                        @let path = path.and_then(|path| below(path, name));
                        (member(Some(name), value, path.as_deref(), form, left))
                    }
                }
                Value::Array(elements) => {
                    @let path = path.map(|path| format!("{path}[*]"));
                    @for value in elements { (member(None, value, path.as_deref(), form, left)) }
                }
                _ => {}
            }
        }
    }
}

fn member(name: Option<&str>, value: &Value, path: Option<&str>, form: &str, left: &mut usize) -> Markup {
    if *left == 0 {
        return html! {};
    }
    *left -= 1;
    html! {
        li {
            @if let Some(name) = name { span.name { (shortened(name)) ": " } }
            @match value {
                Value::Object(inner) if !inner.is_empty() => { (members(value, path, form, left)) }
                Value::Array(inner) if !inner.is_empty() => { (members(value, path, form, left)) }
                value => {
                    @let shown = shortened(&value.to_string());
                    @if let Some(inserted) = path.map(written) {
                        button type="submit" form=(form) name="insert" value=(inserted) data-path=(inserted)
                            aria-label={ (shown) ", path " (inserted) } { (shown) }
                    } @else {
                        span { (shown) }
                    }
                }
            }
        }
    }
}

/// Returns the path of a member; `None` if it is too long.
fn below(path: &str, name: &str) -> Option<String> {
    if path.len() + name.len() > LONGEST_PATH {
        return None;
    }
    let is_plain =
        |(index, c): (usize, char)| c.is_ascii_alphabetic() || c == '_' || index > 0 && c.is_ascii_digit();
    if !name.is_empty() && name.chars().enumerate().all(is_plain) {
        return Some(format!("{path}.{name}"));
    }
    let mut quoted = String::new();
    for c in name.chars() {
        match c {
            '\\' | '\'' => quoted.extend(['\\', c]),
            // RFC 9535 §2.3.1.1: control characters are escaped.
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    Some(format!("{path}['{quoted}']"))
}

/// Returns a path as a person writes it: the name alone of a plain claim.
fn written(path: &str) -> String {
    let name = path.strip_prefix("$.").filter(|name| !name.contains(['.', '[']));
    let is_literal = |name: &&str| ClaimPath::parse(name).is_ok_and(|path| path.is_literal());
    name.filter(is_literal).unwrap_or(path).to_owned()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use claimgate::limits::Limits;
    use serde_json::json;

    #[test]
    fn the_path_of_a_value_selects_it() {
        let claims = json!({
            "sub": "1", "a b": "2", "it's": {"back\\slash": ["3"]}, "tab\t": "4", "a.b": "5", "": "6",
            "realm_access": {"roles": ["7", {"x-y": "8"}]}, "$": "9", "é": "10", "https://example.com/x": "11",
        });
        let markup = tree(&claims, "f").into_string();
        let paths = [
            "sub",
            "$['a b']",
            r"$['it\'s']['back\\slash'][*]",
            r"$['tab\u0009']",
            "$['a.b']",
            "$['']",
            "$.realm_access.roles[*]",
            "$.realm_access.roles[*]['x-y']",
            "$['$']",
            "$['é']",
            "$['https://example.com/x']",
        ];
        for (number, path) in paths.iter().enumerate() {
            let value = json!((number + 1).to_string());
            let compiled = ClaimPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let selected = compiled.select(&claims, &Limits::DEFAULT).expect(path);
            assert!(selected.contains(&&value), "{path}: {selected:?}");
            let attribute = html! { i title=(path) {} }.into_string();
            let attribute = attribute.split('"').nth(1).expect("an attribute");
            assert!(markup.contains(&format!("data-path=\"{attribute}\"")), "{path} in {markup}");
        }
    }

    #[test]
    fn names_and_values_are_text() {
        let claims = json!({"<script>alert(1)</script>": ["\"><img src=x onerror=alert(1)>"]});
        let markup = tree(&claims, "f").into_string();
        assert!(!markup.contains("<script") && !markup.contains("<img"), "{markup}");
    }

    #[test]
    fn a_tree_is_bounded() {
        let claims = json!({"groups": (0..5_000).collect::<Vec<_>>(), "long": "x".repeat(10_000)});
        let markup = tree(&claims, "f").into_string();
        assert_eq!(markup.matches("<button").count(), MOST_VALUES - 1);
        assert!(markup.contains("Further values are not shown."));
        // The name of an object is a part of the path of each of its values.
        let members: serde_json::Map<_, _> =
            (0..2_000).map(|number| (format!("m{number}"), json!(number))).collect();
        let markup = tree(&json!({"x".repeat(200_000): members}), "f").into_string();
        assert!(markup.len() < 100_000, "{}", markup.len());
        assert!(!markup.contains("<button"));
        assert!(shortened(&"é".repeat(10_000)).chars().count() == MOST_CHARACTERS + 1);
    }
}
