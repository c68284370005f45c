//! A limit on lines of the log that strangers can cause.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Most lines of one code within a [`PERIOD`].
const LINES: u32 = 100;
/// The time after which lines are counted anew.
const PERIOD: Duration = Duration::from_secs(60);

/// The lines of this process, which share a log: of refused requests and of refused logouts.
pub(crate) static LINES_OF_REFUSALS: LogLimit = LogLimit::new();

/// Lines by the code of their reason. The number of codes is that of the program's errors.
pub(crate) struct LogLimit(Mutex<BTreeMap<&'static str, Count>>);

struct Count {
    begun: Instant,
    lines: u32,
    /// Since the last line.
    left_out: u64,
}

impl LogLimit {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Counts an event. Returns how many events of the same code were left out since the last line, if this one is to
    /// have a line.
    pub(crate) fn admit(&self, code: &'static str, now: Instant) -> Option<u64> {
        let mut counts = self.0.lock();
        let count = counts.entry(code).or_insert(Count { begun: now, lines: 0, left_out: 0 });
        if now.saturating_duration_since(count.begun) >= PERIOD {
            (count.begun, count.lines) = (now, 0);
        }
        if count.lines >= LINES {
            count.left_out += 1;
            return None;
        }
        count.lines += 1;
        Some(std::mem::take(&mut count.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_each_code_are_limited_and_those_left_out_are_counted() {
        let limit = LogLimit::new();
        let begun = Instant::now();
        let lines = (0..1000).filter(|_| limit.admit("signature.invalid", begun).is_some()).count();
        assert_eq!(lines, 100);
        assert_eq!(limit.admit("claims.expired", begun), Some(0));
        assert_eq!(limit.admit("signature.invalid", begun + PERIOD / 2), None);
        assert_eq!(limit.admit("signature.invalid", begun + PERIOD), Some(901));
        assert_eq!(limit.admit("signature.invalid", begun + PERIOD), Some(0));
    }
}
