//! The last step of a sign-in: the user found, linked, created or refused; profile and teams; the session.

use super::logout::LONGEST_HINT;
use super::records::{Records, StoreError, replace_session};
use super::session::{NewSession, OidcOrigin, Origin};
use super::sync::{self, Change, SyncPolicy};
use super::user::{User, UserKind};
use super::userinfo::SignInClaims;
use crate::identity::{Explanation, GroupsState, Identity, IdentityError, Mapping, NameSource};
use crate::time::UnixTime;

/// The policy of sign-ins through a provider: which users are admitted, and what a sign-in changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInPolicy {
    /// Whether a sign-in of an unknown person creates a regular user.
    pub create_users: bool,
    /// Whether admins may sign in through a provider; super-admins never may.
    pub allow_admins: bool,
    /// When a user that was added by hand, and is not linked yet, is found by username.
    pub link_by_username: LinkByUsername,
    /// What each sign-in updates.
    pub sync: SyncPolicy,
    /// The lifetime of a session, in seconds.
    pub session_lifetime: u64,
}

/// When a person is linked, once, to a user that was added by hand under the person's username.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkByUsername {
    /// Never.
    Never,
    /// Where the provider vouches for the name: it comes from `sub`, or from an address called verified.
    #[default]
    Vouched,
    /// Whatever the name comes from.
    Always,
}

/// Why a person is not linked to the user of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkRefusal {
    /// [`LinkByUsername::Never`].
    #[error("link_by_username is false")]
    Off,
    /// The name is an address that does not count as verified.
    #[error(
        "the name is an e-mail address that the provider does not call verified; \
        `link_by_username = true` links nevertheless"
    )]
    UnverifiedEmail,
    /// The name comes from another claim than `sub` and `email`.
    #[error(
        "the name comes from a claim that people may be able to choose; \
        if they cannot, write `link_by_username = true`"
    )]
    Claim,
}

impl LinkByUsername {
    /// Checks that a person whose name has this source is linked.
    ///
    /// # Errors
    /// The [`LinkRefusal`].
    pub fn check(self, source: NameSource) -> Result<(), LinkRefusal> {
        match (self, source) {
            (LinkByUsername::Never, _) => Err(LinkRefusal::Off),
            (LinkByUsername::Always, _) => Ok(()),
            (LinkByUsername::Vouched, NameSource::Subject | NameSource::VerifiedEmail) => Ok(()),
            (LinkByUsername::Vouched, NameSource::UnverifiedEmail) => Err(LinkRefusal::UnverifiedEmail),
            (LinkByUsername::Vouched, NameSource::Claim) => Err(LinkRefusal::Claim),
        }
    }
}

/// Why a sign-in is refused. Final: no refusal leads to the creation of a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The mapping refuses the claims.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The user is not active.
    #[error("this user is not active")]
    Inactive,
    /// A portal, API or system user.
    #[error("this user does not sign in here")]
    Kind,
    /// An admin, and admins sign in with a password only.
    #[error("admins do not sign in through the provider here")]
    Admin,
    /// The user does not exist, and none may be created.
    #[error("there is no user for this person, and none is created at sign-in")]
    Unknown,
    /// The username belongs to another person.
    #[error(
        "the username belongs to a user who is linked to another subject; `claimgate user show` shows it, \
        `user unlink`, `user rename` and `provider rename-issuer` change it"
    )]
    UsernameTaken,
    /// The username is that of a user without a link, and this person may not be linked to it.
    #[error("a user of this name exists without a link (added by hand, or unlinked): {0}")]
    NotLinked(LinkRefusal),
    /// The provider has ended the session that this sign-in belongs to.
    #[error("the provider signed this person out while the sign-in was under way; sign in again")]
    LoggedOut,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignInError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SignInError::Identity(error) => error.code(),
            SignInError::Inactive => "sign_in.inactive",
            SignInError::Kind => "sign_in.kind",
            SignInError::Admin => "sign_in.admin",
            SignInError::Unknown => "sign_in.unknown",
            SignInError::UsernameTaken => "sign_in.username_taken",
            SignInError::NotLinked(_) => "sign_in.not_linked",
            SignInError::LoggedOut => "sign_in.logged_out",
            SignInError::Store(error) => error.code(),
        }
    }
}

/// A person whose claims were mapped.
pub struct Person {
    origin: OidcOrigin,
    identity: Identity,
    started_ms: i64,
}

/// The result of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user after the sign-in.
    pub user: User,
    /// Whether the sign-in created the user.
    pub created: bool,
    /// Whether the sign-in linked the provider's subject to the user.
    pub linked: bool,
    /// The changes of profile and teams.
    pub changes: Vec<Change>,
    /// Whether the group claims were there.
    pub groups_state: GroupsState,
}

