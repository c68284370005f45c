//! The groups that make a person an administrator.

use super::explain::Observer;
use super::spec::MappingSpec;
use super::{GroupsState, MappingError, SettingPath};

/// The groups of which one makes a person an administrator.
#[derive(Clone, Debug)]
pub(super) struct AdminGroups(Vec<String>);

impl AdminGroups {
    pub(super) fn compile(spec: &MappingSpec) -> Result<Self, MappingError> {
        let fault = |setting, reason: &str| Err(MappingError::setting(setting, reason));
        let setting = SettingPath::of("admin_groups");
        if let Some(index) = spec.admin_groups.iter().position(|group| group.trim().is_empty()) {
            return fault(setting.index(index), "must not be empty");
        }
        if !spec.admin_groups.is_empty() && spec.groups.is_empty() {
            return fault(
                setting,
                "needs `groups`: without them no person is in any, and all administrators lose the kind",
            );
        }
        Ok(Self(spec.admin_groups.clone()))
    }

    /// Reports whether the mapping decides who is an administrator.
    pub(super) fn decide(&self) -> bool {
        !self.0.is_empty()
    }

    /// Returns whether a person with these groups is an administrator; `None` if the mapping does not decide it, or if
    /// the provider left out groups that could say so.
    pub(super) fn judge(
        &self,
        groups: &[String],
        state: &GroupsState,
        observer: &mut dyn Observer,
    ) -> Option<bool> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.0.iter().find(|admin| groups.contains(admin));
        observer.admin_groups(&self.0, found.map(String::as_str));
        match (found, state) {
            (Some(_), _) => Some(true),
            (None, GroupsState::LeftOut { .. }) => None,
            (None, GroupsState::Received | GroupsState::Absent) => Some(false),
        }
    }
}
