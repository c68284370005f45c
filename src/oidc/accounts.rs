//! Account rules: who may add or change which user, and the effects on sessions.
//!
//! Each function works within one transaction; on an error the caller keeps nothing of it.
//!
//! ```
//! use claimgate::identity::Normalisation;
//! use claimgate::oidc::accounts::{self, AccountError, Administrator, NewUser, UserChanges};
//! use claimgate::oidc::records::Records;
//! use claimgate::oidc::session::SessionId;
//! use claimgate::oidc::user::{User, UserKind};
//! use claimgate::time::UnixTime;
//!
//! /// Adds a user, in the name of the administrator who is signed in.
//! fn add(records: &mut dyn Records, session: SessionId, now: UnixTime) -> Result<User, AccountError> {
//!     let by = Administrator::of_session(records, session)?;
//!     by.may_change(UserKind::Regular)?;
//!     let mut new = NewUser::new(by, "ada", Normalisation::Default, UserKind::Regular)?;
//!     new.teams.insert("Sales".to_owned());
//!     accounts::add(records, by, new, now)
//! }
//!
//! /// Switches a user off, who signs in under another name later.
//! fn change(records: &mut dyn Records, admin: &User, now: UnixTime) -> Result<(), AccountError> {
//!     let by = Administrator::from_user(admin)?;
//!     let ada = accounts::user_named(records, "ada")?.ok_or(AccountError::NotFound)?;
//!     let off = UserChanges { active: Some(false), ..UserChanges::default() };
//!     let changed = accounts::change(records, by, ada.id, off, now)?;
//!     println!("{} sessions of {} have ended", changed.ended, changed.user.username);
//!     accounts::rename(records, by, ada.id, ("lovelace", Normalisation::Default), now)?;
//!     accounts::set_password(records, by, ada.id, "$argon2id$…", now)?;
//!     accounts::end_sessions(records, by, ada.id)?;
//!     // Also if no super-admin is left who can sign in.
//!     accounts::remove(records, by.even_the_last_super_admin(), ada.id, now).map(drop)
//! }
//!
//! /// What an operator does when a provider moves, or goes.
//! fn move_provider(records: &mut dyn Records, user: &User, now: UnixTime) -> Result<(), AccountError> {
//!     let by = Administrator::OPERATOR;
//!     accounts::rename_issuer(records, by, "https://old.example.com", "https://new.example.com")?;
//!     accounts::unlink(records, by, user.id, Some("https://new.example.com"), now)?;
//!     accounts::unlink_issuer(records, by, "https://new.example.com")?;
//!     accounts::end_session(records, by, SessionId::of_secret("the secret of the cookie"))
//! }
//! ```

use std::collections::{BTreeMap, BTreeSet};

pub use super::account_error::AccountError;
use super::records::{LogoutRecord, LogoutTarget, Records, RenamedIssuer, StoreError, UserRecords};
use super::session::SessionId;
use super::user::{TeamSource, User, UserId, UserKind};
use crate::identity::{Normalisation, is_safe_name, is_team_name, normal_username};
use crate::text;
use crate::time::UnixTime;

/// The party that administers accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Administrator {
    rank: Rank,
    /// Whether a change may leave no super-admin who can sign in.
    may_leave_none: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Operator,
    SuperAdmin,
    Admin,
}

impl Administrator {
    /// The operator at the command line, who may do everything.
    pub const OPERATOR: Self = Self::of(Rank::Operator);

    /// A program that administers, with the rights of an administrator who is no super-admin.
    pub const PROGRAM: Self = Self::of(Rank::Admin);

    const fn of(rank: Rank) -> Self {
        Self { rank, may_leave_none: false }
    }

    /// Returns the same party, which has confirmed that its change may leave no super-admin who can sign in: without
    /// this, [`change`] and [`remove`] refuse to switch off, remove or give another kind to the last one.
    #[must_use]
    pub const fn even_the_last_super_admin(self) -> Self {
        Self { may_leave_none: true, ..self }
    }

    /// Returns the administrator that a signed-in user is.
    ///
    /// # Errors
    /// [`AccountError::Forbidden`] for a user of another kind, or one that is not active.
    pub fn from_user(user: &User) -> Result<Self, AccountError> {
        match user.kind {
            UserKind::SuperAdmin if user.active => Ok(Self::of(Rank::SuperAdmin)),
            UserKind::Admin if user.active => Ok(Self::of(Rank::Admin)),
            _ => Err(AccountError::Forbidden),
        }
    }

