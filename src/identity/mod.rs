//! The mapping from claims to an identity: username, profile, groups and teams; and its explanation.
//!
//! A [`MappingSpec`] is the mapping as written; [`Mapping::compile`] validates it and prepares paths,
//! patterns and tables once. No user is looked up or changed: the identity at a provider is (issuer,
//! subject), the username is only a name for it.

mod administrators;
mod conditions;
mod decision;
mod email;
mod error;
mod explain;
mod groups;
mod known;
mod normal_form;
mod pattern;
mod profile;
mod rewriting;
mod setting;
mod spec;
mod teams;
mod username;

#[cfg(feature = "oidc")]
use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::limits::Limits;
use crate::text::is_unsafe;

#[cfg(feature = "oidc")]
pub(crate) use decision::KnownIdentity;
pub use error::{IdentityError, MappingError, MappingProblem};
pub use explain::{Explanation, FieldTrace, FiredRule, PathTrace, Seen, UnfiredRule};
pub use groups::GroupsState;
pub use normal_form::{composed, normal_username};
pub use setting::{SettingPath, Step};
pub use spec::{GroupDetail, GroupSpec, MappingSpec, Normalisation, OneOrMany, TeamSpec, Unmatched};
#[cfg(feature = "oidc")]
pub(crate) use teams::is_team_name;

use administrators::AdminGroups;
use decision::Decision;
use explain::Observer;
use groups::GroupSource;
use known::Known;
use profile::ProfileField;
use teams::TeamRules;
use username::UsernameRules;

/// The identity of a person in the relying party's terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The username, normalised.
    pub username: String,
    /// The kind of claim that the username comes from.
    pub name_source: NameSource,
    /// Profile fields by name; an absent or unusable claim has none.
    pub profile: BTreeMap<String, String>,
    /// The group values, as received.
    pub groups: Vec<String>,
    /// Whether the group claims were there.
    pub groups_state: GroupsState,
    /// Whether the person is an administrator, by `admin_groups`; `None` where the mapping has none, or where the
    /// provider left groups out.
    pub is_admin: Option<bool>,
    /// The teams, default teams first, then in the order of the rules, each once.
    pub teams: Vec<String>,
}

/// The kind of claim that a username comes from: how far the provider vouches that the name is this person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NameSource {
    /// `sub`, which the provider assigns and never gives to another person.
    Subject,
    /// An e-mail address that counts as verified.
    VerifiedEmail,
    /// An e-mail address that does not.
    UnverifiedEmail,
    /// Another claim, which people may be able to choose; or a name whose normalisation loses differences.
    Claim,
}

/// A compiled mapping.
///
/// ```
/// use claimgate::identity::{GroupSpec, Mapping, MappingSpec, TeamSpec};
/// use claimgate::limits::Limits;
/// let spec = MappingSpec {
///     groups: vec![GroupSpec::Path("groups".to_owned())],
///     team: vec![TeamSpec {
///         prefix: Some("crm-".to_owned()),
///         team: Some("CRM {rest}".to_owned()),
///         ..TeamSpec::default()
///     }],
///     ..MappingSpec::default()
/// };
/// let mapping = Mapping::compile(&spec, &Limits::DEFAULT)?; // once
/// let claims = serde_json::json!({"sub": "Ada", "groups": ["crm-admins", "staff"]});
/// let identity = mapping.identify(&claims)?;
/// assert_eq!((identity.username.as_str(), identity.teams.as_slice()), ("ada", &["CRM admins".to_owned()][..]));
/// assert!(mapping.explain(&claims).to_string().contains("fired on \"crm-admins\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// use claimgate::identity::{Mapping, MappingSpec};
/// use claimgate::limits::Limits;
///
/// let spec: MappingSpec = serde_json::from_str(r#"{
///     "username": ["preferred_username", "email"],
///     "profile": {"email": "email"},
///     "groups": ["groups"],
///     "team": [{"group": "crm-admin", "team": "Administrators"}]
/// }"#)?;
/// assert_eq!(spec.username.as_slice().len(), 2);
/// let mapping = Mapping::compile(&spec, &Limits::DEFAULT)?;
/// assert!(mapping.name_sources().any(|(path, _)| path == "email"));
/// assert!(mapping.plain_group_claims().eq(["groups"]));
/// assert!(mapping.profile_fields().any(|field| field == "email") && !mapping.decides_administrators());
///
/// let claims = serde_json::json!({"preferred_username": "Ada", "groups": ["crm-admin"]}); // of a validated token
/// let identity = mapping.identify(&claims)?;
/// assert_eq!((identity.username.as_str(), identity.teams.len()), ("ada", 1));
/// let explanation = mapping.explain(&claims);
/// println!("{explanation}");
/// assert!(explanation.decision().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mapping {
    username: UsernameRules,
    profile: Vec<ProfileField>,
    groups: Vec<GroupSource>,
    administrators: AdminGroups,
    teams: TeamRules,
    limits: Limits,
}

