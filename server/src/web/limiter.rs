//! Attempts at the password door: limited by user and by address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota};
use ring::digest::{SHA256, digest};

/// Attempts at one name before they must wait, and how long for each further one.
const BY_NAME: (NonZeroU32, Duration) = (NonZeroU32::new(10).expect("not zero"), Duration::from_secs(30));
/// The same for one address; many people may share one.
const BY_ADDRESS: (NonZeroU32, Duration) = (NonZeroU32::new(30).expect("not zero"), Duration::from_secs(5));
/// Names and addresses remembered before the idle ones are forgotten.
const REMEMBERED: usize = 100_000;

pub(crate) struct Limiter {
    by_name: DefaultKeyedRateLimiter<[u8; 16]>,
    by_address: DefaultKeyedRateLimiter<IpAddr>,
}

impl Default for Limiter {
    fn default() -> Self {
        let quota = |(burst, wait): (NonZeroU32, Duration)| {
            Quota::with_period(wait).expect("a wait is not zero").allow_burst(burst)
        };
        Self {
            by_name: DefaultKeyedRateLimiter::keyed(quota(BY_NAME)),
            by_address: DefaultKeyedRateLimiter::keyed(quota(BY_ADDRESS)),
        }
    }
}

impl Limiter {
    /// Counts an attempt; false where it must wait.
    pub(crate) fn allow(&self, name: &str, address: IpAddr) -> bool {
        if self.by_name.len() > REMEMBERED || self.by_address.len() > REMEMBERED {
            self.forget_idle();
        }
        let hash = digest(&SHA256, name.as_bytes());
        let name = std::array::from_fn(|index| hash.as_ref()[index]);
        let address = super::client_address::counted(address);
        self.by_address.check_key(&address).is_ok() && self.by_name.check_key(&name).is_ok()
    }

    /// Forgets those that have nothing to wait for.
    pub(crate) fn forget_idle(&self) {
        self.by_name.retain_recent();
        self.by_address.retain_recent();
    }
}
