//! Patterns of whole texts.

use regex::Regex;

use super::{PathError, iregexp};

/// A compiled I-Regexp (RFC 9485), which matches a text as a whole. A match takes time linear in the text.
///
/// ```
/// use claimgate::path::Pattern;
/// let ours = Pattern::parse(r"[a-z.]+@example\.com")?;
/// assert!(ours.matches("ada@example.com"));
/// assert!(!ours.matches("ada@example.com.evil.example"));
/// # Ok::<(), claimgate::path::PathError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`PathError::Pattern`] if the text is no I-Regexp (it has no anchors, no `\d` and no `(?…)`), or is too large.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        match iregexp::compile(text, true) {
            Some(regex) => Ok(Self { text: text.into(), regex }),
            None => Err(PathError::Pattern { text: text.to_owned() }),
        }
    }

    /// Returns the pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reports whether the pattern matches the text as a whole.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}
