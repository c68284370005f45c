//! Groups: strings from one or more claims.

use std::ops::ControlFlow;

use serde_json::Value;

use super::explain::{Observer, Seen};
use super::spec::{GroupDetail, GroupSpec, MappingSpec};
use super::username::compile_path;
use super::{IdentityError, MappingError, SettingPath};
use crate::limits::Limits;
use crate::path::ClaimPath;

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

pub(super) fn read(
    sources: &[GroupSource],
    claims: &Value,
    limits: &Limits,
    observer: &mut dyn Observer,
) -> Result<Vec<String>, IdentityError> {
    let mut groups = Vec::new();
    for source in sources {
        observer.groups(source.path.as_str(), &|| {
            Seen::values(&source.path.select(claims, limits).unwrap_or_default())
        });
        let mut found = Found { groups: &mut groups, source, limits };
        let mut refusal = None;
        source.path.visit(claims, limits, |value| match found.value(value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                refusal = Some(error);
                ControlFlow::Break(())
            }
        })?;
        if let Some(error) = refusal {
            return Err(error);
        }
    }
    Ok(groups)
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
            Value::Null => Ok(()),
            value => self.text(value),
        }
    }

    fn text(&mut self, value: &Value) -> Result<(), IdentityError> {
        let Value::String(text) = value else {
            return Err(IdentityError::GroupType { path: self.source.path.to_string() });
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
        if self.groups.len() >= self.limits.groups || name.len() > self.limits.group_bytes {
            return Err(IdentityError::GroupLimit);
        }
        self.groups.push(name.to_owned());
        Ok(())
    }
}
