//! Claim paths: literal names, RFC 9535, limits.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use claimgate::limits::Limits;
use claimgate::path::{ClaimPath, PathError};
use serde_json::{Value, json};

use crate::shared_data;

const LIMITS: &Limits = &Limits::DEFAULT;

fn select(path: &str, document: &Value) -> Vec<Value> {
    let path = ClaimPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    path.select(document, LIMITS).unwrap().into_iter().cloned().collect()
}

fn refused(path: &str) -> &'static str {
    ClaimPath::parse(path).expect_err(path).code()
}

#[test]
fn a_plain_name_is_a_literal_top_level_member() {
    let claims =
        json!({"http://www.myexample.com/roles": ["a"], "a.b": 1, "a": {"b": 2}, "cognito:groups": []});
    assert_eq!(select("http://www.myexample.com/roles", &claims), [json!(["a"])]);
    assert_eq!(select("a.b", &claims), [json!(1)]);
    assert_eq!(select("$.a.b", &claims), [json!(2)]);
    assert_eq!(select("$['cognito:groups']", &claims), [json!([])]);
    assert!(select("missing", &claims).is_empty());
    assert!(ClaimPath::parse("a.b").unwrap().is_literal());
    assert!(!ClaimPath::parse("$.a").unwrap().is_literal());
    assert_eq!(ClaimPath::parse("$.a[0]").unwrap().to_string(), "$.a[0]");
}

#[test]
fn each_refusal_has_its_code() {
    assert_eq!(refused(""), "path.empty");
    assert_eq!(refused(&"a".repeat(LIMITS.path_bytes + 1)), "path.too_long");
    assert_eq!(refused(&format!("${}", "[?@".repeat(LIMITS.path_depth + 1))), "path.too_deep");
    for text in ["$.", "$[", "$ ", "$.a[?]", "$[01]", "$..", "$a"] {
        assert_eq!(refused(text), "path.syntax", "{text}");
    }
    for text in
        ["$[?length(@.*)>1]", "$[?count(1)>1]", "$[?match(@.a,'x')==true]", "$[?length(@.a)]", "$[?nope(@)]"]
    {
        assert!(matches!(refused(text), "path.type" | "path.syntax"), "{text}");
    }
}

// attack: path.wildcards
#[test]
fn an_evaluation_stops_at_its_node_limit() {
    let big = json!({"a": (0..50_000).collect::<Vec<_>>()});
    for path in ["$..*", "$..[?@>1]", "$.a[?count($..*)>1]", "$.a[*]", "$[?@[?@[?$..a]]]"] {
        let limits = Limits { path_nodes: 10_000, ..Limits::DEFAULT };
        let result = ClaimPath::parse(path).unwrap().select(&big, &limits);
        assert_eq!(result, Err(PathError::NodeLimit { limit: 10_000 }), "{path}");
    }
}

// attack: path.recursion
#[test]
fn deep_documents_do_not_use_up_the_stack() {
    let mut deep = json!(1);
    for _ in 0..5_000 {
        deep = Value::Array(vec![deep]);
    }
    assert_eq!(select("$..[?@==1]", &deep), [json!(1)]);
    // Dropping a deep value recurses inside serde_json: take it apart.
    while let Value::Array(mut inner) = deep {
        deep = inner.pop().unwrap();
    }
}

/// A matcher that backtracks would not end here.
// attack: path.regex
#[test]
fn a_catastrophic_regex_runs_in_linear_time() {
    let document = json!([format!("{}!", "a".repeat(100_000))]);
    assert!(select("$[?match(@,'(a+)+b')]", &document).is_empty());
}

/// A pattern out of the document is compiled once an evaluation, however many values it meets; many
/// different ones, and expensive ones, end at the budget.
#[test]
fn a_documents_own_patterns_cost_a_bounded_time() {
    let one = json!({"pattern": "/crm/.*", "groups": vec!["/crm/a"; 1_000]});
    assert_eq!(select("$.groups[?match(@,$.pattern)]", &one).len(), 1_000);
    let own = ClaimPath::parse("$[?match(@.of,@.by)]").unwrap();
    let pairs = |number: usize, pattern: &dyn Fn(usize) -> String, subject: &str| -> Value {
        (0..number).map(|at| json!({"of": subject, "by": pattern(at)})).collect()
    };
    let few = pairs(6, &|at| format!("a{{{}}}", at + 1), "aaa");
    assert_eq!(own.select(&few, LIMITS).unwrap(), [&json!({"of": "aaa", "by": "a{3}"})]);
    let expensive: [&dyn Fn(usize) -> String; 4] = [
        &|at| format!("/crm/{at}/.*"),
        &|at| format!("((a{{1,30}}){{1,30}}){{1,{}}}", at + 1),
        &|at| format!("(.{{1,{}}})*b", 60 + at),
        &|at| format!("(\\p{{L}}{{100}}){{{}}}", 100 + at),
    ];
    for pattern in expensive {
        let refused = own.select(&pairs(200, pattern, &"a".repeat(2_000)), LIMITS).map(|_| ());
        assert_eq!(refused, Err(PathError::NodeLimit { limit: LIMITS.path_nodes }));
    }
}

