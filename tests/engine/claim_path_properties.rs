//! Claim paths against jsonpath-rust and serde_json_path, on generated documents and paths.
#![allow(clippy::unwrap_used)]

use claimgate::limits::Limits;
use claimgate::path::{ClaimPath, PathError};
use jsonpath_rust::JsonPath;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Few names, so that paths meet documents.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "é"]).prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        Just(json!(1.5)),
        "[ab]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn chain_step() -> impl Strategy<Value = String> {
    prop_oneof![
        name().prop_map(|name| format!(".{name}")),
        name().prop_map(|name| format!("['{name}']")),
        (-3..4).prop_map(|index| format!("[{index}]")),
        Just("[*]".to_owned()),
        Just(".*".to_owned()),
    ]
}

fn rich_step() -> impl Strategy<Value = String> {
    let bound = || prop_oneof![Just(String::new()), (-4..5).prop_map(|bound: i32| bound.to_string())];
    // `<=` and `>=` stand beside literals alone: between two absent values they hold (RFC 9535
    // section 2.3.5.2.2), which serde_json_path 0.7 does not have. `>` and `>=` stand beside numbers, texts and null alone:
    // no other values have an order, and there `false > true`.
    let comparison = || {
        let with_literal = (
            prop::sample::select(vec!["==", "!=", "<", "<="]),
            prop::sample::select(vec!["1", "1.5", "'a'", "null", "true"]),
        );
        let greater =
            (prop::sample::select(vec![">", ">="]), prop::sample::select(vec!["1", "1.5", "'a'", "null"]));
        let with_query = (
            prop::sample::select(vec!["==", "!=", "<"]),
            prop::sample::select(vec!["@.b", "$.a", "length(@.a)", "count(@.*)"]),
        );
        let greater_than_number = (Just(">"), prop::sample::select(vec!["length(@.a)", "count(@.*)"]));
        prop_oneof![with_literal, greater, with_query, greater_than_number]
            .prop_map(|(operator, operand)| format!("{operator}{operand}"))
    };
    prop_oneof![
        4 => chain_step(),
        1 => Just("..*".to_owned()),
        1 => name().prop_map(|name| format!("..{name}")),
        1 => (bound(), bound(), prop::sample::select(vec!["", ":1", ":2", ":-1", ":-2"]))
            .prop_map(|(start, end, step)| format!("[{start}:{end}{step}]")),
        1 => (name(), comparison()).prop_map(|(name, comparison)| format!("[?@.{name}{comparison}]")),
        1 => (name(), name()).prop_map(|(a, b)| format!("[?@.{a} && !@.{b} || @[0]]")),
        1 => (name(), name()).prop_map(|(a, b)| format!("['{a}','{b}',0]")),
        1 => Just("[?match(@, 'a.*')]".to_owned()),
        1 => Just("[?search(@.a, '[^b]')]".to_owned()),
    ]
}

fn path(step: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(step, 0..5).prop_map(|steps| format!("${}", steps.concat()))
}

fn ours<'v>(path: &str, document: &'v Value) -> Vec<&'v Value> {
    ClaimPath::parse(path).unwrap().select(document, &Limits::DEFAULT).unwrap()
}

/// RFC 9535 §2.3.5.2.2: only numbers and texts have an order.
#[test]
fn what_has_no_order_is_neither_smaller_nor_greater() {
    for value in [json!(true), json!(false), json!([1]), json!({"a": 1}), json!(null)] {
        for operator in ["<", ">"] {
            for operand in ["true", "false", "null", "$.a"] {
                let document = json!({"a": {"b": value}});
                let path = format!("$[?@.b{operator}{operand}]");
                assert_eq!(ours(&path, &document), [] as [&Value; 0], "{path} {document}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_selects_what_both_others_select(document in document(), path in path(chain_step())) {
        let selected = ours(&path, &document);
        prop_assert_eq!(&selected, &document.query(&path).unwrap(), "jsonpath-rust, {}", &path);
        let reference = serde_json_path::JsonPath::parse(&path).unwrap();
        prop_assert_eq!(&selected, &reference.query(&document).all(), "serde_json_path, {}", &path);
    }

    #[test]
    fn a_query_selects_what_serde_json_path_selects(document in document(), path in path(rich_step())) {
        let reference = serde_json_path::JsonPath::parse(&path).unwrap();
        prop_assert_eq!(ours(&path, &document), reference.query(&document).all(), "{}", &path);
    }

    #[test]
    fn any_text_is_compiled_or_refused_and_printed_as_it_was(text in "\\$?[$@.*?()\\[\\]'\"a-c0-3:,&|!=<> -]{0,40}") {
        if let Ok(path) = ClaimPath::parse(&text) {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    // attack: path.wildcards
    #[test]
    fn the_budget_holds(document in document(), path in path(rich_step()), nodes in 0_usize..200) {
        let limits = Limits { path_nodes: nodes, ..Limits::DEFAULT };
        match ClaimPath::parse(&path).unwrap().select(&document, &limits) {
            Ok(selected) => prop_assert_eq!(selected, ours(&path, &document)),
            Err(error) => prop_assert_eq!(error, PathError::NodeLimit { limit: nodes }),
        }
    }
}
