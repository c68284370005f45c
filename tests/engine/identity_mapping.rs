//! From claims to a username, a profile and teams.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use claimgate::identity::{
    GroupDetail, GroupSpec, GroupsState, IdentityError, Mapping, MappingSpec, NameSource, Normalisation,
    OneOrMany, TeamSpec, Unmatched,
};
use claimgate::limits::Limits;
use serde_json::{Value, json};

use crate::shared_data;

fn compile(spec: &MappingSpec) -> Mapping {
    Mapping::compile(spec, &Limits::DEFAULT).unwrap()
}

fn username(spec: &MappingSpec, claims: &Value) -> Result<String, &'static str> {
    compile(spec).identify(claims).map(|identity| identity.username).map_err(|error| error.code())
}

fn candidates(paths: &[&str]) -> MappingSpec {
    MappingSpec {
        username: OneOrMany::Many(paths.iter().map(|path| (*path).to_owned()).collect()),
        ..MappingSpec::default()
    }
}

fn rule(kind: &str, matched: &str, team: &str) -> TeamSpec {
    let text = Some(matched.to_owned());
    let mut spec = TeamSpec { team: Some(team.to_owned()), ..TeamSpec::default() };
    match kind {
        "group" => spec.group = text,
        "prefix" => spec.prefix = text,
        _ => spec.regex = text,
    }
    spec
}

fn with_teams(team: Vec<TeamSpec>) -> MappingSpec {
    MappingSpec { groups: vec![GroupSpec::Path("groups".to_owned())], team, ..MappingSpec::default() }
}

fn teams(spec: &MappingSpec, groups: Value) -> Vec<String> {
    compile(spec).identify(&json!({"sub": "x", "groups": groups})).unwrap().teams
}

#[test]
fn the_first_candidate_that_is_there_decides() {
    let spec = candidates(&["preferred_username", "$.user.name", "sub"]);
    assert_eq!(username(&spec, &json!({"preferred_username": "Ada", "sub": "1"})), Ok("ada".into()));
    assert_eq!(username(&spec, &json!({"user": {"name": "bob"}, "sub": "1"})), Ok("bob".into()));
    assert_eq!(username(&spec, &json!({"preferred_username": null, "sub": "1"})), Ok("1".into()));
    assert_eq!(username(&spec, &json!({"preferred_username": " ", "sub": "1"})), Ok("1".into()));
    assert_eq!(username(&spec, &json!({})), Err("identity.no_username"));
}

// attack: claims-types.others
#[test]
fn a_wrong_type_is_refused_and_never_counts_as_absent() {
    let spec = candidates(&["preferred_username", "sub"]);
    for wrong in [json!(7), json!(true), json!(["a"]), json!({"a": 1})] {
        let claims = json!({"preferred_username": wrong, "sub": "1"});
        assert_eq!(username(&spec, &claims), Err("identity.username_type"), "{claims}");
    }
    let several = candidates(&["$.names[*]", "sub"]);
    assert_eq!(username(&several, &json!({"names": ["a", "b"], "sub": "1"})), Err("identity.username_type"));
}

#[test]
fn usernames_are_normalised_as_asked() {
    let with = |normalise| MappingSpec { normalise, ..MappingSpec::default() };
    for (given, default, ascii) in [
        ("Jane Doe", "jane_doe", "jane_doe"),
        ("ÅSA Öberg", "åsa_öberg", "_sa__berg"),
        ("Юлия", "юлия", "____"),
        (r"CORP\jdoe", r"corp\jdoe", "corp_jdoe"),
        ("a+b@x.io", "a+b@x.io", "a_b@x.io"),
    ] {
        let claims = json!({ "sub": given });
        assert_eq!(username(&with(Normalisation::Default), &claims), Ok(default.into()));
        assert_eq!(username(&with(Normalisation::LossyAscii), &claims), Ok(ascii.into()));
        assert_eq!(username(&with(Normalisation::None), &claims), Ok(given.into()));
    }
    let prefixed = MappingSpec { username_prefix: "oidc:".into(), ..MappingSpec::default() };
    assert_eq!(username(&prefixed, &json!({"sub": "A"})), Ok("oidc:a".into()));
    let unfolded = MappingSpec { username_prefix: "OIDC:".into(), ..MappingSpec::default() };
    let refused = Mapping::compile(&unfolded, &Limits::DEFAULT).unwrap_err().to_string();
    assert!(refused.contains("write `oidc:`"), "{refused}");
}

