//! The sessions of a `sid` and of a subject, in memory: a logout finds there what it ends.
//!
//! A session is found by 64-bit hashes of its `sid` and `sub` under a key of the process, so that no two values with the
//! same hash can be made. Its issuer is a number, so that an issuer is renamed in one place.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use parking_lot::Mutex;

use claimgate::oidc::records::LogoutTarget;
use claimgate::oidc::session::SessionId;
use claimgate::time::UnixTime;

/// Where a session comes from, in the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexedOrigin {
    /// The number of the issuer; `u32::MAX` after a sign-in with a password.
    issuer: u32,
    subject: Option<NonZeroU64>,
    sid: Option<NonZeroU64>,
    issued_at: UnixTime,
}

impl IndexedOrigin {
    /// That of a sign-in with a password.
    pub(super) const NONE: Self = Self { issuer: u32::MAX, subject: None, sid: None, issued_at: UnixTime(0) };

    fn tags(&self) -> impl Iterator<Item = NonZeroU64> + use<> {
        [self.subject, self.sid].into_iter().flatten()
    }
}

/// The sessions that a logout names.
pub(super) struct NamedSessions {
    /// The numbers of its issuer.
    issuers: Vec<u32>,
    sid: Option<NonZeroU64>,
    subject: Option<NonZeroU64>,
    issued_until: UnixTime,
}

impl NamedSessions {
    /// Reports whether a session is among them: by `sid` whatever its `iat`, and by subject if the ID token was issued
    /// until then. Where the logout has a `sid` too, its subject means the sessions without one.
    pub(super) fn includes(&self, origin: &IndexedOrigin) -> bool {
        let by_sid = self.sid.is_some() && self.sid == origin.sid;
        let by_subject = self.subject.is_some()
            && self.subject == origin.subject
            && origin.issued_at <= self.issued_until
            && (self.sid.is_none() || origin.sid.is_none());
        self.issuers.contains(&origin.issuer) && (by_sid || by_subject)
    }
}

#[derive(Default)]
pub(super) struct Origins {
    key: RandomState,
    issuers: Mutex<Vec<String>>,
    sessions: Mutex<BTreeSet<(NonZeroU64, SessionId)>>,
}

impl Origins {
    fn subject(&self, subject: &str) -> NonZeroU64 {
        self.hash((1, subject))
    }

    fn sid(&self, sid: &str) -> NonZeroU64 {
        self.hash((2, sid))
    }

    fn hash(&self, value: (u8, &str)) -> NonZeroU64 {
        NonZeroU64::new(self.key.hash_one(value)).unwrap_or(NonZeroU64::MIN)
    }

    /// Returns an origin for the index.
    pub(super) fn index(
        &self,
        issuer: &str,
        subject: &str,
        sid: Option<&str>,
        issued_at: UnixTime,
    ) -> IndexedOrigin {
        let mut issuers = self.issuers.lock();
        let number = issuers.iter().position(|known| known == issuer).unwrap_or_else(|| {
            issuers.push(issuer.to_owned());
            issuers.len() - 1
        });
        IndexedOrigin {
            issuer: u32::try_from(number).expect("fewer issuers than 2^32"),
            subject: Some(self.subject(subject)),
            sid: sid.map(|sid| self.sid(sid)),
            issued_at,
        }
    }

    /// Reads the sessions of a start, all at once: a set is built from sorted entries in a fraction of the time.
    pub(super) fn load(&self, sessions: impl Iterator<Item = (SessionId, IndexedOrigin)>) {
        let tagged = sessions.flat_map(|(id, origin)| origin.tags().map(move |tag| (tag, id)));
        *self.sessions.lock() = tagged.collect();
    }

    /// Replaces a session by another state of it.
    pub(super) fn replace(&self, id: SessionId, before: Option<IndexedOrigin>, after: Option<IndexedOrigin>) {
        let mut sessions = self.sessions.lock();
        for tag in before.iter().flat_map(IndexedOrigin::tags) {
            sessions.remove(&(tag, id));
        }
        sessions.extend(after.iter().flat_map(IndexedOrigin::tags).map(|tag| (tag, id)));
    }

    /// Returns what a logout names.
    pub(super) fn named(&self, issuer: &str, target: &LogoutTarget, issued_until: UnixTime) -> NamedSessions {
        let issuers = self.issuers.lock();
        let numbers = (0..).zip(&*issuers).filter(|(_, known)| *known == issuer).map(|(number, _)| number);
        let (sid, subject) = match target {
            LogoutTarget::Session { sid, subject } => (Some(self.sid(sid)), subject.as_deref()),
            LogoutTarget::Subject(subject) => (None, Some(subject.as_str())),
        };
        let subject = subject.map(|subject| self.subject(subject));
        NamedSessions { issuers: numbers.collect(), sid, subject, issued_until }
    }

    /// Returns the sessions with the `sid` or the subject of a logout, of any issuer.
    pub(super) fn candidates(&self, named: &NamedSessions) -> BTreeSet<SessionId> {
        let sessions = self.sessions.lock();
        let of =
            |tag: NonZeroU64| sessions.range((tag, SessionId([0; 16]))..=(tag, SessionId([u8::MAX; 16])));
        let tags = [named.sid, named.subject].into_iter().flatten();
        tags.flat_map(of).map(|(_, id)| *id).collect()
    }

    /// Gives the sessions of one issuer to another.
    pub(super) fn rename_issuer(&self, old: &str, new: &str) {
        for issuer in self.issuers.lock().iter_mut().filter(|issuer| *issuer == old) {
            new.clone_into(issuer);
        }
    }
}
