//! Conditions on the values of claims.

use std::ops::ControlFlow;

use serde_json::Value;

use super::{Claims, ClaimsError};
use crate::limits::Limits;
use crate::path::{ClaimPath, PathError, Pattern};

/// A condition on the values that a claim path selects; see [`Policy::claim`](super::Policy::claim). It is not met if
/// the path selects nothing.
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
    /// not
    /// `1.0`.
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

/// A claim path with the condition on its values.
#[derive(Clone, Debug)]
pub(super) struct Requirement {
    pub(super) path: ClaimPath,
    pub(super) rule: ClaimRule,
}

impl Requirement {
    /// # Errors
    /// [`ClaimsError::Missing`] if nothing is selected, [`ClaimsError::Value`] if the condition is not met,
    /// [`ClaimsError::Path`] if the path would visit too many nodes.
    pub(super) fn check(&self, claims: &Claims) -> Result<(), ClaimsError> {
        let (mut selected, mut met) = (false, false);
        self.path.visit(claims.as_value(), &Limits::DEFAULT, |value| {
            selected = true;
            met = self.rule.is_met_by(value);
            if met == self.rule.needs_one() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let claim = || self.path.as_str().to_owned();
        match (selected, met) {
            (false, _) => Err(ClaimsError::Missing { claim: claim() }),
            (true, false) => Err(ClaimsError::Value { claim: claim() }),
            (true, true) => Ok(()),
        }
    }
}
