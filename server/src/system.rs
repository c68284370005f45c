//! The clock and the random source: read here, and handed to the rules as values.

use std::time::{SystemTime, UNIX_EPOCH};

use claimgate::time::UnixTime;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since 1970.
pub(crate) fn now() -> UnixTime {
    UnixTime(now_ms().div_euclid(1000))
}

/// Fills a buffer from the operating system's randomness.
///
/// # Panics
/// Where the system has none: nothing may go on with a guessable secret.
pub(crate) fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives randomness");
}
