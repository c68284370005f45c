//! Synchronisation of profile and teams as a list of changes: a dry run shows it, a sign-in applies it.
//!
//! ```
//! use claimgate::identity::{Mapping, MappingSpec, OneOrMany};
//! use claimgate::limits::Limits;
//! use claimgate::oidc::sync::{self, Change, SyncPolicy};
//! use claimgate::oidc::user::{Profile, Teams, UserKind};
//!
//! let spec = MappingSpec {
//!     username: OneOrMany::One("preferred_username".to_owned()),
//!     profile: [("email".to_owned(), "email".to_owned())].into(),
//!     ..MappingSpec::default()
//! };
//! let mapping = Mapping::compile(&spec, &Limits::DEFAULT)?;
//! let claims = serde_json::json!({"preferred_username": "ada", "email": "ada@example.com"});
//! let identity = mapping.identify(&claims)?;
//!
//! let (mut profile, mut teams) = (Profile::new(), Teams::new());
//! let changes = sync::plan((&profile, &teams), &identity, &["email"], SyncPolicy::CREATION);
//! let email = Change::SetField { field: "email".to_owned(), from: None, to: "ada@example.com".to_owned() };
//! assert_eq!(changes, [email]);
//! sync::apply((&mut profile, &mut teams), &changes);
//! assert_eq!(profile["email"], "ada@example.com");
//! // Without `admin_groups` no group makes an administrator.
//! assert_eq!(sync::plan_kind(UserKind::Regular, &identity, SyncPolicy::CREATION), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use super::user::{Profile, TeamSource, Teams, UserKind};
use crate::identity::{GroupsState, Identity};

/// The parts of a user that a sign-in updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncPolicy {
    /// Whether the profile is set from the claims.
    pub profile: bool,
    /// Whether the teams are set from the groups.
    pub teams: bool,
    /// Whether teams given by hand stay; otherwise a sign-in removes them too.
    pub keep_hand_given_teams: bool,
    /// Whether an absent claim empties its field.
    pub absent_empties: bool,
    /// What absent group claims mean for the teams.
    pub absent_groups: AbsentGroups,
}

/// What it means for the teams that none of the group claims is there. Groups that the provider says it left out
/// are not absent: they take no team away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentGroups {
    /// The person has no groups: the teams of the mapping are left.
    #[default]
    Clear,
    /// Nothing: the teams stay.
    Keep,
}

impl SyncPolicy {
    /// The policy for a new user: everything is set.
    pub const CREATION: SyncPolicy = SyncPolicy {
        profile: true,
        teams: true,
        keep_hand_given_teams: true,
        absent_empties: false,
        absent_groups: AbsentGroups::Clear,
    };
}

impl SyncPolicy {
    /// Reports whether the groups of a person are all known, so that what they do not give is taken away.
    fn knows_groups(&self, state: &GroupsState) -> bool {
        match state {
            GroupsState::Received => true,
            GroupsState::Absent => self.absent_groups == AbsentGroups::Clear,
            GroupsState::LeftOut { .. } => false,
        }
    }
}

/// One change to a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A profile field is set.
    SetField {
        /// The field.
        field: String,
        /// The value before.
        from: Option<String>,
        /// The new value.
        to: String,
    },
    /// A profile field is emptied.
    EmptyField {
        /// The field.
        field: String,
        /// The value before.
        from: String,
    },
    /// The user becomes another kind, by the groups; the sessions of before end.
    SetKind {
        /// The kind before.
        from: UserKind,
        /// The new kind.
        to: UserKind,
    },
    /// The user joins a team.
    Join {
        /// The team.
        team: String,
    },
    /// The user leaves a team.
    Leave {
        /// The team.
        team: String,
    },
}

/// Returns the changes that a sign-in with this identity makes to a profile and teams. `fields` are the mapping's
/// profile fields; no other field changes.
#[must_use]
pub fn plan(
    (profile, teams): (&Profile, &Teams),
    identity: &Identity,
    fields: &[&str],
    policy: SyncPolicy,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for &field in fields.iter().filter(|_| policy.profile) {
        let from = profile.get(field).cloned();
        match (identity.profile.get(field), from) {
            (Some(to), from) if from.as_ref() != Some(to) => {
                changes.push(Change::SetField { field: field.to_owned(), from, to: to.clone() });
            }
            (None, Some(from)) if policy.absent_empties => {
                changes.push(Change::EmptyField { field: field.to_owned(), from });
            }
            _ => {}
        }
    }
    if policy.teams {
        let joins = identity.teams.iter().filter(|team| !teams.contains_key(*team));
        changes.extend(joins.map(|team| Change::Join { team: team.clone() }));
        let is_known = policy.knows_groups(&identity.groups_state);
        let leaves = teams.iter().filter(|(team, source)| {
            let follows = !policy.keep_hand_given_teams || **source == TeamSource::Mapping;
            is_known && follows && !identity.teams.contains(team)
        });
        changes.extend(leaves.map(|(team, _)| Change::Leave { team: team.clone() }));
    }
    changes
}

/// Returns the change of kind that a sign-in with this identity makes: a regular user becomes an administrator and an
/// administrator a regular user, where the mapping decides it by groups. Groups that are not known take nothing away.
#[must_use]
pub fn plan_kind(kind: UserKind, identity: &Identity, policy: SyncPolicy) -> Option<Change> {
    match (kind, identity.is_admin) {
        (UserKind::Regular, Some(true)) => Some(Change::SetKind { from: kind, to: UserKind::Admin }),
        (UserKind::Admin, Some(false)) if policy.knows_groups(&identity.groups_state) => {
            Some(Change::SetKind { from: kind, to: UserKind::Regular })
        }
        _ => None,
    }
}

/// Applies the changes to a profile and teams.
pub fn apply((profile, teams): (&mut Profile, &mut Teams), changes: &[Change]) {
    for change in changes {
        match change {
            Change::SetField { field, to, .. } => {
                profile.insert(field.clone(), to.clone());
            }
            Change::EmptyField { field, .. } => {
                profile.remove(field);
            }
            Change::Join { team } => {
                teams.insert(team.clone(), TeamSource::Mapping);
            }
            Change::Leave { team } => {
                teams.remove(team);
            }
            Change::SetKind { .. } => {}
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::SetField { field, from: None, to } => write!(f, "set {field} to {to:?}"),
            Change::SetField { field, from: Some(from), to } => {
                write!(f, "change {field} from {from:?} to {to:?}")
            }
            Change::EmptyField { field, from } => write!(f, "empty {field}, which is {from:?}"),
            Change::SetKind { from, to } => write!(f, "become {}, from {}", to.name(), from.name()),
            Change::Join { team } => write!(f, "join {team:?}"),
            Change::Leave { team } => write!(f, "leave {team:?}"),
        }
    }
}
