//! What a change does to the file, line by line, without its secrets.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use claimgate_config::is_secret;
use similar::{ChangeTag, TextDiff};
use toml_edit::{Document, Item, Value};

/// The lines around a change that are shown.
const CONTEXT: usize = 3;
/// Longest search for a short diff. One that takes longer is not as short as it could be.
const SEARCH: Duration = Duration::from_millis(200);
/// What stands in the place of a secret.
const HIDDEN: &str = "\"(secret)\"";
/// What stands in the place of a secret that the file before does not have.
const NEW: &str = "\"(a new secret)\"";

/// A line of a unified diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Where the lines that follow stand.
    Place(String),
    Same(String),
    Removed(String),
    Added(String),
}

/// Returns the lines that a change removes and adds, with those around them; none for no change, or where one of the texts is
/// not TOML.
pub(crate) fn diff(before: &str, after: &str) -> Vec<Line> {
    let Some(known) = secrets(before) else { return Vec::new() };
    let values: BTreeSet<&str> = known.iter().map(|(_, value)| value.as_str()).collect();
    let (Some(before), Some(after)) = (redacted(before, &values), redacted(after, &values)) else {
        return Vec::new();
    };
    let diff = TextDiff::configure().timeout(SEARCH).diff_lines(&before, &after);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        lines.push(Line::Place(hunk.header().to_string()));
        lines.extend(hunk.iter_changes().map(|change| {
            let text = change.value().trim_end_matches(['\r', '\n']).to_owned();
            match change.tag() {
                ChangeTag::Equal => Line::Same(text),
                ChangeTag::Delete => Line::Removed(text),
                ChangeTag::Insert => Line::Added(text),
            }
        }));
    }
    lines
}

/// Returns a text without its secrets: those in settings, and those in comments that name one.
fn redacted(text: &str, known: &BTreeSet<&str>) -> Option<String> {
    let mut found = secrets(text)?;
    found.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    for (span, value) in &found {
        text.replace_range(span.clone(), if known.contains(value.as_str()) { HIDDEN } else { NEW });
    }
    Some(without_secret_comments(&text))
}

/// Returns a text without the comments in which a secret may stand: a comment that names a secret setting, in whatever way
/// (`# client_secret: …`), the comment of a setting that is one, and all lines of comment next to either. Text after a `#`
/// within a string counts as a comment too.
fn without_secret_comments(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut shown = String::with_capacity(text.len());
    let mut rest = lines.as_slice();
    while !rest.is_empty() {
        // A line that is no comment, or the first of the text, and the lines of comment behind it.
        let comments = rest.iter().skip(1).take_while(|line| line.trim_start().starts_with('#')).count();
        let (block, others) = rest.split_at(1 + comments);
        let is_hidden = block.iter().chain(others.first()).any(|line| names_secret(line));
        for line in block {
            match line.split_once('#') {
                Some((before, _)) if is_hidden => shown.push_str(&format!("{before}# (hidden)\n")),
                _ => shown.push_str(line),
            }
        }
        rest = others;
    }
    shown
}

