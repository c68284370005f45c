//! `docs/assurance/guarantees.md` names tests that exist; `docs/generated/limits.md` lists the limits of the code.
//! `CLAIMGATE_WRITE_TABLES=1 cargo test -p claimgate --test house` rewrites the limits.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::fmt::Write as _;
use std::fs;

use super::source::root;
use super::traceability::{Test, compare, files, tests};
use regex::Regex;

/// Each guarantee names tests that exist: `` `file`: name · name ``, joined by `;`.
#[test]
fn every_guarantee_names_its_tests() {
    let section = fs::read_to_string(root().join("docs/assurance/guarantees.md")).unwrap();
    let tests = tests();
    let mention = Regex::new(r"^`([^`]+)`(?:: (.+))?$").unwrap();
    let mut rows = 0;
    for line in section.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [guarantee, shown] = cells.as_slice() else { panic!("two columns: {line}") };
        for part in shown.split("; ") {
            let found =
                mention.captures(part).unwrap_or_else(|| panic!("{guarantee}: `{part}` names no file"));
            assert!(root().join(&found[1]).exists(), "{guarantee}: {} does not exist", &found[1]);
            let names = found.get(2).map_or(Vec::new(), |names| names.as_str().split(" · ").collect());
            // Vectors and fuzz targets are named as a file; of a file of tests, the row names the tests.
            assert!(
                !names.is_empty() || !found[1].contains("tests/"),
                "{guarantee}: which test of {}?",
                &found[1]
            );
            for name in names {
                let known = |test: &Test| test.file == found[1] && test.name == name;
                assert!(tests.iter().any(known), "{guarantee}: {} has no test `{name}`", &found[1]);
            }
        }
        rows += 1;
    }
    assert!(rows >= 30, "{rows} guarantees");
}

/// Returns the documentation above a line of code, on one line.
fn documentation(lines: &[&str], at: usize) -> String {
    let comments =
        lines[..at].iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with("///"));
    let mut comments: Vec<&str> = comments.map(|line| line.trim_start_matches("///").trim()).collect();
    comments.reverse();
    comments.join(" ").replace('|', r"\|")
}

/// Returns a value of the code with units for people.
fn value(text: &str) -> String {
    let text = text.trim().trim_end_matches([';', ',']);
    let seconds = Regex::new(r"Duration::from_(secs|millis)\((\d+)\)").unwrap();
    let text = seconds.replace_all(text, |found: &regex::Captures<'_>| {
        format!("{} {}", &found[2], if &found[1] == "secs" { "s" } else { "ms" })
    });
    let number = Regex::new(r#"NonZeroU32::new\((\d+)\)\.expect\("not zero"\)"#).unwrap();
    let text = number.replace_all(&text, "$1");
    let hours = Regex::new(r"Duration::from_secs\((\d+) \* 60 \* 60\)").unwrap();
    let text = hours.replace_all(&text, "$1 h");
    let minutes = Regex::new(r"Duration::from_secs\((\d+) \* 60\)").unwrap();
    let text = minutes.replace_all(&text, "$1 min");
    let text = Regex::new(r"(\d)_(\d)").unwrap().replace_all(&text, "$1$2").into_owned();
    match text.split_once(" * ") {
        Some((left, "1024")) => format!("{left} KiB"),
        Some((left, "1024 * 1024")) => format!("{left} MiB"),
        Some((left, "60")) => format!("{left} min"),
        Some((left, "60 * 60")) => format!("{left} h"),
        _ => text,
    }
}

/// Returns a size in MiB from its text, such as "64 KiB"; a number without a unit as it is.
fn mebibytes(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: f64 = number.parse().unwrap_or_else(|_| panic!("{text} is no size"));
    match unit {
        "KiB" => number / 1024.0,
        _ => number,
    }
}

/// The bound of memory is the sum of its rows, and each row is computed from limits of the code.
#[test]
fn the_bound_of_memory_is_the_sum_of_limits() {
    let limits = fs::read_to_string(root().join("docs/generated/limits.md")).unwrap();
    let page = fs::read_to_string(root().join("docs/assurance/denial-of-service.md")).unwrap();
    let factor = |text: &str| match text.strip_prefix('`') {
        Some(name) => {
            let row = limits.lines().find(|line| line.starts_with(&format!("| `{name} in "))).unwrap();
            mebibytes(row.split(" | ").nth(1).unwrap())
        }
        None => mebibytes(text),
    };
    let value = |formula: &str| -> f64 {
        formula.split(" + ").map(|term| term.split(" × ").map(factor).product::<f64>()).sum()
    };
    let table = page.split("## Memory").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut sums = [0.0, 0.0];
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split('|').map(str::trim).collect();
        for (column, sum) in sums.iter_mut().enumerate() {
            let (formula, written) = (cells[1 + 2 * column], mebibytes(cells[2 + 2 * column]));
            let expected = if formula.is_empty() { *sum } else { value(formula) };
            assert!((written - expected).abs() < 0.5, "{row}: {expected}");
            *sum += expected;
        }
    }
    assert!(sums[0] > 2.0 * 1024.0, "the table was read");
}

/// The table of bounds holds each default and reason of the code.
#[test]
fn the_limits_are_those_of_the_code() {
    let mut table = String::from(
        "# Limits\n\nWritten by `tests/house/security_document.rs` from the code; do not edit. `Limits::…` are arguments of the library.\n\n\
         | limit | default | purpose |\n| --- | --- | --- |\n",
    );
    let code = fs::read_to_string(root().join("src/limits.rs")).unwrap();
    let lines: Vec<&str> = code.lines().collect();
    let defaults = code.split("DEFAULT: Limits = Limits {").nth(1).unwrap().split("};").next().unwrap();
    for (at, line) in lines.iter().enumerate() {
        if let Some((name, _)) = line.trim().strip_prefix("pub ").and_then(|line| line.split_once(": usize"))
        {
            let default =
                defaults.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: "))).unwrap();
            writeln!(table, "| `Limits::{name}` | {} | {} |", value(default), documentation(&lines, at))
                .unwrap();
        }
    }
    let constant =
        Regex::new(r"^(?:pub(?:\(\w+\))? )?const ([A-Z_]+): (?:usize|u32|u64|Duration|\(NonZeroU32, Duration\)) = (.+);$")
            .unwrap();
    let mut paths = Vec::new();
    for folder in [
        "src/claims",
        "src/access",
        "src/identity",
        "src/path",
        "src/oidc",
        "remote/src",
        "server/config/src",
        "server/src/editing",
        "server/src/web",
        "server/src/store",
    ] {
        files(&root().join(folder), &mut paths);
    }
    let mut number = 0;
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            // Rights of files (octal) and nothing are no limits.
            let found = constant.captures(line).filter(|found| !found[2].starts_with('0'));
            let Some(found) = found else { continue };
            let what = documentation(&lines, at);
            assert!(!what.is_empty(), "{name}: {} has no documentation", &found[1]);
            writeln!(table, "| `{}` in `{name}` | {} | {what} |", &found[1], value(&found[2])).unwrap();
            number += 1;
        }
    }
    assert!(number > 20, "{number}");
    compare("docs/generated/limits.md", &table);
}
