//! From claims to a person: username, profile, groups and teams; and why.
//!
//! A [`MappingSpec`] is what somebody wrote; [`Mapping::compile`] checks all of it and prepares what
//! can be prepared once. Nothing here looks a user up or writes one: identity at a provider is
//! (issuer, subject), the username is only a name for it.

mod error;
mod explain;
mod groups;
mod profile;
mod spec;
mod teams;
mod username;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::limits::Limits;
use crate::text::is_unsafe;

pub use error::{IdentityError, MappingError};
pub use explain::{Explanation, Fired, Seen};
pub use spec::{GroupDetail, GroupSpec, MappingSpec, Normalisation, OneOrMany, TeamSpec};

use explain::Observer;
use groups::GroupSource;
use profile::ProfileField;
use teams::TeamRules;
use username::UsernameRules;

/// Who a token is about, in the terms of the system that asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The username, normalised.
    pub username: String,
    /// Profile fields by name; a claim that is absent or unusable has none.
    pub profile: BTreeMap<String, String>,
    /// The group values, as they came.
    pub groups: Vec<String>,
    /// The teams, default teams first, then in the order of the rules, each once.
    pub teams: Vec<String>,
}

/// A compiled mapping.
#[derive(Clone, Debug)]
pub struct Mapping {
    username: UsernameRules,
    profile: Vec<ProfileField>,
    groups: Vec<GroupSource>,
    teams: TeamRules,
    limits: Limits,
}

impl Mapping {
    /// Checks a mapping and prepares its paths, patterns and tables.
    ///
    /// # Errors
    /// A [`MappingError`] that names the setting.
    pub fn compile(spec: &MappingSpec, limits: &Limits) -> Result<Self, MappingError> {
        Ok(Self {
            username: UsernameRules::compile(spec, limits)?,
            profile: profile::compile(spec, limits)?,
            groups: groups::compile(spec, limits)?,
            teams: TeamRules::compile(spec)?,
            limits: *limits,
        })
    }

    /// Decides who a validated token's claims are about.
    ///
    /// # Errors
    /// An [`IdentityError`]: there is no usable username, the groups are malformed, or no team
    /// matches where one must.
    pub fn identify(&self, claims: &Value) -> Result<Identity, IdentityError> {
        self.decide(claims, &mut explain::Nobody)
    }

    /// Decides the same, and says for each rule what it saw and whether it fired.
    #[must_use]
    pub fn explain(&self, claims: &Value) -> Explanation {
        let mut explanation = Explanation::default();
        let decision = self.decide(claims, &mut explanation);
        explanation.conclude(decision);
        explanation
    }

    /// The names of the profile fields that the mapping fills.
    pub fn profile_fields(&self) -> impl Iterator<Item = &str> {
        self.profile.iter().map(ProfileField::name)
    }

    /// The group claims that are a plain member of the claims set: what a provider can be asked for
    /// by name.
    pub fn plain_group_claims(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().filter_map(GroupSource::plain_claim)
    }

    fn decide(&self, claims: &Value, observer: &mut dyn Observer) -> Result<Identity, IdentityError> {
        let username = self.username.choose(claims, &self.limits, observer)?;
        let profile = profile::read(&self.profile, claims, &self.limits, observer);
        let groups = groups::read(&self.groups, claims, &self.limits, observer)?;
        let teams = self.teams.assign(&groups, observer)?;
        Ok(Identity { username, profile, groups, teams })
    }
}

/// Whether a name that somebody gives by hand may be a username, by the rules that hold for those
/// from claims.
///
/// # Errors
/// [`IdentityError::NoUsername`], [`IdentityError::UsernameCharacters`] or
/// [`IdentityError::UsernameTooLong`].
pub fn check_username(name: &str) -> Result<(), IdentityError> {
    if name.trim().is_empty() {
        return Err(IdentityError::NoUsername);
    }
    if !is_safe_name(name) {
        return Err(IdentityError::UsernameCharacters);
    }
    if name.chars().count() > username::MAX_CHARACTERS {
        return Err(IdentityError::UsernameTooLong { limit: username::MAX_CHARACTERS });
    }
    Ok(())
}

/// Whether a text may become a name that people and programs will see: no control characters, no
/// invisible ones, none that reorder the text around them.
fn is_safe_name(text: &str) -> bool {
    text.chars().all(|character| character == ' ' || character.is_ascii_graphic() || !is_unsafe(character))
}
