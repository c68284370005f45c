//! [`Records`] in memory, for tests of the rules. `contract.rs` holds it and the SQLite store to the same
//! behaviour.
#![allow(dead_code, reason = "each program that includes this file uses a part of it")]

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;

use claimgate::oidc::records::{
    LogoutRecord, LogoutRecords, LogoutTarget, PasswordRecords, Position, Records, RenamedIssuer,
    SessionRecords, SignInRecords, StoreError, UserRecords,
};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::oidc::user::{User, UserId, UserKind};
use claimgate::time::UnixTime;

/// The records of one transaction, or of all committed ones.
#[derive(Clone, Default)]
pub(crate) struct MemoryRecords {
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) passwords: BTreeMap<UserId, String>,
    pub(crate) links: BTreeMap<(String, String), UserId>,
    pub(crate) sessions: Vec<Session>,
    /// Each logout with its `jti`.
    pub(crate) logouts: Vec<(String, LogoutRecord)>,
}

/// A store that commits a transaction or discards it.
#[derive(Default)]
pub(crate) struct MemoryStore(RefCell<MemoryRecords>);

impl MemoryStore {
    pub(crate) fn transact<T, E>(&self, work: impl FnOnce(&mut dyn Records) -> Result<T, E>) -> Result<T, E> {
        let mut records = self.0.borrow().clone();
        let result = work(&mut records)?;
        *self.0.borrow_mut() = records;
        Ok(result)
    }

    pub(crate) fn records(&self) -> Ref<'_, MemoryRecords> {
        self.0.borrow()
    }

    /// Returns the active user of a live session.
    pub(crate) fn session_user(&self, id: SessionId, now: UnixTime) -> Option<User> {
        let records = self.0.borrow();
        let session = records.sessions.iter().find(|session| session.id == id && session.expires > now)?;
        records.users.get(&session.user).filter(|user| user.active).cloned()
    }
}

fn fails<T>(reason: &str) -> Result<T, StoreError> {
    Err(StoreError { reason: reason.to_owned() })
}

/// Reports whether a logout names the session that this ID token opened.
fn names(target: &LogoutTarget, origin: &OidcOrigin) -> bool {
    match (target, &origin.sid) {
        (LogoutTarget::Subject(subject), _) => *subject == origin.subject,
        (LogoutTarget::Session { sid, .. }, Some(own)) => sid == own,
        (LogoutTarget::Session { subject, .. }, None) => subject.as_ref() == Some(&origin.subject),
    }
}

impl UserRecords for MemoryRecords {
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.users.get(&id).cloned())
    }

    fn user_by_name(&mut self, username: &str) -> Result<Option<User>, StoreError> {
        Ok(self.users.values().find(|user| user.username == username).cloned())
    }
}

impl SessionRecords for MemoryRecords {
    fn open_session(&mut self, session: &Session) -> Result<(), StoreError> {
        if !self.users.contains_key(&session.user) || self.sessions.iter().any(|other| other.id == session.id)
        {
            return fails("the session exists, or its user does not");
        }
        self.sessions.push(session.clone());
        Ok(())
    }

    fn end_session(&mut self, id: SessionId) -> Result<Option<Origin>, StoreError> {
        let place = self.sessions.iter().position(|session| session.id == id);
        Ok(place.map(|place| self.sessions.remove(place).origin))
    }

    fn end_oldest_sessions(&mut self, user: UserId, most: u32) -> Result<usize, StoreError> {
        let mut own: Vec<_> = self.sessions.iter().filter(|session| session.user == user).collect();
        // The sort is stable: of two sessions of one second the one opened later is the newer.
        own.sort_by_key(|session| session.created);
        let excess = own.len().saturating_sub(usize::try_from(most).unwrap());
        let ended: Vec<SessionId> = own[..excess].iter().map(|session| session.id).collect();
        self.sessions.retain(|session| !ended.contains(&session.id));
        Ok(excess)
    }
}

impl SignInRecords for MemoryRecords {
    fn user_by_link(&mut self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let id = self.links.get(&(issuer.to_owned(), subject.to_owned()));
        Ok(id.and_then(|id| self.users.get(id)).cloned())
    }

    fn is_linked(&mut self, user: UserId) -> Result<bool, StoreError> {
        Ok(self.links.values().any(|linked| *linked == user))
    }

    fn link(&mut self, issuer: &str, subject: &str, user: UserId) -> Result<(), StoreError> {
        let link = (issuer.to_owned(), subject.to_owned());
        if self.links.contains_key(&link) || !self.users.contains_key(&user) {
            return fails("the link exists, or its user does not");
        }
        self.links.insert(link, user);
        Ok(())
    }

    fn create_user(&mut self, username: &str, kind: UserKind, _: UnixTime) -> Result<User, StoreError> {
        if self.user_by_name(username)?.is_some() {
            return fails("the username is taken");
        }
        let id = UserId(self.users.keys().last().map_or(1, |last| last.0 + 1));
        let (profile, teams) = (BTreeMap::new(), BTreeMap::new());
        let user = User { id, username: username.to_owned(), kind, active: true, profile, teams };
        self.users.insert(id, user.clone());
        Ok(user)
    }

    fn update_user(&mut self, user: &User, _: UnixTime) -> Result<(), StoreError> {
        if self.user_by_name(&user.username)?.is_some_and(|other| other.id != user.id) {
            return fails("the username is taken");
        }
        if let Some(known) = self.users.get_mut(&user.id) {
            *known = user.clone();
        }
        Ok(())
    }

