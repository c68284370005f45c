//! `claimgate decode`.

use super::support::*;
use serde_json::Value;

#[test]
fn decode_marks_what_it_shows() {
    let text = token(&key("ES256"), &claims());
    let shown = run(&["decode", &text]);
    assert_eq!(shown.code, 0);
    assert!(shown.err.starts_with("UNVERIFIED"), "{}", shown.err);
    let shown = run(&["decode", &text, "--format", "json"]).json();
    assert_eq!((shown["verified"].clone(), shown["claims"].clone()), (Value::Bool(false), claims()));
    assert_eq!(run(&["decode", "a.b"]).code, 1);
}
