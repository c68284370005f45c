//! Rate limits on password sign-ins, by username and by client address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota};

use claimgate::identity::{Normalisation, normal_username};
use claimgate::oidc::fingerprint::Fingerprint;

/// Attempts for one username without a wait, and the wait for each further one.
const BY_NAME: (NonZeroU32, Duration) = (NonZeroU32::new(10).expect("not zero"), Duration::from_secs(30));
/// The same for one client address, which many people may share.
const BY_ADDRESS: (NonZeroU32, Duration) = (NonZeroU32::new(30).expect("not zero"), Duration::from_secs(5));
/// Usernames or addresses remembered before idle ones are dropped.
const REMEMBERED: usize = 100_000;

/// The rate limits of password sign-ins.
pub(crate) struct Limiter {
    by_name: DefaultKeyedRateLimiter<Fingerprint>,
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
    /// Counts an attempt. Returns `false` if it exceeds a limit.
    pub(crate) fn allow(&self, name: &str, address: IpAddr) -> bool {
        if self.by_name.len() > REMEMBERED || self.by_address.len() > REMEMBERED {
            self.drop_idle();
        }
        // Every spelling that finds a user counts as an attempt for that user.
        let normal = normal_username(name, Normalisation::Default);
        let name = Fingerprint::of(normal.as_deref().unwrap_or(name));
        let address = super::client_address::subscriber(address);
        self.by_address.check_key(&address).is_ok() && self.by_name.check_key(&name).is_ok()
    }

    /// Drops entries whose quota is full again.
    pub(crate) fn drop_idle(&self) {
        self.by_name.retain_recent();
        self.by_address.retain_recent();
    }
}
