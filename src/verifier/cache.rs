//! A cache of accepted tokens.

use std::sync::{Arc, Weak};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::ValidatedToken;
use crate::claims::Kind;
use crate::jws::KeyTable;

pub(super) type TokenId = [u8; 32];

/// Accepted tokens by the SHA-256 of their whole text, bounded by an estimate of their memory.
pub(super) struct TokenCache<K: Kind>(Cache<TokenId, CachedToken<K>, ByBytes>);

#[derive(Clone)]
struct CachedToken<K: Kind> {
    /// The key table that verified it. A weak reference keeps the address from being used again.
    verified_by: Weak<KeyTable>,
    token: ValidatedToken<K>,
    bytes: u64,
}

#[derive(Clone)]
struct ByBytes;

impl<K: Kind> Weighter<TokenId, CachedToken<K>> for ByBytes {
    fn weight(&self, _: &TokenId, cached: &CachedToken<K>) -> u64 {
        cached.bytes
    }
}

impl<K: Kind> TokenCache<K> {
    /// What most tokens take at least; it sizes the table.
    const TYPICAL_BYTES: u64 = 4 * 1024;

    pub(super) fn new(bytes: u64) -> Self {
        let entries = usize::try_from(bytes / Self::TYPICAL_BYTES).unwrap_or(usize::MAX).max(1);
        Self(Cache::with_weighter(entries, bytes, ByBytes))
    }

    pub(super) fn id(token: &str) -> TokenId {
        Sha256::digest(token.as_bytes()).into()
    }

    pub(super) fn find(&self, id: &TokenId, keys: &Arc<KeyTable>) -> Option<ValidatedToken<K>> {
        let cached = self.0.get(id)?;
        std::ptr::eq(cached.verified_by.as_ptr(), Arc::as_ptr(keys)).then_some(cached.token)
    }

    pub(super) fn insert(&self, id: TokenId, keys: &Arc<KeyTable>, token: &ValidatedToken<K>, bytes: u64) {
        if token.claims().expires_at().is_some() {
            let cached = CachedToken { verified_by: Arc::downgrade(keys), token: token.clone(), bytes };
            self.0.insert(id, cached);
        }
    }
}

/// Estimates the memory of a cached token from above: its text, and each value of its claims once
/// they are parsed to a document.
pub(super) fn estimated_bytes(payload: &[u8]) -> u64 {
    const ENTRY: u64 = 1024;
    const VALUE: u64 = 128;
    let values = payload.iter().filter(|byte| matches!(byte, b'[' | b'{' | b',')).count();
    ENTRY + 2 * payload.len() as u64 + VALUE * values as u64
}

impl<K: Kind> std::fmt::Debug for TokenCache<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("entries", &self.0.len()).field("bytes", &self.0.weight()).finish()
    }
}
