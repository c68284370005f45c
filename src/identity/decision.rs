//! What claims decide of an identity, and what they leave open if they may not be all.

use std::collections::BTreeMap;

use super::{GroupsState, Identity, NameSource};

/// What claims decide of an identity.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    /// `None` if it is not known.
    pub(super) username: Option<(String, NameSource)>,
    pub(super) profile: BTreeMap<String, String>,
    pub(super) groups: Vec<String>,
    pub(super) groups_state: GroupsState,
    pub(super) is_admin: Option<bool>,
    pub(super) teams: Vec<String>,
}

impl Decision {
    /// Returns the identity with this username, if the claims have none.
    pub(super) fn named(self, otherwise: impl FnOnce() -> (String, NameSource)) -> Identity {
        let (username, name_source) = self.username.unwrap_or_else(otherwise);
        let Self { profile, groups, groups_state, is_admin, teams, .. } = self;
        Identity { username, name_source, profile, groups, groups_state, is_admin, teams }
    }
}

/// What claims that may not be all say of a person.
#[cfg(feature = "oidc")]
#[derive(Clone, Debug)]
pub(crate) struct KnownIdentity {
    pub(super) decision: Decision,
    /// The profile fields whose claims are absent.
    pub(super) unknown_fields: Vec<String>,
}

#[cfg(feature = "oidc")]
impl KnownIdentity {
    /// Returns the identity of a user, whose username stays where the claims do not say it.
    pub(crate) fn of_user(&self, username: &str) -> Identity {
        self.decision.clone().named(|| (username.to_owned(), NameSource::Claim))
    }

    /// Reports whether the claims decide a profile field.
    pub(crate) fn knows(&self, field: &str) -> bool {
        !self.unknown_fields.iter().any(|unknown| unknown == field)
    }
}
