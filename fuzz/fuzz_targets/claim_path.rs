//! A path that compiles stays within its budget and prints as it was written; a literal name
//! selects that member and nothing else.
#![no_main]

use std::sync::LazyLock;

use claimgate::{limits::Limits, path::ClaimPath};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(
    || json!({"a": {"b": [1, 2.5, "x", null, {"c": true}]}, "groups": ["/crm/a", "/x"], "": [[], {}]}),
);

fuzz_target!(|text: &str| {
    let limits = Limits { path_nodes: 20_000, ..Limits::DEFAULT };
    let Ok(path) = ClaimPath::parse(text) else { return };
    assert_eq!(path.to_string(), text);
    let Ok(selected) = path.select(&DOCUMENT, &limits) else { return };
    assert!(selected.len() <= limits.path_nodes);
    if path.is_literal() {
        assert_eq!(selected.first().copied(), DOCUMENT.get(text));
    }
});
