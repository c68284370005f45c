//! Rules of the source that the compiler does not check.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

use super::source::{Source, read, root, shipped};

/// Lines of the longest file.
const FILE: usize = 500;

/// The packages that call providers and read the clock are not the engine's.
#[test]
fn the_library_has_no_clock_or_socket() {
    let has_clock = |source: &&Source| {
        ["server/", "remote/", "tower/"].iter().any(|folder| source.name.starts_with(folder))
    };
    for source in shipped().iter().filter(|source| !has_clock(source)) {
        let (name, text) = (&source.name, source.code());
        for word in ["SystemTime::now", "Instant::now", "std::net::Tcp", "std::thread", "tokio"] {
            assert!(!text.contains(word), "{name} uses {word}");
        }
        // The keys of algorithms from outside and signers of the caller are awaited, and what is built on them.
        let awaits = [
            "src/jws/verifier.rs",
            "src/verifier/mod.rs",
            "src/verifier/issuers.rs",
            "src/oidc/assertion.rs",
            "src/oidc/id_token.rs",
            "src/oidc/refresh.rs",
            "src/oidc/token.rs",
            "src/sign/signer.rs",
        ];
        assert!(awaits.contains(&name.as_str()) || !text.contains(".await"), "{name} awaits");
        if !name.starts_with("src/sign") {
            assert!(!text.contains("getrandom") && !text.contains("rand_core"), "{name} uses randomness");
        }
    }
}

/// Tests and benchmarks may count allocations. Each block says why.
#[test]
fn unsafe_is_in_the_kernel_alone() {
    let mut all = shipped();
    for folder in
        ["tests", "remote/tests", "server/tests", "tower/tests", "benches", "examples", "fuzz/fuzz_targets"]
    {
        all.extend(read(folder));
    }
    let word = Regex::new(r"\bunsafe(?:\s*[{(]|\s+(?:fn|impl|trait|extern)\b)").unwrap();
    let mut found = BTreeSet::new();
    for Source { name, text, .. } in all.iter().filter(|source| source.name != "tests/house/tidy.rs") {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if line.trim_start().starts_with("//") || !word.is_match(line) {
                continue;
            }
            let reason = number > 0 && lines[number - 1].contains("// SAFETY: ");
            assert!(reason || line.contains("unsafe fn"), "{name}:{}: no `// SAFETY:` above", number + 1);
            if !name.starts_with("tests/") && !name.starts_with("benches/") {
                found.insert(name.as_str());
            }
        }
    }
    let is_kernel = |name: &&str| name.starts_with("kernel/src/");
    assert!(found.iter().all(is_kernel), "{found:?}");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
    let engine = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(engine.contains("#![forbid(unsafe_code)]"));
}

/// One table leads from errors to statuses.
#[test]
fn statuses_are_chosen_in_one_place() {
    for Source { name, text, .. } in read("server/src/web") {
        assert!(name == "server/src/web/respond.rs" || !text.contains("StatusCode"), "{name}");
    }
}

/// The extractors of axum that may refuse a request answer in a form of their own.
#[test]
fn handlers_read_requests_by_the_extractors_of_the_server() {
    let import = Regex::new(r"use axum::extract::(?:\{[^}]*)?\b(?:Path|Query|Form|Json)\b").unwrap();
    for Source { name, text, .. } in read("server/src/web") {
        assert!(!import.is_match(&text), "{name}");
    }
}

/// The clock is read in one file of the server.
#[test]
fn the_server_has_one_clock() {
    for Source { name, text, .. } in read("server") {
        assert!(name == "server/src/system.rs" || !text.contains("SystemTime"), "{name}");
    }
}

/// A comparison that stops at the first difference tells an attacker how far a guess came.
// attack: time-of-check.source
#[test]
fn secrets_are_compared_in_constant_time() {
    for (name, compares) in [
        ("src/alg/hmac.rs", "verify_slice("),
        ("src/claims/rules.rs", "nonce.as_bytes().ct_eq("),
        ("src/oidc/authorization.rs", "state.as_bytes().ct_eq("),
        ("server/src/web/routes/verify.rs", "given.as_bytes().ct_eq("),
    ] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        assert!(text.contains(compares), "{name} does not say {compares}");
    }
    let secret = r"(?:nonce|state|mac|tag|secret|signature|given|password|code_verifier|csrf)";
    let compared = Regex::new(&format!(
        r"\b{secret}(?:\.as_(?:str|bytes|ref|deref)\(\))?\)? (?:==|!=)|(?:==|!=) &?(?:\w+\.)*{secret}\b"
    ))
    .unwrap();
    for source in shipped() {
        let found = source.code().lines().find(|line| compared.is_match(line));
        assert!(found.is_none(), "{} compares a secret: {found:?}", source.name);
    }
}