/// Reports whether a line names a secret setting, which may be its own.
fn names_secret(line: &str) -> bool {
    let mut names = line.split(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
    names.any(|name| is_secret(&name.to_lowercase().replace('-', "_")))
}

/// Returns the places and the texts of the secrets in a file; `None` where it is not TOML.
fn secrets(text: &str) -> Option<Vec<(Range<usize>, String)>> {
    let document = Document::parse(text).ok()?;
    let mut found = Vec::new();
    collect(document.as_item(), false, &mut found);
    Some(found)
}

fn collect(item: &Item, hidden: bool, found: &mut Vec<(Range<usize>, String)>) {
    match item {
        Item::None => {}
        Item::Value(value) => collect_value(value, hidden, found),
        Item::Table(table) => {
            table.iter().for_each(|(key, item)| collect(item, hidden || is_secret(key), found));
        }
        Item::ArrayOfTables(tables) => {
            tables.iter().flat_map(toml_edit::Table::iter).for_each(|(key, item)| {
                collect(item, hidden || is_secret(key), found);
            });
        }
    }
}

fn collect_value(value: &Value, hidden: bool, found: &mut Vec<(Range<usize>, String)>) {
    match value {
        Value::InlineTable(table) => {
            table.iter().for_each(|(key, value)| collect_value(value, hidden || is_secret(key), found));
        }
        Value::Array(array) => array.iter().for_each(|value| collect_value(value, hidden, found)),
        value if hidden => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            found.extend(value.span().map(|span| (span, text)));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[server]\nlisten = \"127.0.0.1:1\" # here\nverify_secret = \"of 32 characters, which is long\"\n\n[[provider]]\nid = \"crm\"\n'client_secret' = '''in\nlines'''\n# client_secret = \"the old one\"\nscopes = [\"email\"]\n";

    // attack: console.secret-in-diff
    #[test]
    fn a_comment_that_names_a_secret_setting_is_hidden_however_it_is_written() {
        for comment in [
            "# \"client_secret\" = \"hidden-one\"",
            "# client_secret: hidden-one",
            "x = 1 # y = 1, client_secret = \"hidden-one\"",
            "# hidden-one was the verify_secret of before",
            "# Client-Secret hidden-one",
            "# { 'client_secret' => 'hidden-one' }",
            "x = 'a#b' # verify_secret=hidden-one",
        ] {
            let before = format!("{comment}\nz = 1\n");
            let shown = format!("{:?}", diff(&before, &format!("{comment}\nz = 2\n")));
            assert!(!shown.contains("hidden-one") && shown.contains("(hidden)"), "{shown}");
        }
        let shown =
            format!("{:?}", diff("# the secret of success\nz = 1\n", "# the secret of success\nz = 2\n"));
        assert!(shown.contains("success"), "{shown}");
    }

    // attack: console.secret-in-diff
    #[test]
    fn comments_next_to_the_name_of_a_secret_setting_are_hidden() {
        for before in [
            "# client_secret:\n# hidden-one\nz = 1\n",
            "# hidden-one\n#\n  # is the client_secret\nz = 1\n",
            "x = 1 # verify_secret\n#\t\n# hidden-one\nz = 1\n",
            "client_secret = \"a\"\n# hidden-one\n# before\nz = 1\n",
            "client_secret = \"a\" # hidden-one\nz = 1\n",
            "client_secret = '''\na''' # hidden-one\nz = 1\n",
            "y = 1\n# hidden-one\n# before\nclient_secret = \"a\"\nz = 1\n",
        ] {
            let shown = format!("{:?}", diff(before, &before.replace("z = 1", "z = 2")));
            assert!(!shown.contains("hidden-one") && shown.contains("# (hidden)"), "{before} {shown}");
            assert!(shown.contains("Removed(\"z = 1\")"), "{shown}");
        }
        // Those of other settings stay.
        let before = "# client_secret\n\n# of z\ny = 1 # of y\nz = 1\n";
        let shown = format!("{:?}", diff(before, &before.replace("z = 1", "z = 2")));
        assert!(shown.contains("# of z") && shown.contains("# of y"), "{shown}");
    }

    #[test]
    fn a_diff_has_what_changes_and_the_lines_around_it() {
        let after = FILE.replace("[\"email\"]", "[\"email\", \"phone\"]");
        let lines = diff(FILE, &after);
        assert!(lines.contains(&Line::Removed("scopes = [\"email\"]".to_owned())), "{lines:?}");
        assert!(lines.contains(&Line::Added("scopes = [\"email\", \"phone\"]".to_owned())), "{lines:?}");
        assert!(!lines.iter().any(|line| format!("{line:?}").contains("listen")), "{lines:?}");
        assert_eq!(diff(FILE, FILE), []);
        assert_eq!(diff(FILE, "[not"), []);
    }

    // attack: console.secret-in-diff
    #[test]
    fn no_secret_is_in_a_diff_and_a_new_one_is_said_to_be_new() {
        let after = FILE.replace("in\nlines", "another\ntext").replace("listen = ", "listen =  ");
        let shown = format!("{:?}", diff(FILE, &after));
        for secret in ["of 32 characters", "in\\nlines", "lines", "another", "text", "the old one"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("Added(\"'client_secret' = \\\"(a new secret)"), "{shown}");
        assert!(shown.contains("Removed(\"'client_secret' = \\\"(secret)"), "{shown}");
        // In inline tables and lists too.
        let inline = "provider = [{ client_secret = \"one\" }]\nserver.password = [\"two\", 3]\n";
        let shown = format!("{:?}", diff(inline, "server.password = [\"four\"]\n"));
        for secret in ["one", "two", "3]", "four"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}
