//! The password door: who may use it.

use super::user::{User, UserKind};

/// Who may sign in by password while a provider is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Whether the door exists: for admins, so that a broken provider locks nobody out.
    pub fallback: bool,
    /// Whether regular users may use it too.
    pub regular_users: bool,
}

impl PasswordPolicy {
    /// Whether this user may use the door. Sessions that exist go on in any case.
    #[must_use]
    pub fn admits(self, user: &User) -> bool {
        let kind = match user.kind {
            UserKind::Admin | UserKind::SuperAdmin => self.fallback,
            UserKind::Regular => self.fallback && self.regular_users,
            UserKind::Portal | UserKind::Api | UserKind::System => false,
        };
        kind && user.active
    }
}
