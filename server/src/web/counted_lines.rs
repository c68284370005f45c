//! Lines of the log for what may happen thousands of times a minute: at most one a minute for each reason, with the count.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The shortest time between two lines of one reason.
const PAUSE: Duration = Duration::from_secs(60);

/// Counts by the code of the reason, since the last line of that code.
#[derive(Default)]
pub(crate) struct CountedLines(Mutex<HashMap<&'static str, Counted>>);

struct Counted {
    number: u64,
    written: Instant,
}

impl CountedLines {
    /// Counts one. Returns the number for a line of the log if one is due: at once for the first of a code, then at most
    /// one within a minute.
    pub(crate) fn count(&self, code: &'static str, now: Instant) -> Option<u64> {
        let mut counts = self.0.lock();
        let Some(counted) = counts.get_mut(code) else {
            counts.insert(code, Counted { number: 0, written: now });
            return Some(1);
        };
        counted.number += 1;
        if now.saturating_duration_since(counted.written) < PAUSE {
            return None;
        }
        counted.written = now;
        Some(std::mem::take(&mut counted.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_line_at_once_and_then_one_a_minute_with_all_in_between() {
        let counts = CountedLines::default();
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(counts.count("verify.logged_out", after(0)), Some(1));
        assert_eq!(counts.count("verify.logged_out", after(1)), None);
        assert_eq!(counts.count("claims.expired", after(1)), Some(1));
        assert_eq!(counts.count("verify.logged_out", after(59)), None);
        assert_eq!(counts.count("verify.logged_out", after(60)), Some(3));
        assert_eq!(counts.count("verify.logged_out", after(61)), None);
        assert_eq!(counts.count("verify.logged_out", after(300)), Some(2));
    }
}
