//! Paths and documents: our walk selects what jsonpath-rust selects, within any budget or not at all.
//!
//! The input is a path, a newline, a JSON text.
#![no_main]

use claimgate::json;
use claimgate::limits::Limits;
use claimgate::path::{ClaimPath, PathError};
use jsonpath_rust::JsonPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Some((text, document)) = input.split_once('\n') else { return };
    let Ok(path) = ClaimPath::parse(text) else { return };
    let Ok(document) = json::parse(document.as_bytes(), &Limits::DEFAULT) else { return };
    let limits = Limits { path_nodes: 20_000, ..Limits::DEFAULT };
    let Ok(selected) = path.select(&document, &limits) else { return };
    // Filters are left out: where types differ jsonpath-rust departs from RFC 9535, and the 703
    // cases of the compliance suite hold ours to it.
    if !path.is_literal() && !text.contains('?') {
        let reference = document.query(text).expect("what we compile, jsonpath-rust parsed");
        assert_eq!(selected, reference, "{text}");
    }
    assert_eq!(path.first(&document, &limits), Ok(selected.first().copied()));
    for nodes in [0, 1, 2, 5, 20] {
        match path.select(&document, &Limits { path_nodes: nodes, ..limits }) {
            Ok(again) => assert_eq!(again, selected),
            Err(error) => assert_eq!(error, PathError::NodeLimit { limit: nodes }),
        }
    }
});
