//! Deciding an identity, by the number and the kind of the team rules.

use std::collections::BTreeMap;
use std::hint::black_box;

use claimgate::identity::{GroupSpec, Mapping, MappingSpec, TeamSpec};
use claimgate::limits::Limits;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

fn mapping(team: Vec<TeamSpec>) -> Mapping {
    let groups = vec![GroupSpec::Path("$.realm_access.roles[*]".to_owned())];
    let spec = MappingSpec { groups, team, profile: BTreeMap::new(), ..MappingSpec::default() };
    Mapping::compile(&spec, &Limits::DEFAULT).expect("a fixed mapping")
}

fn identify(c: &mut Criterion) {
    let claims = json!({"sub": "ada", "realm_access": {"roles": ["g1", "g7", "offline_access", "x-sales"]}});
    let exact = |index: usize| TeamSpec {
        group: Some(format!("g{index}")),
        team: Some(format!("T{index}")),
        ..TeamSpec::default()
    };
    for rules in [10, 1_000, 100_000] {
        let mapping = mapping((0..rules).map(exact).collect());
        c.bench_function(&format!("identify/exact/{rules}"), |b| {
            b.iter(|| mapping.identify(black_box(&claims)))
        });
    }
    let prefix = |index: usize| TeamSpec {
        prefix: Some(format!("g{index}")),
        team: Some(format!("T{index} {{rest}}")),
        ..TeamSpec::default()
    };
    for rules in [10, 100_000] {
        let mapping = mapping((0..rules).map(prefix).collect());
        c.bench_function(&format!("identify/prefix/{rules}"), |b| {
            b.iter(|| mapping.identify(black_box(&claims)))
        });
    }
    let regex = |index: usize| TeamSpec {
        regex: Some(format!("x{index}?-(?<team>[a-z]+)")),
        team: Some("{team}".to_owned()),
        ..TeamSpec::default()
    };
    let mapping = mapping((0..50).map(regex).collect());
    c.bench_function("identify/regex/50", |b| b.iter(|| mapping.identify(black_box(&claims))));
    c.bench_function("explain/regex/50", |b| b.iter(|| mapping.explain(black_box(&claims))));
}

criterion_group!(benches, identify);
criterion_main!(benches);