// finding: R11
#[test]
fn a_username_is_made_of_the_part_that_a_pattern_captures() {
    let with = |regex: &str, template: Option<&str>, unmatched| MappingSpec {
        username: OneOrMany::One("email".to_owned()),
        username_regex: Some(regex.to_owned()),
        username_template: template.map(str::to_owned),
        username_unmatched: unmatched,
        ..MappingSpec::default()
    };
    let local = with(r"(.+)@example\.com", None, None);
    let unmatched = Err("identity.username_unmatched");
    for (address, made) in [
        ("Ada@Example.COM", Ok("ada".to_owned())),
        ("ada@example.com.evil.org", unmatched.clone()),
        ("ada@evil.org\u{20}ada@example.com", Ok("ada@evil.org_ada".to_owned())),
        ("ada@example.org", unmatched.clone()),
        ("@example.com", unmatched),
    ] {
        assert_eq!(username(&local, &json!({ "email": address })), made, "{address}");
    }
    // The provider vouches for the address, not for the part.
    let identity =
        compile(&local).identify(&json!({"email": "ada@example.com", "email_verified": true})).unwrap();
    assert_eq!(identity.name_source, NameSource::Claim);
    let unverified = json!({"email": "ada@example.com", "email_verified": false});
    assert_eq!(username(&local, &unverified), Err("identity.email_not_verified"));

    let corp = with(r"(?<domain>corp|lab)\\(?<name>.+)", Some("{name}.{domain}"), Some(Unmatched::Keep));
    assert_eq!(username(&corp, &json!({"email": r"CORP\Ada"})), Ok("ada.corp".into()));
    assert_eq!(username(&corp, &json!({"email": "Grace"})), Ok("grace".into()));
    let optional = with("a(b?)c", None, None);
    assert_eq!(username(&optional, &json!({"email": "ac"})), Err("identity.username_empty"));
    // What the template adds has the normal form, too.
    let prefixed = MappingSpec { username_prefix: "x:".into(), ..with("(.+)", Some("OIDC {1}"), None) };
    assert_eq!(username(&prefixed, &json!({"email": "Ada"})), Ok("x:oidc_ada".into()));

    let explanation = compile(&corp).explain(&json!({"email": r"CORP\Ada"})).to_string();
    assert!(explanation.contains(r#"username_regex makes of "corp\\ada": "ada.corp""#), "{explanation}");
    for (spec, named) in [
        (with("(", None, None), "username_regex: `(`"),
        (with("a", None, None), "username_template: `{1}` wants {1}"),
        (with("(a)", Some("everybody"), None), "username_template: needs a capture"),
        (
            MappingSpec { username_template: Some("{1}".into()), ..MappingSpec::default() },
            "username_template: needs",
        ),
        (
            MappingSpec { username_unmatched: Some(Unmatched::Keep), ..MappingSpec::default() },
            "username_unmatched: needs",
        ),
    ] {
        let refused = Mapping::compile(&spec, &Limits::DEFAULT).unwrap_err().to_string();
        assert!(refused.starts_with(named), "{refused}");
    }
}

// attack: mapping.admin-from-outside
// finding: R11
#[test]
fn groups_say_who_is_an_administrator_where_they_are_known() {
    let spec = MappingSpec {
        groups: vec![GroupSpec::Path("groups".to_owned())],
        admin_groups: vec!["root".to_owned(), "wheel".to_owned()],
        ..MappingSpec::default()
    };
    let mapping = compile(&spec);
    for (claims, expected) in [
        (json!({"sub": "a", "groups": ["staff", "wheel"]}), Some(true)),
        (json!({"sub": "a", "groups": ["Wheel", "wheel ", "wheelers", "roo"]}), Some(false)),
        (json!({"sub": "a", "groups": []}), Some(false)),
        (json!({"sub": "a"}), Some(false)),
        (json!({"sub": "a", "hasgroups": true}), None),
        (json!({"sub": "a", "_claim_names": {"groups": "src1"}}), None),
    ] {
        assert_eq!(mapping.identify(&claims).unwrap().is_admin, expected, "{claims}");
    }
    let said = mapping.explain(&json!({"sub": "a", "groups": ["root"]})).to_string();
    assert!(said.contains("kind      admin") && said.contains("kind admin by the group \"root\""), "{said}");
    let said = mapping.explain(&json!({"sub": "a", "groups": []})).to_string();
    assert!(
        said.contains("kind      regular") && said.contains("in none of [\"root\", \"wheel\"]"),
        "{said}"
    );
    let undecided = MappingSpec { admin_groups: Vec::new(), ..spec.clone() };
    assert_eq!(
        compile(&undecided).identify(&json!({"sub": "a", "groups": ["root"]})).unwrap().is_admin,
        None
    );
    assert!(mapping.decides_administrators() && !compile(&undecided).decides_administrators());
    for spec in [
        MappingSpec { groups: Vec::new(), ..spec.clone() },
        MappingSpec { admin_groups: vec![" ".to_owned()], ..spec },
    ] {
        let refused = Mapping::compile(&spec, &Limits::DEFAULT).unwrap_err().to_string();
        assert!(refused.starts_with("admin_groups"), "{refused}");
    }
}

// attack: mapping.controls, mapping.bidirectional, mapping.invisible, mapping.long-username
#[test]
fn a_username_that_cannot_be_shown_or_kept_is_refused() {
    let spec = MappingSpec::default();
    for hostile in [
        "a\nb",
        "a\0",
        "a\u{202e}b",
        "a\u{200b}b",
        "a\u{2066}",
        "\u{feff}a",
        "a\u{7f}",
        "a\u{85}b",
        "a\u{3164}",
    ] {
        assert_eq!(
            username(&spec, &json!({"sub": hostile})),
            Err("identity.username_characters"),
            "{hostile:?}"
        );
    }
    assert_eq!(username(&spec, &json!({"sub": "é".repeat(255)})), Ok("é".repeat(255)));
    assert_eq!(username(&spec, &json!({"sub": "a".repeat(256)})), Err("identity.username_too_long"));
}

// finding: O-F1, O-F2, D9, U-e01, U-s63
#[test]
fn an_address_is_a_username_unless_the_provider_calls_it_unverified() {
    use NameSource::{Claim, Subject, UnverifiedEmail, VerifiedEmail};
    const REFUSED: Result<NameSource, &str> = Err("identity.email_not_verified");
    let by_sub = MappingSpec::default();
    let required = MappingSpec { require_verified_email: true, ..by_sub.clone() };
    let by_email = MappingSpec { username: OneOrMany::One("email".into()), ..by_sub.clone() };
    let by_path = MappingSpec { username: OneOrMany::One("$['email']".into()), ..by_sub.clone() };
    let lossy = MappingSpec { normalise: Normalisation::LossyAscii, ..by_email.clone() };
    let counts = MappingSpec { danger_email_is_verified: true, ..by_email.clone() };
    let allowed = MappingSpec { danger_allow_unverified_email: true, ..by_email.clone() };
    let by_name = candidates(&["preferred_username", "email"]);
    let source = |spec: &MappingSpec, verified: Option<&Value>| {
        let mut claims = json!({"sub": "a", "email": "a@x.io"});
        if let Some(verified) = verified {
            claims["email_verified"] = verified.clone();
        }
        let identity = compile(spec).identify(&claims);
        identity.map(|identity| identity.name_source).map_err(|error| error.code())
    };
    for yes in [json!(true), json!("true")] {
        assert_eq!(source(&by_sub, Some(&yes)), Ok(Subject));
        assert_eq!(source(&required, Some(&yes)), Ok(Subject));
        for spec in [&by_email, &by_path, &counts, &allowed, &by_name] {
            assert_eq!(source(spec, Some(&yes)), Ok(VerifiedEmail));
        }
        assert_eq!(source(&lossy, Some(&yes)), Ok(Claim));
    }
    for no in [json!(false), json!("false"), json!("yes"), json!("True"), json!(1), json!([true]), json!({})]
    {
        assert_eq!(source(&by_sub, Some(&no)), Ok(Subject));
        for spec in [&required, &by_email, &by_path, &lossy, &counts, &by_name] {
            assert_eq!(source(spec, Some(&no)), REFUSED, "{no}");
        }
        assert_eq!(source(&allowed, Some(&no)), Ok(UnverifiedEmail));
    }
    for absent in [None, Some(&json!(null))] {
        assert_eq!(source(&by_sub, absent), Ok(Subject));
        assert_eq!(source(&required, absent), REFUSED);
        for spec in [&by_email, &by_path, &allowed, &by_name] {
            assert_eq!(source(spec, absent), Ok(UnverifiedEmail));
        }
        assert_eq!(source(&counts, absent), Ok(VerifiedEmail));
    }
    // Another person's address becomes the same name.
    for (address, expected) in [
        (" Mike@Example.com ", VerifiedEmail),
        ("mi\u{212A}e@example.com", Claim),
        ("Stra\u{df}e@example.com", VerifiedEmail),
        ("STRA\u{1e9e}E@example.com", Claim),
    ] {
        let claims = json!({"sub": "a", "email": address, "email_verified": true});
        let identity = compile(&by_email).identify(&claims).unwrap();
        assert_eq!(identity.name_source, expected, "{address} is {}", identity.username);
    }
    let both = MappingSpec { danger_allow_unverified_email: true, ..required };
    assert_eq!(Mapping::compile(&both, &Limits::DEFAULT).unwrap_err().code(), "mapping.setting");
}

// finding: U-e01, U-e18
#[test]
fn a_refusal_says_what_was_found() {
    let spec = MappingSpec { require_verified_email: true, ..candidates(&["preferred_username"]) };
    for (claims, message, why) in [
        (json!({"email_verified": "no"}), "a text other than", "email_verified: \"no\""),
        (json!({"email_verified": false}), "is false", "email_verified: false"),
        (json!({}), "is absent", "email_verified: absent"),
        (json!({"email_verified": true, "preferred_username": 12345}), "selects a number", "12345"),
    ] {
        let explained = compile(&spec).explain(&claims).to_string();
        assert!(explained.contains(message), "{explained}");
        assert!(explained.split("why").nth(1).unwrap().contains(why), "{explained}");
    }
}

// finding: D8
// attack: headers.line-breaks
#[test]
fn an_unusable_profile_field_is_left_out_and_keeps_nobody_out() {
    let profile = [("email", "email"), ("phone", "$.p[*]"), ("name", "name"), ("gender", "gender")];
    let profile = profile.map(|(field, path)| (field.to_owned(), path.to_owned())).into();
    let mapping = compile(&MappingSpec { profile, ..MappingSpec::default() });
    let claims = json!({"sub": "a", "email": "a@x.io", "p": ["1", "2"], "name": "a\r\nX-Admin: 1"});
    let identity = mapping.identify(&claims).unwrap();
    assert_eq!(identity.profile, [("email".to_owned(), "a@x.io".to_owned())].into());
    // An empty claim is an absent one: a known address stays.
    let empty = mapping.identify(&json!({"sub": "a", "email": "", "name": " "})).unwrap();
    assert_eq!(empty.profile, [].into());
}

// finding: U-e10, U-e30, D3
// attack: size.groups
#[test]
fn groups_come_as_strings_lists_separated_or_as_keys() {
    let read = |detail: GroupDetail, groups: Value| {
        let spec = MappingSpec { groups: vec![GroupSpec::Detailed(detail)], ..MappingSpec::default() };
        compile(&spec).identify(&json!({"sub": "x", "g": groups})).map(|identity| identity.groups)
    };
    let plain = || GroupDetail { path: "g".into(), ..GroupDetail::default() };
    assert_eq!(read(plain(), json!("a b")).unwrap(), ["a b"]);
    assert_eq!(read(plain(), json!(["a", "b"])).unwrap(), ["a", "b"]);
    assert!(read(plain(), json!(null)).unwrap().is_empty());
    let split = GroupDetail { separator: Some(",".into()), ..plain() };
    assert_eq!(read(split, json!("a, b,,c")).unwrap(), ["a", "b", "c"]);
    let keys = GroupDetail { object_keys: true, ..plain() };
    assert_eq!(read(keys, json!({"admin": {}, "user": {}})).unwrap(), ["admin", "user"]);
    assert_eq!(read(plain(), json!([null, "a", null])).unwrap(), ["a"]);
    for (wrong, found) in [
        (json!(7), "a number"),
        (json!([1]), "a number"),
        (json!([true]), "true or false"),
        (json!({"a": 1}), "an object"),
        (json!([["a"]]), "a list"),
    ] {
        let refused = IdentityError::GroupType { path: "g".into(), found };
        assert_eq!(read(plain(), wrong).unwrap_err(), refused);
    }
    for count in [Limits::DEFAULT.groups + 1, 100_000] {
        let many = json!(vec!["a"; count]);
        assert_eq!(
            read(plain(), many).unwrap_err(),
            IdentityError::TooManyGroups { limit: Limits::DEFAULT.groups }
        );
    }
    let long = json!(["a".repeat(Limits::DEFAULT.group_bytes + 1)]);
    let refused = read(plain(), long).unwrap_err().to_string();
    let shown = format!("\"{}\" is longer than {} bytes", "a".repeat(40), Limits::DEFAULT.group_bytes);
    assert!(refused.contains(&shown), "{refused}");
}

// finding: O-F10, D2, U-e07
// finding: N4
#[test]
fn groups_left_out_are_told_from_groups_that_are_not_there() {
    let left_out = |claim: &str, marker| GroupsState::LeftOut { claim: claim.to_owned(), marker };
    let by_path = "$.realm_access.roles[*]";
    for (groups, claims, expected) in [
        (vec![], json!({}), GroupsState::Received),
        (vec!["groups"], json!({"groups": ["a"]}), GroupsState::Received),
        (vec!["groups"], json!({"groups": []}), GroupsState::Received),
        (vec!["groups"], json!({"groups": null}), GroupsState::Absent),
        (vec!["groups"], json!({}), GroupsState::Absent),
        (vec![by_path], json!({"realm_access": {"roles": []}}), GroupsState::Received),
        (vec![by_path], json!({}), GroupsState::Absent),
        (vec!["roles", "groups"], json!({"roles": ["a"]}), GroupsState::Received),
        (vec!["groups"], json!({"_claim_names": {"groups": "src1"}}), left_out("groups", "_claim_names")),
        (vec!["groups"], json!({"_claim_names": {"address": "src1"}}), GroupsState::Absent),
        (vec!["groups"], json!({"_claim_names": {"groups": "src1"}, "groups": ["a"]}), GroupsState::Received),
        (vec!["groups"], json!({"hasgroups": true}), left_out("groups", "hasgroups")),
        (vec!["$.groups[*]"], json!({"hasgroups": "true"}), left_out("$.groups[*]", "hasgroups")),
        (vec!["groups"], json!({"hasgroups": false}), GroupsState::Absent),
        (vec!["roles"], json!({"hasgroups": true}), GroupsState::Absent),
        (
            vec!["roles", "groups"],
            json!({"roles": ["a"], "_claim_names": {"groups": "src1"}}),
            left_out("groups", "_claim_names"),
        ),
        (
            vec!["groups", "roles"],
            json!({"roles": ["a"], "_claim_names": {"groups": "src1"}}),
            left_out("groups", "_claim_names"),
        ),
    ] {
        let groups = groups.iter().map(|path| GroupSpec::Path((*path).to_owned())).collect();
        let mapping = compile(&MappingSpec { groups, ..MappingSpec::default() });
        let mut claims = claims;
        claims["sub"] = json!("a");
        assert_eq!(mapping.identify(&claims).unwrap().groups_state, expected, "{claims}");
    }
    let mapping =
        compile(&MappingSpec { groups: vec![GroupSpec::Path("groups".into())], ..MappingSpec::default() });
    let why = mapping.explain(&json!({"sub": "a", "_claim_names": {"groups": "src1"}})).to_string();
    assert!(
        why.contains("groups from groups: left out by the provider, which says so by `_claim_names`"),
        "{why}"
    );
    let why = mapping.explain(&json!({"sub": "a", "groups": [null, "b"]})).to_string();
    assert!(why.contains("[null,\"b\"] (null is passed over)"), "{why}");
}

// attack: mapping.group-like-a-team, mapping.empty-capture, mapping.group-with-a-newline
#[test]
fn rules_match_exactly_by_prefix_or_by_whole_pattern() {
    let spec = with_teams(vec![
        rule("group", "007", "Bond"),
        rule("prefix", "/crm/", "CRM {rest}"),
        rule("regex", "sales-(?<region>[a-z]+)", "Sales {region}"),
        rule("regex", "r-(.*)-(.*)", "{2} of {1}"),
    ]);
    assert_eq!(teams(&spec, json!(["007"])), ["Bond"]);
    for other in ["7", "0007", "007 ", "7e0", "/CRM/x", "xsales-a", "sales-a1", "sales-", "/crm", "sales-a\n"]
    {
        assert!(teams(&spec, json!([other])).is_empty(), "{other:?}");
    }
    assert_eq!(
        teams(&spec, json!(["/crm/support", "sales-north", "r-x-y"])),
        ["CRM support", "Sales north", "y of x"]
    );
    // An empty gap makes no team, and neither does one that cannot be shown.
    assert!(teams(&spec, json!(["/crm/", "r--x", "/crm/a\u{202e}b", "/crm/\n"])).is_empty());
    assert!(teams(&spec, json!([format!("/crm/{}", "a".repeat(255))])).is_empty());
}

// finding: R11
#[test]
fn conditions_look_at_the_other_groups() {
    let list = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
    let spec = with_teams(vec![
        TeamSpec { unless: list(&["contractors"]), ..rule("group", "staff", "Staff") },
        TeamSpec { all: list(&["staff", "emea"]), team: Some("EMEA staff".into()), ..TeamSpec::default() },
        TeamSpec { any: list(&["lead", "head"]), ..rule("prefix", "unit-", "Leads of {rest}") },
        TeamSpec {
            any: list(&["a", "b"]),
            unless: list(&["c"]),
            team: Some("A or B".into()),
            ..TeamSpec::default()
        },
    ]);
    for (groups, expected) in [
        (json!(["staff"]), &["Staff"][..]),
        (json!(["staff", "contractors"]), &[]),
        (json!(["emea", "staff"]), &["Staff", "EMEA staff"]),
        (json!(["emea"]), &[]),
        (json!(["unit-x", "unit-y"]), &[]),
        (json!(["unit-x", "unit-y", "head"]), &["Leads of x", "Leads of y"]),
        (json!(["b"]), &["A or B"]),
        (json!(["a", "b", "c"]), &[]),
        (json!([]), &[]),
    ] {
        assert_eq!(teams(&spec, groups.clone()), expected, "{groups}");
    }
    let explanation = compile(&spec).explain(&json!({"sub": "x", "groups": ["staff", "emea", "c"]}));
    let text = explanation.to_string();
    assert!(
        text.contains("rule 1 (group \"staff\", unless [\"contractors\"]) fired on \"staff\": [\"Staff\"]"),
        "{text}"
    );
    assert!(text.contains("rule 2 (all [\"staff\", \"emea\"]) fired: [\"EMEA staff\"]"), "{text}");
    assert!(text.contains("any [\"a\", \"b\"], unless [\"c\"]) matched no group"), "{text}");
}

#[test]
fn conditions_that_no_person_meets_are_refused() {
    let unless = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
    for (rule, setting) in [
        (TeamSpec { unless: unless(&["a"]), ..rule("group", "a", "A") }, "team[0].unless[0]"),
        (
            TeamSpec {
                all: unless(&["a"]),
                unless: unless(&["b", "a"]),
                team: Some("A".into()),
                ..TeamSpec::default()
            },
            "team[0].unless[1]",
        ),
        (TeamSpec { any: unless(&[""]), ..rule("group", "a", "A") }, "team[0].any[0]"),
        (TeamSpec { all: unless(&["a\u{200b}"]), ..rule("group", "a", "A") }, "team[0].all[0]"),
        (TeamSpec { unless: unless(&["b"]), team: Some("A".into()), ..TeamSpec::default() }, "team[0]"),
    ] {
        let error = Mapping::compile(&with_teams(vec![rule]), &Limits::DEFAULT).unwrap_err();
        assert_eq!((error.code(), error.setting.to_string().as_str()), ("mapping.setting", setting));
    }
}

#[test]
fn teams_are_in_the_order_of_the_rules_each_once() {
    let mut spec = with_teams(vec![
        TeamSpec { group: Some("a".into()), teams: vec!["One".into(), "Two".into()], ..TeamSpec::default() },
        rule("group", "b", "One"),
        rule("group", "a", "Three"),
    ]);
    spec.default_teams = vec!["Everybody".into()];
    assert_eq!(teams(&spec, json!(["b", "a", "a"])), ["Everybody", "One", "Two", "Three"]);
    assert_eq!(teams(&spec, json!([])), ["Everybody"]);
    spec.deny_unmatched = true;
    let refused = compile(&spec).identify(&json!({"sub": "x", "groups": ["other"]}));
    assert_eq!(refused.unwrap_err().code(), "identity.no_team");
}

#[test]
fn a_mapping_that_means_nothing_is_refused_with_the_settings_name() {
    let both = TeamSpec { group: Some("a".into()), ..rule("prefix", "a", "A") };
    for (spec, code, setting) in [
        (candidates(&[]), "mapping.setting", "username"),
        (candidates(&["$["]), "mapping.path", "username"),
        (with_teams(vec![both]), "mapping.setting", "team[0]"),
        (with_teams(vec![rule("group", "a", "A {rest}")]), "mapping.setting", "team[0]"),
        (with_teams(vec![rule("regex", "(", "A")]), "mapping.pattern", "team[0].regex"),
        (with_teams(vec![rule("regex", "(a{1000}){1000}{1000}", "A")]), "mapping.pattern", "team[0]"),
        (with_teams(vec![rule("group", "a", " ")]), "mapping.setting", "team[0]"),
        (MappingSpec { username_max: 256, ..MappingSpec::default() }, "mapping.setting", "username_max"),
    ] {
        let error = Mapping::compile(&spec, &Limits::DEFAULT).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[test]
fn an_explanation_decides_the_same_and_names_the_rules() {
    let mapping = compile(&with_teams(vec![rule("group", "a", "A"), rule("group", "b", "B")]));
    let claims = json!({"sub": "x", "groups": ["a", "evil\n"]});
    let explanation = mapping.explain(&claims);
    assert_eq!(explanation.identity, mapping.identify(&claims).ok());
    assert_eq!(explanation.decision().ok(), explanation.identity.as_ref());
    let shown = serde_json::to_value(&explanation).unwrap();
    assert_eq!(shown["username"][0], json!({"path": "sub", "seen": "value", "value": "x"}));
    assert_eq!(shown["profile"][0], json!({"field": "email", "path": "email", "seen": "absent"}));
    assert_eq!(shown["groups"][0]["seen"], "values");
    assert_eq!(shown["groups"][0]["value"], json!([["a", "evil\n"]]));
    assert_eq!((explanation.fired[0].rule, explanation.fired[0].group.as_str()), (1, "a"));
    assert_eq!(explanation.dropped_groups, ["evil\n"]);
    let unfired = &explanation.unfired[0];
    assert_eq!((unfired.rule, unfired.text.as_str(), explanation.unfired.len()), (2, "group \"b\"", 1));
    let place = |rule| (rule == 2).then(|| "claimgate.toml:12".to_owned());
    let placed = explanation.with_places(&place).to_string();
    assert!(placed.contains("rule 1 (group \"a\") fired on \"a\": [\"A\"]\n"), "{placed}");
    assert!(placed.contains("rule 2 (group \"b\") matched no group, claimgate.toml:12\n"), "{placed}");
    assert_eq!(mapping.explain(&json!({})).code, Some("identity.no_username"));
}

// attack: path.multiplied
#[test]
fn rules_and_groups_that_multiply_are_refused_and_an_explanation_stays_short() {
    let groups: Vec<String> = (0..5_000).map(|index| format!("a{index}")).collect();
    let claims = json!({"sub": "x", "groups": groups});
    let rules = |count: usize, team: &str| with_teams(vec![rule("prefix", "a", team); count]);
    let decided = compile(&rules(19, "T")).explain(&claims);
    assert_eq!(
        decided.identity.as_ref().map(|identity| identity.teams.as_slice()),
        Some(&["T".to_owned()][..])
    );
    assert_eq!((decided.fired.len(), decided.more_fired), (1_000, 94_000));
    assert_eq!(decided.groups[0].seen, claimgate::identity::Seen::Many { selected: 1 });
    let text = decided.to_string();
    assert!(text.contains("94000 more matches") && !text.contains("matched no group"), "{text}");
    assert!(text.len() < 100_000, "{}", text.len());
    let shown = serde_json::to_value(&decided).unwrap();
    assert_eq!(
        (shown["more_fired"].as_u64(), shown["groups"][0]["seen"].as_str()),
        (Some(94_000), Some("many"))
    );

    let begun = Instant::now();
    let many_teams = TeamSpec {
        prefix: Some("a".to_owned()),
        teams: (0..1_000).map(|index| format!("{{rest}} {index}")).collect(),
        ..TeamSpec::default()
    };
    // A condition is looked at once, and a rule whose condition is not met counts too.
    let held_by_none = TeamSpec {
        prefix: Some("a".to_owned()),
        any: (0..20_000).map(|index| format!("b{index}")).collect(),
        team: Some("T".to_owned()),
        ..TeamSpec::default()
    };
    for spec in
        [rules(4_000, "{rest}"), with_teams(vec![many_teams]), with_teams(vec![held_by_none.clone(); 21])]
    {
        let refused = IdentityError::TooManyMatches { limit: 100_000 };
        assert_eq!(compile(&spec).identify(&claims), Err(refused));
    }
    assert_eq!(compile(&with_teams(vec![held_by_none])).identify(&claims).unwrap().teams, [""; 0]);
    // Each group compared with each condition took minutes.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

// attack: path.multiplied
#[test]
fn the_paths_of_a_mapping_are_limited_and_values_that_are_long_are_not_copied() {
    let profile = |fields: usize| (0..fields).map(|field| (format!("f{field}"), "$".to_owned())).collect();
    let with =
        |fields| MappingSpec { profile: profile(fields), groups: Vec::new(), ..MappingSpec::default() };
    let claims = json!({"sub": "x", "list": vec![1; 1_000]});
    let explanation = compile(&with(99)).explain(&claims);
    let seen = |field: usize| &explanation.profile[field].seen;
    assert!((0..99).all(|field| *seen(field) == claimgate::identity::Seen::Many { selected: 1 }));
    let error = Mapping::compile(&with(100), &Limits::DEFAULT).unwrap_err();
    assert!(error.to_string().contains("at most 100 claim paths"), "{error}");
    let names = candidates(&["a"; 101]);
    assert!(Mapping::compile(&names, &Limits::DEFAULT).is_err());
    let long = json!({"sub": "x", "list": ["y".repeat(20_000)]});
    assert!(compile(&with(1)).explain(&long).to_string().contains("one value, too long to be shown"));
}

/// `benches/instructions` holds the cost: a hash look-up per group, however many rules there are.
#[test]
fn a_hundred_thousand_exact_rules_decide_as_ten_do() {
    let claims = json!({"sub": "x", "groups": ["g1", "g7", "other"]});
    for rules in [10, 100_000] {
        let team = (0..rules).map(|index| rule("group", &format!("g{index}"), "T")).collect();
        assert_eq!(compile(&with_teams(team)).identify(&claims).unwrap().teams, ["T"]);
    }
}

/// Cases of Kubernetes' own behaviour that this mapping decides otherwise on purpose.
const KUBERNETES_DIFFERS: [(&str, &str); 0] = [];

#[test]
fn kubernetes_usernames_and_groups() {
    let Some(path) = shared_data::find("claims/kubernetes_oidc.json") else { return };
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut compared = 0;
    for case in &cases {
        let config = &case["config"];
        let text = |name: &str| config[name].as_str().unwrap_or_default().to_owned();
        // Judged elsewhere: issuers, audiences, signatures, prefixes on groups, lower case.
        if case["expect"] != "accept" || !text("groups_prefix").is_empty() {
            continue;
        }
        let spec = MappingSpec {
            username: OneOrMany::One(text("username_claim")),
            username_prefix: text("username_prefix"),
            normalise: Normalisation::None,
            groups: config["groups_claim"]
                .as_str()
                .map(|path| GroupSpec::Path(path.into()))
                .into_iter()
                .collect(),
            ..MappingSpec::default()
        };
        let identity = compile(&spec).identify(&case["claims"]).ok();
        let same = identity.is_some_and(|identity| {
            case["want"]["username"] == identity.username
                && case["want"]["groups"].as_array().is_none_or(|want| *want == identity.groups)
        });
        compared += 1;
        let excepted = KUBERNETES_DIFFERS.iter().any(|(id, _)| case["id"] == *id);
        assert_eq!(same, !excepted, "{case}");
    }
    assert!(compared >= 5, "{compared}");
}

/// Returns the setting and the text of the fault of a mapping.
fn refused(spec: &MappingSpec) -> (String, String) {
    let error = Mapping::compile(spec, &Limits::DEFAULT).unwrap_err();
    (error.setting.to_string(), error.to_string())
}

// attack: console.mapping-form-costs
#[test]
fn the_expressions_of_rules_have_one_limit_that_is_checked_before_each_is_compiled() {
    let heavy = || rule("regex", r"\w{40}x{1000}", "a");
    assert!(Mapping::compile(&with_teams(vec![heavy()]), &Limits::DEFAULT).is_ok());
    let (setting, text) = refused(&with_teams((0..300).map(|_| heavy()).collect()));
    assert!(setting == "team" && text.contains("together"), "{setting}: {text}");
    let (setting, text) = refused(&with_teams(vec![rule("regex", r"\w{10000}", "a")]));
    assert!(setting == "team[0].regex" && text.contains("larger than"), "{setting}: {text}");
    // By its length, so that it is not compiled.
    let (setting, text) = refused(&with_teams(vec![rule("regex", &r"\w".repeat(20_000), "a")]));
    assert!(setting == "team[0].regex" && text.contains("longer than"), "{setting}: {text}");
    // A wrong one is named, whatever the others take.
    let mut rules: Vec<_> = (0..300).map(|_| heavy()).collect();
    rules.push(rule("regex", "(", "a"));
    assert_eq!(refused(&with_teams(rules)).0, "team[300].regex");
    let many = (0..1_000).map(|index| rule("regex", &format!("/crm/(team-{index})"), "{1}"));
    let identity =
        compile(&with_teams(many.collect())).identify(&json!({"sub": "1", "groups": ["/crm/team-77"]}));
    assert_eq!(identity.unwrap().teams, ["team-77"]);
}

// attack: console.mapping-form-costs
#[test]
fn the_paths_of_a_mapping_have_few_expressions_together() {
    let path = r"$.g[?match(@, '\\p{L}{30}') || search (@ , 'x')]";
    let groups = |count: usize| MappingSpec {
        groups: (0..count).map(|_| GroupSpec::Path(path.replace("search (@ ", "search(@"))).collect(),
        ..MappingSpec::default()
    };
    assert!(Mapping::compile(&groups(8), &Limits::DEFAULT).is_ok());
    assert_eq!(refused(&groups(9)).0, "groups[8]");
    let spaced = (0..9).map(|_| GroupSpec::Path(path.to_owned())).collect();
    assert_eq!(refused(&MappingSpec { groups: spaced, ..MappingSpec::default() }).0, "groups[8]");
    let mut both = groups(8);
    both.profile.insert("email".to_owned(), "$.m[?search(@, 'a')]".to_owned());
    assert_eq!(refused(&both).0, "profile.email");
    // Texts that are no JSONPath are names.
    both.profile.insert("email".to_owned(), "match(search(".to_owned());
    assert!(Mapping::compile(&both, &Limits::DEFAULT).is_ok());
}
