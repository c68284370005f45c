//! The decision on a session whose tokens were refreshed: what the provider says of the person now, and what that makes of
//! the user and the session.
//!
//! ```text
//! refresh::validate, userinfo::merge → RefreshedClaims
//!   → RefreshedPerson::identify        by the mapping
//!   → decide → RefreshPlan             by the user that the store holds: an error ends the session
//! ```
//!
//! A refresh is no sign-in: it creates, links and opens nothing, and the person has not authenticated. `acr`, `amr` and
//! `auth_time` stay those of the sign-in.
//!
//! ```
//! use claimgate::identity::Mapping;
//! use claimgate::jws::JwsVerifier;
//! use claimgate::oidc::Response;
//! use claimgate::oidc::facts::KeptClaims;
//! use claimgate::oidc::refresh::{OriginalIdToken, Refreshed};
//! use claimgate::oidc::session_refresh::{RefreshPlan, RefreshedClaims, RefreshedPerson, decide};
//! use claimgate::oidc::sign_in::SignInPolicy;
//! use claimgate::oidc::user::User;
//! use claimgate::time::UnixTime;
//!
//! /// What to write of a refresh that brought no ID token; `owner` is the user of the session, whose values of claims are
//! /// `kept`. On an error the session ends.
//! fn plan(
//!     (refreshed, userinfo): (&Refreshed, Option<&Response>),
//!     original: &OriginalIdToken,
//!     (keys, client_id): (&JwsVerifier, &str),
//!     (mapping, policy): (&Mapping, &SignInPolicy),
//!     (owner, kept): (User, &KeptClaims),
//!     (now, userinfo_is_complete): (UnixTime, bool),
//! ) -> Result<Option<RefreshPlan>, Box<dyn std::error::Error>> {
//!     let claims = match userinfo {
//!         Some(answer) => {
//!             let known =
//!                 RefreshedClaims::of_userinfo(answer, original, refreshed.tokens(), (keys, client_id), now)?;
//!             if userinfo_is_complete { known.into_whole() } else { known }
//!         }
//!         None => RefreshedClaims::none(original),
//!     };
//!     assert_eq!(claims.is_whole(), userinfo.is_some() && userinfo_is_complete);
//!     let (person, _) = RefreshedPerson::identify(&claims, mapping, &[])?;
//!     let id = owner.id;
//!     let plan = decide(Some(owner), id, &person, &["email"], policy)?;
//!     Ok(plan.changes_anything(kept).then_some(plan))
//! }
//! ```

use serde_json::{Map, Value};

use super::Response;
use super::facts::KeptClaims;
use super::refresh::OriginalIdToken;
use super::sign_in::{self, SignInError, SignInPolicy};
use super::sync::{AbsentGroups, Change, SyncPolicy};
use super::token::Tokens;
use super::user::{User, UserId, UserKind};
use super::userinfo::{self, SignInClaims, Subject, UserInfoError};
use crate::identity::{GroupsState, KnownIdentity, Mapping};
use crate::jws::JwsVerifier;
use crate::path::ClaimPath;
use crate::time::UnixTime;

/// The claims that a refresh brought.
pub struct RefreshedClaims {
    claims: Value,
    is_whole: bool,
}

crate::text::redacted_debug!(RefreshedClaims, is_whole);

impl RefreshedClaims {
    /// Returns those of the new ID token and, if it was asked, of UserInfo. They are all that the provider says of the
    /// person, as at a sign-in.
    #[must_use]
    pub fn whole(claims: SignInClaims, original: &OriginalIdToken) -> Self {
        let mut claims = match claims.claims {
            Value::Object(claims) => claims,
            _ => Map::new(),
        };
        original.restore_authentication(&mut claims);
        Self { claims: Value::Object(claims), is_whole: true }
    }

    /// Parses the answer of UserInfo to a refresh that brought no ID token. The ID token of the sign-in may have held
    /// more: what is not there is not known. What is there counts, and null is not there.
    ///
    /// # Errors
    /// A [`UserInfoError`]; [`UserInfoError::Subject`] if it is about another person.
    pub fn of_userinfo(
        response: &Response,
        original: &OriginalIdToken,
        tokens: &Tokens,
        (keys, client_id): (&JwsVerifier, &str),
        now: impl Into<UnixTime>,
    ) -> Result<Self, UserInfoError> {
        let (issuer, subject) = (original.issuer(), original.subject());
        let about = Subject { issuer, subject, access_token: tokens.access_token() };
        let mut claims = userinfo::read(&about, response, keys, client_id, now.into())?;
        original.restore_authentication(&mut claims);
        Ok(Self { claims: Value::Object(claims), is_whole: false })
    }

    /// Takes the claims for all that the provider says of the person, so that what is not there does not exist. Right for the
    /// UserInfo of a provider that has there each claim that its ID tokens have.
    #[must_use]
    pub fn into_whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// Returns those of a refresh that brought tokens alone: the grant lives, and nothing new is known.
    #[must_use]
    pub fn none(original: &OriginalIdToken) -> Self {
        let mut claims = Map::new();
        original.restore_authentication(&mut claims);
        Self { claims: Value::Object(claims), is_whole: false }
    }

    /// Returns the claims, as one object.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.claims
    }

    /// Reports whether they are all that the provider says of the person, so that what is not there does not exist.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// A person whose refreshed claims were mapped.
