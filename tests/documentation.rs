//! The documents against the code.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The codes of all errors: string literals of the form `stage.reason` after `=>`, and those of the
/// command's own refusals.
fn codes_in_the_code() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let code = regex::Regex::new(
        r#"(?:=>\s*|Malformed::new\(\s*|code: )"((?:jws|header|algorithm|key|signature|claims|registry|build|path|mapping|identity|config|sign|input)\.[a-z0-9_]+)""#,
    )
    .unwrap();
    let mut codes = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        codes.extend(code.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    codes
}

#[test]
fn every_error_code_is_documented_and_every_documented_one_exists() {
    let table = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let row = regex::Regex::new(r"(?m)^\| `([a-z0-9_.]+)` \|").unwrap();
    let documented: BTreeSet<String> = row.captures_iter(&table).map(|found| found[1].to_owned()).collect();
    let existing = codes_in_the_code();
    assert!(existing.len() > 50, "the search for codes finds too few: {}", existing.len());
    let undocumented: Vec<_> = existing.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&existing).collect();
    assert!(
        undocumented.is_empty() && gone.is_empty(),
        "not in the table: {undocumented:?}; not in the code: {gone:?}"
    );
}

#[test]
fn links_and_files_named_in_the_readme_exist() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let link = regex::Regex::new(r"\]\(([^)#:]+)\)|(vectors/[\w./-]+\w)").unwrap();
    let mut checked = 0;
    for found in link.captures_iter(&readme) {
        let file = found.get(1).or(found.get(2)).unwrap().as_str();
        assert!(root().join(file).exists(), "{file}");
        checked += 1;
    }
    assert!(checked >= 8);
}
