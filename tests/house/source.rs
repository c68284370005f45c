//! The Rust sources of the workspace, and their code without comments, literals and unit tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The source folders of what is shipped.
pub(crate) const FOLDERS: [&str; 6] =
    ["src/", "remote/src/", "tower/src/", "server/config/src/", "server/src/", "kernel/src/"];

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A source file.
pub(crate) struct Source {
    /// Its path from the root, with `/`.
    pub(crate) name: String,
    pub(crate) text: String,
    code: OnceLock<String>,
}

impl Source {
    /// Returns the folder of [`FOLDERS`] that holds the file.
    pub(crate) fn folder(&self) -> &'static str {
        FOLDERS.into_iter().find(|folder| self.name.starts_with(folder)).unwrap()
    }

    /// Returns the path of the module within its crate: `src/claims/policy.rs` is `["claims", "policy"]`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let path = self.name.strip_prefix(self.folder()).unwrap().strip_suffix(".rs").unwrap();
        let mut path: Vec<&str> = path.split('/').collect();
        path.pop_if(|name| ["mod", "lib"].contains(name));
        path
    }

    /// Returns the code alone, line by line as in the file.
    pub(crate) fn code(&self) -> &str {
        self.code.get_or_init(|| {
            let code = without_comments_and_literals(&self.text);
            let tests =
                ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test"].iter().filter_map(|start| code.find(start));
            code[..tests.min().unwrap_or(code.len())].to_owned()
        })
    }
}

/// Reads all Rust files of a folder and of the folders in it.
pub(crate) fn read(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

/// Reads the sources of what is shipped.
pub(crate) fn shipped() -> Vec<Source> {
    let folders = FOLDERS.into_iter().filter(|folder| root().join(folder).exists());
    let found: Vec<Source> = folders.flat_map(read).collect();
    assert!(found.len() > 100, "the search for sources finds too few: {}", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().display().to_string().replace('\\', "/");
            let text = fs::read_to_string(path).unwrap();
            found.push(Source { name, text, code: OnceLock::new() });
        }
    }
}

/// Returns Rust code with comments removed and literals emptied; line breaks stay.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let end = literal_or_comment(rest, &code);
        if end == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            let (skipped, after) = rest.split_at(end);
            code.push_str(if skipped.starts_with('/') { " " } else { "\"\"" });
            code.extend(skipped.chars().filter(|c| *c == '\n'));
            rest = after;
        }
    }
    code
}

/// Returns the length of the comment or literal at the start of `rest`, or 0 where there is none.
fn literal_or_comment(rest: &str, before: &str) -> usize {
    let until =
        |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until("*/", 2);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    let is_in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if let Some(raw) = rest.strip_prefix("br").or(rest.strip_prefix('r')).filter(|_| !is_in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let start = rest.len() - raw.len() + hashes + 1;
            return until(&format!("\"{}", "#".repeat(hashes)), start);
        }
    }
    // A character has its closing quote; a lifetime has none.
    if let Some(character) = rest.strip_prefix('\'') {
        let mut characters = character.chars();
        let first = characters.next();
        if first == Some('\\') || characters.next() == Some('\'') {
            return quoted(rest, '\'');
        }
    }
    0
}

/// Returns the length of a quoted literal with its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, code) in [
        ("a // b\nc", "a  \nc"),
        ("a /* b\n */ c", "a  \n c"),
        (r#"f("x // y", b"\"")"#, r#"f("", b"")"#),
        ("r#\"a\"b\"# d", "\"\" d"),
        ("for 'a' in &'b c '\\'' d", "for \"\" in &'b c \"\" d"),
        ("number\"\"", "number\"\""),
    ] {
        assert_eq!(without_comments_and_literals(text), code, "{text}");
    }
}
