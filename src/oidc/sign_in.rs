//! Sign-in, last step: the user found, linked, created or refused; profile and teams; the session.

use super::records::{Records, StoreError};
use super::session::{OidcOrigin, Origin, Session, SessionId};
use super::sync::{self, Change, SyncPolicy};
use super::user::{User, UserKind};
use super::userinfo::SignInClaims;
use crate::identity::{Identity, IdentityError, Mapping};
use crate::time::UnixTime;

/// Who may sign in through a provider, and what that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInPolicy {
    /// Whether unknown people become regular users.
    pub create_users: bool,
    /// Whether admins may come through a provider; super-admins never may.
    pub allow_admins: bool,
    /// Whether a user that was made by hand, and is linked to nobody yet, is found by name.
    pub link_by_username: bool,
    /// What each sign-in overwrites.
    pub sync: SyncPolicy,
    /// How long a session lasts, in seconds.
    pub session_lifetime: u64,
}

/// Why somebody is not signed in. Final: no refusal turns into the creation of a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The mapping decides on no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The user is not active.
    #[error("this user is not active")]
    Inactive,
    /// A portal, API or system user.
    #[error("this user does not sign in here")]
    Kind,
    /// An admin, where admins come by password only.
    #[error("admins do not sign in through the provider here")]
    Admin,
    /// No such user, and none may be created.
    #[error("there is no user for this person, and none is created at sign-in")]
    Unknown,
    /// The username is another person's.
    #[error("the username belongs to somebody else")]
    UsernameTaken,
    /// The provider has ended the session that this sign-in belongs to.
    #[error("the provider signed this person out while the sign-in was under way; sign in again")]
    LoggedOut,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignInError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SignInError::Identity(error) => error.code(),
            SignInError::Inactive => "sign_in.inactive",
            SignInError::Kind => "sign_in.kind",
            SignInError::Admin => "sign_in.admin",
            SignInError::Unknown => "sign_in.unknown",
            SignInError::UsernameTaken => "sign_in.username_taken",
            SignInError::LoggedOut => "sign_in.logged_out",
            SignInError::Store(error) => error.code(),
        }
    }
}

/// Somebody whose claims were mapped: ready to be looked up.
pub struct Person {
    origin: OidcOrigin,
    identity: Identity,
    started_ms: i64,
}

/// What a sign-in did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user, as it now is.
    pub user: User,
    /// Whether it was made just now.
    pub created: bool,
    /// Whether the provider's subject was linked just now.
    pub linked: bool,
    /// What was overwritten.
    pub changes: Vec<Change>,
}

impl Person {
    /// Maps the claims. `started_ms` is when the sign-in began, by our clock.
    ///
    /// # Errors
    /// [`SignInError::Identity`].
    pub fn identify(claims: SignInClaims, mapping: &Mapping, started_ms: i64) -> Result<Self, SignInError> {
        let identity = mapping.identify(&claims.claims)?;
        let token = claims.id_token.token();
        let origin = OidcOrigin {
            issuer: token.issuer().to_owned(),
            subject: token.subject().to_owned(),
            sid: token.claims().session_id().filter(|sid| !sid.is_empty()).map(str::to_owned),
            issued_at: token.issued_at().seconds(),
            id_token: claims.id_token.raw.to_string(),
        };
        Ok(Self { origin, identity, started_ms })
    }

    /// Who the person is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// Completes a sign-in within one transaction. `replaces` is the session that the browser had: it
/// ends, so that nobody's session outlives a change of person.
///
/// # Errors
/// A [`SignInError`]; nothing of the transaction may then be kept.
pub fn complete(
    records: &mut dyn Records,
    person: &Person,
    fields: &[&str],
    policy: &SignInPolicy,
    session: SessionId,
    replaces: Option<SessionId>,
    now: UnixTime,
) -> Result<SignedIn, SignInError> {
    refuse_logged_out(records, person)?;
    let OidcOrigin { issuer, subject, .. } = &person.origin;
    let signed_in = receive(records, (issuer, subject), &person.identity, fields, policy, now)?;
    if let Some(old) = replaces {
        records.end_session(old)?;
    }
    records.open_session(&Session {
        id: session,
        user: signed_in.user.id,
        origin: Origin::Oidc(person.origin.clone()),
        created: now,
        expires: now.saturating_add(policy.session_lifetime),
    })?;
    Ok(signed_in)
}

/// The user of this (issuer, subject) found or made, and brought up to date: all of a sign-in but the
/// session. For a rehearsal with claims that may be anybody's, the transaction must **not** be kept.
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
    let (mut user, created, linked) = resolve(records, subject, &identity.username, policy, now)?;
    let sync = if created { SyncPolicy::CREATION } else { policy.sync };
    let changes = sync::plan(&user, identity, fields.iter().copied(), sync);
    if !changes.is_empty() {
        sync::apply(&mut user, &changes);
        records.update_user(&user, now)?;
    }
    Ok(SignedIn { user, created, linked, changes })
}

/// A logout that overtook this sign-in wins: by the provider's clock where the ID token is no newer
/// than the logout, by ours where the sign-in had begun before the logout came.
fn refuse_logged_out(records: &mut dyn Records, person: &Person) -> Result<(), SignInError> {
    let origin = &person.origin;
    let mark = records.newest_logout(&origin.issuer, origin.sid.as_deref(), &origin.subject)?;
    match mark {
        Some((issued_at, received_ms))
            if origin.issued_at <= issued_at || person.started_ms <= received_ms =>
        {
            Err(SignInError::LoggedOut)
        }
        _ => Ok(()),
    }
}

/// Finds the user by (issuer, subject), else by name, else makes one.
fn resolve(
    records: &mut dyn Records,
    (issuer, subject): (&str, &str),
    username: &str,
    policy: &SignInPolicy,
    now: UnixTime,
) -> Result<(User, bool, bool), SignInError> {
    if let Some(user) = records.user_by_link(issuer, subject)? {
        admit(&user, policy)?;
        return Ok((user, false, false));
    }
    if let Some(user) = records.user_by_name(username)? {
        admit(&user, policy)?;
        // Two subjects never share an account, however their names normalise.
        if !policy.link_by_username || records.is_linked(user.id)? {
            return Err(SignInError::UsernameTaken);
        }
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
