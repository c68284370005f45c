//! The system clock and the random source. The rules receive both as values.

use std::time::{SystemTime, UNIX_EPOCH};

use claimgate::time::UnixTime;

/// Returns the milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the seconds since 1970.
pub(crate) fn now() -> UnixTime {
    UnixTime(now_ms().div_euclid(1000))
}

/// Fills a buffer from the operating system's randomness.
///
/// # Panics
/// If the operating system has none: a secret would be guessable.
pub(crate) fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives randomness");
}
