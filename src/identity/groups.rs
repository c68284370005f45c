//! Groups: strings from one or more claims.

use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;

use super::error::type_of;
use super::explain::{Observer, Seen};
use super::known::Known;
use super::spec::{GroupDetail, GroupSpec, MappingSpec};
use super::username::compile_path;
use super::{IdentityError, MappingError, SettingPath};
use crate::limits::Limits;
use crate::path::ClaimPath;

/// The characters of a group that a refusal shows.
const SHOWN: usize = 40;

#[derive(Clone, Debug)]
pub(super) struct GroupSource {
    path: ClaimPath,
    separator: Option<String>,
    object_keys: bool,
}

impl GroupSource {
    pub(super) fn plain_claim(&self) -> Option<&str> {
        self.path.member()
    }
}

pub(super) fn compile(spec: &MappingSpec, limits: &Limits) -> Result<Vec<GroupSource>, MappingError> {
    let source = |(index, group): (usize, &GroupSpec)| {
        let setting = SettingPath::of("groups").index(index);
        let (setting, detail) = match group {
            GroupSpec::Path(path) => (setting, GroupDetail { path: path.clone(), ..GroupDetail::default() }),
            GroupSpec::Detailed(detail) if detail.separator.as_deref() == Some("") => {
                return Err(MappingError::setting(setting.name("separator"), "must not be empty"));
            }
            GroupSpec::Detailed(detail) => (setting.name("path"), detail.clone()),
        };
        Ok(GroupSource {
            path: compile_path(&setting, &detail.path, limits)?,
            separator: detail.separator,
            object_keys: detail.object_keys,
        })
    };
    spec.groups.iter().enumerate().map(source).collect()
}

/// Groups, and what the claims say of those that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum GroupsState {
    /// At least one of the claims is there, perhaps as an empty list; or the mapping names none.
    Received,
    /// None of the claims is there; or, in claims that may not be all, one of them is not.
    Absent,
    /// The provider says that it left a claim out: the person may have groups that are not known.
    LeftOut {
        /// The claim.
        claim: String,
        /// The claim that says so.
        marker: &'static str,
    },
}

pub(super) fn read(
    sources: &[GroupSource],
    known: Known<'_>,
    limits: &Limits,
    observer: &mut dyn Observer,
) -> Result<(Vec<String>, GroupsState), IdentityError> {
    let mut groups = Vec::new();
    let (mut left_out, mut absent) = (None, 0);
    for source in sources {
        match source.read(known.claims, limits, &mut groups, observer)? {
            found @ GroupsState::LeftOut { .. } => left_out = left_out.or(Some(found)),
            GroupsState::Absent => absent += 1,
            GroupsState::Received => {}
        }
    }
    let enough = if known.is_whole { sources.len().max(1) } else { 1 };
    let state = if absent >= enough { GroupsState::Absent } else { GroupsState::Received };
    // What was left out outweighs what was received.
    Ok((groups, left_out.unwrap_or(state)))
}

impl GroupSource {
    /// Adds the groups of this source. Returns whether its claim is there.
    fn read(
        &self,
        claims: &Value,
        limits: &Limits,
        groups: &mut Vec<String>,
        observer: &mut dyn Observer,
    ) -> Result<GroupsState, IdentityError> {
        let marker = self.left_out(claims);
        observer.groups(self.path.as_str(), &|| match marker {
            Some(marker) => Seen::LeftOut { marker },
            None => Seen::values(&self.path.select(claims, limits).unwrap_or_default()),
        });
        let mut found = Found { groups, source: self, limits };
        let mut refusal = None;
        let mut selected = false;
        self.path.visit(claims, limits, |value| {
            selected |= !value.is_null();
            match found.value(value) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    refusal = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = refusal {
            return Err(error);
        }
        Ok(match marker {
            Some(marker) => GroupsState::LeftOut { claim: self.path.to_string(), marker },
            // An empty list selects nothing where the path goes into it, and says that there are none.
            None if selected || self.claim(claims).is_some() => GroupsState::Received,
            None => GroupsState::Absent,
        })
    }

    /// Returns the top-level claim that the path begins with.
    fn claim<'c>(&self, claims: &'c Value) -> Option<&'c Value> {
        claims.get(self.path.root_member()?).filter(|claim| !claim.is_null())
    }

    /// Returns the claim by which the provider says that it left this one out: `_claim_names` (OpenID Connect
    /// Core §5.6.2), or `hasgroups`, which Entra ID sends for its own claim.
    fn left_out(&self, claims: &Value) -> Option<&'static str> {
        let name = self.path.root_member()?;
        if self.claim(claims).is_some() {
            return None;
        }
        if claims.get("_claim_names").is_some_and(|names| names.get(name).is_some()) {
            return Some("_claim_names");
        }
        let has_groups = match claims.get("hasgroups") {
            Some(Value::Bool(has)) => *has,
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        (has_groups && name == "groups").then_some("hasgroups")
    }
}

struct Found<'a> {
    groups: &'a mut Vec<String>,
    source: &'a GroupSource,
    limits: &'a Limits,
}

impl Found<'_> {
    fn value(&mut self, value: &Value) -> Result<(), IdentityError> {
        match value {
            Value::Array(elements) => elements.iter().try_for_each(|element| self.text(element)),
            Value::Object(members) if self.source.object_keys => {
                members.keys().try_for_each(|name| self.group(name))
            }
            value => self.text(value),
        }
    }

    fn text(&mut self, value: &Value) -> Result<(), IdentityError> {
        let text = match value {
            Value::Null => return Ok(()),
            Value::String(text) => text,
            other => {
                let path = self.source.path.to_string();
                return Err(IdentityError::GroupType { path, found: type_of(other) });
            }
        };
        match &self.source.separator {
            Some(separator) => {
                let parts = text.split(separator.as_str()).map(str::trim).filter(|part| !part.is_empty());
                parts.into_iter().try_for_each(|part| self.group(part))
            }
            None => self.group(text),
        }
    }

    fn group(&mut self, name: &str) -> Result<(), IdentityError> {
        if self.groups.len() >= self.limits.groups {
            return Err(IdentityError::TooManyGroups { limit: self.limits.groups });
        }
        let limit = self.limits.group_bytes;
        if name.len() > limit {
            let start = name.chars().take(SHOWN).collect();
            return Err(IdentityError::GroupTooLong { limit, start });
        }
        self.groups.push(name.to_owned());
        Ok(())
    }
}