pub struct RefreshedPerson {
    identity: KnownIdentity,
    kept: RefreshedKept,
}

crate::text::redacted_debug!(RefreshedPerson, identity, kept);

/// The values of claims that a refresh brought for the session to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshedKept {
    /// They replace all that the session has: the claims are whole.
    Whole(KeptClaims),
    /// They replace those of their own paths: the other claims are not known.
    Known(KeptClaims),
}

impl RefreshedKept {
    /// Returns what a session keeps from now on that has kept `before`.
    ///
    /// ```
    /// use claimgate::oidc::facts::KeptClaims;
    /// use claimgate::oidc::session_refresh::RefreshedKept;
    /// use claimgate::path::ClaimPath;
    ///
    /// let before = KeptClaims::of(&serde_json::json!({"hd": "example.com"}), &[ClaimPath::parse("hd")?]).0;
    /// assert_eq!(RefreshedKept::Known(KeptClaims::default()).after(&before), before, "nothing new is known");
    /// # Ok::<(), claimgate::path::PathError>(())
    /// ```
    #[must_use]
    pub fn after(&self, before: &KeptClaims) -> KeptClaims {
        match self {
            RefreshedKept::Whole(kept) => kept.clone(),
            RefreshedKept::Known(kept) => before.updated(kept),
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self, RefreshedKept::Whole(_))
    }
}

impl RefreshedPerson {
    /// Maps the claims. `kept` are the paths whose values a session keeps. Returns also those whose values are left out; see
    /// [`KeptClaims::of`]. Of claims that are not whole an absent one decides nothing: a username that is not known stays, as
    /// do a profile field and the values to keep, and groups count as absent if one of the group claims is. An address that
    /// must be verified counts only with the claim that says whether it is.
    ///
    /// # Errors
    /// [`SignInError::Identity`]: with these claims the person would not be admitted, whatever the claims are that are not
    /// known.
    pub fn identify<'p>(
        claims: &RefreshedClaims,
        mapping: &Mapping,
        kept: &'p [ClaimPath],
    ) -> Result<(Self, Vec<&'p ClaimPath>), SignInError> {
        if claims.is_whole {
            let identity = mapping.identify_known(&claims.claims, true)?;
            let (kept, left_out) = KeptClaims::of(&claims.claims, kept);
            return Ok((Self { identity, kept: RefreshedKept::Whole(kept) }, left_out));
        }
        let claims = mapping.believed(&claims.claims);
        let identity = mapping.identify_known(&claims, false)?;
        let (kept, left_out) = KeptClaims::of_known(&claims, kept);
        Ok((Self { identity, kept: RefreshedKept::Known(kept) }, left_out))
    }
}

/// What a refresh makes of the user and the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshPlan {
    /// The user as it is after the refresh.
    pub user: User,
    /// The changes of kind, profile and teams, which `user` includes.
    pub changes: Vec<Change>,
    /// Whether the group claims were there: all of them, if the claims are not whole.
    pub groups_state: GroupsState,
    /// The values of claims that the session keeps from now on.
    pub kept: RefreshedKept,
}

impl RefreshPlan {
    /// Returns the kind before and after, of a user that becomes another kind: all sessions of before end, the refreshed one
    /// too.
    #[must_use]
    pub fn changed_kind(&self) -> Option<(UserKind, UserKind)> {
        self.changes.iter().find_map(|change| match change {
            Change::SetKind { from, to } => Some((*from, *to)),
            _ => None,
        })
    }

    /// Reports whether there is something to write: a change of the user, or of what the session keeps.
    #[must_use]
    pub fn changes_anything(&self, kept: &KeptClaims) -> bool {
        !self.changes.is_empty() || self.kept.after(kept) != *kept
    }
}

/// Decides what a refresh makes of the session of `owner`. `linked` is the user that the subject is linked to now; `fields`
/// are the mapping's profile fields. Of the policy the rules of synchronisation count, and whether administrators sign in
/// through a provider. Where the claims are not whole, one that is absent takes nothing away: teams and the kind of an
/// administrator go only where all group claims are there.
///
/// # Errors
/// The [`SignInError`] for which the session ends: the person would not be admitted again. Never [`SignInError::Identity`]
/// or [`SignInError::Store`].
pub fn decide(
    linked: Option<User>,
    owner: UserId,
    person: &RefreshedPerson,
    fields: &[&str],
    policy: &SignInPolicy,
) -> Result<RefreshPlan, SignInError> {
    let mut user = linked.filter(|user| user.id == owner).ok_or(SignInError::Unknown)?;
    sign_in::admit(&user, policy)?;
    let identity = person.identity.of_user(&user.username);
    let fields: Vec<&str> = fields.iter().copied().filter(|field| person.identity.knows(field)).collect();
    let sync = match person.kept.is_whole() {
        true => policy.sync,
        false => SyncPolicy { absent_groups: AbsentGroups::Keep, ..policy.sync },
    };
    let policy = SignInPolicy { sync, ..*policy };
    let of_user = (&mut user.kind, &mut user.profile, &mut user.teams);
    let changes = sign_in::synchronise(of_user, &identity, &fields, &policy)?;
    let (groups_state, kept) = (identity.groups_state, person.kept.clone());
    Ok(RefreshPlan { user, changes, groups_state, kept })
}
