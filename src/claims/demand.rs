//! Demands on the values of claims as they are written: in a configuration file, on a command line, in JSON lines.

use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ClaimRule, ClaimsError, Kind, Policy};
use crate::path::ClaimPath;

/// A demand as written: a path, and exactly one of `one_of`, `contains` and `matches`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// Why a demand cannot be compiled: the setting within its table, what is wrong with it, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}`: {reason}{}", remedy.map(|remedy| format!(": {remedy}")).unwrap_or_default())]
pub struct ClaimFault {
    /// The setting, such as `one_of`.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: String,
    /// What to write instead, if it is not part of the reason.
    pub remedy: Option<&'static str>,
}

impl ClaimSpec {
    /// Compiles the path and the condition.
    ///
    /// ```
    /// use claimgate::claims::ClaimSpec;
    ///
    /// let spec: ClaimSpec = serde_json::from_str(r#"{"path": "hd"}"#)?;
    /// let fault = spec.compile().err().expect("it demands nothing");
    /// println!("{}: {}", fault.setting, fault.reason);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// A [`ClaimFault`] where there is no condition or more than one, where no claim could meet it, and where the
    /// path or the pattern is not valid.
    pub fn compile(&self) -> Result<ClaimDemand, ClaimFault> {
        let fault = |setting, reason: &str| ClaimFault { setting, reason: reason.to_owned(), remedy: None };
        let path = ClaimPath::parse(&self.path)
            .map_err(|error| fault("path", &format!("`{}`: {error}", self.path)))?;
        let only_one =
            "write only one of one_of, contains and matches; a further demand has a table of its own";
        let rule = match (&self.one_of, &self.contains, &self.matches) {
            (Some(values), None, None) if values.is_empty() => {
                return Err(fault("one_of", "must name at least one value"));
            }
            (Some(values), None, None) => ClaimRule::one_of(values.iter().map(|value| value.0.clone())),
            (None, Some(ClaimValue(value)), None) if value == "" => {
                return Err(fault("contains", "must not be empty"));
            }
            (None, Some(ClaimValue(value)), None) => ClaimRule::contains(value.clone()),
            (None, None, Some(pattern)) => {
                ClaimRule::matches(pattern).map_err(|error| fault("matches", &error.to_string()))?
            }
            (None, None, None) => {
                let remedy = Some("write one of one_of, contains and matches");
                return Err(ClaimFault { remedy, ..fault("one_of", "is missing") });
            }
            (_, _, Some(_)) => return Err(fault("matches", only_one)),
            (_, Some(_), None) => return Err(fault("contains", only_one)),
        };
        Ok(ClaimDemand { spec: self.clone(), path, rule })
    }
}

/// A demand on the values of a claim, compiled. Two are equal if they were written alike.
///
/// ```
/// use claimgate::claims::{ClaimDemand, ClaimSpec, Policy};
///
/// // As a configuration file has it.
/// let spec: ClaimSpec = serde_json::from_str(r#"{"path": "hd", "one_of": ["example.com"]}"#)?;
/// let demand = spec.compile().map_err(|fault| fault.reason)?;
/// assert_eq!(demand.path().as_str(), "hd");
/// assert!(demand.check(&serde_json::json!({"hd": "example.com"})).is_ok());
/// assert!(demand.check_selected(&["other.example".into()]).is_err());
/// let policy = ClaimDemand::apply(Policy::id_token("https://idp.example.com", "crm"), &demand);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClaimDemand {
    spec: ClaimSpec,
    path: ClaimPath,
    rule: ClaimRule,
}

impl PartialEq for ClaimDemand {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl Eq for ClaimDemand {}

impl ClaimDemand {
    /// Returns the path that selects the values.
    #[must_use]
    pub fn path(&self) -> &ClaimPath {
        &self.path
    }

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

    /// Checks values that the path has selected before.
    ///
    /// # Errors
    /// [`ClaimsError::Missing`] if there are none, [`ClaimsError::Value`] if the condition is not met.
    pub fn check_selected(&self, values: &[Value]) -> Result<(), ClaimsError> {
        self.rule.check_selected(&self.path, values)
    }
}

/// Writes the demand as a part of a sentence: ``the claim `hd`, which must be one of "example.com"``.
impl fmt::Display for ClaimDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claim `{}`, which {}", self.path.as_str(), self.rule)
    }
}
