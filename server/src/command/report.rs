//! A report of what was found, for people and for programs.

use serde_json::{Value, json};

use crate::command::output;

/// A report, line by line.
#[derive(Default)]
pub(crate) struct Report {
    /// For people.
    pub(crate) text: String,
    /// For programs: each line with its severity.
    pub(crate) lines: Vec<Value>,
    pub(crate) problems: usize,
}

impl Report {
    /// Adds a heading, or a fact that is not judged.
    pub(crate) fn line(&mut self, line: &str) {
        self.add("info", "", line);
    }

    pub(crate) fn good(&mut self, line: &str) {
        self.add("ok", "  ok       ", line);
    }

    pub(crate) fn note(&mut self, line: &str) {
        self.add("note", "  note     ", line);
    }

    /// Adds a problem whose text says what to do.
    pub(crate) fn problem(&mut self, line: &str) {
        self.problems += 1;
        self.add("problem", "  PROBLEM  ", line);
    }

    /// Adds a problem and what to do about it.
    pub(crate) fn fault(&mut self, message: &str, remedy: &str) {
        self.problems += 1;
        self.add_text(&format!("  PROBLEM  {message}; {remedy}"));
        self.lines.push(json!({"severity": "problem", "message": message, "remedy": remedy}));
    }

    fn add(&mut self, severity: &str, label: &str, line: &str) {
        self.add_text(&format!("{label}{line}"));
        self.lines.push(json!({"severity": severity, "message": line.trim_start()}));
    }

    fn add_text(&mut self, line: &str) {
        self.text.push_str(&output::escaped(line));
        self.text.push('\n');
    }
}