/// Texts in a row are easily swapped, and a number says neither seconds nor milliseconds.
#[test]
fn the_relying_partys_functions_take_types() {
    let signature = Regex::new(r"(?s)\bfn \w+[^(;{]*\(.*?\)(?: ->|\s*\{|;)").unwrap();
    let texts =
        Regex::new(r"(?:\w+: (?:&(?:'\w+ )?str|String|Option<&(?:'\w+ )?str>)(?:,\s*|\))){4}").unwrap();
    let number = r"\w+: (?:Option<)?[ui]64\b";
    let (parameter, field) = (Regex::new(number).unwrap(), Regex::new(&format!("pub {number}")).unwrap());
    let mut signatures = 0;
    for source in shipped().iter().filter(|source| source.name.starts_with("src/oidc/")) {
        let code = source.code();
        assert!(!field.is_match(code), "{}: {:?}", source.name, field.find(code));
        for found in signature.find_iter(code) {
            assert!(!texts.is_match(found.as_str()), "{}: {}", source.name, found.as_str());
            let is_public = code[..found.start()].ends_with("pub ");
            assert!(!is_public || !parameter.is_match(found.as_str()), "{}: {}", source.name, found.as_str());
            signatures += 1;
        }
    }
    assert!(signatures > 100, "the search finds too few: {signatures}");
}

#[test]
fn files_are_small_and_have_a_noun() {
    for Source { name, text, .. } in shipped() {
        assert!(text.lines().count() <= FILE, "{name} has {} lines", text.lines().count());
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(!["utils", "util", "helpers", "common", "types", "misc"].contains(&stem.as_str()), "{name}");
        assert!(text.starts_with("//!"), "{name} does not say what it is for");
    }
}

#[test]
fn functions_are_shorter_than_60_lines() {
    let mut long = Vec::new();
    for source in shipped() {
        let functions = functions(source.code());
        long.extend(
            functions
                .into_iter()
                .filter(|(_, lines)| *lines >= 60)
                .map(|(name, lines)| format!("{}: {name}, {lines} lines", source.name)),
        );
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// Returns the functions of a file that have a body, each with its number of lines.
fn functions(code: &str) -> Vec<(&str, usize)> {
    let start = Regex::new(r"\bfn (\w+)").unwrap();
    let functions = start.captures_iter(code).filter_map(|found| {
        let from = found.get(0).unwrap().start();
        let (mut depth, mut is_open) = (0, false);
        for (at, c) in code[from..].char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            is_open |= c == '{' && depth == 1;
            if is_open && depth == 0 {
                return Some((found.get(1).unwrap().as_str(), code[from..=from + at].lines().count()));
            }
            if depth < 0 || (c == ';' && depth == 0) {
                return None;
            }
        }
        None
    });
    functions.collect()
}

#[test]
fn lines_of_functions_are_counted() {
    let code = "trait T {\n    fn a(&self) -> [u8; 4];\n    fn b() {\n        if c {}\n    }\n}\nfn d(e: fn(u8)) {}\n";
    assert_eq!(functions(code), [("b", 3), ("d", 1)]);
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_stated() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let version =
        |text: &str| -> Vec<u32> { text.split('.').take(2).map(|part| part.parse().unwrap()).collect() };
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50);
    for package in packages {
        if let Some(needed) = package["rust_version"].as_str() {
            assert!(version(needed) <= stated, "{} needs {needed}", package["name"]);
        }
    }
}

/// Node 20 sometimes waits for itself for ever where a key is exported that was generated as an object.
#[test]
fn the_keys_of_end_to_end_tests_are_generated_in_one_place() {
    let mut files = 0;
    for entry in fs::read_dir(root().join("tests/op")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".mjs") && name != "jose.mjs" {
            let text = fs::read_to_string(entry.path()).unwrap();
            assert!(!text.contains("generateKey"), "{name}: `newKeys` of jose.mjs makes keys");
            files += 1;
        }
    }
    assert!(files > 50, "{files}");
}
