//! Logouts in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use claimgate::time::UnixTime;
use parking_lot::Mutex;

use super::{LEEWAY, Logout, LogoutStore, StoreError, TokenSession};

/// A store of logouts in memory, for a service of one process and for tests. A restart forgets them: tokens of
/// sessions that were logged out are then accepted until they expire.
///
/// ```
/// use std::time::Duration;
/// use claimgate_tower::{Logouts, MemoryLogouts};
/// // No access token lives longer than an hour.
/// let logouts = Logouts::new(MemoryLogouts::new(1_000_000), Duration::from_secs(3600));
/// ```
#[derive(Debug)]
pub struct MemoryLogouts {
    most: usize,
    records: Mutex<Records>,
}

/// The logouts of all issuers.
#[derive(Debug, Default)]
struct Records {
    issuers: HashMap<Arc<str>, Ends>,
    /// Each name once, by a time before which it may not be deleted.
    due: BTreeMap<UnixTime, Vec<Name>>,
    /// The number of names.
    names: usize,
}

/// The logouts of one issuer by their names, for each [`Kind`].
type Ends = [HashMap<Arc<str>, End>; 3];

/// What a name of a logout is of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Session,
    /// A subject with all its sessions.
    Subject,
    /// A subject whose tokens have no `sid`.
    WithoutSid,
}

/// A session or a subject of an issuer.
#[derive(Debug)]
struct Name {
    issuer: Arc<str>,
    kind: Kind,
    name: Arc<str>,
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
        Self { most, records: Mutex::default() }
    }
}

impl Records {
    /// Deletes what may be deleted. Each name is looked at once for each of its logouts at most.
    fn purge(&mut self, now: UnixTime) {
        while let Some(first) = self.due.first_entry()
            && *first.key() <= now
        {
            for due in first.remove() {
                let Some(ends) = self.issuers.get_mut(&due.issuer) else { continue };
                let ends = &mut ends[due.kind as usize];
                match ends.get(&due.name).map(|end| end.keep_until) {
                    Some(until) if until > now => self.due.entry(until).or_default().push(due),
                    _ => self.names -= usize::from(ends.remove(&due.name).is_some()),
                }
            }
        }
    }

    fn insert(&mut self, logout: &Logout) {
        let issued_until = logout.issued_at;
        if let Some(sid) = &logout.sid {
            self.keep(logout, Kind::Session, sid, issued_until.saturating_add(LEEWAY));
        }
        if let Some(subject) = &logout.subject {
            let kind = if logout.sid.is_some() { Kind::WithoutSid } else { Kind::Subject };
            self.keep(logout, kind, subject, issued_until);
        }
    }

    /// Keeps the later of each time.
    fn keep(&mut self, logout: &Logout, kind: Kind, name: &str, issued_until: UnixTime) {
        let issuer = match self.issuers.get_key_value(&*logout.issuer) {
            Some((issuer, _)) => Arc::clone(issuer),
            None => Arc::from(&*logout.issuer),
        };
        let ends = &mut self.issuers.entry(Arc::clone(&issuer)).or_default()[kind as usize];
        let keep_until = logout.keep_until;
        if let Some(end) = ends.get_mut(name) {
            end.issued_until = end.issued_until.max(issued_until);
            end.keep_until = end.keep_until.max(keep_until);
            return;
        }
        let name: Arc<str> = name.into();
        ends.insert(Arc::clone(&name), End { issued_until, keep_until });
        self.due.entry(keep_until).or_default().push(Name { issuer, kind, name });
        self.names += 1;
    }

    fn end(&self, token: &TokenSession<'_>) -> bool {
        let Some(ends) = self.issuers.get(token.issuer) else { return false };
        let find = |kind: Kind, name: Option<&str>| name.and_then(|name| ends[kind as usize].get(name));
        let tokens_without_sid = token.subject.filter(|_| token.sid.is_none());
        let ends = [
            find(Kind::Session, token.sid),
            find(Kind::Subject, token.subject),
            find(Kind::WithoutSid, tokens_without_sid),
        ];
        ends.into_iter().flatten().any(|end| token.issued_at <= end.issued_until)
    }
}

impl LogoutStore for MemoryLogouts {
    async fn record(&self, logouts: &[Logout]) -> Result<(), StoreError> {
        let mut records = self.records.lock();
        if let Some(now) = logouts.iter().map(|logout| logout.received_at).max() {
            records.purge(now);
        }
        // A logout has two names at most.
        if records.names + 2 * logouts.len() > self.most {
            return Err("the memory for logouts is full".into());
        }
        for logout in logouts {
            records.insert(logout);
        }
        Ok(())
    }

    async fn is_logged_out(&self, token: &TokenSession<'_>) -> Result<bool, StoreError> {
        Ok(self.records.lock().end(token))
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

    #[tokio::test]
    async fn a_name_is_deleted_when_its_last_logout_may_be() {
        let store = MemoryLogouts::new(10);
        let first = logout(None, Some("ada"), 100);
        let second = Logout { keep_until: first.keep_until.saturating_add(50), ..first.clone() };
        store.record(&[first.clone(), second.clone()]).await.expect("there is room");
        let at = |received_at: UnixTime| Logout { received_at, ..logout(None, Some("grace"), 100) };
        let is_kept = async || store.is_logged_out(&session(None, "ada", 100)).await.expect("memory");
        store.record(&[at(first.keep_until)]).await.expect("there is room");
        assert!(is_kept().await);
        store.record(&[at(second.keep_until)]).await.expect("there is room");
        assert!(!is_kept().await);
        let records = store.records.lock();
        let due: usize = records.due.values().map(Vec::len).sum();
        assert_eq!((records.names, due), (1, 1));
    }

    /// A full store does not look at each record for each batch.
    #[tokio::test]
    async fn a_full_store_refuses_at_once() {
        const NAMES: usize = 100_000;
        let store = MemoryLogouts::new(NAMES + 1);
        for name in 0..NAMES {
            let logout = logout(None, Some(&name.to_string()), 100);
            store.record(&[logout]).await.expect("there is room");
        }
        let one_more = [logout(None, Some("ada"), 100)];
        let begun = std::time::Instant::now();
        for _ in 0..NAMES {
            assert!(store.record(&one_more).await.is_err());
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
