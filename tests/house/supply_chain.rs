//! Dependencies: a reason for each direct one; licences, sources and duplicates as `deny.toml` allows;
//! no build script that downloads.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

use super::source::root;

/// Returns the folders of the workspace's members, from the workspace's own list.
fn members() -> Vec<String> {
    let manifest: Value =
        serde_json::to_value(toml::from_str::<toml::Table>(&read("Cargo.toml")).unwrap()).unwrap();
    let members = list(&manifest["workspace"], "members").map(|member| member.as_str().unwrap().to_owned());
    let members: Vec<String> = members.collect();
    assert!(members.len() >= 2 && members.contains(&".".to_owned()), "{members:?}");
    members
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn metadata() -> Value {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list<'v>(value: &'v Value, member: &str) -> impl Iterator<Item = &'v Value> {
    value[member].as_array().unwrap().iter()
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

#[test]
fn every_dependency_has_a_reason() {
    let mut direct = BTreeSet::new();
    for member in members() {
        let manifest: toml::Table = toml::from_str(&read(&format!("{member}/Cargo.toml"))).unwrap();
        assert!(!root().join(&member).join("build.rs").exists(), "{member} has a build script");
        for section in ["dependencies", "dev-dependencies"] {
            let section = manifest.get(section).and_then(|section| section.as_table());
            direct.extend(section.into_iter().flat_map(|section| section.keys()).cloned());
        }
        assert!(manifest.get("build-dependencies").is_none(), "{member} has a build script");
    }
    direct.retain(|name| !name.starts_with("claimgate"));
    let metadata = metadata();
    let page = read("docs/assurance/dependencies.md");
    let row = Regex::new(r"(?m)^\| `([^`]+)` \| (.+) \| (.+) \| (.+) \| ([\w.-]+/[\w.-]+) \|$").unwrap();
    let mut rows = BTreeSet::new();
    for found in row.captures_iter(&page) {
        let (name, kept) = (found.get(1).unwrap().as_str(), &found[5]);
        assert!(rows.insert(name.to_owned()), "{name} has two rows");
        let says =
            |package: &Value| text(package, "name") == name && text(package, "repository").contains(kept);
        assert!(list(&metadata, "packages").any(says), "`{name}` does not name the repository {kept}");
    }
    let without: Vec<_> = direct.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&direct).collect();
    assert!(without.is_empty() && gone.is_empty(), "without a reason: {without:?}; no dependency: {gone:?}");
    assert!(rows.len() > 40);
}

/// Reports whether the allowed licences satisfy an SPDX expression (`/` is read as OR).
fn allowed(expression: &str, licences: &BTreeSet<&str>) -> bool {
    let expression = expression.replace('/', " OR ");
    let (mut depth, mut parts, mut joints, mut part) = (0, Vec::new(), BTreeSet::new(), String::new());
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "AND" | "OR" if depth == 0 => {
                joints.insert(word.to_owned());
                parts.push(std::mem::take(&mut part));
                continue;
            }
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        part.push_str(word);
        part.push(' ');
    }
    parts.push(part);
    let meets = |part: &String| {
        let part = part.trim();
        match part.strip_prefix("( ").and_then(|part| part.strip_suffix(" )")) {
            Some(inner) => allowed(inner, licences),
            None => licences.contains(part),
        }
    };
    // AND and OR without parentheses: no dependency writes that.
    assert!(joints.len() < 2, "{expression}");
    if joints.contains("AND") { parts.iter().all(meets) } else { parts.iter().any(meets) }
}