    fn newest_logout(
        &mut self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Result<Option<(UnixTime, Position)>, StoreError> {
        let origin = OidcOrigin {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            sid: sid.map(str::to_owned),
            issued_at: UnixTime(0),
            id_token: None,
        };
        let about = self.logouts.iter().map(|(_, logout)| logout);
        let about = about.filter(|logout| logout.issuer == issuer && names(&logout.target, &origin));
        Ok(about
            .map(|logout| (logout.issued_at, logout.received))
            .reduce(|one, other| (one.0.max(other.0), one.1.max(other.1))))
    }
}

impl PasswordRecords for MemoryRecords {
    fn password(&mut self, user: UserId) -> Result<Option<String>, StoreError> {
        Ok(self.passwords.get(&user).cloned())
    }
}

impl LogoutRecords for MemoryRecords {
    fn record_logout(&mut self, jti: &str, logout: &LogoutRecord) -> Result<bool, StoreError> {
        let known = self.logouts.iter().any(|(known, other)| known == jti && other.issuer == logout.issuer);
        if !known {
            self.logouts.push((jti.to_owned(), logout.clone()));
        }
        Ok(!known)
    }

    fn end_logged_out(
        &mut self,
        issuer: &str,
        target: &LogoutTarget,
        issued_until: UnixTime,
    ) -> Result<usize, StoreError> {
        let before = self.sessions.len();
        self.sessions.retain(|session| match &session.origin {
            Origin::Oidc(origin) => {
                let by_sid = matches!((target, &origin.sid), (LogoutTarget::Session { .. }, Some(_)));
                let is_newer = !by_sid && origin.issued_at > issued_until;
                origin.issuer != issuer || is_newer || !names(target, origin)
            }
            Origin::Password => true,
        });
        Ok(before - self.sessions.len())
    }
}

impl Records for MemoryRecords {
    fn session_owner(&mut self, id: SessionId) -> Result<Option<User>, StoreError> {
        let session = self.sessions.iter().find(|session| session.id == id);
        Ok(session.and_then(|session| self.users.get(&session.user)).cloned())
    }

    fn end_sessions_of(&mut self, user: UserId) -> Result<usize, StoreError> {
        let before = self.sessions.len();
        self.sessions.retain(|session| session.user != user);
        Ok(before - self.sessions.len())
    }

    fn has_other_super_admin(&mut self, user: UserId) -> Result<bool, StoreError> {
        let is_one = |other: &&User| {
            other.id != user
                && other.active
                && other.kind == UserKind::SuperAdmin
                && self.passwords.contains_key(&other.id)
        };
        Ok(self.users.values().find(is_one).is_some())
    }

    fn set_password(&mut self, user: UserId, hash: &str, _: UnixTime) -> Result<(), StoreError> {
        self.passwords.insert(user, hash.to_owned());
        Ok(())
    }

    fn subjects_of(
        &mut self,
        user: UserId,
        issuer: Option<&str>,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let links = self
            .links
            .iter()
            .filter(|((of, _), linked)| **linked == user && issuer.is_none_or(|issuer| of == issuer));
        Ok(links.map(|(link, _)| link.clone()).collect())
    }

    fn unlink(&mut self, user: UserId, issuer: Option<&str>) -> Result<usize, StoreError> {
        let before = self.links.len();
        self.links.retain(|(of, _), linked| *linked != user || issuer.is_some_and(|issuer| of != issuer));
        Ok(before - self.links.len())
    }

    fn unlink_issuer(&mut self, issuer: &str) -> Result<(usize, usize), StoreError> {
        let (links, sessions) = (self.links.len(), self.sessions.len());
        self.links.retain(|(of, _), _| of != issuer);
        self.sessions.retain(|session| match &session.origin {
            Origin::Oidc(origin) => origin.issuer != issuer,
            Origin::Password => true,
        });
        Ok((links - self.links.len(), sessions - self.sessions.len()))
    }

    fn users_linked_apart(&mut self, old: &str, new: &str) -> Result<Vec<UserId>, StoreError> {
        let at_old = self.links.iter().filter(|((issuer, _), _)| issuer == old);
        let apart = at_old.filter(|((_, subject), user)| {
            self.links.get(&(new.to_owned(), subject.clone())).is_some_and(|other| other != *user)
        });
        Ok(apart.map(|(_, user)| *user).collect())
    }

    fn rename_issuer(&mut self, old: &str, new: &str) -> Result<RenamedIssuer, StoreError> {
        let moved: Vec<_> = self.links.keys().filter(|(issuer, _)| issuer == old).cloned().collect();
        for link in &moved {
            let user = self.links.remove(link).unwrap();
            self.links.insert((new.to_owned(), link.1.clone()), user);
        }
        let mut renamed = RenamedIssuer { links: moved.len(), sessions: 0, logouts: 0 };
        for session in &mut self.sessions {
            if let Origin::Oidc(origin) = &mut session.origin
                && origin.issuer == old
            {
                origin.issuer = new.to_owned();
                renamed.sessions += 1;
            }
        }
        for (_, logout) in &mut self.logouts {
            if logout.issuer == old {
                logout.issuer = new.to_owned();
                renamed.logouts += 1;
            }
        }
        Ok(renamed)
    }

    fn remove_user(&mut self, id: UserId) -> Result<(), StoreError> {
        self.unlink(id, None)?;
        self.end_sessions_of(id)?;
        self.passwords.remove(&id);
        self.users.remove(&id);
        Ok(())
    }
}