    /// Returns the administrator whose session this is, by the user's present kind and activity.
    /// Called in the transaction that makes the change: the request that asked for it may have taken
    /// long to arrive.
    ///
    /// # Errors
    /// [`AccountError::Forbidden`] if the session has ended, and as [`from_user`](Self::from_user);
    /// [`AccountError::Store`].
    pub fn of_session(records: &mut dyn Records, session: SessionId) -> Result<Self, AccountError> {
        let user = records.session_owner(session)?.ok_or(AccountError::Forbidden)?;
        Self::from_user(&user)
    }

    /// Checks that the administrator may make or change users of a kind: super-admins are made and
    /// changed by super-admins and the operator only.
    ///
    /// # Errors
    /// [`AccountError::Forbidden`].
    pub fn may_change(self, kind: UserKind) -> Result<(), AccountError> {
        match (self.rank, kind) {
            (Rank::Admin, UserKind::SuperAdmin) => Err(AccountError::Forbidden),
            _ => Ok(()),
        }
    }
}

/// A user to add. The administrator was allowed to add it, and its username was checked.
#[derive(Clone, Debug)]
pub struct NewUser {
    username: String,
    kind: UserKind,
    /// Profile fields by name.
    pub profile: BTreeMap<String, String>,
    /// Teams, by name.
    pub teams: BTreeSet<String>,
    /// The hash of the password; `None` for a user without one.
    pub password_hash: Option<String>,
}

impl NewUser {
    /// Checks the administrator's right and the username, which is kept in its normal form: the one in which
    /// a provider's name is looked up.
    ///
    /// # Errors
    /// [`AccountError::Forbidden`] or [`AccountError::Username`].
    pub fn new(
        by: Administrator,
        username: &str,
        normalisation: Normalisation,
        kind: UserKind,
    ) -> Result<Self, AccountError> {
        by.may_change(kind)?;
        let username = normal_username(username, normalisation).map_err(AccountError::Username)?;
        Ok(Self { username, kind, profile: BTreeMap::new(), teams: BTreeSet::new(), password_hash: None })
    }
}

/// Adds a user.
///
/// # Errors
/// [`AccountError::Forbidden`], [`AccountError::Taken`], [`AccountError::Text`] or [`AccountError::Store`].
pub fn add(
    records: &mut dyn Records,
    by: Administrator,
    new: NewUser,
    now: UnixTime,
) -> Result<User, AccountError> {
    by.may_change(new.kind)?;
    if records.user_by_name(&new.username)?.is_some() {
        return Err(AccountError::Taken);
    }
    let mut user = records.create_user(&new.username, new.kind, now)?;
    user.profile = profile_by_hand(new.profile)?;
    user.teams = teams_by_hand(&BTreeMap::new(), new.teams)?;
    records.update_user(&user, now)?;
    if let Some(hash) = new.password_hash {
        records.set_password(user.id, &hash, now)?;
    }
    Ok(user)
}

/// Returns the user with a username as a person writes it: exactly so, or else in lower case.
///
/// # Errors
/// [`StoreError`].
pub fn user_named(records: &mut dyn UserRecords, written: &str) -> Result<Option<User>, StoreError> {
    let exact = records.user_by_name(written)?;
    match normal_username(written, Normalisation::Default) {
        Ok(normal) if exact.is_none() && normal != written => records.user_by_name(&normal),
        _ => Ok(exact),
    }
}

/// Changes to a user; a field that is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChanges {
    /// Whether the user may sign in.
    pub active: Option<bool>,
    /// The kind of the user.
    pub kind: Option<UserKind>,
    /// All profile fields.
    pub profile: Option<BTreeMap<String, String>>,
    /// All teams. A team that the mapping gave stays the mapping's.
    pub teams: Option<BTreeSet<String>>,
}

/// A changed user, and the sessions that ended because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The user after the change.
    pub user: User,
    /// The number of sessions ended.
    pub ended: usize,
}

/// Changes a user. The sessions of a user who is not active, or of another kind than before, end: the user was
/// admitted as what the user was.
///
/// # Errors
/// [`AccountError::NotFound`], [`AccountError::Forbidden`], [`AccountError::LastSuperAdmin`], [`AccountError::Text`] or
/// [`AccountError::Store`].
pub fn change(
    records: &mut dyn Records,
    by: Administrator,
    id: UserId,
    changes: UserChanges,
    now: UnixTime,
) -> Result<Changed, AccountError> {
    let mut user = changeable(records, by, id)?;
    let before = user.clone();
    if let Some(kind) = changes.kind {
        by.may_change(kind)?;
        user.kind = kind;
    }
    user.active = changes.active.unwrap_or(user.active);
    if let Some(profile) = changes.profile {
        user.profile = profile_by_hand(profile)?;
    }
    if let Some(teams) = changes.teams {
        user.teams = teams_by_hand(&user.teams, teams)?;
    }
    keep_a_super_admin(records, by, &before, Some(&user))?;
    records.update_user(&user, now)?;
    if changes.active == Some(false) {
        revoke_tokens(records, user.id, None, now)?;
    }
    let ended = if user.active && user.kind == before.kind { 0 } else { records.end_sessions_of(user.id)? };
    Ok(Changed { user, ended })
}