#[test]
fn a_chain_is_walked_no_further_than_asked() {
    let document = json!({"a": vec![1; 1_000]});
    let limits = Limits { path_nodes: 3, ..Limits::DEFAULT };
    let path = ClaimPath::parse("$.a[*]").unwrap();
    assert_eq!(path.first(&document, &limits), Ok(Some(&json!(1))));
    assert_eq!(path.select(&document, &limits), Err(PathError::NodeLimit { limit: 3 }));
    for path in ["$.a[*]", "$.a[0,1,2]", "$..[1]"] {
        let mut seen = 0;
        let two = |_: &Value| {
            seen += 1;
            if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        ClaimPath::parse(path).unwrap().visit(&document, LIMITS, two).unwrap();
        assert_eq!(seen, select(path, &document).len().min(2), "{path}");
    }
}

// attack: path.regex
#[test]
fn a_large_pattern_of_a_path_reads_less() {
    let path = |pattern: &str| ClaimPath::parse(&format!("$.b[?search($.a,'{pattern}')]")).unwrap();
    let document = |bytes: usize| json!({"a": "a".repeat(bytes), "b": vec![1; 10]});
    let (large, small) = ("((a{1,30}){1,30}){1,9}b", "((a{1,9}){1,9}){1,9}b");
    assert_eq!(path(large).select(&document(100), LIMITS).unwrap().len(), 0);
    // 50,000 bytes took half a minute, and 1,600,000 were allowed.
    let refused = PathError::NodeLimit { limit: LIMITS.path_nodes };
    assert_eq!(path(large).select(&document(50_000), LIMITS), Err(refused));
    assert_eq!(path(small).select(&document(50_000), LIMITS).unwrap().len(), 0);
}

// attack: path.regex
#[test]
fn a_path_has_few_regular_expressions() {
    let path = |count: usize| format!("$[?{}]", vec!["search(@,'a')"; count].join("||"));
    assert!(ClaimPath::parse(&path(16)).is_ok());
    assert_eq!(ClaimPath::parse(&path(17)).unwrap_err(), PathError::TooManyPatterns { limit: 16 });
}

// attack: path.recursion, path.regex
#[test]
fn hostile_paths_are_compiled_or_refused_in_bounded_time() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("$[?{}{inner}{}]", open.repeat(times), close.repeat(times))
    };
    let depth = LIMITS.path_depth - 1;
    let hostile = [
        nested("(", "@.a", ")", depth),
        nested("(", "@.a==1", ")", depth),
        nested("!(", "@.a", ")", depth),
        nested("length(", "@.a", ")", depth),
        nested("@[?", "@.a>1", "]", depth),
        nested("((", "@.a", ")", depth / 2),
        format!("$[?{}@.a]", "!".repeat(1_000)),
        format!("$[?{}1==1]", "1==1||".repeat(600)),
        format!("$[{}0]", "0,".repeat(2_000)),
        format!("${}", "..a".repeat(1_000)),
        format!("$[?@.a==1{}]", " ".repeat(3_000)),
    ];
    for path in hostile {
        let _ = ClaimPath::parse(&path);
    }
}

fn shared(file: &str) -> Option<Value> {
    let bytes = std::fs::read(shared_data::find(file)?).unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}

