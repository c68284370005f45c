//! A cache of resolved headers. Tokens of one issuer repeat the same header segment, so each is
//! parsed, and its keys are looked up, once per key set.
//!
//! Only headers of verified tokens are cached: a client without a key cannot fill the cache.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::JwsError;
use crate::alg::{PreparedKey, SignatureError, Unavailable};
use crate::jws::Header;
use crate::key::KeyError;

/// A header with its allowed algorithm and its candidate keys.
pub(super) struct ResolvedHeader {
    /// The header segment of the token.
    pub(super) segment: Box<[u8]>,
    pub(super) header: Header,
    /// The algorithm's index in the verifier's list.
    pub(super) algorithm: usize,
    /// The keys to try, at least one.
    pub(super) keys: Vec<Arc<dyn PreparedKey>>,
    /// Whether more keys fit than may be tried.
    pub(super) is_cut: bool,
    /// Whether the header has no `kid` although several keys that have one fit.
    pub(super) lacks_kid: bool,
}

impl ResolvedHeader {
    /// Returns the error for a token that none of the keys verified, of which one may have been unavailable.
    pub(super) fn exhausted(&self, unavailable: Option<Unavailable>) -> JwsError {
        match unavailable {
            Some(reason) => SignatureError::Unavailable(reason).into(),
            None if self.is_cut => KeyError::TooManyCandidates.into(),
            None => SignatureError::Invalid.into(),
        }
    }
}

/// A resolved header, from the cache or new.
pub(super) enum CachedOrNew<'c> {
    Cached(&'c ResolvedHeader),
    New(Arc<ResolvedHeader>),
}

impl Deref for CachedOrNew<'_> {
    type Target = ResolvedHeader;

    fn deref(&self) -> &ResolvedHeader {
        match self {
            CachedOrNew::Cached(header) => header,
            CachedOrNew::New(header) => header,
        }
    }
}

/// The cached headers of one key set. Reading takes no lock.
#[derive(Default)]
pub(super) struct HeaderCache(ArcSwap<Headers>);

#[derive(Default)]
pub(super) struct Headers(Vec<Arc<ResolvedHeader>>);

impl Headers {
    pub(super) fn find(&self, segment: &[u8]) -> Option<&ResolvedHeader> {
        self.0.iter().find(|header| *header.segment == *segment).map(Arc::as_ref)
    }
}

impl HeaderCache {
    pub(super) fn load(&self) -> Guard<Arc<Headers>> {
        self.0.load()
    }

    /// Returns the same as [`load`](Self::load), to be held for longer than a moment.
    pub(super) fn load_full(&self) -> Arc<Headers> {
        self.0.load_full()
    }

    /// Adds a header while there are fewer than `most`. A full cache stays as it is until its key
    /// set is replaced.
    pub(super) fn insert(&self, header: &Arc<ResolvedHeader>, most: usize) {
        let is_wanted = |headers: &Headers| headers.0.len() < most && headers.find(&header.segment).is_none();
        if is_wanted(&self.0.load()) {
            self.0.rcu(|current| {
                let mut headers = current.0.clone();
                if is_wanted(current) {
                    headers.push(Arc::clone(header));
                }
                Headers(headers)
            });
        }
    }
}
