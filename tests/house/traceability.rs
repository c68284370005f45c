//! The tests of the tree by name, with the attacks, findings and conformance modules that the lines
//! above them name; and the comparison of generated documents.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::source::root;

/// A test of the tree, with the inputs and modules that the lines above it name.
pub(crate) struct Test {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) attacks: Vec<String>,
    pub(crate) findings: Vec<String>,
    pub(crate) modules: Vec<String>,
}

pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !["node_modules", "target"].contains(&name) {
            files(&path, found);
        } else if name.ends_with(".rs") || name.ends_with(".mjs") {
            found.push(path);
        }
    }
}

/// Returns all tests: functions under `#[test]`, calls of `test(…)`, rows `['name', …` of a table.
pub(crate) fn tests() -> Vec<Test> {
    let rust = Regex::new(r"^\s*(?:async )?fn (\w+)\(").unwrap();
    let script =
        Regex::new(r#"^\s*(?:test\(|\[)(?:'((?:[^'\\]|\\.)*)'|`([^`]*)`|"((?:[^"\\]|\\.)*)")"#).unwrap();
    let mut paths = Vec::new();
    for folder in [
        "src",
        "tests",
        "kernel",
        "remote/src",
        "remote/tests",
        "server/config/src",
        "server/src",
        "server/tests",
        "tower/src",
        "tower/tests",
    ] {
        if root().join(folder).exists() {
            files(&root().join(folder), &mut paths);
        }
    }
    let mut found = Vec::new();
    for path in paths {
        let file = path.strip_prefix(root()).unwrap().display().to_string();
        let is_rust = file.ends_with(".rs");
        let (mut attacks, mut findings, mut modules) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_test = false;
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let trimmed = line.trim_start();
            let list = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
            if let Some(text) = trimmed.strip_prefix("// attack:") {
                attacks.extend(list(text));
            } else if let Some(text) = trimmed.strip_prefix("// finding:") {
                findings.extend(list(text));
            } else if let Some(text) = trimmed.strip_prefix("// conformance:") {
                modules.extend(list(text));
            } else if is_rust && (trimmed == "#[test]" || trimmed.starts_with("#[tokio::test")) {
                is_test = true;
            } else if is_rust && (trimmed.starts_with("//") || trimmed.starts_with("#[")) {
                // Between the line and the function.
            } else {
                let name = if is_rust {
                    rust.captures(line).filter(|_| is_test).map(|found| found[1].to_owned())
                } else {
                    script.captures(line).map(|found| {
                        found.iter().skip(1).flatten().next().unwrap().as_str().replace(r"\'", "'")
                    })
                };
                let is_named = !(attacks.is_empty() && findings.is_empty() && modules.is_empty());
                assert!(
                    name.is_some() || !is_named,
                    "{file}:{}: the lines above belong to no test",
                    number + 1
                );
                if let Some(name) = name {
                    found.push(Test {
                        file: file.clone(),
                        name,
                        attacks: std::mem::take(&mut attacks),
                        findings: std::mem::take(&mut findings),
                        modules: std::mem::take(&mut modules),
                    });
                }
                is_test = false;
            }
        }
        assert!(
            attacks.is_empty() && findings.is_empty() && modules.is_empty(),
            "{file}: its last lines belong to no test"
        );
    }
    assert!(found.len() > 250, "the search for tests finds too few: {}", found.len());
    found
}

/// Compares a document with its generated text, or writes it if `CLAIMGATE_WRITE_TABLES` is set.
pub(crate) fn compare(file: &str, wanted: &str) {
    let path = root().join(file);
    if std::env::var_os("CLAIMGATE_WRITE_TABLES").is_some() {
        fs::write(&path, wanted).unwrap();
    }
    let is = fs::read_to_string(&path).unwrap_or_default();
    let difference = is.lines().zip(wanted.lines()).find(|(is, wanted)| is != wanted);
    assert!(
        is == wanted,
        "{file} differs from its generated text; run this test with CLAIMGATE_WRITE_TABLES=1. First difference: {difference:?}"
    );
}

/// Returns the tests by file, each file once: `file`: name · name.
pub(crate) fn shown(tests: &[&Test]) -> String {
    let mut by_file: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for test in tests {
        by_file.entry(&test.file).or_default().push(test.name.replace('|', r"\|"));
    }
    let files = by_file.iter().map(|(file, names)| format!("`{file}`: {}", names.join(" · ")));
    files.collect::<Vec<_>>().join("<br>")
}