/// Gives a user another username, in its normal form. Sessions continue under the new name.
///
/// # Errors
/// [`AccountError::NotFound`], [`AccountError::Forbidden`], [`AccountError::Username`], [`AccountError::Taken`] or
/// [`AccountError::Store`].
pub fn rename(
    records: &mut dyn Records,
    by: Administrator,
    id: UserId,
    (username, normalisation): (&str, Normalisation),
    now: UnixTime,
) -> Result<User, AccountError> {
    let mut user = changeable(records, by, id)?;
    let username = normal_username(username, normalisation).map_err(AccountError::Username)?;
    if records.user_by_name(&username)?.is_some_and(|other| other.id != id) {
        return Err(AccountError::Taken);
    }
    user.username = username;
    records.update_user(&user, now)?;
    Ok(user)
}

/// The links and sessions that a user lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Severed {
    /// The number of links deleted.
    pub links: usize,
    /// The number of sessions ended.
    pub sessions: usize,
}

/// Deletes the links of a user to the subjects of one issuer, or of all, ends the user's sessions and refuses the
/// tokens of these subjects that were issued until now. The next sign-in under the username may link it again.
///
/// # Errors
/// [`AccountError::NotFound`], [`AccountError::Forbidden`] or [`AccountError::Store`].
pub fn unlink(
    records: &mut dyn Records,
    by: Administrator,
    id: UserId,
    issuer: Option<&str>,
    now: UnixTime,
) -> Result<Severed, AccountError> {
    let user = changeable(records, by, id)?;
    revoke_tokens(records, user.id, issuer, now)?;
    let links = records.unlink(user.id, issuer)?;
    Ok(Severed { links, sessions: records.end_sessions_of(user.id)? })
}

/// Deletes all links to an issuer and ends its sessions, after a change to another provider. The next sign-in of each
/// user under the username may link it to a subject of the new one.
///
/// # Errors
/// [`AccountError::Forbidden`] for all but the operator; [`AccountError::Store`].
pub fn unlink_issuer(
    records: &mut dyn Records,
    by: Administrator,
    issuer: &str,
) -> Result<Severed, AccountError> {
    if by.rank != Rank::Operator {
        return Err(AccountError::Forbidden);
    }
    let (links, sessions) = records.unlink_issuer(issuer)?;
    Ok(Severed { links, sessions })
}

/// Removes a user with its links, sessions, profile, teams and password. Records of logouts of its subjects stay, and
/// refuse tokens issued until now.
///
/// # Errors
/// [`AccountError::NotFound`], [`AccountError::Forbidden`], [`AccountError::LastSuperAdmin`] or
/// [`AccountError::Store`].
pub fn remove(
    records: &mut dyn Records,
    by: Administrator,
    id: UserId,
    now: UnixTime,
) -> Result<Severed, AccountError> {
    let user = changeable(records, by, id)?;
    keep_a_super_admin(records, by, &user, None)?;
    let severed = unlink(records, by, id, None, now)?;
    records.remove_user(id)?;
    Ok(severed)
}

/// Gives everything that is recorded of an issuer to another: after a provider has changed its name, its people are
/// the same.
///
/// # Errors
/// [`AccountError::Forbidden`] for all but the operator; [`AccountError::LinkedApart`]; [`AccountError::Store`].
pub fn rename_issuer(
    records: &mut dyn Records,
    by: Administrator,
    old: &str,
    new: &str,
) -> Result<RenamedIssuer, AccountError> {
    if by.rank != Rank::Operator {
        return Err(AccountError::Forbidden);
    }
    let apart = records.users_linked_apart(old, new)?;
    if !apart.is_empty() {
        let users = apart.into_iter().map(|id| records.user(id)).collect::<Result<Vec<_>, _>>()?;
        let usernames = users.into_iter().flatten().map(|user| user.username).collect();
        return Err(AccountError::LinkedApart { usernames });
    }
    Ok(records.rename_issuer(old, new)?)
}