#[test]
fn licence_expressions_are_read_right() {
    let licences = BTreeSet::from(["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]);
    for (expression, meets) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(GPL-3.0 OR LGPL-3.0) AND ISC", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("", false),
    ] {
        assert_eq!(allowed(expression, &licences), meets, "{expression}");
    }
}

#[test]
fn sources_licences_and_duplicates_are_those_allowed() {
    let rules: Value =
        serde_json::to_value(toml::from_str::<toml::Table>(&read("deny.toml")).unwrap()).unwrap();
    let licences: BTreeSet<&str> =
        list(&rules["licenses"], "allow").map(|name| name.as_str().unwrap()).collect();
    let registries: BTreeSet<String> = list(&rules["sources"], "allow-registry")
        .map(|address| format!("registry+{}", address.as_str().unwrap()))
        .collect();
    assert_eq!(rules["sources"]["unknown-registry"], "deny");
    assert_eq!(rules["sources"]["unknown-git"], "deny");
    assert_eq!(rules["bans"]["multiple-versions"], "deny");
    let metadata = metadata();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut needed = BTreeSet::new();
    for package in
        list(&metadata, "packages").filter(|package| !text(package, "name").starts_with("claimgate"))
    {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        assert!(allowed(licence, &licences), "{name}: {licence}");
        for part in licences.iter().filter(|part| licence.contains(**part)) {
            needed.insert(*part);
        }
        assert!(registries.contains(text(package, "source")), "{name} comes from {}", package["source"]);
        versions.entry(name).or_default().push(text(package, "version"));
    }
    assert!(versions.len() > 200);
    assert_eq!(needed, licences, "a licence is allowed that no dependency has");
    // Each version but the newest is named with a reason, and each named version is in use.
    let mut skipped: BTreeSet<&str> = BTreeSet::new();
    for skip in list(&rules["bans"], "skip") {
        assert!(!text(skip, "reason").is_empty(), "{skip}");
        assert!(skipped.insert(text(skip, "crate")), "{skip} occurs twice");
    }
    let order = |version: &str| -> Vec<u64> {
        version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
    };
    let mut used = BTreeSet::new();
    for (name, versions) in &mut versions {
        versions.sort_by_key(|version| order(version));
        for version in &versions[..versions.len() - 1] {
            let fits = |skip: &&&str| {
                let (skipped, prefix) = skip.split_once('@').unwrap();
                skipped == *name && version.starts_with(&format!("{prefix}."))
            };
            let skip = skipped.iter().find(fits).unwrap_or_else(|| panic!("{name} is there as {versions:?}"));
            used.insert(*skip);
        }
    }
    assert_eq!(used, skipped, "an exception is needed no more");
}

/// The Rust sources of a build script: its file, and what stands beside it in a folder of its own.
fn script(file: &Path, found: &mut Vec<PathBuf>) {
    found.push(file.to_owned());
    let folder = file.parent().unwrap();
    if file.file_stem().is_some_and(|stem| stem == "main") || folder.ends_with("build") {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") && !found.contains(&path) {
                found.push(path);
            }
        }
    }
}

#[test]
fn no_build_script_downloads() {
    let metadata = metadata();
    let word = Regex::new(
        r#"std::net|TcpStream|UdpSocket|ToSocketAddrs|"(?:curl|wget|fetch|clone|pull|submodule|Invoke-WebRequest|powershell(?:\.exe)?)""#,
    )
    .unwrap();
    let (mut scripts, mut begin) = (0, Vec::new());
    for package in list(&metadata, "packages") {
        for target in list(package, "targets") {
            if !list(target, "kind").any(|kind| kind == "custom-build") {
                continue;
            }
            let mut files = Vec::new();
            script(Path::new(text(target, "src_path")), &mut files);
            for file in files {
                let code = fs::read_to_string(&file).unwrap();
                let code: Vec<&str> =
                    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                let found = code.iter().find(|line| word.is_match(line));
                assert!(found.is_none(), "{}: {found:?}", file.display());
            }
            begin.push(text(package, "id"));
            scripts += 1;
        }
    }
    assert!(scripts > 20, "{scripts}");
    // No direct or transitive dependency of a build script is a network client.
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").map(|node| (text(node, "id"), node)).collect();
    let wants = |id: &str, kind: Value| -> Vec<&str> {
        let of_kind = |dependency: &&Value| list(dependency, "dep_kinds").any(|found| found["kind"] == kind);
        list(nodes[id], "deps").filter(of_kind).map(|dependency| text(dependency, "pkg")).collect()
    };
    let mut left: Vec<&str> = begin.iter().flat_map(|id| wants(id, Value::from("build"))).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        if seen.insert(id) {
            left.extend(wants(id, Value::Null));
        }
    }
    let names: BTreeSet<&str> = list(&metadata, "packages")
        .filter(|package| seen.contains(text(package, "id")))
        .map(|package| text(package, "name"))
        .collect();
    assert!(names.contains("cc"), "{names:?}");
    for client in [
        "reqwest",
        "ureq",
        "hyper",
        "curl",
        "minreq",
        "attohttpc",
        "isahc",
        "git2",
        "rustls",
        "native-tls",
        "openssl",
        "tokio",
        "mio",
        "socket2",
    ] {
        assert!(!names.contains(client), "a build script depends on {client}");
    }
}
