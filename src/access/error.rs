//! Why rules cannot be compiled.

use crate::identity::SettingPath;

/// An application that does not compile: one setting, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct AccessError {
    /// The setting's path within the list of applications, such as `[0].rule[2].paths[0]`.
    pub setting: SettingPath,
    /// What is wrong with it.
    pub problem: AccessProblem,
}

/// What is wrong with a setting of an application, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AccessProblem {
    /// What is wrong.
    pub reason: String,
    /// What to write instead, if it is not part of the reason.
    pub remedy: Option<String>,
}

impl AccessError {
    pub(super) fn new(setting: SettingPath, reason: impl Into<String>) -> Self {
        Self { setting, problem: AccessProblem { reason: reason.into(), remedy: None } }
    }

    pub(super) fn with_remedy(
        setting: SettingPath,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { setting, problem: AccessProblem { reason: reason.into(), remedy: Some(remedy.into()) } }
    }
}

crate::code::coded!(AccessError);

impl AccessError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "access.setting"
    }
}
