//! `[events]`: what is recorded of sign-ins, refusals, logouts and changes, and for how long.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::checked::Events;
use super::raw;
use super::section::{Faulty, Section};

/// The shortest and the longest time that an event is kept.
const RETENTIONS: RangeInclusive<Duration> =
    Duration::from_secs(60 * 60)..=Duration::from_secs(3660 * 24 * 60 * 60);
/// The fewest and the most events of a kind that are kept: an event takes about 200 bytes of the store.
const MAX_EVENTS: RangeInclusive<u32> = 1_000..=10_000_000;

/// Resolves the table; every fault in it is recorded.
pub(super) fn resolve(section: &Section<'_>, raw: &raw::Events) -> Result<Events, Faulty> {
    let retention = Duration::from_secs(raw.retention.0);
    let is_kept = match RETENTIONS.contains(&retention) {
        true => Ok(()),
        false => Err(section.fault("retention", "must be from 1 hour to 10 years, such as \"30d\"")),
    };
    if !MAX_EVENTS.contains(&raw.max) {
        return Err(
            section.fault("max", "must be from 1000 to 10000000: so many events of each kind are kept")
        );
    }
    is_kept?;
    Ok(Events { enabled: raw.enabled, retention, max: raw.max })
}
