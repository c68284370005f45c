//! `docs/generated/attacks.md`, `findings.md` and `conformance.md`: attacks, findings of reviews and
//! misbehaviour of providers, with the tests that show the outcome. They are generated from the tree and compared with the committed files:
//!
//! - a line `// attack: class.input, class.input` directly above a test, or above a row of a table of
//!   tests, names the inputs of `tests/house/attacks.toml` that it shows;
//! - an input names its vectors;
//! - a line `// finding: S4` in the same place names the findings of `tests/house/findings.toml`, of
//!   which `docs/generated/findings.md` is made;
//! - a test of `tests/op` whose name, or whose `// conformance:` line, holds the name of a module of
//!   `tests/house/conformance.toml` shows that module.
//!
//! `CLAIMGATE_WRITE_TABLES=1 cargo test -p claimgate --test house` rewrites the files.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use super::shared_data;
use super::source::root;
use super::traceability::{Test, compare, shown, tests};
use serde::Deserialize;
use serde_json::Value;

/// Returns the expected code of each vector, or `accepted`, by `row/name`.
fn vectors() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in ["attacks", "good"] {
        let text = fs::read_to_string(root().join(format!("vectors/{file}.jsonl"))).unwrap();
        for line in text.lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let id = vector["input"]["id"].as_str().unwrap();
            let id = id.strip_prefix(&format!("{file}/")).unwrap().to_owned();
            let expected = vector["expect"]["code"].as_str().unwrap_or("accepted").to_owned();
            found.insert(id, expected);
        }
    }
    found
}

