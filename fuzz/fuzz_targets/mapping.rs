//! Whatever the claims hold, an identity's names are safe to show, its teams come from the rules,
//! and explaining decides the same as deciding.
#![no_main]

use std::sync::LazyLock;

use claimgate::identity::{Mapping, MappingSpec, TeamSpec};
use claimgate::{json, limits::Limits};
use libfuzzer_sys::fuzz_target;

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    let team = |group: Option<&str>, prefix: Option<&str>, regex: Option<&str>, team: &str| TeamSpec {
        group: group.map(str::to_owned),
        prefix: prefix.map(str::to_owned),
        regex: regex.map(str::to_owned),
        team: Some(team.to_owned()),
        ..TeamSpec::default()
    };
    let spec = MappingSpec {
        groups: vec![claimgate::identity::GroupSpec::Path("g".to_owned())],
        profile: [("email".to_owned(), "$.e".to_owned())].into(),
        team: vec![
            team(Some("a"), None, None, "A"),
            team(None, Some("p/"), None, "P {rest}"),
            team(None, None, Some("r-(?<x>.*)"), "R {x}"),
        ],
        ..MappingSpec::default()
    };
    Mapping::compile(&spec, &Limits::DEFAULT).expect("a fixed mapping")
});

fuzz_target!(|text: &[u8]| {
    let Ok(claims) = json::parse(text, &Limits::DEFAULT) else { return };
    let decision = MAPPING.identify(&claims);
    let explanation = MAPPING.explain(&claims);
    assert_eq!(explanation.identity, decision.clone().ok());
    assert_eq!(explanation.code, decision.as_ref().err().map(|error| error.code()));
    let _ = explanation.to_string();
    if let Ok(identity) = decision {
        let names = identity.teams.iter().chain(identity.profile.values()).chain([&identity.username]);
        for name in names {
            assert!(!name.chars().any(char::is_control), "{name:?}");
        }
        for team in &identity.teams {
            assert!(team == "A" || team.starts_with("P ") || team.starts_with("R "), "{team}");
        }
        assert!(!identity.username.is_empty() && identity.username.chars().count() <= 255);
    }
});
