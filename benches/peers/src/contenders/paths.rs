//! Claim paths, compiled beforehand by everybody, on claims that differ.

use std::hint::black_box;
use std::rc::Rc;

use claimgate::limits::Limits;
use claimgate::path::ClaimPath;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::measure::{Contender, OneByOne};
use crate::tokens::{Kind, claims};

/// As Claimgate takes them; a literal name is `$['name']` to the others.
pub const PATHS: [&str; 4] = [
    "preferred_username",
    "$.realm_access.roles[*]",
    "$.resource_access.crm.roles[*]",
    "$.groups[?match(@,'/crm/.*')]",
];

pub fn path(text: &str) -> Vec<Box<dyn Contender>> {
    let documents: Rc<Vec<Value>> =
        Rc::new((0..64).map(|index| claims(Kind::Id, index, 1_795_437_100)).collect());
    let rfc9535 = if text.starts_with('$') { text.to_owned() } else { format!("$['{text}']") };
    let own = ClaimPath::parse(text).expect("a path");
    let jsonpath_rust = parse_json_path(&rfc9535).expect("a path");
    let serde_json_path = JsonPath::parse(&rfc9535).expect("a path");
    vec![
        contender("Claimgate", &documents, move |claims| {
            own.select(claims, &Limits::DEFAULT).is_ok_and(|found| !black_box(found).is_empty())
        }),
        contender("jsonpath-rust, compiled", &documents, move |claims| {
            js_path_process(&jsonpath_rust, claims).is_ok_and(|found| !black_box(found).is_empty())
        }),
        contender("serde_json_path, compiled", &documents, move |claims| {
            !black_box(serde_json_path.query(claims).all()).is_empty()
        }),
    ]
}

/// What it is asked to accept here is a claims set.
fn contender(
    name: &'static str,
    documents: &Rc<Vec<Value>>,
    accepts: impl FnMut(&Value) -> bool + 'static,
) -> Box<dyn Contender> {
    let item_of = |claims: &str| serde_json::from_str(claims).expect("JSON");
    Box::new(OneByOne { name, judges_claims: false, items: Rc::clone(documents), item_of, accepts })
}