/// Sets the password of a user, whose sessions end. Returns the number of sessions ended.
///
/// # Errors
/// [`AccountError::NotFound`], [`AccountError::Forbidden`] or [`AccountError::Store`].
pub fn set_password(
    records: &mut dyn Records,
    by: Administrator,
    id: UserId,
    hash: &str,
    now: UnixTime,
) -> Result<usize, AccountError> {
    let user = changeable(records, by, id)?;
    records.set_password(user.id, hash, now)?;
    Ok(records.end_sessions_of(user.id)?)
}

/// Ends a session.
///
/// # Errors
/// [`AccountError::NotFound`], [`AccountError::Forbidden`] or [`AccountError::Store`].
pub fn end_session(records: &mut dyn Records, by: Administrator, id: SessionId) -> Result<(), AccountError> {
    let owner = records.session_owner(id)?.ok_or(AccountError::NotFound)?;
    by.may_change(owner.kind)?;
    records.end_session(id)?;
    Ok(())
}

/// Ends the sessions of a user. Returns the number of sessions ended.
///
/// # Errors
/// [`AccountError::NotFound`], [`AccountError::Forbidden`] or [`AccountError::Store`].
pub fn end_sessions(records: &mut dyn Records, by: Administrator, id: UserId) -> Result<usize, AccountError> {
    let user = changeable(records, by, id)?;
    Ok(records.end_sessions_of(user.id)?)
}

/// The longest time for which presented tokens are accepted, in seconds: 30 days and thrice the greatest leeway.
const LONGEST_TOKEN_AGE: u64 = 30 * 86_400 + 3 * 300;

/// Records a logout of the subjects that are linked to a user: their tokens that were issued until now are refused
/// for as long as they can live, whatever becomes of the user or the link.
fn revoke_tokens(
    records: &mut dyn Records,
    user: UserId,
    issuer: Option<&str>,
    now: UnixTime,
) -> Result<(), AccountError> {
    for (issuer, subject) in records.subjects_of(user, issuer)? {
        let jti = format!("account {subject} {now}");
        let record = LogoutRecord {
            issuer,
            target: LogoutTarget::Subject(subject),
            issued_at: now,
            received: now.into(),
            token_until: now,
            until: now.saturating_add(LONGEST_TOKEN_AGE),
        };
        records.record_logout(&jti, &record)?;
    }
    Ok(())
}

/// Returns a user that the administrator may change.
fn changeable(records: &mut dyn Records, by: Administrator, id: UserId) -> Result<User, AccountError> {
    let user = records.user(id)?.ok_or(AccountError::NotFound)?;
    by.may_change(user.kind)?;
    Ok(user)
}

/// Rejects the change of a user from `before` to `after`, or its removal, that would leave no super-admin who can sign
/// in: one that is active and has a password, for no super-admin signs in through a provider.
fn keep_a_super_admin(
    records: &mut dyn Records,
    by: Administrator,
    before: &User,
    after: Option<&User>,
) -> Result<(), AccountError> {
    let counts = |user: &User| user.active && user.kind == UserKind::SuperAdmin;
    if by.may_leave_none || !counts(before) || after.is_some_and(counts) {
        return Ok(());
    }
    let can_sign_in = records.password(before.id)?.is_some();
    if can_sign_in && !records.has_other_super_admin(before.id)? {
        return Err(AccountError::LastSuperAdmin);
    }
    Ok(())
}

/// Returns the teams that an administrator wants: those that the mapping gave stay the mapping's. New ones have names that
/// the mapping could give.
///
/// # Errors
/// [`AccountError::Text`].
fn teams_by_hand(
    before: &BTreeMap<String, TeamSource>,
    teams: BTreeSet<String>,
) -> Result<BTreeMap<String, TeamSource>, AccountError> {
    let sourced = teams.into_iter().map(|team| match before.get(&team) {
        Some(source) => Ok((team, *source)),
        None if is_team_name(&team) => Ok((team, TeamSource::Hand)),
        None => Err(AccountError::Text { what: format!("the team `{}`", text::name(&team)) }),
    });
    sourced.collect()
}

/// Returns the profile that an administrator wants, if its fields and texts are ones that the mapping could give.
///
/// # Errors
/// [`AccountError::Text`].
fn profile_by_hand(profile: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, AccountError> {
    match profile.iter().find(|(field, text)| !is_team_name(field) || !is_safe_name(text)) {
        Some((field, _)) => {
            Err(AccountError::Text { what: format!("the field `{}` of the profile", text::name(field)) })
        }
        None => Ok(profile),
    }
}
