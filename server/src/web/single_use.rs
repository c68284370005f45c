//! Values that are good once: bounded, forgotten when they would be too old anyway.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

use claimgate::oidc::authorization::LOGIN_LIFETIME;
use claimgate::time::UnixTime;

/// Most values remembered; beyond, the oldest go first. Each stands for a callback with a cookie of
/// ours, so a stranger cannot fill this for others without beginning as many sign-ins.
const REMEMBERED: usize = 200_000;

#[derive(Default)]
pub(crate) struct UsedOnce(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    known: HashSet<[u8; 16]>,
    order: VecDeque<(UnixTime, [u8; 16])>,
}

impl UsedOnce {
    /// Whether this is the first use.
    pub(crate) fn first(&self, value: &str, now: UnixTime) -> bool {
        let hash = digest(&SHA256, value.as_bytes());
        let tag: [u8; 16] = std::array::from_fn(|index| hash.as_ref()[index]);
        let mut inner = self.0.lock();
        while let Some((at, oldest)) = inner.order.front().copied() {
            if inner.order.len() < REMEMBERED && at.saturating_add(LOGIN_LIFETIME + 1) >= now {
                break;
            }
            inner.order.pop_front();
            inner.known.remove(&oldest);
        }
        let first = inner.known.insert(tag);
        if first {
            inner.order.push_back((now, tag));
        }
        first
    }
}