impl Mapping {
    /// Validates a mapping and prepares its paths, patterns and tables.
    ///
    /// # Errors
    /// A [`MappingError`] that names the setting.
    pub fn compile(spec: &MappingSpec, limits: &Limits) -> Result<Self, MappingError> {
        pattern::check_paths(spec)?;
        Ok(Self {
            username: UsernameRules::compile(spec, limits)?,
            profile: profile::compile(spec, limits)?,
            groups: groups::compile(spec, limits)?,
            administrators: AdminGroups::compile(spec)?,
            teams: TeamRules::compile(spec)?,
            limits: *limits,
        })
    }

    /// Returns the identity in a validated token's claims.
    ///
    /// # Errors
    /// An [`IdentityError`]: there is no usable username, the groups are malformed, or no team rule
    /// matches and the mapping requires one.
    pub fn identify(&self, claims: &Value) -> Result<Identity, IdentityError> {
        self.identify_observed(claims, &mut explain::Unobserved)
    }

    /// Decides what claims say of a person; `is_whole` is whether they are all that the provider says. If not, absent claims
    /// decide nothing: the groups are [`GroupsState::Absent`] where one of the group claims is, and refuse no person.
    ///
    /// # Errors
    /// As [`identify`](Self::identify), of claims that are not whole only what their values cause.
    #[cfg(feature = "oidc")]
    pub(crate) fn identify_known(
        &self,
        claims: &Value,
        is_whole: bool,
    ) -> Result<KnownIdentity, IdentityError> {
        let known = Known { claims, is_whole };
        let decision = self.decide(known, &mut explain::Unobserved)?;
        let unknown_fields = profile::lacking(&self.profile, known, &self.limits);
        Ok(KnownIdentity { decision, unknown_fields })
    }

    /// Returns those of claims that may not be all which count. An address that must be verified is left out without the claim
    /// that says so: both come from one document.
    #[cfg(feature = "oidc")]
    pub(crate) fn believed<'c>(&self, claims: &'c Value) -> Cow<'c, Value> {
        self.username.believed(claims)
    }

    /// Makes the same decision as [`identify`](Self::identify), and reports what each rule found and
    /// whether it fired.
    #[must_use]
    pub fn explain(&self, claims: &Value) -> Explanation {
        let mut explanation = Explanation::default();
        let decision = self.identify_observed(claims, &mut explanation);
        explanation.conclude(decision);
        explanation
    }

    /// Returns the names of the profile fields that the mapping fills.
    pub fn profile_fields(&self) -> impl Iterator<Item = &str> {
        self.profile.iter().map(ProfileField::name)
    }

    /// Returns the sources of usernames that the mapping allows, with the path of each, in order. Of an address
    /// it is the best case: that the provider calls it verified.
    pub fn name_sources(&self) -> impl Iterator<Item = (&str, NameSource)> {
        self.username.sources()
    }

    /// Reports whether groups decide who is an administrator.
    #[must_use]
    pub fn decides_administrators(&self) -> bool {
        self.administrators.decide()
    }

    /// Returns the group claims that are a plain member of the claims set: a provider can be asked for
    /// these by name.
    pub fn plain_group_claims(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().filter_map(GroupSource::plain_claim)
    }

    fn identify_observed(
        &self,
        claims: &Value,
        observer: &mut dyn Observer,
    ) -> Result<Identity, IdentityError> {
        let mut decision = self.decide(Known { claims, is_whole: true }, observer)?;
        let name = decision.username.take().ok_or(IdentityError::NoUsername)?;
        Ok(decision.named(|| name))
    }

    fn decide(&self, known: Known<'_>, observer: &mut dyn Observer) -> Result<Decision, IdentityError> {
        let username = self.username.choose(known, &self.limits, observer)?;
        let profile = profile::read(&self.profile, known.claims, &self.limits, observer);
        let (groups, groups_state) = groups::read(&self.groups, known, &self.limits, observer)?;
        let is_admin = self.administrators.judge(&groups, &groups_state, observer);
        let are_all = known.is_whole || groups_state == GroupsState::Received;
        let teams = self.teams.assign(&groups, are_all, observer)?;
        Ok(Decision { username, profile, groups, groups_state, is_admin, teams })
    }
}

/// Reports whether a text may become a name that people and programs see: it has no control characters, no
/// invisible ones, and none that reorder the text around them.
pub(crate) fn is_safe_name(text: &str) -> bool {
    text.chars().all(|character| character == ' ' || character.is_ascii_graphic() || !is_unsafe(character))
}
