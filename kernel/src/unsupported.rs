//! The kernel where the target has no AVX-512: no key is supported.

use std::convert::Infallible;

use super::{Hash, Item};

pub(crate) struct Key(Infallible);

pub(crate) fn is_supported(_n: &[u8], _e: &[u8]) -> bool {
    false
}

impl Key {
    pub(crate) fn prepare(_n: &[u8], _hash: Hash) -> Option<Key> {
        None
    }

    pub(crate) fn verify(&self, _message: &[u8], _signature: &[u8]) -> bool {
        match self.0 {}
    }
}

pub(crate) fn verify_batch(items: &[Item<'_>], _verified: &mut [bool]) {
    if let Some(item) = items.first() {
        match item.key.0.0 {}
    }
}
