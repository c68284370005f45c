//! Words that documents and comments do without.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::fs;

use regex::Regex;

use super::documentation::documents;
use super::source::{root, shipped};

/// Vague persons and a metaphor: a sentence names the caller, the client, the attacker, the way to sign in.
#[test]
fn sentences_name_who_and_what_they_speak_of() {
    let word = Regex::new(r"(?i)\b(?:whoever|nobody|somebody|anybody|as there|doors?)\b").unwrap();
    let mut texts: Vec<(String, String)> =
        shipped().into_iter().map(|source| (source.name, source.text)).collect();
    let mut pages = Vec::new();
    documents(&root().join("docs"), &mut pages);
    pages.extend(
        ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md"].map(|page| root().join(page)),
    );
    for page in pages {
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        texts.push((name, fs::read_to_string(page).unwrap()));
    }
    let mut found = Vec::new();
    for (name, text) in &texts {
        let lines = text.lines().enumerate().filter(|(_, line)| word.is_match(line));
        found.extend(lines.map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())));
    }
    assert!(found.is_empty(), "{found:#?}");
}
