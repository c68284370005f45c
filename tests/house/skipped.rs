//! Tests that are skipped where the machine lacks what they need: the gate demands them wherever it can.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::source::root;

/// Returns the Rust files of the folders of tests.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("house") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// Each place that prints `SKIPPED` fails where a variable demands the test, and the gate sets that variable before it
/// runs the tests.
#[test]
fn what_may_be_skipped_is_demanded_by_the_gate() {
    let mut files = Vec::new();
    for folder in ["tests", "server/tests", "remote/tests", "tower/tests", "kernel/tests"] {
        if root().join(folder).is_dir() {
            sources(&root().join(folder), &mut files);
        }
    }
    let demanded = regex::Regex::new(r#"var_os\(\s*"(CLAIMGATE_REQUIRE_[A-Z_]+)""#).unwrap();
    let mut variables = BTreeSet::new();
    for text in &files {
        let skips = text.matches("\"SKIPPED").count();
        let found: Vec<_> = demanded.captures_iter(text).map(|found| found[1].to_owned()).collect();
        assert!(skips <= found.len(), "a test is skipped that nothing demands: {found:?}");
        variables.extend(found);
    }
    assert!(variables.len() > 2, "{variables:?}");
    let gate = fs::read_to_string(root().join(".ci/run")).unwrap();
    let (before, _) = gate.split_once("\ncargo test\n").unwrap();
    for variable in variables {
        assert!(before.contains(&format!("export {variable}=1")), "{variable} is not set before the tests");
    }
}
