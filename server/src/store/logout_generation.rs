//! One generation of logouts in memory: a hash map that grows, or sorted arrays that are only read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::logout_entry::{LogoutEntry, Tagger, TargetTagger};
use super::sorted_tags::{ByTag, SortedTags};
use claimgate::oidc::records::Position;
use claimgate::time::UnixTime;

/// Parts of a hash map with a lock each, so that a write seldom blocks a read.
const SHARDS: usize = 64;

/// The newest logout of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) issued_at: UnixTime,
    pub(super) received: Position,
}

impl Newest {
    pub(super) fn merged(self, other: Self) -> Self {
        Self { issued_at: self.issued_at.max(other.issued_at), received: self.received.max(other.received) }
    }
}

/// The newest times of a generation.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) issued_at: UnixTime,
    pub(super) received: Position,
    pub(super) token_until: UnixTime,
    pub(super) until: UnixTime,
}

impl Span {
    pub(super) const EMPTY: Self = Self {
        issued_at: UnixTime(i64::MIN),
        received: Position(i64::MIN),
        token_until: UnixTime(i64::MIN),
        until: UnixTime(i64::MIN),
    };

    pub(super) fn include(&mut self, entry: &LogoutEntry) {
        self.issued_at = self.issued_at.max(entry.issued_at);
        self.received = self.received.max(entry.received);
        self.token_until = self.token_until.max(entry.token_until);
        self.until = self.until.max(entry.until);
    }
}

/// A generation as hash maps. A rollback leaves its span as it is: too wide, and never too narrow.
pub(super) struct Hashed {
    pub(super) jtis: Mutex<HashSet<u64, ByTag>>,
    pub(super) targets: [RwLock<HashMap<u64, Newest, ByTag>>; SHARDS],
    pub(super) state: Mutex<(usize, Span)>,
}

impl Default for Hashed {
    fn default() -> Self {
        Self {
            jtis: Mutex::default(),
            targets: std::array::from_fn(|_| RwLock::default()),
            state: Mutex::new((0, Span::EMPTY)),
        }
    }
}

impl Hashed {
    pub(super) fn shard(&self, tag: u64) -> &RwLock<HashMap<u64, Newest, ByTag>> {
        // Other bits than those by which the map and the sorted array find a tag.
        &self.targets[usize::try_from((tag >> 32) % 64).expect("below 64")]
    }

    pub(super) fn span(&self) -> Span {
        self.state.lock().1
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().0
    }

    pub(super) fn get(&self, tag: u64) -> Option<Newest> {
        self.shard(tag).read().get(&tag).copied()
    }

    /// Returns its entries, to be sorted.
    pub(super) fn collect(&self) -> Collected {
        let mut targets = Vec::new();
        for shard in &self.targets {
            targets.extend(shard.read().iter().map(|(tag, newest)| (*tag, *newest)));
        }
        let jtis = self.jtis.lock().iter().copied().collect();
        let (count, span) = *self.state.lock();
        Collected { jtis, targets, count, span }
    }
}

/// The entries of a generation that is not sorted yet.
pub(super) struct Collected {
    pub(super) jtis: Vec<u64>,
    pub(super) targets: Vec<(u64, Newest)>,
    pub(super) count: usize,
    pub(super) span: Span,
}

impl Collected {
    pub(super) const EMPTY: Self =
        Self { jtis: Vec::new(), targets: Vec::new(), count: 0, span: Span::EMPTY };

    /// Adds an entry. `of_issuer` tags the targets of its issuer.
    pub(super) fn add(&mut self, tagger: &Tagger, of_issuer: &TargetTagger, entry: &LogoutEntry) {
        self.count += 1;
        self.span.include(entry);
        self.jtis.push(tagger.jti(entry.jti));
        let LogoutEntry { issued_at, received, .. } = *entry;
        let newest = Newest { issued_at, received };
        self.targets.extend(entry.targets().map(|(kind, value)| (of_issuer.target(kind, value), newest)));
    }
}

/// A number as its distance below the greatest of its kind, or the greatest distance.
fn below(greatest: i64, number: i64) -> u32 {
    u32::try_from(greatest.saturating_sub(number)).unwrap_or(u32::MAX)
}

/// A generation that is only read.
pub(super) struct Sorted {
    /// `None` once all its tokens have expired.
    pub(super) jtis: Mutex<Option<SortedTags<()>>>,
    /// How far the newest `iat` and position are below those of the span.
    pub(super) targets: SortedTags<(u32, u32)>,
    pub(super) count: usize,
    pub(super) span: Span,
}

impl Sorted {
    pub(super) fn new(collected: Collected) -> Self {
        let Collected { jtis, targets, count, span } = collected;
        let targets = targets.iter().map(|(tag, newest)| {
            let issued_at = below(span.issued_at.0, newest.issued_at.0);
            (*tag, (issued_at, below(span.received.0, newest.received.0)))
        });
        Self {
            jtis: Mutex::new(Some(SortedTags::new(jtis.iter().map(|tag| (*tag, ())), |(), ()| ()))),
            targets: SortedTags::new(targets, |one, other| (one.0.min(other.0), one.1.min(other.1))),
            count,
            span,
        }
    }

    pub(super) fn get(&self, tag: u64) -> Option<Newest> {
        let (issued_at, received) = self.targets.get(tag)?;
        Some(Newest {
            issued_at: UnixTime(self.span.issued_at.0.saturating_sub(issued_at.into())),
            received: Position(self.span.received.0.saturating_sub(received.into())),
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.targets.bytes() + self.jtis.lock().as_ref().map_or(0, SortedTags::bytes)
    }
}

/// A generation that has ended.
#[derive(Clone)]
pub(super) enum Ended {
    /// Being sorted.
    Hashed(Arc<Hashed>),
    Sorted(Arc<Sorted>),
}

impl Ended {
    pub(super) fn span(&self) -> Span {
        match self {
            Ended::Hashed(hashed) => hashed.span(),
            Ended::Sorted(sorted) => sorted.span,
        }
    }

    pub(super) fn get(&self, tag: u64) -> Option<Newest> {
        match self {
            Ended::Hashed(hashed) => hashed.get(tag),
            Ended::Sorted(sorted) => sorted.get(tag),
        }
    }

    pub(super) fn contains_jti(&self, tag: u64) -> bool {
        match self {
            Ended::Hashed(hashed) => hashed.jtis.lock().contains(&tag),
            Ended::Sorted(sorted) => sorted.jtis.lock().as_ref().is_some_and(|jtis| jtis.get(tag).is_some()),
        }
    }

    pub(super) fn forget_jtis(&self) {
        match self {
            Ended::Hashed(hashed) => *hashed.jtis.lock() = HashSet::default(),
            Ended::Sorted(sorted) => *sorted.jtis.lock() = None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Ended::Hashed(hashed) => hashed.len(),
            Ended::Sorted(sorted) => sorted.count,
        }
    }

    /// Returns its bytes. One that is being sorted is in the reserve, and counts as what it will be.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Ended::Hashed(hashed) => hashed.len() * 41,
            Ended::Sorted(sorted) => sorted.bytes(),
        }
    }
}
