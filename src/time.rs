//! Points in time.
//!
//! The engine reads no clock: the caller passes the time, so that each decision can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, leap seconds ignored (RFC 7519 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// Adds seconds. Saturates at the ends of the range.
    #[must_use]
    pub fn saturating_add(self, seconds: u64) -> UnixTime {
        UnixTime(self.0.saturating_add_unsigned(seconds))
    }

    /// Subtracts seconds. Saturates at the ends of the range.
    #[must_use]
    pub fn saturating_sub(self, seconds: u64) -> UnixTime {
        UnixTime(self.0.saturating_sub_unsigned(seconds))
    }
}

impl From<SystemTime> for UnixTime {
    /// Returns the time rounded down to whole seconds.
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => UnixTime(0).saturating_add(since.as_secs()),
            Err(before) => {
                let before = before.duration();
                UnixTime(0).saturating_sub(before.as_secs() + u64::from(before.subsec_nanos() > 0))
            }
        }
    }
}

impl std::fmt::Display for UnixTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_system_time_is_rounded_down() {
        assert_eq!(UnixTime::from(UNIX_EPOCH), UnixTime(0));
        assert_eq!(UnixTime::from(UNIX_EPOCH + Duration::from_millis(1_999)), UnixTime(1));
        assert_eq!(UnixTime::from(UNIX_EPOCH - Duration::from_millis(1)), UnixTime(-1));
        assert_eq!(UnixTime::from(UNIX_EPOCH - Duration::from_secs(2)), UnixTime(-2));
    }
}
