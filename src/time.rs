//! Points in time.
//!
//! The engine reads no clock: the caller passes the time, so that each decision can be repeated.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, leap seconds ignored (RFC 7519 §2).
///
/// ```
/// use std::time::SystemTime;
///
/// use claimgate::time::UnixTime;
///
/// let now = UnixTime::from(SystemTime::now());
/// assert!(now.saturating_add(60) > now && now.saturating_sub(60) < now);
/// ```
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

/// A duration in whole seconds, as settings write it: `90`, `"90s"`, `"15m"`, `"12h"` or `"1d"`.
///
/// ```
/// use claimgate::time::Seconds;
///
/// assert_eq!("15m".parse(), Ok(Seconds(900)));
/// assert_eq!(Seconds(900).duration(), std::time::Duration::from_secs(900));
/// assert_eq!(serde_json::from_str::<Seconds>("90")?, Seconds(90));
/// assert!("15 minutes".parse::<Seconds>().is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Seconds(pub u64);

/// A text that is no [`Seconds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give whole seconds such as 90, or 90s, 15m, 12h or 1d")]
pub struct NoDuration;

impl Seconds {
    /// Returns the duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl FromStr for Seconds {
    type Err = NoDuration;

    fn from_str(text: &str) -> Result<Self, NoDuration> {
        let (number, seconds) = match text.as_bytes().last() {
            Some(b's') => (&text[..text.len() - 1], 1),
            Some(b'm') => (&text[..text.len() - 1], 60),
            Some(b'h') => (&text[..text.len() - 1], 60 * 60),
            Some(b'd') => (&text[..text.len() - 1], 24 * 60 * 60),
            _ => (text, 1),
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<u64>().ok().filter(|_| is_number);
        number.and_then(|number| number.checked_mul(seconds)).map(Seconds).ok_or(NoDuration)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"whole seconds such as 90, or "90s", "15m", "12h" or "1d""#)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Seconds, E> {
        Ok(Seconds(seconds))
    }

    fn visit_i64<E: Error>(self, given: i64) -> Result<Seconds, E> {
        let seconds = u64::try_from(given);
        seconds.map(Seconds).map_err(|_| E::invalid_value(Unexpected::Signed(given), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Seconds, E> {
        // A text has a unit.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = text.parse().ok().filter(|_| !is_number);
        seconds.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
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

    #[test]
    fn a_system_time_is_rounded_down() {
        assert_eq!(UnixTime::from(UNIX_EPOCH), UnixTime(0));
        assert_eq!(UnixTime::from(UNIX_EPOCH + Duration::from_millis(1_999)), UnixTime(1));
        assert_eq!(UnixTime::from(UNIX_EPOCH - Duration::from_millis(1)), UnixTime(-1));
        assert_eq!(UnixTime::from(UNIX_EPOCH - Duration::from_secs(2)), UnixTime(-2));
    }
}