impl Person {
    /// Returns the username that the claims map to.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.identity.username
    }

    /// Maps the claims. `started_ms` is when the sign-in began, in milliseconds since 1970, by the relying
    /// party's clock.
    ///
    /// # Errors
    /// [`SignInError::Identity`].
    pub fn identify(claims: SignInClaims, mapping: &Mapping, started_ms: i64) -> Result<Self, SignInError> {
        let identity = mapping.identify(&claims.claims)?;
        Ok(Self::new(&claims, identity, started_ms))
    }

    /// Maps the claims like [`identify`](Self::identify), and explains the decision.
    pub fn explain(
        claims: SignInClaims,
        mapping: &Mapping,
        started_ms: i64,
    ) -> (Result<Self, SignInError>, Explanation) {
        let explanation = mapping.explain(&claims.claims);
        let person = match explanation.decision() {
            Ok(identity) => Ok(Self::new(&claims, identity.clone(), started_ms)),
            Err(error) => Err(error.into()),
        };
        (person, explanation)
    }

    fn new(claims: &SignInClaims, identity: Identity, started_ms: i64) -> Self {
        let token = claims.id_token.token();
        let origin = OidcOrigin {
            issuer: token.issuer().to_owned(),
            subject: token.subject().to_owned(),
            sid: token.claims().session_id().filter(|sid| !sid.is_empty()).map(str::to_owned),
            issued_at: token.issued_at().seconds(),
            id_token: Some(&claims.id_token.raw)
                .filter(|raw| raw.len() <= LONGEST_HINT)
                .map(|raw| raw.to_string()),
        };
        Self { origin, identity, started_ms }
    }

    /// Returns the identity.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// Completes a sign-in within one transaction. `fields` are the mapping's profile fields.
///
/// # Errors
/// A [`SignInError`]; nothing of the transaction may then be kept.
pub fn complete(
    records: &mut dyn Records,
    person: &Person,
    fields: &[&str],
    policy: &SignInPolicy,
    session: NewSession,
    now: UnixTime,
) -> Result<SignedIn, SignInError> {
    refuse_logged_out(records, person)?;
    let OidcOrigin { issuer, subject, .. } = &person.origin;
    let signed_in = receive(records, (issuer, subject), &person.identity, fields, policy, now)?;
    let origin = Origin::Oidc(person.origin.clone());
    replace_session(records, session, signed_in.user.id, origin, policy.session_lifetime, now)?;
    Ok(signed_in)
}

/// Finds or creates the user of this (issuer, subject) and updates it: all of a sign-in but the session.
/// For a rehearsal with claims that were not validated, the transaction must **not** be kept.
///
/// # Errors
/// The [`SignInError`] of the sign-in.
pub fn receive(
    records: &mut dyn Records,
    subject: (&str, &str),
    identity: &Identity,
    fields: &[&str],
    policy: &SignInPolicy,
    now: UnixTime,
) -> Result<SignedIn, SignInError> {
    let (mut user, created, linked) = resolve(records, subject, identity, policy, now)?;
    let sync = if created { SyncPolicy::CREATION } else { policy.sync };
    let changes = sync::plan(&user, identity, fields.iter().copied(), sync);
    if !changes.is_empty() {
        sync::apply(&mut user, &changes);
        records.update_user(&user, now)?;
    }
    Ok(SignedIn { user, created, linked, changes, groups_state: identity.groups_state.clone() })
}

/// Refuses a sign-in that a logout overtook: by the provider's clock if the ID token is not newer than the
/// logout, by the relying party's if the sign-in began before the logout arrived.
fn refuse_logged_out(records: &mut dyn Records, person: &Person) -> Result<(), SignInError> {
    let origin = &person.origin;
    match records.newest_logout(&origin.issuer, origin.sid.as_deref(), &origin.subject)? {
        Some((issued_at, received_ms))
            if origin.issued_at <= issued_at || person.started_ms <= received_ms =>
        {
            Err(SignInError::LoggedOut)
        }
        _ => Ok(()),
    }
}

/// Finds the user by (issuer, subject), else by username, else creates one.
fn resolve(
    records: &mut dyn Records,
    (issuer, subject): (&str, &str),
    identity: &Identity,
    policy: &SignInPolicy,
    now: UnixTime,
) -> Result<(User, bool, bool), SignInError> {
    if let Some(user) = records.user_by_link(issuer, subject)? {
        admit(&user, policy)?;
        return Ok((user, false, false));
    }
    let username = &identity.username;
    if let Some(user) = records.user_by_name(username)? {
        admit(&user, policy)?;
        // Two subjects never share an account, however their names normalise.
        if records.is_linked(user.id)? {
            return Err(SignInError::UsernameTaken);
        }
        policy.link_by_username.check(identity.name_source).map_err(SignInError::NotLinked)?;
        records.link(issuer, subject, user.id)?;
        return Ok((user, false, true));
    }
    if !policy.create_users {
        return Err(SignInError::Unknown);
    }
    let user = records.create_user(username, UserKind::Regular, now)?;
    records.link(issuer, subject, user.id)?;
    Ok((user, true, true))
}

fn admit(user: &User, policy: &SignInPolicy) -> Result<(), SignInError> {
    match user.kind {
        UserKind::Portal | UserKind::Api | UserKind::System => Err(SignInError::Kind),
        UserKind::SuperAdmin => Err(SignInError::Admin),
        UserKind::Admin if !policy.allow_admins => Err(SignInError::Admin),
        _ if !user.active => Err(SignInError::Inactive),
        _ => Ok(()),
    }
}