#[test]
fn the_rfc_9535_compliance_suite_passes_whole() {
    let Some(suite) = shared("jsonpath/cts.json") else { return };
    let cases = suite["tests"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let (name, selector) = (case["name"].as_str().unwrap(), case["selector"].as_str().unwrap());
        // The suite's queries all begin with `$` or are invalid; a literal name is no query.
        let parsed = ClaimPath::parse(selector).ok().filter(|path| !path.is_literal());
        let got = match (&parsed, case["invalid_selector"] == true) {
            (None, true) => continue,
            (Some(_), true) => "accepted".to_owned(),
            (None, false) => format!("{:?}", ClaimPath::parse(selector).err()),
            (Some(path), false) => {
                let values = path.select(&case["document"], LIMITS).unwrap();
                let values = Value::Array(values.into_iter().cloned().collect());
                let right = match case.get("results") {
                    Some(results) => results.as_array().unwrap().contains(&values),
                    None => case["result"] == values,
                };
                if right { continue } else { values.to_string() }
            }
        };
        wrong.push(format!("{name}: {selector}: {got}"));
    }
    assert_eq!(cases.len(), 703);
    assert!(wrong.is_empty(), "{} of 703 differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn documented_claims_of_real_providers() {
    let Some(providers) = shared("claims/providers.json") else { return };
    let mut queries = 0;
    for case in providers["cases"].as_array().unwrap() {
        for query in case["queries"].as_array().unwrap() {
            let path = query["jsonpath"].as_str().unwrap();
            queries += 1;
            if query["values"] == "INVALID" {
                assert!(ClaimPath::parse(path).is_err() || !path.starts_with('$'), "{path}");
            } else {
                assert_eq!(
                    &Value::Array(select(path, &case["claims"])),
                    &query["values"],
                    "{}: {path}",
                    case["id"]
                );
            }
        }
    }
    assert!(queries > 50);
}

// finding: F9, D14, U-q16
#[test]
fn a_number_of_a_filter_has_no_range() {
    let list = json!({"list": [
        {"name": "max", "n": 9_007_199_254_740_991_i64},
        {"name": "a", "n": 9_007_199_254_740_992_i64},
        {"name": "b", "n": 9_007_199_254_740_993_i64},
        {"name": "minus", "n": -9_007_199_254_740_993_i64},
        {"name": "u64", "n": u64::MAX},
        {"name": "half", "n": 0.5},
        {"name": "text", "n": "9007199254740993"},
    ]});
    for (filter, wanted) in [
        ("@.n==9007199254740991", json!(["max"])),
        ("@.n==9007199254740992", json!(["a"])),
        ("9007199254740993 == @.n", json!(["b"])),
        ("@.n==-9007199254740993", json!(["minus"])),
        ("@.n==18446744073709551615", json!(["u64"])),
        ("@.n>9007199254740992&&@.n<18446744073709551615", json!(["b"])),
        ("@.n>=100000000000000000000000000000", json!([])),
        ("@.n<-100000000000000000000000000000", json!([])),
        ("@.n<1e999&&@.n>9223372036854775807.5", json!(["u64"])),
        ("@.n==0.5||@.n==9007199254740993||@.n==1.5", json!(["b", "half"])),
        ("@.n=='9007199254740993'", json!(["text"])),
        ("@.n==\"9007199254740993\"", json!(["text"])),
        ("@.n9007199254740993", json!([])),
        ("length(@.name)==9007199254740993", json!([])),
    ] {
        let names = Value::Array(select(&format!("$.list[?{filter}].name"), &list));
        assert_eq!(names, wanted, "{filter}");
    }
    let named = json!({"9007199254740993": 1, "0.5": 2, "e": {"a9007199254740993": 3}});
    assert_eq!(select("$['9007199254740993']", &named), [json!(1)]);
    assert_eq!(select("$.e.a9007199254740993", &named), [json!(3)]);
    // The range of indices and slices stays (RFC 9535 §2.1).
    assert_eq!(select("$[9007199254740991]", &json!([1])), [json!(null); 0]);
    for text in [
        "$[9007199254740992]",
        "$[-9007199254740992]",
        "$[0,9007199254740992]",
        "$[:9007199254740992]",
        "$[?@[9007199254740992]==1]",
        "$[?@.n==009007199254740993]",
        "$.9007199254740993",
    ] {
        assert_eq!(refused(text), "path.syntax", "{text}");
    }
}

// finding: U-q08, U-k13, U-q11
#[test]
fn a_syntax_error_is_one_line_with_a_remedy() {
    for (path, remedy) in [
        (
            "$.resource_access.my-app.roles",
            "at character 21, a name after `.` has letters, digits and `_` alone; write `['my-app']` in place of `.my-app`",
        ),
        ("$.cognito:groups", "write `['cognito:groups']`"),
        ("$..my-app", "write `['my-app']`"),
        ("$.1a", "write `['1a']`"),
        ("$['urn:zitadel:iam:org:project:roles'].*~", "`~` is not part of RFC 9535"),
        ("$.a.[0]", "no `.` stands before `[`"),
        ("$.a.", "a name is missing"),
        ("$.a[", "it ends too early"),
        ("$a", "without `$`"),
        ("$.a[9007199254740992]", "at character 5"),
        ("$.a[01]", "at character 5"),
        ("$.\n\u{1b}[31m", "at character"),
    ] {
        let error = ClaimPath::parse(path).expect_err(path).to_string();
        assert!(error.contains(remedy), "{path}: {error}");
        assert!(!error.contains(['\n', '\u{1b}']) && error.chars().count() < 250, "{error}");
    }
    let long = ClaimPath::parse(&format!("$.{}", "a-".repeat(1000))).unwrap_err().to_string();
    assert!(long.chars().count() < 300, "{long}");
}
