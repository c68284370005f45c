//! NumericDate (RFC 7519 §2): seconds since the Unix epoch, with or without a fraction.

use serde_json::Value;

use crate::time::UnixTime;

/// A time from 0 to 2^53 seconds after the Unix epoch, with or without a fraction.
///
/// ```
/// use claimgate::claims::Claims;
/// use claimgate::limits::Limits;
/// use claimgate::time::UnixTime;
///
/// let claims = Claims::parse(br#"{"exp": 1800000300.5}"#, &Limits::DEFAULT)?;
/// let expires_at = claims.expires_at().expect("it has one");
/// assert_eq!(expires_at.seconds(), UnixTime(1_800_000_300));
/// assert!(expires_at.is_after(UnixTime(1_800_000_300)) && !expires_at.is_after(UnixTime(1_800_000_301)));
/// # Ok::<(), claimgate::claims::ClaimsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate {
    seconds: i64,
    /// Whether the time is after `seconds`, by less than a second. A clock of whole seconds needs
    /// no more of the fraction.
    fraction: bool,
}

/// 2^53. Many parsers read JSON numbers as `f64`, which does not represent all greater integers.
const MAX_SECONDS: u64 = 1 << 53;

impl NumericDate {
    /// Returns the date of a whole number of seconds, or `None` beyond 2^53.
    pub(super) fn from_seconds(seconds: u64) -> Option<Self> {
        let seconds = i64::try_from(seconds).ok().filter(|_| seconds <= MAX_SECONDS)?;
        Some(Self { seconds, fraction: false })
    }

    /// Returns the date of a JSON number from 0 to 2^53, or `None` for any other value.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        if let Some(seconds) = number.as_u64() {
            return Self::from_seconds(seconds);
        }
        let seconds = number.as_f64().filter(|seconds| (0.0..=MAX_SECONDS as f64).contains(seconds))?;
        // The cast is exact: all values in the range fit in an i64.
        Some(Self { seconds: seconds as i64, fraction: seconds.fract() != 0.0 })
    }

    /// Returns the date rounded down to whole seconds.
    #[must_use]
    pub fn seconds(self) -> UnixTime {
        UnixTime(self.seconds)
    }

    /// Reports whether the date is later than `time`.
    #[must_use]
    pub fn is_after(self, time: UnixTime) -> bool {
        self.seconds > time.0 || (self.seconds == time.0 && self.fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn accepts_numbers_from_0_to_2_to_the_53_alone() {
        let whole = |seconds| Some(NumericDate { seconds, fraction: false });
        assert_eq!(NumericDate::from_json(&json!(0)), whole(0));
        assert_eq!(NumericDate::from_json(&json!(1.0)), whole(1));
        assert_eq!(NumericDate::from_json(&json!(1.5)), Some(NumericDate { seconds: 1, fraction: true }));
        assert_eq!(NumericDate::from_json(&json!(9_007_199_254_740_992_u64)), whole(1 << 53));
        for refused in [
            json!("1"),
            json!(-1),
            json!(-0.5),
            json!(9_007_199_254_740_993_u64),
            json!(1.9e19),
            json!(true),
            json!(null),
            json!([]),
            json!({}),
        ] {
            assert_eq!(NumericDate::from_json(&refused), None, "{refused}");
        }
    }
}
