//! Logouts in memory.

use std::collections::HashMap;

use claimgate::time::UnixTime;
use parking_lot::Mutex;

use super::{LEEWAY, Logout, LogoutStore, StoreError, TokenSession};

/// A store of logouts in memory, for a service of one process and for tests. A restart forgets them: tokens of
/// sessions that were logged out are then accepted until they expire.
#[derive(Debug)]
pub struct MemoryLogouts {
    most: usize,
    ends: Mutex<HashMap<String, Ends>>,
}

/// The logouts of one issuer, each kind by its name.
#[derive(Debug, Default)]
struct Ends {
    sessions: HashMap<String, End>,
    /// Subjects with all their sessions.
    subjects: HashMap<String, End>,
    /// Subjects whose tokens have no `sid`.
    without_sid: HashMap<String, End>,
}

/// The newest logout of a name.
#[derive(Clone, Copy, Debug)]
struct End {
    issued_until: UnixTime,
    keep_until: UnixTime,
}

impl MemoryLogouts {
    /// Makes a store of at most `most` names of sessions and subjects, of some 200 bytes each. When it is full,
    /// logouts are answered 503 until records may be deleted.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, ends: Mutex::default() }
    }
}

impl Ends {
    fn len(&self) -> usize {
        self.sessions.len() + self.subjects.len() + self.without_sid.len()
    }

    fn purge(&mut self, now: UnixTime) {
        for ends in [&mut self.sessions, &mut self.subjects, &mut self.without_sid] {
            ends.retain(|_, end| end.keep_until > now);
        }
    }

    fn insert(&mut self, logout: &Logout) {
        let issued_until = logout.issued_at;
        if let Some(sid) = &logout.sid {
            keep(&mut self.sessions, sid, issued_until.saturating_add(LEEWAY), logout.keep_until);
        }
        if let Some(subject) = &logout.subject {
            let subjects = if logout.sid.is_some() { &mut self.without_sid } else { &mut self.subjects };
            keep(subjects, subject, issued_until, logout.keep_until);
        }
    }

    fn end(&self, token: &TokenSession<'_>) -> bool {
        let by_sid = token.sid.and_then(|sid| self.sessions.get(sid));
        let by_subject = token.subject.and_then(|subject| self.subjects.get(subject));
        let tokens_without_sid = token.subject.filter(|_| token.sid.is_none());
        let without_sid = tokens_without_sid.and_then(|subject| self.without_sid.get(subject));
        let ends = [by_sid, by_subject, without_sid];
        ends.into_iter().flatten().any(|end| token.issued_at <= end.issued_until)
    }
}

/// Keeps the later of each time.
fn keep(ends: &mut HashMap<String, End>, name: &str, issued_until: UnixTime, keep_until: UnixTime) {
    let new = End { issued_until, keep_until };
    let end = ends.entry(name.to_owned()).or_insert(new);
    end.issued_until = end.issued_until.max(issued_until);
    end.keep_until = end.keep_until.max(keep_until);
}

impl LogoutStore for MemoryLogouts {
    async fn record(&self, logouts: &[Logout]) -> Result<(), StoreError> {
        let mut issuers = self.ends.lock();
        let names = |issuers: &HashMap<String, Ends>| issuers.values().map(Ends::len).sum::<usize>();
        // A logout has two names at most.
        let more = 2 * logouts.len();
        if names(&issuers) + more > self.most {
            let now = logouts.iter().map(|logout| logout.received_at).max();
            issuers.values_mut().for_each(|ends| ends.purge(now.unwrap_or(UnixTime(0))));
            if names(&issuers) + more > self.most {
                return Err("the memory for logouts is full".into());
            }
        }
        for logout in logouts {
            issuers.entry(logout.issuer.clone()).or_default().insert(logout);
        }
        Ok(())
    }

    async fn is_logged_out(&self, token: &TokenSession<'_>) -> Result<bool, StoreError> {
        Ok(self.ends.lock().get(token.issuer).is_some_and(|ends| ends.end(token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logouts::tests::{logout, rule, session};

    #[tokio::test]
    async fn the_store_follows_the_rule() {
        for (logout, token, ends) in rule() {
            let store = MemoryLogouts::new(10);
            store.record(std::slice::from_ref(&logout)).await.expect("there is room");
            let is_logged_out = store.is_logged_out(&token).await.expect("memory");
            assert_eq!(is_logged_out, ends, "{logout:?} {token:?}");
        }
    }

    #[tokio::test]
    async fn the_newest_logout_counts_and_replays_change_nothing() {
        let store = MemoryLogouts::new(10);
        for at in [200, 100] {
            store.record(&[logout(None, Some("ada"), at)]).await.expect("there is room");
        }
        assert!(store.is_logged_out(&session(None, "ada", 200)).await.expect("memory"));
        assert!(!store.is_logged_out(&session(None, "ada", 201)).await.expect("memory"));
    }

    #[tokio::test]
    async fn a_full_store_records_none_of_a_batch_and_forgets_only_what_it_may() {
        let store = MemoryLogouts::new(4);
        let [one, two] = [logout(Some("s"), Some("ada"), 100), logout(Some("t"), Some("grace"), 100)];
        store.record(std::slice::from_ref(&one)).await.expect("there is room");
        assert!(store.record(&[two.clone(), two.clone()]).await.is_err());
        assert!(!store.is_logged_out(&session(Some("t"), "grace", 100)).await.expect("memory"));
        assert!(store.is_logged_out(&session(Some("s"), "ada", 100)).await.expect("memory"));
        let later = Logout { received_at: one.keep_until, ..two };
        store.record(&[later.clone(), later]).await.expect("the first may be deleted");
        assert!(!store.is_logged_out(&session(Some("s"), "ada", 100)).await.expect("memory"));
        assert!(store.is_logged_out(&session(Some("t"), "grace", 100)).await.expect("memory"));
    }
}
