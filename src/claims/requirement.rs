//! Conditions on the values of claims.

use std::fmt;
use std::ops::ControlFlow;

use serde_json::Value;

use super::{Claims, ClaimsError};
use crate::limits::Limits;
use crate::path::{ClaimPath, PathError, Pattern};
use crate::text;

/// A condition on the values that a claim path selects; see [`Policy::claim`](super::Policy::claim). It is not met if
/// the path selects nothing.
///
/// ```
/// use claimgate::claims::ClaimRule;
/// use claimgate::path::ClaimPath;
///
/// let claims = serde_json::json!({"tid": "t1", "scope": "openid crm.read", "email": "ada@example.com"});
/// let check = |path, rule: ClaimRule| rule.check(&ClaimPath::parse(path)?, &claims).map_err(Box::<dyn std::error::Error>::from);
/// check("tid", ClaimRule::one_of(["t1", "t2"]))?;
/// check("scope", ClaimRule::contains("crm.read"))?;
/// check("email", ClaimRule::matches(r"[^@]+@example\.com")?)?;
/// assert!(check("tid", ClaimRule::one_of(["t3"])).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClaimRule(Condition);

#[derive(Clone, Debug)]
enum Condition {
    OneOf(Vec<Value>),
    Contains(Value),
    Matches(Pattern),
}

impl ClaimRule {
    /// Demands that each selected value is one of these. Strings are compared exactly, numbers by kind too: `1` is
    /// not `1.0`.
    pub fn one_of<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        Self(Condition::OneOf(values.into_iter().map(Into::into).collect()))
    }

    /// Demands that a selected value is this one, or a list that holds it: an array, or a string of words with spaces
    /// between them, as `scope` is (RFC 8693 §4.2). Do not ask it of a text that people choose, such as `name`.
    pub fn contains(value: impl Into<Value>) -> Self {
        Self(Condition::Contains(value.into()))
    }

    /// Demands that each selected value is a string that the pattern matches as a whole: an I-Regexp (RFC 9485),
    /// which has no anchors and writes `[0-9]` for a digit.
    ///
    /// # Errors
    /// [`PathError::Pattern`].
    pub fn matches(pattern: &str) -> Result<Self, PathError> {
        Ok(Self(Condition::Matches(Pattern::parse(pattern)?)))
    }

    /// Checks the values that a path selects in claims, such as those of a sign-in, which
    /// [`Policy::claim`](super::Policy::claim) does not see: it knows one token alone.
    ///
    /// ```
    /// use claimgate::claims::ClaimRule;
    /// use claimgate::path::ClaimPath;
    /// let claims = serde_json::json!({"hd": "example.org"});
    /// let refusal = ClaimRule::one_of(["example.com"]).check(&ClaimPath::parse("hd")?, &claims).unwrap_err();
    /// assert_eq!(refusal.to_string(), "the claim `hd` must be one of \"example.com\"");
    /// # Ok::<(), claimgate::path::PathError>(())
    /// ```
    ///
    /// # Errors
    /// [`ClaimsError::Missing`] if nothing is selected, [`ClaimsError::Value`] if the condition is not met,
    /// [`ClaimsError::Path`] if the path would visit too many nodes.
    pub fn check(&self, path: &ClaimPath, claims: &Value) -> Result<(), ClaimsError> {
        let mut met = None;
        path.visit(claims, &Limits::DEFAULT, |value| self.look_at(value, &mut met))?;
        self.conclude(path, met)
    }

    /// Checks values that a path has selected before.
    ///
    /// # Errors
    /// As [`check`](Self::check), but never [`ClaimsError::Path`].
    pub(super) fn check_selected(&self, path: &ClaimPath, values: &[Value]) -> Result<(), ClaimsError> {
        let mut met = None;
        let _ = values.iter().try_for_each(|value| self.look_at(value, &mut met));
        self.conclude(path, met)
    }

    /// Looks at a selected value. `met` says whether the condition is met by the values until now; `None` without one.
    fn look_at(&self, value: &Value, met: &mut Option<bool>) -> ControlFlow<()> {
        let is_met = self.is_met_by(value);
        *met = Some(is_met);
        if is_met == self.needs_one() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn conclude(&self, path: &ClaimPath, met: Option<bool>) -> Result<(), ClaimsError> {
        let claim = || path.as_str().to_owned();
        match met {
            None => Err(ClaimsError::Missing { claim: claim() }),
            Some(false) => Err(ClaimsError::Value { claim: claim(), demanded: self.to_string() }),
            Some(true) => Ok(()),
        }
    }

    fn is_met_by(&self, value: &Value) -> bool {
        match &self.0 {
            Condition::OneOf(values) => values.contains(value),
            Condition::Contains(wanted) => match value {
                Value::Array(elements) => elements.contains(wanted),
                Value::String(text) => {
                    value == wanted
                        || wanted
                            .as_str()
                            .is_some_and(|word| !word.is_empty() && text.split(' ').any(|own| own == word))
                }
                other => other == wanted,
            },
            Condition::Matches(pattern) => value.as_str().is_some_and(|text| pattern.matches(text)),
        }
    }

    /// Reports whether one value is enough, rather than all of them.
    fn needs_one(&self) -> bool {
        matches!(self.0, Condition::Contains(_))
    }
}

/// The longest list of values, or pattern, that an error shows, in characters.
const SHOWN: usize = 200;

/// Writes the condition as it follows the name of a claim: `must be one of "a", "b"`.
impl fmt::Display for ClaimRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Condition::OneOf(values) => {
                let list = values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
                write!(f, "must be one of {}", text::shortened(&list, SHOWN))
            }
            Condition::Contains(value) => {
                write!(f, "must be or contain {}", text::shortened(&value.to_string(), SHOWN))
            }
            Condition::Matches(pattern) => {
                write!(f, "must match the pattern {}", text::shortened(pattern.as_str(), SHOWN))
            }
        }
    }
}

/// A claim path with the condition on its values.
#[derive(Clone, Debug)]
pub(super) struct Requirement {
    pub(super) path: ClaimPath,
    pub(super) rule: ClaimRule,
}

impl Requirement {
    /// # Errors
    /// As [`ClaimRule::check`].
    pub(super) fn check(&self, claims: &Claims) -> Result<(), ClaimsError> {
        self.rule.check(&self.path, claims.as_value())
    }
}
