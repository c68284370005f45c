//! The house rules that a test can hold.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What a package beside this one has built is not ours.
            if !path.ends_with("target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
            found.push((name, fs::read_to_string(path).unwrap()));
        }
    }
}

fn library() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["src", "server/src"] {
        sources(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    assert!(found.len() > 25);
    found
}

/// Left never imports right; rooms in one bracket do not import one another upwards.
const ORDER: [&str; 15] = [
    "limits",
    "text",
    "time",
    "base64url",
    "json",
    "key",
    "alg",
    "jws",
    "claims",
    "error",
    "path",
    "identity",
    "verifier",
    "sign",
    "oidc",
];

/// The same for `server/src`.
const SERVER_ORDER: [&str; 6] = ["system", "config", "store", "web", "demo", "command"];

/// The rooms that may have threads, sockets, a clock and randomness.
const OUTSIDE: [&str; 1] = ["server/src/"];

#[test]
fn imports_point_one_way() {
    for (name, text) in library() {
        let (folder, order) = match name.strip_prefix("server/src/") {
            Some(_) => ("server/src/", &SERVER_ORDER[..]),
            None => ("src/", &ORDER[..]),
        };
        let module = name.trim_start_matches(folder).split(['/', '.']).next().unwrap().to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let place = order.iter().position(|known| *known == module);
        let place = place.unwrap_or_else(|| panic!("{name}: `{module}` is not in the order of modules"));
        for later in &order[place + 1..] {
            let imports = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let wrong =
                imports.filter(|line| line.contains(&format!("crate::{later}::"))).collect::<Vec<_>>();
            assert!(wrong.is_empty(), "{name} imports from `{later}`: {wrong:?}");
        }
    }
}

#[test]
fn the_library_has_no_clock_or_socket() {
    for (name, text) in library() {
        if OUTSIDE.iter().any(|room| name.starts_with(room)) {
            continue;
        }
        for word in ["SystemTime", "Instant::now", "std::net::Tcp", "std::thread", "async fn", "tokio"] {
            assert!(!text.contains(word), "{name} uses {word}");
        }
        if !name.starts_with("src/sign") {
            assert!(!text.contains("getrandom") && !text.contains("rand_core"), "{name} uses randomness");
        }
    }
}

/// `unsafe` stands in one file of what is shipped, the RSA kernel's. Tests and benchmarks may count
/// allocations. Each block says why.
#[test]
fn unsafe_is_in_the_kernel_alone() {
    let mut all = library();
    for folder in ["tests", "server/tests", "benches", "examples", "fuzz/fuzz_targets"] {
        sources(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
    }
    let word = regex::Regex::new(r"\bunsafe(?:\s*[{(]|\s+(?:fn|impl|trait|extern)\b)").unwrap();
    let mut found = std::collections::BTreeSet::new();
    for (name, text) in all.iter().filter(|(name, _)| name != "tests/house/tidy.rs") {
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
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["src/alg/rsa/ifma/mod.rs"]);
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// One table from what went wrong to a status; the router's own time limit beside it.
#[test]
fn statuses_are_chosen_in_one_place() {
    for (name, text) in library().into_iter().filter(|(name, _)| name.starts_with("server/src/web/")) {
        let allowed = ["server/src/web/respond.rs", "server/src/web/routes/mod.rs"].contains(&name.as_str());
        assert!(allowed || !text.contains("StatusCode"), "{name}");
    }
}

/// The clock is read in one file of the server.
#[test]
fn the_server_has_one_clock() {
    for (name, text) in library().into_iter().filter(|(name, _)| name.starts_with("server/src/web/")) {
        assert!(name == "server/src/system.rs" || !text.contains("SystemTime"), "{name}");
    }
}

/// A comparison that stops at the first difference tells how far a guess came.
// attack: time-of-check.source
#[test]
fn secrets_are_compared_in_constant_time() {
    for (name, compares) in [
        ("src/alg/hmac.rs", "verify_slice("),
        ("src/oidc/id_token.rs", "nonce.as_bytes().ct_eq("),
        ("src/oidc/authorization.rs", "state.as_bytes().ct_eq("),
        ("server/src/web/routes/verify.rs", "given.as_bytes().ct_eq("),
    ] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        assert!(text.contains(compares), "{name} does not say {compares}");
        for plain in [
            "== mac",
            "== tag",
            "nonce ==",
            "state ==",
            "given ==",
            "== secret",
            "secret ==",
            "== signature",
            "signature ==",
        ] {
            assert!(!text.contains(plain), "{name} says {plain}");
        }
    }
}

#[test]
fn files_are_small_and_have_a_noun() {
    for (name, text) in library() {
        assert!(text.lines().count() <= 600, "{name} has {} lines", text.lines().count());
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(!["utils", "util", "helpers", "common", "types", "misc"].contains(&stem.as_str()), "{name}");
        assert!(text.starts_with("//!"), "{name} does not say what it is for");
    }
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_stated() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
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
