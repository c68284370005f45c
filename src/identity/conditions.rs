//! Conditions of a team rule on the other groups of a person.

use std::collections::HashSet;
use std::fmt;

use super::spec::TeamSpec;
use super::{MappingError, SettingPath, is_safe_name};

/// What the groups of a person must and must not be. Empty lists require nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    all: Vec<String>,
    any: Vec<String>,
    unless: Vec<String>,
}

impl Conditions {
    /// Compiles the conditions of a rule.
    ///
    /// # Errors
    /// A [`MappingError`] of a group that no rule matches, and of one that is required and excluded.
    pub(super) fn compile(spec: &TeamSpec, setting: &SettingPath) -> Result<Self, MappingError> {
        for (name, list) in [("all", &spec.all), ("any", &spec.any), ("unless", &spec.unless)] {
            for (index, group) in list.iter().enumerate() {
                let setting = || setting.name(name).index(index);
                if group.is_empty() || !is_safe_name(group) {
                    let reason = "is empty, or holds a control or invisible character: no group matches it";
                    return Err(MappingError::setting(setting(), reason));
                }
                let is_required = spec.all.contains(group) || spec.group.as_ref() == Some(group);
                if name == "unless" && is_required {
                    let reason = format!("`{group}` is required by the same rule, which can give no team");
                    return Err(MappingError::setting(setting(), reason));
                }
            }
        }
        Ok(Self { all: spec.all.clone(), any: spec.any.clone(), unless: spec.unless.clone() })
    }

    /// Reports whether a group is required, so that the rule needs no other.
    pub(super) fn require_groups(&self) -> bool {
        !self.all.is_empty() || !self.any.is_empty()
    }

    /// Reports whether the groups of a person meet the conditions. `are_all` is whether the person is known to have no others:
    /// without that, no exclusion is met.
    pub(super) fn hold(&self, groups: &HashSet<&str>, are_all: bool) -> bool {
        let has = |group: &String| groups.contains(group.as_str());
        self.all.iter().all(has)
            && (self.any.is_empty() || self.any.iter().any(has))
            && (self.unless.is_empty() || are_all && !self.unless.iter().any(has))
    }
}

/// Writes the conditions that there are, such as `all ["staff", "emea"], unless ["contractors"]`.
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [("all", &self.all), ("any", &self.any), ("unless", &self.unless)];
        let written = lists.iter().filter(|(_, list)| !list.is_empty());
        let texts: Vec<String> = written.map(|(name, list)| format!("{name} {list:?}")).collect();
        f.write_str(&texts.join(", "))
    }
}
