//! The last step of a sign-in: the user found, linked, created or refused; profile and teams; the session.
//!
//! ```text
//! Person::lookup → records::View     read by the store
//!   → decide → Plan                  by the rules alone
//!   → Plan::write → SignedIn         written by the store
//! ```

use std::time::Duration;

use super::facts::{KeptClaims, SessionFacts};
use super::logout::LONGEST_HINT;
use super::records::{self, Lookup, PlannedSession, Position, SignInRecords, StoreError, Version, View};
use super::session::{NewSession, OidcOrigin, Origin};
use super::sync::{self, Change, SyncPolicy};
use super::user::{Profile, Teams, User, UserId, UserKind};
use super::userinfo::SignInClaims;
use crate::identity::{Explanation, GroupsState, Identity, IdentityError, Mapping, NameSource};
use crate::time::UnixTime;

/// The policy of sign-ins through a provider: which users are admitted, and what a sign-in changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInPolicy {
    /// Whether a sign-in of an unknown person creates a regular user.
    pub create_users: bool,
    /// Whether admins may sign in through a provider; super-admins never may. Without it, a person whom the groups make an
    /// admin is refused.
    pub allow_admins: bool,
    /// When a user that was added by hand, and is not linked yet, is found by username.
    pub link_by_username: LinkByUsername,
    /// What each sign-in updates.
    pub sync: SyncPolicy,
    /// The lifetime of a session, in whole seconds.
    pub session_lifetime: Duration,
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

crate::code::coded!(SignInError);

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
    facts: SessionFacts,
    identity: Identity,
    begun: Position,
}

crate::text::redacted_debug!(Person, identity);

/// The result of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedIn {
    /// The user after the sign-in.
    pub user: User,
    /// Whether the sign-in created the user.
    pub created: bool,
    /// Whether the sign-in linked the provider's subject to the user.
    pub linked: bool,
    /// The changes of kind, profile and teams.
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

    /// Maps the claims of a sign-in that began at a position.
    ///
    /// # Errors
    /// [`SignInError::Identity`].
    pub fn identify(claims: SignInClaims, mapping: &Mapping, begun: Position) -> Result<Self, SignInError> {
        let identity = mapping.identify(&claims.claims)?;
        Ok(Self::new(&claims, identity, begun))
    }

    /// Maps the claims like [`identify`](Self::identify), and explains the decision.
    pub fn explain(
        claims: SignInClaims,
        mapping: &Mapping,
        begun: Position,
    ) -> (Result<Self, SignInError>, Explanation) {
        let explanation = mapping.explain(&claims.claims);
        let person = match explanation.decision() {
            Ok(identity) => Ok(Self::new(&claims, identity.clone(), begun)),
            Err(error) => Err(error.into()),
        };
        (person, explanation)
    }

    fn new(claims: &SignInClaims, identity: Identity, begun: Position) -> Self {
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
        let facts = SessionFacts::of_id_token(token.claims());
        Self { origin, facts, identity, begun }
    }

    /// Has the session keep values of claims.
    #[must_use]
    pub fn keep(mut self, claims: KeptClaims) -> Self {
        self.facts.claims = claims;
        self
    }

    /// Returns the identity.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the names under which the store may know the person.
    #[must_use]
    pub fn lookup(&self) -> Lookup<'_> {
        let OidcOrigin { issuer, subject, sid, .. } = &self.origin;
        Lookup { issuer, subject, sid: sid.as_deref(), username: &self.identity.username }
    }
}

/// What a sign-in writes: all of it or, if the view that it was decided by does not hold any more, nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The user.
    pub account: AccountPlan,
    /// The ID token that opens the session, and whose subject the user is linked to.
    pub origin: OidcOrigin,
    /// What the session keeps of the sign-in.
    pub facts: SessionFacts,
    /// The session to open, and the one that ends for it.
    pub session: NewSession,
    /// The lifetime of the session, in whole seconds.
    pub lifetime: Duration,
    /// The newest logout of the view. A newer one means that the view does not hold any more.
    pub newest_logout: Option<(UnixTime, Position)>,
}

/// What a sign-in makes of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPlan {
    /// The user as it is after the sign-in.
    pub account: Account,
    /// The changes of kind, profile and teams, which `account` includes.
    pub changes: Vec<Change>,
    /// Whether the group claims were there.
    pub groups_state: GroupsState,
}

