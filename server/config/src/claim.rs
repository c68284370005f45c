//! `[[provider.claim]]` and `[[provider.verify.claim]]`: demands on the values of claims. `verify --claim` and JSON
//! lines take the same members.

use std::fmt;

use claimgate::claims::{ClaimRule, ClaimsError, Kind, Policy};
use claimgate::path::ClaimPath;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::Value;

use super::error::Reason;
use super::section::{Faulty, Section};

/// A demand as written: a path, and exactly one of `one_of`, `contains` and `matches`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimSpec {
    /// The text of a [`ClaimPath`].
    pub path: String,
    /// The values of which each selected one must be one.
    pub one_of: Option<Vec<ClaimValue>>,
    /// The value that a selected one must be or contain.
    pub contains: Option<ClaimValue>,
    /// The I-Regexp (RFC 9485) that each selected value must match.
    pub matches: Option<String>,
}

/// A value that a claim can have: a text, a whole number, true or false.
#[derive(Clone, Debug)]
pub struct ClaimValue(Value);

impl<'de> Deserialize<'de> for ClaimValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = ClaimValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, true or false")
            }

            fn visit_str<E>(self, text: &str) -> Result<ClaimValue, E> {
                Ok(ClaimValue(text.into()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<ClaimValue, E> {
                Ok(ClaimValue(value.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<ClaimValue, E> {
                Ok(ClaimValue(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<ClaimValue, E> {
                Ok(ClaimValue(number.into()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// What a demand of a file cannot be: the setting within its table, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimFault {
    /// The setting, such as `one_of`.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for ClaimFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.setting, self.reason)
    }
}

impl std::error::Error for ClaimFault {}

impl ClaimSpec {
    /// Compiles the path and the condition.
    ///
    /// # Errors
    /// A [`ClaimFault`] where there is no condition or more than one, where no claim could meet it, and where the
    /// path or the pattern is not valid.
    pub fn compile(&self) -> Result<ClaimDemand, ClaimFault> {
        let fault = |setting, reason: Reason| ClaimFault { setting, reason };
        let path = ClaimPath::parse(&self.path)
            .map_err(|error| fault("path", format!("`{}`: {error}", self.path).into()))?;
        let only_one =
            "write only one of one_of, contains and matches; a further demand has a table of its own";
        let rule = match (&self.one_of, &self.contains, &self.matches) {
            (Some(values), None, None) if values.is_empty() => {
                return Err(fault("one_of", "must name at least one value".into()));
            }
            (Some(values), None, None) => ClaimRule::one_of(values.iter().map(|value| value.0.clone())),
            (None, Some(ClaimValue(value)), None) if value == "" => {
                return Err(fault("contains", "must not be empty".into()));
            }
            (None, Some(ClaimValue(value)), None) => ClaimRule::contains(value.clone()),
            (None, None, Some(pattern)) => {
                ClaimRule::matches(pattern).map_err(|error| fault("matches", error.to_string().into()))?
            }
            (None, None, None) => {
                let remedy = "write one of one_of, contains and matches";
                return Err(fault("one_of", ("is missing", remedy).into()));
            }
            (_, _, Some(_)) => return Err(fault("matches", only_one.into())),
            (_, Some(_), None) => return Err(fault("contains", only_one.into())),
        };
        Ok(ClaimDemand { path, rule })
    }
}

/// A demand on the values of a claim.
#[derive(Clone, Debug)]
pub struct ClaimDemand {
    path: ClaimPath,
    rule: ClaimRule,
}

impl ClaimDemand {
    /// Returns the policy with this demand added.
    #[must_use]
    pub fn apply<K: Kind>(policy: Policy<K>, demand: &Self) -> Policy<K> {
        policy.claim(demand.path.clone(), demand.rule.clone())
    }

    /// Checks the claims of a sign-in: of the ID token and UserInfo together.
    ///
    /// # Errors
    /// [`ClaimsError::Missing`], [`ClaimsError::Value`] or [`ClaimsError::Path`]; see [`ClaimRule::check`].
    pub fn check(&self, claims: &Value) -> Result<(), ClaimsError> {
        self.rule.check(&self.path, claims)
    }
}

/// Resolves the list `claim` of a table. Every fault in it is recorded.
pub(super) fn resolve(section: &Section<'_>, specs: &[ClaimSpec]) -> Result<Vec<ClaimDemand>, Faulty> {
    let compile = |(index, spec): (usize, &ClaimSpec)| {
        let table = section.source.section(section.path.name("claim").index(index));
        table.note_literal_name(&table.path.name("path"), &spec.path);
        spec.compile().map_err(|ClaimFault { setting, reason }| table.fault(setting, reason))
    };
    let demands: Vec<_> = specs.iter().enumerate().map(compile).collect();
    let demands = demands.into_iter().collect::<Result<Vec<_>, _>>()?;
    let names = |name| demands.iter().position(|demand| demand.path.member() == Some(name));
    if let (Some(index), None) = (names("email"), names("email_verified")) {
        let table = section.source.section(section.path.name("claim").index(index));
        let message = "at some providers people write any address into their profile";
        table.note(
            "path",
            (message, "demand `email_verified` too, unless the provider verifies every address"),
        );
    }
    Ok(demands)
}
