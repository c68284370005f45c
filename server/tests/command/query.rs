//! `claimgate query`: one path, and JSON lines.

use super::support::*;
use serde_json::json;

const DOCUMENT: &str = r#"{"realm_access":{"roles":["admin","\u001b\u009b\u202e"]},"a.b":{"c":1}}"#;

#[test]
fn prints_a_value_a_line() {
    let done = run_with(&["query", "$.realm_access.roles[*]", "-"], DOCUMENT.as_bytes());
    assert_eq!((done.code, done.out.as_str()), (0, "\"admin\"\n\"\\u001b\\u009b\\u202e\"\n"));
    assert_eq!(run_with(&["query", "a.b"], DOCUMENT.as_bytes()).out, "{\"c\":1}\n");
    let values = run_with(&["query", "$.a[*]"], br#"{"a":[1,"x",null]}"#);
    assert_eq!((values.code, values.out.as_str()), (0, "1\n\"x\"\nnull\n"));
    let literal = run_with(&["query", "http://x/roles"], br#"{"http://x/roles":["r"]}"#);
    assert_eq!(literal.out, "[\"r\"]\n");
    let nothing = run_with(&["query", "$.nothing"], DOCUMENT.as_bytes());
    assert_eq!((nothing.code, nothing.out.as_str()), (0, ""));
    let folder = Folder::new();
    let file = folder.write("claims.json", DOCUMENT);
    let array = run(&["query", "$..c", &file, "--format", "json"]);
    assert_eq!((array.code, array.json()), (0, json!([1])));
}

// finding: U-q27
#[test]
fn a_path_that_selects_nothing_says_why() {
    for (path, said) in [
        (
            "realm_access.roles",
            "no member named `realm_access.roles`, dots included; a path within an object begins with $: `$.realm_access.roles`",
        ),
        ("groups", "no member named `groups`"),
        ("http://x/roles", "no member named `http://x/roles`"),
        ("$.nothing", "the path selects nothing"),
    ] {
        let done = run_with(&["query", path], DOCUMENT.as_bytes());
        assert_eq!((done.code, done.out.as_str()), (0, ""), "{path}");
        assert!(done.err.contains(said), "{path}: {}", done.err);
    }
    let found = run_with(&["query", "a.b"], DOCUMENT.as_bytes());
    assert_eq!(found.err, "");
}

#[test]
fn refuses_bad_paths_with_1_and_bad_documents_with_2() {
    for (path, code) in [("$.a[", "path.syntax"), ("", "path.empty"), ("$[?length(@.a)]", "path.type")] {
        let refused = run_with(&["query", path], b"{}");
        assert_eq!(refused.code, 1);
        assert!(refused.err.starts_with(&format!("error[{code}]: ")), "{path}: {}", refused.err);
    }
    let json = run_with(&["query", "$.a[", "--format", "json"], b"{}");
    assert_eq!((json.code, json.json()["code"].clone()), (1, "path.syntax".into()));
    assert_eq!(run_with(&["query", "$.a"], b"{").code, 2);
    assert_eq!(run_with(&["query", "$.a"], b"{\"a\":1,\"a\":2}").code, 2);
    assert_eq!(run(&["query", "$.a", "absent.json"]).code, 2);
    assert_eq!(run(&["query"]).code, 2);
}

#[test]
fn answers_lines_in_order() {
    let mut input = String::new();
    for number in 0..3_000 {
        let line = json!({"id": number, "path": "$.v[*]", "document": {"v": [number, "x"]}});
        input.push_str(&format!("{line}\n"));
    }
    let done = run_with(&["query", "--jsonl", "-"], input.as_bytes());
    assert_eq!((done.code, done.lines().len()), (0, 3_000));
    for (number, answer) in done.lines().iter().enumerate() {
        assert_eq!(*answer, json!({"id": number, "values": [number, "x"]}));
    }
    let mixed = [
        r#"{"id":1,"path":"$[","document":{}}"#,
        r#"{"id":2,"path":"$.a"}"#,
        r#"{"id":3,"path":"$.a","document":{},"x":1}"#,
        r#"{"id":4,"path":4,"document":{}}"#,
        "nonsense",
        r#"{"id":6,"path":"$","document":null}"#,
    ];
    let done = run_with(&["query", "--jsonl"], mixed.join("\n").as_bytes());
    assert_eq!(done.code, 0);
    let answers = done.lines();
    for (answer, code) in
        answers.iter().zip(["path.syntax", "input.document", "input.member", "input.path", "input.json"])
    {
        assert_eq!(answer["code"], code, "{answer}");
    }
    assert_eq!(answers[5], json!({"id": 6, "values": [null]}));
}
