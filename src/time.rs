//! Points in time.
//!
//! The engine reads no clock: the caller passes the time, so that each decision can be repeated.

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

impl std::fmt::Display for UnixTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
