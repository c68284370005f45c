//! The documentation as a site (`book.toml`): its contents, its colours, the blocks of code of its pages.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use super::documentation::documents;
use super::source::root;

/// Each page of `docs` is in the contents of the site, once.
#[test]
fn the_contents_list_each_page_once() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let entry = Regex::new(r"(?m)^ *(?:- )?\[[^\]]+\]\(([^)]+)\)$").unwrap();
    let listed: Vec<String> = entry.captures_iter(&summary).map(|found| found[1].to_owned()).collect();
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), once.len(), "a page is listed twice");
    let mut files = Vec::new();
    documents(&root().join("docs"), &mut files);
    let name =
        |file: &std::path::PathBuf| file.strip_prefix(root().join("docs")).unwrap().display().to_string();
    let pages: BTreeSet<String> = files.iter().map(name).filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(once, pages);
}

/// A page that includes a document of the repository is nothing else, and the document exists.
#[test]
fn included_documents_exist() {
    let mut files = Vec::new();
    documents(&root().join("docs"), &mut files);
    let mut included = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        if !text.contains("{{#") {
            continue;
        }
        let path = text.trim().strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}"));
        let path = path.unwrap_or_else(|| panic!("{} has more than one include", file.display()));
        assert!(file.parent().unwrap().join(path).exists(), "{}: {path}", file.display());
        included += 1;
    }
    assert_eq!(included, 3);
}

/// The colours of the site are those of the server's pages.
#[test]
fn the_site_has_the_colours_of_the_pages() {
    let tokens = fs::read_to_string(root().join("server/src/web/tokens.css")).unwrap();
    let brand = fs::read_to_string(root().join("packaging/site/brand.css")).unwrap();
    let color = Regex::new("#[0-9a-f]{6}").unwrap();
    let strange: Vec<&str> =
        color.find_iter(&brand).map(|found| found.as_str()).filter(|color| !tokens.contains(color)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert!(color.is_match(&brand));
}

/// Each block of JSON in a document parses.
#[test]
fn blocks_of_json_parse() {
    let mut files = Vec::new();
    documents(&root(), &mut files);
    let block = Regex::new(r"(?sm)^```json\n(.*?)^```").unwrap();
    let mut parsed = 0;
    for file in files {
        for found in block.captures_iter(&fs::read_to_string(&file).unwrap()) {
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&found[1]) {
                panic!("{}: {error}\n{}", file.display(), &found[1]);
            }
            parsed += 1;
        }
    }
    assert!(parsed >= 1, "{parsed}");
}
