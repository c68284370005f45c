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
    is_prefix: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternSegment {
    Any,
    Text { plain: String, folded: String },
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
        let Reading { segments, .. } = path::of_pattern(path)
            .map_err(|problem| refuse(&problem.to_string(), as_sent))?
            .ok_or_else(|| {
                refuse(
                    "has an encoded slash or percent sign, `;` or `//`, which applications read in several ways",
                    "write the path above it with `/*`",
                )
            })?;
        let segment = |segment: String| match segment.as_str() {
            "*" => Ok(PatternSegment::Any),
            text if text.contains('*') => {
                Err(refuse("has `*` within a name, where it is no pattern", "`*` stands for a whole name"))
            }
            _ => Ok(PatternSegment::Text { folded: segment.to_lowercase(), plain: segment }),
        };
        let segments = segments.into_iter().map(segment).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), segments, is_prefix })
    }

    /// Reports whether a reading of a path matches.
    pub(super) fn matches(&self, reading: &Reading) -> bool {
        let enough = match self.is_prefix {
            true => reading.segments.len() >= self.segments.len(),
            false => reading.segments.len() == self.segments.len(),
        };
        enough
            && self.segments.iter().zip(&reading.segments).all(|(pattern, segment)| match pattern {
                PatternSegment::Any => true,
                PatternSegment::Text { folded, .. } if reading.is_folded => folded == segment,
                PatternSegment::Text { plain, .. } => plain == segment,
            })
    }

    /// Reports whether every path that another pattern matches matches this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
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
