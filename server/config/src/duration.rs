//! Durations as they are written: whole seconds, or a number with a unit.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// A duration in whole seconds, written as `90`, `"90s"`, `"15m"`, `"12h"` or `"1d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) u64);

/// Parses a duration as a command line has it: `90`, `90s`, `15m`, `12h` or `1d`.
///
/// # Errors
/// A sentence on the form that is expected.
pub fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().or_else(|| parse(text));
    seconds.ok_or_else(|| "give whole seconds such as 90, or 90s, 15m, 12h or 1d".to_owned())
}

/// Parses a number with a unit.
fn parse(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(seconds)
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
        parse(text).map(Seconds).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}