/// The user of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// Linked to the subject already. The view holds while the version is the same.
    Linked(User, Version),
    /// Not linked, and to be linked to the subject. The view holds while the version is the same.
    Unlinked(User, Version),
    /// To be created and linked. The view holds while neither the username nor the subject is
    /// taken.
    New {
        /// The username.
        username: String,
        /// The kind: regular, unless the mapping makes administrators by groups.
        kind: UserKind,
        /// The profile.
        profile: Profile,
        /// The teams.
        teams: Teams,
    },
}

impl Account {
    /// Returns the username.
    #[must_use]
    pub fn username(&self) -> &str {
        match self {
            Account::Linked(user, _) | Account::Unlinked(user, _) => &user.username,
            Account::New { username, .. } => username,
        }
    }
}

/// Decides a sign-in by what the store holds. `fields` are the mapping's profile fields.
///
/// # Errors
/// A [`SignInError`], but never [`SignInError::Identity`] or [`SignInError::Store`].
pub fn decide(
    view: View,
    person: &Person,
    fields: &[&str],
    policy: &SignInPolicy,
    session: NewSession,
) -> Result<Plan, SignInError> {
    let newest_logout = view.newest_logout;
    refuse_logged_out(newest_logout, person)?;
    let account = decide_account(view, &person.identity, fields, policy)?;
    let (origin, facts, lifetime) = (person.origin.clone(), person.facts.clone(), policy.session_lifetime);
    Ok(Plan { account, origin, facts, session, lifetime, newest_logout })
}

/// Decides what a sign-in with this identity makes of the user: all of a sign-in but the logouts and the session.
/// A rehearsal with claims that were not validated gets no further.
///
/// # Errors
/// The [`SignInError`] of the sign-in, as [`decide`].
pub fn decide_account(
    view: View,
    identity: &Identity,
    fields: &[&str],
    policy: &SignInPolicy,
) -> Result<AccountPlan, SignInError> {
    let mut account = resolve(view, identity, policy)?;
    let (kind, profile, teams, sync) = match &mut account {
        Account::Linked(user, _) | Account::Unlinked(user, _) => {
            (&mut user.kind, &mut user.profile, &mut user.teams, policy.sync)
        }
        Account::New { kind, profile, teams, .. } => (kind, profile, teams, SyncPolicy::CREATION),
    };
    let policy = SignInPolicy { sync, ..*policy };
    let changes = synchronise((kind, profile, teams), identity, fields, &policy)?;
    Ok(AccountPlan { account, changes, groups_state: identity.groups_state.clone() })
}

/// Brings kind, profile and teams to what the identity says, by the policy. Returns the changes.
///
/// # Errors
/// [`SignInError::Admin`].
pub(super) fn synchronise(
    (kind, profile, teams): (&mut UserKind, &mut Profile, &mut Teams),
    identity: &Identity,
    fields: &[&str],
    policy: &SignInPolicy,
) -> Result<Vec<Change>, SignInError> {
    let mut changes = sync::plan((profile, teams), identity, fields, policy.sync);
    sync::apply((profile, teams), &changes);
    if let Some(change) = sync::plan_kind(*kind, identity, policy.sync) {
        if let Change::SetKind { to, .. } = &change {
            *kind = *to;
        }
        changes.push(change);
    }
    if kind.is_admin() && !policy.allow_admins {
        return Err(SignInError::Admin);
    }
    Ok(changes)
}

/// Completes a sign-in within one transaction: view, decision and write. `fields` are the mapping's profile fields.
///
/// # Errors
/// A [`SignInError`]; nothing of the transaction may then be kept.
pub fn complete(
    records: &mut dyn SignInRecords,
    person: &Person,
    fields: &[&str],
    policy: &SignInPolicy,
    session: NewSession,
    now: UnixTime,
) -> Result<SignedIn, SignInError> {
    let view = records::view(records, &person.lookup())?;
    let plan = decide(view, person, fields, policy, session)?;
    Ok(plan.write(records, now)?)
}

