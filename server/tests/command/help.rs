//! Help, completions, the list of algorithms, and a closed standard output.

use super::support::*;
use claimgate::alg::Registry;
use serde_json::json;

#[test]
fn lists_algorithms_and_prints_completions() {
    let listed = run(&["algorithms", "--format", "json"]).json();
    assert_eq!(listed, json!(Registry::builtin().names().collect::<Vec<_>>()));
    assert_eq!(run(&["algorithms"]).out.lines().count(), 14);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        assert!(script.code == 0 && script.out.contains("keygen"), "{shell}");
    }
}

#[test]
fn every_help_has_an_example() {
    let subcommands: [&[&str]; 33] = [
        &[],
        &["init"],
        &["serve"],
        &["demo"],
        &["user", "add"],
        &["user", "list"],
        &["user", "show"],
        &["user", "rename"],
        &["user", "unlink"],
        &["user", "remove"],
        &["provider", "rename-issuer"],
        &["provider", "unlink"],
        &["user", "passwd"],
        &["user", "deactivate"],
        &["user", "activate"],
        &["session", "list"],
        &["session", "end"],
        &["log"],
        &["doctor"],
        &["health"],
        &["backup"],
        &["restore"],
        &["verify"],
        &["query"],
        &["explain"],
        &["config"],
        &["config", "check"],
        &["decode"],
        &["keygen"],
        &["sign"],
        &["algorithms"],
        &["completions"],
        &["man"],
    ];
    for command in subcommands {
        let help = run(&[command, &["--help"]].concat());
        assert_eq!(help.code, 0, "{command:?}");
        assert!(help.out.contains("Example"), "{command:?}\n{}", help.out);
        let example = format!("claimgate {}", command.join(" "));
        assert!(help.out.contains(example.trim_end()), "{command:?}\n{}", help.out);
    }
    assert!(run(&["--help"]).out.contains("Examples:"));
    assert!(run(&["--version"]).out.starts_with("claimgate "));
    assert_eq!(run(&[]).code, 2);
    assert_eq!(run(&["nonsense"]).code, 2);
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let folder = Folder::new();
    let written = run(&["man", &folder.path("")]);
    assert_eq!((written.code, written.out.as_str()), (0, ""), "{}", written.err);
    let page = |name: &str| std::fs::read_to_string(folder.path(name)).expect(name);
    for line in page("claimgate.1").lines().filter(|line| line.starts_with("claimgate\\-")) {
        let name = line.trim_end_matches("(1)").replace('\\', "");
        assert!(page(&format!("{name}.1")).contains("claimgate"), "{name}");
    }
    assert!(page("claimgate-config-check.1").contains(".SH EXAMPLES\n.nf\nclaimgate config check"));
    assert!(page("claimgate-health.1").contains(".SH \"EXIT STATUS\"\n0 ready, 1 not ready"));
    let log = page("claimgate-log.1");
    assert!(log.contains(".PP\nPrints the newest events") && !log.contains("EXTRA"), "{log}");
    let refused = run(&["man", &folder.path("absent")]);
    assert!(refused.code == 2 && refused.err.contains("absent"), "{}", refused.err);
}

/// Formats each page at the width of a terminal: groff warns of nothing, and no line is longer.
#[test]
fn every_manual_page_is_sound() {
    use std::process::Command;
    if Command::new("groff").arg("--version").output().is_err() {
        eprintln!("skipped: groff is not installed");
        return;
    }
    let folder = Folder::new();
    assert_eq!(run(&["man", &folder.path("")]).code, 0);
    for page in std::fs::read_dir(folder.path("")).expect("a folder") {
        let page = page.expect("a page").path();
        let groff = Command::new("groff")
            .args(["-man", "-ww", "-K", "utf8", "-T", "utf8", "-P-cbou", "-rLL=80n"])
            .arg(&page)
            .output()
            .expect("groff runs");
        let warnings = String::from_utf8_lossy(&groff.stderr);
        assert!(groff.status.success() && warnings.is_empty(), "{}: {warnings}", page.display());
        let text = String::from_utf8_lossy(&groff.stdout).into_owned();
        let long = text.lines().find(|line| line.chars().count() > 80);
        assert_eq!(long, None, "{}", page.display());
    }
}

/// Returns the path of each subcommand, as its manual page names it.
fn subcommands() -> Vec<Vec<String>> {
    let folder = Folder::new();
    assert_eq!(run(&["man", &folder.path("")]).code, 0);
    let pages = std::fs::read_dir(folder.path("")).expect("a folder");
    let names = pages.map(|page| page.expect("a page").file_name().into_string().expect("UTF-8"));
    // One subcommand alone has a hyphen in its name.
    let split = |name: String| {
        let name = name.replace("rename-issuer", "rename_issuer");
        let parts = name.trim_end_matches(".1").split('-').skip(1);
        parts.map(|part| part.replace('_', "-")).collect()
    };
    names.map(split).collect()
}

/// What follows the options flows at the width of the terminal: a line of prose ends where a sentence does, or where
/// the next word does not fit; an example is no wider than a narrow terminal, or its manual page.
#[test]
fn help_flows_at_every_width() {
    let all = subcommands();
    assert!(all.len() > 30 && all.iter().any(|path| path == &["provider", "rename-issuer"]), "{all:?}");
    for path in &all {
        for (columns, width) in [("80", 80), ("120", 120)] {
            let help = std::process::Command::new(env!("CARGO_BIN_EXE_claimgate"))
                .args(path)
                .arg("--help")
                .env("COLUMNS", columns)
                .output()
                .expect("runs");
            assert!(help.status.success(), "{path:?}");
            let help = String::from_utf8(help.stdout).expect("UTF-8");
            let after = help.split_once("Example").map(|(_, after)| after).unwrap_or_default();
            let lines: Vec<&str> = after.lines().collect();
            for line in &lines {
                let most = if line.starts_with("  ") { 75 } else { width };
                assert!(line.chars().count() <= most, "{path:?}: {line}");
            }
            for two in lines.windows(2).filter(|two| !two.iter().any(|line| line.starts_with("  "))) {
                let word = two[1].split(' ').next().unwrap_or_default();
                let fits = two[0].chars().count() + 1 + word.chars().count() <= width;
                let is_cut = !two[0].is_empty() && !word.is_empty() && !two[0].ends_with(['.', ':', '}']);
                assert!(!(fits && is_cut), "{path:?} at {columns} columns: {two:?}");
            }
        }
    }
}

#[test]
fn the_version_has_the_facts_of_the_build_and_no_time() {
    let facts = run(&["--version"]).out;
    for line in
        ["engine    claimgate 0.", "commit    ", "compiler  ", "target    ", "profile   ", "SQLite    3."]
    {
        assert!(facts.lines().any(|found| found.starts_with(line)), "{line}: {facts}");
    }
    assert_eq!(run(&["-V"]).out.lines().count(), 1);
    assert_eq!(facts, run(&["--version"]).out);
}

#[cfg(unix)]
#[test]
fn a_closed_standard_output_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_claimgate"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
