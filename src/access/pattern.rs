//! Patterns of paths: `/status`, `/api/*/status`, `/admin/*`.

use super::AccessError;
use super::path::{self, Reading};
use crate::identity::SettingPath;

/// A pattern. `*` between two slashes is one segment; `/*` at the end is everything below, and the path itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPattern {
    /// The text as written.
    pub(super) text: String,
    segments: Vec<PatternSegment>,
    /// The segments for folded readings.
    folded: Vec<PatternSegment>,
    is_prefix: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternSegment {
    Any,
    Text(String),
}

impl PathPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// An [`AccessError`] of a pattern that is no path, or that no request could match for certain.
    pub(super) fn compile(text: &str, setting: &SettingPath) -> Result<Self, AccessError> {
        let refuse = |reason: &str, remedy: &str| {
            AccessError::with_remedy(setting.clone(), format!("`{text}` {reason}"), remedy)
        };
        let as_sent = "write the path as browsers send it, from `/`, such as `/admin/*`";
        if !text.starts_with('/') {
            return Err(refuse("does not begin with a slash", as_sent));
        }
        if text.contains('?') {
            return Err(refuse("has a query, and rules look at the path alone", "remove it from `?` on"));
        }
        let (path, is_prefix) = match text.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let path = if path.is_empty() { "/" } else { path };
        let (plain, folded) = path::of_pattern(path)
            .map_err(|problem| refuse(&problem.to_string(), as_sent))?
            .ok_or_else(|| {
                refuse(
                    "has an encoded slash or percent sign, `;`, `//`, or a yen or won sign, which applications read in several ways",
                    "write the path above it with `/*`",
                )
            })?;
        let segments = |reading: &Reading| -> Result<Vec<_>, AccessError> {
            let segment = |segment: &str| match segment {
                "*" => Ok(PatternSegment::Any),
                text if text.contains('*') => Err(refuse(
                    "has `*` within a name, where it is no pattern",
                    "`*` stands for a whole name",
                )),
                text => Ok(PatternSegment::Text(text.to_owned())),
            };
            reading.segments().map(segment).collect()
        };
        let (segments, folded) = (segments(&plain)?, segments(&folded)?);
        Ok(Self { text: text.to_owned(), segments, folded, is_prefix })
    }

    /// Reports whether a reading of a path matches.
    pub(super) fn matches(&self, reading: &Reading) -> bool {
        let own = if reading.is_folded { &self.folded } else { &self.segments };
        let mut segments = reading.segments();
        let begins = own.iter().all(|pattern| match (pattern, segments.next()) {
            (_, None) => false,
            (PatternSegment::Any, Some(_)) => true,
            (PatternSegment::Text(text), Some(segment)) => text == segment,
        });
        begins && (self.is_prefix || segments.next().is_none())
    }

    /// Reports whether every path that another pattern matches, or every path at all, matches this one.
    pub(super) fn covers(&self, other: Option<&Self>) -> bool {
        let Some(other) = other else { return self.is_prefix && self.segments.is_empty() };
        let enough = match self.is_prefix {
            true => other.segments.len() >= self.segments.len(),
            false => !other.is_prefix && other.segments.len() == self.segments.len(),
        };
        enough
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|(own, other)| *own == PatternSegment::Any || own == other)
    }
}
