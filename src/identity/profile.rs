//! Profile fields: one string each, or nothing. A missing field never prevents a sign-in.

use std::collections::BTreeMap;

use serde_json::Value;

use super::explain::{Observer, Seen};
#[cfg(feature = "oidc")]
use super::known::Known;
use super::spec::MappingSpec;
use super::username::compile_path;
use super::{MappingError, SettingPath, is_safe_name};
use crate::limits::Limits;
use crate::path::ClaimPath;

#[derive(Clone, Debug)]
pub(super) struct ProfileField {
    name: String,
    path: ClaimPath,
}

impl ProfileField {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

pub(super) fn compile(spec: &MappingSpec, limits: &Limits) -> Result<Vec<ProfileField>, MappingError> {
    let field = |(name, path): (&String, &String)| {
        let path = compile_path(&SettingPath::of("profile").name(name), path, limits)?;
        Ok(ProfileField { name: name.clone(), path })
    };
    spec.profile.iter().map(field).collect()
}

/// Returns the names of the fields whose claims are absent from claims that may not be all.
#[cfg(feature = "oidc")]
pub(super) fn lacking(fields: &[ProfileField], known: Known<'_>, limits: &Limits) -> Vec<String> {
    let lacking = fields.iter().filter(|field| known.lacks(&field.path, limits));
    lacking.map(|field| field.name.clone()).collect()
}

pub(super) fn read(
    fields: &[ProfileField],
    claims: &Value,
    limits: &Limits,
    observer: &mut dyn Observer,
) -> BTreeMap<String, String> {
    let mut profile = BTreeMap::new();
    for field in fields {
        let selected = field.path.select(claims, limits).unwrap_or_default();
        if let [Value::String(text)] = selected.as_slice()
            && !text.trim().is_empty()
            && is_safe_name(text)
        {
            profile.insert(field.name.clone(), text.clone());
        }
        observer.profile(&field.name, field.path.as_str(), &|| match selected.as_slice() {
            [] | [Value::Null] => Seen::Absent,
            [Value::String(text)] if text.trim().is_empty() => Seen::Empty,
            [Value::String(text)] if is_safe_name(text) => Seen::Value(text.clone()),
            [Value::String(_)] => Seen::UnsafeCharacters,
            other => Seen::values(other),
        });
    }
    profile
}
