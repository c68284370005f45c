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
    assert!(page("claimgate-config-check.1").contains(".SH EXTRA"));
    let refused = run(&["man", &folder.path("absent")]);
    assert!(refused.code == 2 && refused.err.contains("absent"), "{}", refused.err);
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
