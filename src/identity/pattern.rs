//! Regular expressions of a mapping, and texts with placeholders for their captures.

use regex::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::spec::{GroupSpec, MappingSpec};
use super::{MappingError, MappingProblem, SettingPath};

/// The maximum size of compiled expressions of team rules together, and of `username_regex`, in bytes.
const COMPILED_BYTES: usize = 8 << 20;
/// The longest texts of expressions of team rules together, in bytes: parsed, two of them can take 6 KiB.
const EXPRESSION_BYTES: usize = 32 << 10;
/// Most claim paths of a mapping: of usernames, groups and the profile together. Each may visit as many nodes as
/// `Limits::path_nodes`.
const PATHS: usize = 100;
/// Most regular expressions in the claim paths of a mapping. Each takes a few MiB at most.
const PATH_EXPRESSIONS: usize = 16;
/// Enough for no expression: only its syntax is checked.
const NOTHING: usize = 0;

/// Returns the expression that matches whole texts alone.
fn whole(pattern: &str) -> String {
    format!(r"\A(?:{pattern})\z")
}

/// Compiles the expression that a setting holds, to match whole texts alone.
pub(super) fn compile_regex(pattern: &str, setting: &SettingPath) -> Result<Regex, MappingError> {
    RegexBuilder::new(&whole(pattern))
        .size_limit(COMPILED_BYTES)
        .build()
        .map_err(|error| fault(setting, pattern, reason(&error)))
}

/// Compiles expressions of settings together, each to match whole texts alone. What they take together is limited before the
/// first is compiled alone: their texts, and their compiled form without captures.
///
/// # Errors
/// The first expression with a fault, or `all` of them.
pub(super) fn compile_set(
    patterns: &[(SettingPath, &str)],
    all: &SettingPath,
) -> Result<(RegexSet, Vec<Regex>), MappingError> {
    let together = |reason: Box<str>| match patterns {
        [(setting, pattern)] => fault(setting, pattern, reason),
        _ => fault(all, "all of them together", reason),
    };
    if patterns.iter().map(|(_, pattern)| pattern.len()).sum::<usize>() > EXPRESSION_BYTES {
        return Err(together(format!("longer than {EXPRESSION_BYTES} bytes").into()));
    }
    for (setting, pattern) in patterns {
        match RegexBuilder::new(&whole(pattern)).size_limit(NOTHING).build() {
            Ok(_) | Err(regex::Error::CompiledTooBig(_)) => {}
            Err(error) => return Err(fault(setting, pattern, reason(&error))),
        }
    }
    let whole = patterns.iter().map(|(_, pattern)| whole(pattern));
    let set = RegexSetBuilder::new(whole).size_limit(COMPILED_BYTES).build();
    let set = set.map_err(|error| together(reason(&error)))?;
    let each = patterns.iter().map(|(setting, pattern)| compile_regex(pattern, setting));
    Ok((set, each.collect::<Result<_, _>>()?))
}

/// Checks the number of claim paths of a mapping, and of the regular expressions in them, before one is compiled.
///
/// # Errors
/// The path that is one too many, or has one too many.
pub(super) fn check_paths(spec: &MappingSpec) -> Result<(), MappingError> {
    let username = spec.username.as_slice().iter().map(|path| (SettingPath::of("username"), path));
    let groups = spec.groups.iter().enumerate().map(|(index, group)| {
        let path = match group {
            GroupSpec::Path(path) => path,
            GroupSpec::Detailed(detail) => &detail.path,
        };
        (SettingPath::of("groups").index(index), path)
    });
    let profile = spec.profile.iter().map(|(field, path)| (SettingPath::of("profile").name(field), path));
    let mut expressions = 0;
    for (index, (setting, path)) in username.chain(groups).chain(profile).enumerate() {
        if index >= PATHS {
            return Err(MappingError::setting(setting, format!("a mapping has at most {PATHS} claim paths")));
        }
        if !path.starts_with('$') {
            continue;
        }
        let path: String = path.split_whitespace().collect();
        expressions += ["match(", "search("].map(|call| path.matches(call).count()).iter().sum::<usize>();
        if expressions > PATH_EXPRESSIONS {
            let reason =
                format!("the paths of a mapping have at most {PATH_EXPRESSIONS} regular expressions");
            return Err(MappingError::setting(setting, reason));
        }
    }
    Ok(())
}

fn fault(setting: &SettingPath, pattern: &str, reason: Box<str>) -> MappingError {
    MappingError {
        setting: setting.clone(),
        problem: MappingProblem::Pattern { pattern: pattern.into(), reason },
    }
}

/// Returns why an expression does not compile, on one line: the engine shows the pattern with a mark below it.
fn reason(error: &regex::Error) -> Box<str> {
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
