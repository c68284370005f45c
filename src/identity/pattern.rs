//! Regular expressions of a mapping, and texts with placeholders for their captures.

use regex::{Captures, Regex, RegexBuilder};

use super::{MappingError, MappingProblem, SettingPath};

/// The maximum size of compiled expressions, each and together, in bytes.
pub(super) const COMPILED_BYTES: usize = 8 << 20;

/// Returns the expression that matches whole texts alone.
pub(super) fn whole(pattern: &str) -> String {
    format!(r"\A(?:{pattern})\z")
}

/// Compiles the expression that a setting holds, to match whole texts alone.
pub(super) fn compile_regex(pattern: &str, setting: &SettingPath) -> Result<Regex, MappingError> {
    RegexBuilder::new(&whole(pattern)).size_limit(COMPILED_BYTES).build().map_err(|error| MappingError {
        setting: setting.clone(),
        problem: MappingProblem::Pattern { pattern: pattern.into(), reason: reason(&error) },
    })
}

/// Returns why an expression does not compile, on one line: the engine shows the pattern with a mark below it.
pub(super) fn reason(error: &regex::Error) -> Box<str> {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("compiled it is larger than {limit} bytes").into(),
        error => {
            let text = error.to_string();
            let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            last.trim_start_matches("error: ").trim().into()
        }
    }
}

/// Returns the names and the numbers of an expression's captures.
pub(super) fn captures(regex: &Regex) -> Vec<String> {
    let names = regex.capture_names().flatten().map(str::to_owned);
    names.chain((1..regex.captures_len()).map(|number| number.to_string())).collect()
}

/// Returns what a capture holds, by its name or its number.
pub(super) fn capture(captures: &Captures<'_>, gap: &str) -> Option<String> {
    let found = gap.parse().map_or_else(|_| captures.name(gap), |number: usize| captures.get(number));
    found.map(|capture| capture.as_str().to_owned())
}

/// A text with placeholders.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Gap(String),
}

impl Template {
    /// Parses a text with placeholders in braces, each of which must be one of `gaps`.
    pub(super) fn parse(text: &str, gaps: &[String]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (gap, after) =
                after.split_once('}').ok_or_else(|| format!("`{text}` has a `{{` without its `}}`"))?;
            if !gaps.iter().any(|known| known == gap) {
                let known = if gaps.is_empty() { "none".to_owned() } else { gaps.join(", ") };
                return Err(format!("`{text}` wants {{{gap}}}, but this rule provides: {known}"));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Gap(gap.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Reports whether the text has no placeholder.
    pub(super) fn is_fixed(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Returns the text with its placeholders filled in, or `None` if one of them is empty.
    pub(super) fn fill(&self, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Gap(gap) => filled.push_str(&value(gap).filter(|value| !value.trim().is_empty())?),
            }
        }
        Some(filled)
    }
}
