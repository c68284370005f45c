//! Selecting the rule for a request, by the number of applications and rules.

use std::hint::black_box;

use claimgate::access::{ApplicationSpec, Applications, Request, Selection};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

/// Applications with ten rules each, of which the last one decides on most requests.
fn applications(count: usize) -> Applications {
    let application = |index: usize| {
        let rules: Vec<_> = (0..9)
            .map(|rule| json!({"paths": [format!("/part{rule}/*")], "teams": [format!("team {rule}")]}))
            .chain([json!({"allow": "signed_in"})])
            .collect();
        let spec = json!({"hosts": [format!("app{index}.example.com")], "rule": rules});
        serde_json::from_value(spec).expect("a fixed application")
    };
    let specs: Vec<ApplicationSpec> = (0..count).map(application).collect();
    Applications::compile(&specs).expect("fixed applications")
}

fn select(c: &mut Criterion) {
    // The dearest path: all readings of as many segments as are read.
    let small = applications(1);
    let path = "/A;b//c.d%2Fe;f.".repeat(63);
    let request = Request::new("app0.example.com", &path, "GET");
    assert!(matches!(small.select(&request), Selection::Rule { .. }));
    c.bench_function("access/longest", |b| {
        b.iter(|| matches!(small.select(black_box(&request)), Selection::Rule { .. }))
    });
    for count in [1, 1_000] {
        let applications = applications(count);
        for (what, path) in [("plain", "/pages/start"), ("several-readings", "/Pages/A;b//c%2Fd")] {
            let request = Request::new("app0.example.com", path, "GET");
            assert!(
                matches!(applications.select(&request), Selection::Rule { rule, .. } if rule.number() == 10)
            );
            c.bench_function(&format!("access/{what}/{}", count * 10), |b| {
                b.iter(|| matches!(applications.select(black_box(&request)), Selection::Rule { .. }))
            });
        }
    }
}

criterion_group!(benches, select);
criterion_main!(benches);
