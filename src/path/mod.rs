//! Claim paths: the location of values in a claims set.
//!
//! A text that begins with `$` is a JSONPath (RFC 9535); any other text is the literal name of a
//! top-level member, so that `http://www.example.com/roles` works unchanged. Both are compiled
//! once; evaluation visits a bounded number of nodes, and regular expressions run in linear time.

mod ast;
mod compile;
mod eval;
mod iregexp;
mod numbers;
mod pattern;
mod syntax;
mod walk;

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use serde_json::Value;

use crate::limits::Limits;
use ast::{Query, Step};

pub use pattern::Pattern;

/// A compiled claim path.
///
/// ```
/// use claimgate::{limits::Limits, path::ClaimPath};
/// let claims = serde_json::json!({"realm_access": {"roles": ["admin", "user"]}, "a.b": 1});
/// let roles = ClaimPath::parse("$.realm_access.roles[*]")?;
/// assert_eq!(roles.select(&claims, &Limits::DEFAULT)?, ["admin", "user"]);
/// assert_eq!(ClaimPath::parse("a.b")?.first(&claims, &Limits::DEFAULT)?, Some(&1.into()));
/// # Ok::<(), claimgate::path::PathError>(())
/// ```
///
/// ```
/// use std::ops::ControlFlow;
///
/// use claimgate::limits::Limits;
/// use claimgate::path::ClaimPath;
///
/// let claims = serde_json::json!({"https://acme.example/role": "admin", "realm_access": {"roles": ["a", "b"]}});
/// let literal = ClaimPath::parse("https://acme.example/role")?;
/// assert!(literal.is_literal() && literal.member() == Some("https://acme.example/role"));
/// assert_eq!(literal.first(&claims, &Limits::DEFAULT)?, Some(&"admin".into()));
///
/// let roles = ClaimPath::parse_with("$.realm_access.roles[*]", &Limits::DEFAULT)?;
/// assert_eq!((roles.root_member(), roles.as_str()), (Some("realm_access"), "$.realm_access.roles[*]"));
/// assert_eq!(roles.select(&claims, &Limits::DEFAULT)?.len(), 2);
/// let mut first = None;
/// roles.visit(&claims, &Limits::DEFAULT, |role| {
///     first = role.as_str();
///     ControlFlow::Break(())
/// })?;
/// assert_eq!(first, Some("a"));
/// # Ok::<(), claimgate::path::PathError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClaimPath {
    text: String,
    plan: Plan,
}

#[derive(Clone, Debug)]
enum Plan {
    /// The name of a top-level member, which is the path's text.
    Literal,
    /// Names, indices and wildcards only: walked without intermediate lists of nodes.
    Chain(Vec<Step>),
    Query(Query),
}

