//! A memory of values that may be used once. It is bounded, and drops a value when the sign-in it
//! belongs to would have expired anyway.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;

use claimgate::oidc::authorization::SIGN_IN_LIFETIME;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::time::UnixTime;

/// Most values remembered; beyond this the oldest are dropped. Each stands for a callback with a cookie of
/// ours, so an attacker must begin as many sign-ins to push out another person's.
const REMEMBERED: usize = 200_000;

/// The values used within the lifetime of a sign-in, as hashes.
#[derive(Default)]
pub(crate) struct SingleUse(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    used: HashSet<Fingerprint>,
    order: VecDeque<(UnixTime, Fingerprint)>,
}

impl SingleUse {
    /// Marks a value as used. Returns `false` if it was used before.
    pub(crate) fn consume(&self, value: &str, now: UnixTime) -> bool {
        let tag = Fingerprint::of(value);
        let mut inner = self.0.lock();
        while let Some((at, oldest)) = inner.order.front().copied() {
            if inner.order.len() < REMEMBERED && at.saturating_add(SIGN_IN_LIFETIME.as_secs() + 1) >= now {
                break;
            }
            inner.order.pop_front();
            inner.used.remove(&oldest);
        }
        let first = inner.used.insert(tag);
        if first {
            inner.order.push_back((now, tag));
        }
        first
    }
}