/// Reports whether a vector's name matches a pattern with `*`.
fn matches(pattern: &str, id: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == id,
        Some((start, rest)) => {
            let Some(left) = id.strip_prefix(start) else { return false };
            (0..=left.len()).any(|at| left.is_char_boundary(at) && matches(rest, &left[at..]))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attacks {
    class: Vec<Class>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    id: String,
    title: String,
    must: String,
    #[serde(default)]
    server: bool,
    input: Vec<Vec<String>>,
}

#[test]
fn every_attack_is_shown_refused() {
    let attacks: Attacks =
        toml::from_str(&fs::read_to_string(root().join("tests/house/attacks.toml")).unwrap()).unwrap();
    let (tests, vectors) = (tests(), vectors());
    let mut page = String::from(
        "# Attacks, and the tests that show them refused\n\n\
         Made by `tests/house/security_table.rs` from `tests/house/attacks.toml`, the vectors and the `attack:` lines beside\n\
         the tests; do not edit. `tests/op` runs over HTTP against the running server. Vectors are of\n\
         `vectors/attacks.jsonl` and `good.jsonl`, each with exactly the code it expects; `accepted` among the codes\n\
         are the neighbours at the boundary that must be accepted.\n",
    );
    let (mut known, mut used, mut inputs) = (BTreeSet::new(), BTreeSet::new(), 0);
    for class in &attacks.class {
        write!(
            page,
            "\n## {} (`{}`)\n\nMust be: {}.\n\n| input | tests | vectors and codes |\n| --- | --- | --- |\n",
            class.title, class.id, class.must
        )
        .unwrap();
        for input in &class.input {
            let [name, what, patterns @ ..] = input.as_slice() else { panic!("{}: {input:?}", class.id) };
            let id = format!("{}.{name}", class.id);
            assert!(known.insert(id.clone()), "{id} occurs twice");
            let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
            for pattern in patterns {
                let matching: Vec<_> =
                    vectors.iter().filter(|(vector, _)| matches(pattern, vector)).collect();
                assert!(!matching.is_empty(), "{id}: no vector is called {pattern}");
                for (vector, code) in matching {
                    used.insert(vector.as_str());
                    *codes.entry(code).or_default() += 1;
                }
            }
            let by: Vec<&Test> = tests.iter().filter(|test| test.attacks.contains(&id)).collect();
            assert!(!by.is_empty() || !codes.is_empty(), "{id} is shown by no test and no vector");
            assert!(
                !class.server || by.iter().any(|test| test.file.starts_with("tests/op/")),
                "{id} is not shown over HTTP"
            );
            let codes: Vec<String> =
                codes.iter().map(|(code, count)| format!("{count} × `{code}`")).collect();
            writeln!(page, "| {what} | {} | {} |", shown(&by), codes.join(", ")).unwrap();
            inputs += 1;
        }
    }
    for test in &tests {
        for attack in &test.attacks {
            assert!(
                known.contains(attack),
                "{}: `{}` names {attack}, which is not an input",
                test.file,
                test.name
            );
        }
    }
    let rows: BTreeSet<&str> = used.iter().map(|vector| vector.rsplit_once('/').unwrap().0).collect();
    let file = fs::read_to_string(root().join("vectors/attacks.jsonl")).unwrap();
    for line in file.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let row = vector["row"].as_str().unwrap();
        assert!(rows.contains(row), "vectors of {row} belong to no class");
    }
    assert!(attacks.class.len() >= 29 && inputs > 150, "{} classes, {inputs} inputs", attacks.class.len());
    compare("docs/generated/attacks.md", &page);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Findings {
    group: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    title: String,
    /// The ids that the review has given: `S1..S24`.
    #[serde(default)]
    all: Vec<String>,
    finding: Vec<Finding>,
}

impl Group {
    /// Rejects a table that lacks an id of the review: `id` stands for `A10`, and so do its parts `A10a` and `A10b`.
    fn assert_complete(&self, known: &BTreeSet<&str>) {
        for range in &self.all {
            let (first, last) = range.split_once("..").unwrap();
            let prefix = first.trim_end_matches(|c: char| c.is_ascii_digit());
            let number = |id: &str| id.strip_prefix(prefix).unwrap().parse::<u32>().unwrap();
            for wanted in (number(first)..=number(last)).map(|number| format!("{prefix}{number}")) {
                let stands_for = |id: &&str| id.trim_end_matches(|c: char| c.is_ascii_lowercase()) == wanted;
                assert!(known.iter().any(stands_for), "{}: no row for {wanted}", self.title);
            }
        }
    }
}

/// A finding: what was observed, and what holds instead of a test where none can show it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finding {
    id: String,
    /// Names of its cases, and findings of the same kind.
    #[serde(default)]
    also: Vec<String>,
    observed: String,
    /// The document that settles a finding which is no behaviour of the program.
    document: Option<String>,
    /// Why the finding is not mended.
    open: Option<String>,
}

#[test]
fn every_finding_is_mended_or_listed_as_open() {
    let text = fs::read_to_string(root().join("tests/house/findings.toml")).unwrap();
    let findings: Findings = toml::from_str(&text).unwrap();
    let tests = tests();
    let mut page = String::from(
        "# Findings of reviews, and the tests that hold their mends\n\n\
         Made by `tests/house/security_table.rs` from `tests/house/findings.toml` and the `finding:` lines beside the\n\
         tests; do not edit.\n",
    );
    let (mut listed, mut known) = (BTreeSet::new(), BTreeSet::new());
    for group in &findings.group {
        write!(page, "\n## {}\n\n| | observed | held by |\n| --- | --- | --- |\n", group.title).unwrap();
        for Finding { id, also, observed, document, open } in &group.finding {
            assert!(listed.insert(id.as_str()), "{id} occurs twice");
            let names: Vec<&String> = [id].into_iter().chain(also).collect();
            known.extend(names.iter().map(|name| name.as_str()));
            let by: Vec<&Test> =
                tests.iter().filter(|test| names.iter().any(|name| test.findings.contains(name))).collect();
            // A finding of the same kind is no proof of another case: each name has a test of its own.
            let shown_by_none = |name: &&String| !by.iter().any(|test| test.findings.contains(*name));
            let alone: Vec<_> = names.into_iter().filter(shown_by_none).collect();
            assert!(by.is_empty() || alone.is_empty(), "{alone:?} are shown by no test of their own");
            let held = match (document, open) {
                _ if !by.is_empty() => shown(&by),
                (Some(document), _) => {
                    assert!(root().join(document).exists(), "{id}: no file {document}");
                    format!("[{document}](../../{document})")
                }
                (None, Some(reason)) => format!("open: {reason}"),
                (None, None) => panic!("{id} is shown by no test, settled by no document and not open"),
            };
            assert!(open.is_none() || by.is_empty(), "{id} is open, and `{}` shows it", by[0].name);
            writeln!(page, "| {id} | {observed} | {held} |").unwrap();
        }
    }
    for group in &findings.group {
        group.assert_complete(&known);
    }
    for test in &tests {
        for finding in &test.findings {
            assert!(known.contains(finding.as_str()), "{}: `{}` names {finding}", test.file, test.name);
        }
    }
    compare("docs/generated/findings.md", &page);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Conformance {
    module: Vec<[String; 4]>,
    out_of_scope: Vec<[String; 3]>,
}

#[test]
fn every_conformance_module_is_answered() {
    let text = fs::read_to_string(root().join("tests/house/conformance.toml")).unwrap();
    let modules: Conformance = toml::from_str(&text).unwrap();
    let tests = tests();
    let holds = |name: &str, module: &str| {
        let mut words = name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        words.any(|word| word == module)
    };
    let mut page = String::from(
        "# The relying-party conformance modules\n\n\
         Made by `tests/house/security_table.rs` from `tests/house/conformance.toml` and the tests of `tests/op` with a\n\
         module's name; do not edit. The names are those of the OpenID Foundation's suite, which has not itself\n\
         been run: these tests put a provider of their own in each situation, over HTTP.\n\n\
         | module | plan | the provider | result | shown by |\n| --- | --- | --- | --- | --- |\n",
    );
    let mut known = BTreeSet::new();
    for [name, plans, what, result] in &modules.module {
        assert!(known.insert(name.clone()), "{name} occurs twice");
        let shows = |test: &&Test| test.modules.contains(name) || holds(&test.name, name);
        let by: Vec<&Test> = tests.iter().filter(shows).collect();
        assert!(by.iter().any(|test| test.file.starts_with("tests/op/")), "{name} is shown by no test");
        writeln!(page, "| {name} | {plans} | {what} | {result} | {} |", shown(&by)).unwrap();
    }
    page.push_str("\n## Out of scope\n\n| module | plan | why |\n| --- | --- | --- |\n");
    for [name, plans, reason] in &modules.out_of_scope {
        assert!(known.insert(name.clone()), "{name} occurs twice");
        assert!(!reason.is_empty());
        writeln!(page, "| {name} | {plans} | {reason} |").unwrap();
    }
    for test in &tests {
        for module in &test.modules {
            assert!(
                known.contains(module),
                "{}: `{}` names {module}, which is not a module",
                test.file,
                test.name
            );
        }
    }
    compare("docs/generated/conformance.md", &page);
    // Compared with the suite's own list: no module is missing, and each is in the plans it is said to be in.
    let Some(list) = shared_data::find("conformance/oidcc_client_modules.json") else { return };
    let list: Value = serde_json::from_str(&fs::read_to_string(list).unwrap()).unwrap();
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let all = list["modules"].as_array().unwrap();
    let all: BTreeSet<_> = all.iter().map(|module| module["testName"].as_str().unwrap().to_owned()).collect();
    assert_eq!(known, all);
    let plans = modules.module.iter().map(|[name, plans, ..]| (name, plans));
    let plans: BTreeMap<_, _> =
        plans.chain(modules.out_of_scope.iter().map(|[name, plans, _]| (name, plans))).collect();
    for (word, plan) in [
        ("basic", "oidcc-client-basic-certification-test-plan"),
        ("config", "oidcc-client-config-certification-test-plan"),
        ("back-channel", "oidcc-client-back-channel-logout-rp-basic"),
        ("RP-initiated", "oidcc-client-rp-initiated-logout-rp-basic"),
    ] {
        let listed = plans.iter().filter(|(_, plans)| plans.split(", ").any(|plan| plan == word));
        let listed: BTreeSet<String> = listed.map(|(name, _)| (*name).clone()).collect();
        assert_eq!(listed, names(&list["plans"][plan]), "{plan}");
    }
}