impl ClaimPath {
    /// Compiles a path under [`Limits::DEFAULT`].
    ///
    /// # Errors
    /// A [`PathError`] other than [`PathError::NodeLimit`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// Compiles a path.
    ///
    /// # Errors
    /// A [`PathError`] other than [`PathError::NodeLimit`].
    pub fn parse_with(text: &str, limits: &Limits) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > limits.path_bytes {
            return Err(PathError::TooLong { limit: limits.path_bytes });
        }
        let plan = if text.starts_with('$') {
            let query = compile::compile(text, limits)?;
            match query.as_chain() {
                Some(steps) => Plan::Chain(steps),
                None => Plan::Query(query),
            }
        } else {
            Plan::Literal
        };
        Ok(Self { text: text.to_owned(), plan })
    }

    /// Returns the values that the path selects, in the order of RFC 9535.
    ///
    /// # Errors
    /// [`PathError::NodeLimit`] if it would visit more than [`Limits::path_nodes`] nodes.
    pub fn select<'v>(&self, document: &'v Value, limits: &Limits) -> Result<Vec<&'v Value>, PathError> {
        if let Plan::Query(query) = &self.plan {
            return eval::query(query, document, limits);
        }
        let mut selected = Vec::new();
        self.visit(document, limits, |value| {
            selected.push(value);
            ControlFlow::Continue(())
        })?;
        Ok(selected)
    }

    /// Returns the first value that the path selects.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn first<'v>(&self, document: &'v Value, limits: &Limits) -> Result<Option<&'v Value>, PathError> {
        let mut first = None;
        self.visit(document, limits, |value| {
            first = Some(value);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    /// Calls `each` with the values that the path selects, in the same order, until it breaks. A chain of names,
    /// indices and wildcards is walked without a list, and no further.
    ///
    /// # Errors
    /// As [`select`](Self::select); `each` may have been called before the error.
    pub fn visit<'v>(
        &self,
        document: &'v Value,
        limits: &Limits,
        mut each: impl FnMut(&'v Value) -> ControlFlow<()>,
    ) -> Result<(), PathError> {
        match &self.plan {
            Plan::Literal => {
                // At most one value: there is nothing to stop.
                let _ = document.get(&self.text).map(each);
                Ok(())
            }
            Plan::Chain(steps) => walk::chain(steps, document, limits, &mut each),
            Plan::Query(query) => {
                let _ = eval::query(query, document, limits)?.into_iter().try_for_each(each);
                Ok(())
            }
        }
    }

    /// Returns the path as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the top-level member that it selects alone, written as `name` or as `$.name`.
    #[must_use]
    pub fn member(&self) -> Option<&str> {
        match &self.plan {
            Plan::Literal => Some(&self.text),
            Plan::Chain(steps) => match steps.as_slice() {
                [Step::Name(name)] => Some(name),
                _ => None,
            },
            Plan::Query(_) => None,
        }
    }

    /// Returns the top-level member that everything it selects lies in, if the path begins with a name.
    #[must_use]
    pub fn root_member(&self) -> Option<&str> {
        match &self.plan {
            Plan::Literal => Some(&self.text),
            Plan::Chain(steps) => match steps.first() {
                Some(Step::Name(name)) => Some(name),
                _ => None,
            },
            Plan::Query(_) => None,
        }
    }

    /// Reports whether claims that may be a part of all decide what it selects: the top-level member that it begins with is
    /// there and not null. A path that begins with no name is decided if it selects something, or would visit too many nodes.
    ///
    /// ```
    /// use claimgate::limits::Limits;
    /// use claimgate::path::ClaimPath;
    ///
    /// let is_decided = |path, claims| Ok(ClaimPath::parse(path)?.is_decided_by(&claims, &Limits::DEFAULT));
    /// assert!(is_decided("$.groups[*]", serde_json::json!({"groups": []}))?, "there are none");
    /// assert!(!is_decided("$.groups[*]", serde_json::json!({"name": "Ada"}))?, "another document may have some");
    /// # Ok::<(), claimgate::path::PathError>(())
    /// ```
    #[must_use]
    pub fn is_decided_by(&self, claims: &Value, limits: &Limits) -> bool {
        match self.root_member() {
            Some(name) => claims.get(name).is_some_and(|claim| !claim.is_null()),
            None => !self.first(claims, limits).is_ok_and(|first| first.is_none()),
        }
    }

    /// Reports whether it is the literal name of a top-level member.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(self.plan, Plan::Literal)
    }
}

impl FromStr for ClaimPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a path cannot be compiled or evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No text.
    #[error("a claim path must not be empty")]
    Empty,
    /// Longer than [`Limits::path_bytes`].
    #[error("the claim path is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Brackets and parentheses nested more deeply than [`Limits::path_depth`].
    #[error("the claim path nests more than {limit} brackets")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Not an RFC 9535 query.
    #[error("not a JSONPath (RFC 9535): {reason}")]
    Syntax {
        /// Where it is wrong, and what to write instead.
        reason: String,
    },
    /// A function call or comparison that is not well-typed (RFC 9535 §2.4.3).
    #[error("the JSONPath is not well-typed (RFC 9535 section 2.4.3): {reason}")]
    IllTyped {
        /// The reason.
        reason: &'static str,
    },
    /// A [`Pattern`] that is no I-Regexp (RFC 9485), or too large.
    #[error(
        "not a regular expression of RFC 9485, or too large: `{text}`; it matches the whole text, has no anchors and writes `[0-9]` for a digit"
    )]
    Pattern {
        /// The pattern.
        text: String,
    },
    /// More calls of `match()` and `search()` than a path may have: each takes memory.
    #[error("the claim path has more than {limit} regular expressions")]
    TooManyPatterns {
        /// The limit.
        limit: usize,
    },
    /// The evaluation would visit more than [`Limits::path_nodes`] nodes.
    #[error("the claim path visits more than {limit} nodes")]
    NodeLimit {
        /// The limit.
        limit: usize,
    },
}

crate::code::coded!(PathError);

impl PathError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PathError::Empty => "path.empty",
            PathError::TooLong { .. } => "path.too_long",
            PathError::TooDeep { .. } => "path.too_deep",
            PathError::Syntax { .. } => "path.syntax",
            PathError::IllTyped { .. } => "path.type",
            PathError::Pattern { .. } => "path.pattern",
            PathError::TooManyPatterns { .. } => "path.pattern_limit",
            PathError::NodeLimit { .. } => "path.node_limit",
        }
    }
}
