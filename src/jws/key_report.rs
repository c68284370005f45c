//! Which keys of a set are usable with a verifier's algorithms.

use crate::key::SkippedKey;

/// Which keys of a set are usable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyReport {
    /// The number of keys that at least one allowed algorithm can use.
    pub usable: usize,
    /// The keys that no allowed algorithm can use, with reasons: malformed, weak, for another use.
    pub skipped: Vec<SkippedKey>,
}

/// No key of a set is usable with the allowed algorithms: no token could ever verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key is usable with the allowed algorithms{}", reasons(report))]
pub struct NoUsableKey {
    /// The keys, with the reason for each.
    pub report: KeyReport,
}

crate::code::coded!(NoUsableKey);

impl NoUsableKey {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "key.none_usable"
    }
}

/// The number of unusable keys that a message names.
const NAMED_KEYS: usize = 8;

fn reasons(report: &KeyReport) -> String {
    let named: Vec<_> = report.skipped.iter().take(NAMED_KEYS).map(ToString::to_string).collect();
    if named.is_empty() { "; the set is empty".to_owned() } else { format!("; {}", named.join("; ")) }
}