impl Plan {
    /// Writes the plan within the transaction that its view was read in.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the transaction may then be kept.
    pub fn write(self, records: &mut dyn SignInRecords, now: UnixTime) -> Result<SignedIn, StoreError> {
        let OidcOrigin { issuer, subject, .. } = &self.origin;
        let id = match &self.account.account {
            Account::Linked(user, _) => user.id,
            Account::Unlinked(user, _) => {
                records.link(issuer, subject, user.id)?;
                user.id
            }
            Account::New { username, kind, .. } => {
                let user = records.create_user(username, *kind, now)?;
                records.link(issuer, subject, user.id)?;
                user.id
            }
        };
        if self.account.changed_kind().is_some() {
            // The user was admitted as what the user was.
            records.end_oldest_sessions(id, 0)?;
        }
        let signed_in = self.account.into_signed_in(id);
        if !signed_in.changes.is_empty() {
            records.update_user(&signed_in.user, now)?;
        }
        let origin = Origin::Oidc(self.origin);
        let Self { session, facts, lifetime, .. } = self;
        PlannedSession { session, origin, facts, lifetime }.open(records, id, now)?;
        Ok(signed_in)
    }
}

impl AccountPlan {
    /// Returns the kind before and after, of a user that exists and becomes another kind: the sessions of before end.
    #[must_use]
    pub fn changed_kind(&self) -> Option<(UserKind, UserKind)> {
        if matches!(self.account, Account::New { .. }) {
            return None;
        }
        self.changes.iter().find_map(|change| match change {
            Change::SetKind { from, to } => Some((*from, *to)),
            _ => None,
        })
    }

    /// Returns the result of a sign-in that was written. `id` is the identifier that the store gave to a new user;
    /// another user keeps its own.
    ///
    /// ```
    /// use claimgate::oidc::sign_in::{Plan, SignedIn};
    /// use claimgate::oidc::user::UserId;
    ///
    /// /// After the transaction in which an asynchronous store wrote the plan.
    /// fn written(plan: Plan, id: UserId) -> SignedIn {
    ///     plan.account.into_signed_in(id)
    /// }
    /// ```
    #[must_use]
    pub fn into_signed_in(self, id: UserId) -> SignedIn {
        let (user, created, linked) = match self.account {
            Account::Linked(user, _) => (user, false, false),
            Account::Unlinked(user, _) => (user, false, true),
            Account::New { username, kind, profile, teams } => {
                let user = User { id, username, kind, active: true, profile, teams };
                (user, true, true)
            }
        };
        SignedIn { user, created, linked, changes: self.changes, groups_state: self.groups_state }
    }
}

/// Refuses a sign-in that a logout overtook: by the provider's clock if the ID token is not newer than the
/// logout, by the relying party's order if the sign-in began before the logout was received.
fn refuse_logged_out(newest: Option<(UnixTime, Position)>, person: &Person) -> Result<(), SignInError> {
    match newest {
        Some((issued_at, received)) if person.origin.issued_at <= issued_at || person.begun <= received => {
            Err(SignInError::LoggedOut)
        }
        _ => Ok(()),
    }
}

/// Finds the user by (issuer, subject), else by username, else plans a new one.
fn resolve(view: View, identity: &Identity, policy: &SignInPolicy) -> Result<Account, SignInError> {
    if let Some((user, version)) = view.by_link {
        admit(&user, policy)?;
        return Ok(Account::Linked(user, version));
    }
    if let Some(found) = view.by_name {
        admit(&found.user, policy)?;
        // Two subjects never share an account, however their names normalise.
        if found.is_linked {
            return Err(SignInError::UsernameTaken);
        }
        policy.link_by_username.check(identity.name_source).map_err(SignInError::NotLinked)?;
        return Ok(Account::Unlinked(found.user, found.version));
    }
    if !policy.create_users {
        return Err(SignInError::Unknown);
    }
    let username = identity.username.clone();
    Ok(Account::New { username, kind: UserKind::Regular, profile: Profile::new(), teams: Teams::new() })
}

pub(super) fn admit(user: &User, policy: &SignInPolicy) -> Result<(), SignInError> {
    match user.kind {
        UserKind::Portal | UserKind::Api | UserKind::System => Err(SignInError::Kind),
        UserKind::SuperAdmin => Err(SignInError::Admin),
        UserKind::Admin if !policy.allow_admins => Err(SignInError::Admin),
        _ if !user.active => Err(SignInError::Inactive),
        _ => Ok(()),
    }
}
