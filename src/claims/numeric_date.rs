//! NumericDate (RFC 7519 §2): seconds since the epoch, fractions allowed.

use serde_json::Value;

use crate::time::UnixTime;

/// A NumericDate: from 0 to 2^53 seconds, whole or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate {
    seconds: i64,
    /// Whether it lies between `seconds` and the next one; how far does not matter to a clock of
    /// whole seconds.
    fraction: bool,
}

/// 2^53: beyond it a JSON number of many parsers no longer says which second it means.
const MAX_SECONDS: u64 = 1 << 53;

impl NumericDate {
    /// A whole number of seconds, refused beyond 2^53.
    pub(super) fn from_seconds(seconds: u64) -> Option<Self> {
        let seconds = i64::try_from(seconds).ok().filter(|_| seconds <= MAX_SECONDS)?;
        Some(Self { seconds, fraction: false })
    }

    /// Reads a JSON number; anything else, a negative one and one beyond 2^53 are refused.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        if let Some(seconds) = number.as_u64() {
            return Self::from_seconds(seconds);
        }
        let seconds = number.as_f64().filter(|seconds| (0.0..=MAX_SECONDS as f64).contains(seconds))?;
        // Exact: the range check leaves only values that an i64 holds.
        Some(Self { seconds: seconds as i64, fraction: seconds.fract() != 0.0 })
    }

    /// The whole seconds, rounded down.
    #[must_use]
    pub fn seconds(self) -> UnixTime {
        UnixTime(self.seconds)
    }

    /// Whether this date is later than a moment.
    #[must_use]
    pub fn is_after(self, moment: UnixTime) -> bool {
        self.seconds > moment.0 || (self.seconds == moment.0 && self.fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn takes_what_rfc_7519_allows_and_nothing_else() {
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
