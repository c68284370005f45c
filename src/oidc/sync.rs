//! Profile and team sync, as a list of changes: shown by a dry run, applied by a sign-in.

use std::fmt;

use serde::Serialize;

use super::user::{TeamSource, User};
use crate::identity::Identity;

/// What a sign-in overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncPolicy {
    /// Whether the profile follows the claims.
    pub profile: bool,
    /// Whether the teams follow the groups.
    pub teams: bool,
    /// Which teams follow: those that the mapping gave, so that hand-given ones stay; or all.
    pub keep_hand_given_teams: bool,
    /// Whether a claim that is absent empties its field.
    pub absent_empties: bool,
}

impl SyncPolicy {
    /// What a new user gets: everything.
    pub const CREATION: SyncPolicy =
        SyncPolicy { profile: true, teams: true, keep_hand_given_teams: true, absent_empties: false };
}

/// One change to a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A profile field is set.
    SetField {
        /// The field.
        field: String,
        /// What it was.
        from: Option<String>,
        /// What it becomes.
        to: String,
    },
    /// A profile field is emptied.
    EmptyField {
        /// The field.
        field: String,
        /// What it was.
        from: String,
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

/// What a sign-in with this identity would change. `fields` are the mapping's profile fields: no
/// other is ever touched.
#[must_use]
pub fn plan<'f>(
    user: &User,
    identity: &Identity,
    fields: impl Iterator<Item = &'f str>,
    policy: SyncPolicy,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for field in fields.filter(|_| policy.profile) {
        let from = user.profile.get(field).cloned();
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
        let joins = identity.teams.iter().filter(|team| !user.teams.contains_key(*team));
        changes.extend(joins.map(|team| Change::Join { team: team.clone() }));
        let leaves = user.teams.iter().filter(|(team, source)| {
            let follows = !policy.keep_hand_given_teams || **source == TeamSource::Mapping;
            follows && !identity.teams.contains(team)
        });
        changes.extend(leaves.map(|(team, _)| Change::Leave { team: team.clone() }));
    }
    changes
}

/// Makes the changes.
pub fn apply(user: &mut User, changes: &[Change]) {
    for change in changes {
        match change {
            Change::SetField { field, to, .. } => {
                user.profile.insert(field.clone(), to.clone());
            }
            Change::EmptyField { field, .. } => {
                user.profile.remove(field);
            }
            Change::Join { team } => {
                user.teams.insert(team.clone(), TeamSource::Mapping);
            }
            Change::Leave { team } => {
                user.teams.remove(team);
            }
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
            Change::Join { team } => write!(f, "join {team:?}"),
            Change::Leave { team } => write!(f, "leave {team:?}"),
        }
    }
}
