//! Claim paths beside jsonpath-rust and serde_json_path, all compiled beforehand where they can be.

use std::hint::black_box;

use claimgate::limits::Limits;
use claimgate::path::ClaimPath;
use criterion::{Criterion, criterion_group, criterion_main};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::{Value, json};

const PATHS: [(&str, &str); 5] = [
    ("chain", "$.resource_access.crm.roles[*]"),
    ("descendants", "$..roles"),
    ("filter", "$.people[?@.age > 30 && @.name != 'eve'].name"),
    ("match", "$.groups[?match(@,'/crm/.*')]"),
    ("match by the document's pattern", "$.groups[?match(@,$.pattern)]"),
];

fn claims() -> Value {
    json!({
        "iss": "https://idp.example.com/realms/acme", "sub": "248289761001", "aud": "crm", "exp": 2_000_000_000,
        "resource_access": {"crm": {"roles": ["admin", "user", "audit"]}, "wiki": {"roles": ["reader"]}},
        "groups": ["/crm/sales", "/crm/support", "/wiki/readers", "/everybody"], "pattern": "/crm/.*",
        "people": [{"name": "ada", "age": 36}, {"name": "bob", "age": 20}, {"name": "eve", "age": 50}],
    })
}

fn paths(c: &mut Criterion) {
    let claims = claims();
    for (name, text) in PATHS {
        let mut group = c.benchmark_group(name);
        let path = ClaimPath::parse(text).expect("a fixed path");
        group.bench_function("claimgate", |b| b.iter(|| path.select(black_box(&claims), &Limits::DEFAULT)));
        let query = parse_json_path(text).expect("a fixed path");
        group.bench_function("jsonpath-rust", |b| b.iter(|| js_path_process(&query, black_box(&claims))));
        let reference = serde_json_path::JsonPath::parse(text).expect("a fixed path");
        group.bench_function("serde_json_path", |b| b.iter(|| reference.query(black_box(&claims)).all()));
        group.finish();
    }
}

criterion_group!(benches, paths);
criterion_main!(benches);
