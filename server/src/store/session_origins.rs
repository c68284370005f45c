//! The sessions of a `sid` and of a subject, in memory: a logout finds there what it ends.
//!
//! A session is found by 64-bit hashes of its `sid` and `sub` under a key of the process, so that no two values with the
//! same hash can be made. Its issuer is a number, so that an issuer is renamed in one place.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
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
    sessions: Mutex<Tagged>,
}

/// Parts of the table of sessions: the growth of one copies no other.
const PARTS: u64 = 64;

/// Sessions by the hashes of their `sid` and `sub`.
struct Tagged {
    /// A session of each hash. Nearly all have one alone, which is found at the cost of one look into memory.
    one: Vec<HashMap<NonZeroU64, SessionId>>,
    /// The others.
    more: BTreeSet<(NonZeroU64, SessionId)>,
}

impl Default for Tagged {
    fn default() -> Self {
        Self { one: (0..PARTS).map(|_| HashMap::new()).collect(), more: BTreeSet::new() }
    }
}

impl Tagged {
    fn part(&mut self, tag: NonZeroU64) -> &mut HashMap<NonZeroU64, SessionId> {
        &mut self.one[part_of(tag)]
    }

    fn more_of(&self, tag: NonZeroU64) -> impl Iterator<Item = SessionId> {
        let all = (tag, SessionId([0; 16]))..=(tag, SessionId([u8::MAX; 16]));
        self.more.range(all).map(|(_, id)| *id)
    }

    fn of(&self, tag: NonZeroU64) -> impl Iterator<Item = SessionId> {
        let one = self.one[part_of(tag)].get(&tag).copied();
        let more = one.filter(|_| !self.more.is_empty()).map(|_| self.more_of(tag));
        one.into_iter().chain(more.into_iter().flatten())
    }

    fn insert(&mut self, tag: NonZeroU64, id: SessionId) {
        match self.one[part_of(tag)].entry(tag) {
            Entry::Vacant(place) => drop(place.insert(id)),
            Entry::Occupied(one) if *one.get() == id => {}
            Entry::Occupied(_) => drop(self.more.insert((tag, id))),
        }
    }

    fn remove(&mut self, tag: NonZeroU64, id: SessionId) {
        if self.part(tag).get(&tag) != Some(&id) {
            self.more.remove(&(tag, id));
            return;
        }
        let next = if self.more.is_empty() { None } else { self.more_of(tag).next() };
        match next {
            Some(next) => {
                self.more.remove(&(tag, next));
                self.part(tag).insert(tag, next);
            }
            None => drop(self.part(tag).remove(&tag)),
        }
    }
}

/// Returns the part of a hash. The table within it uses other bits of another hash.
fn part_of(tag: NonZeroU64) -> usize {
    usize::try_from(tag.get() % PARTS).expect("fewer parts than 2^16")
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

    /// Reads the sessions of a start.
    pub(super) fn load(&self, sessions: impl Iterator<Item = (SessionId, IndexedOrigin)>) {
        let mut tagged = Tagged::default();
        for (id, origin) in sessions {
            origin.tags().for_each(|tag| tagged.insert(tag, id));
        }
        *self.sessions.lock() = tagged;
    }

    /// Replaces a session by another state of it.
    pub(super) fn replace(&self, id: SessionId, before: Option<IndexedOrigin>, after: Option<IndexedOrigin>) {
        let mut sessions = self.sessions.lock();
        before.iter().flat_map(IndexedOrigin::tags).for_each(|tag| sessions.remove(tag, id));
        after.iter().flat_map(IndexedOrigin::tags).for_each(|tag| sessions.insert(tag, id));
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
        let tags = [named.sid, named.subject].into_iter().flatten();
        tags.flat_map(|tag| sessions.of(tag)).collect()
    }

    /// Gives the sessions of one issuer to another.
    pub(super) fn rename_issuer(&self, old: &str, new: &str) {
        for issuer in self.issuers.lock().iter_mut().filter(|issuer| *issuer == old) {
            new.clone_into(issuer);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // A few hashes and sessions, so that several sessions have one hash.
        #[test]
        fn sessions_are_found_by_each_hash_whatever_came_before(
            steps in proptest::collection::vec((any::<bool>(), 1_u64..5, 0_u8..5), 0..60)
        ) {
            let (mut tagged, mut model) = (Tagged::default(), BTreeSet::new());
            for (is_inserted, tag, id) in steps {
                let (tag, id) = (NonZeroU64::new(tag).expect("not 0"), SessionId([id; 16]));
                match is_inserted {
                    true => { tagged.insert(tag, id); model.insert((tag, id)); }
                    false => { tagged.remove(tag, id); model.remove(&(tag, id)); }
                }
                for tag in (1..5).filter_map(NonZeroU64::new) {
                    let mut found: Vec<_> = tagged.of(tag).collect();
                    found.sort();
                    let wanted: Vec<_> = model.iter().filter(|(of, _)| *of == tag).map(|(_, id)| *id).collect();
                    prop_assert_eq!(found, wanted);
                }
            }
            prop_assert_eq!(tagged.one.iter().map(HashMap::len).sum::<usize>() + tagged.more.len(), model.len());
        }
    }
}
