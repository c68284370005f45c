//! Durations of a command line.

use claimgate::time::Seconds;

/// Parses a duration as a command line has it: `90`, `90s`, `15m`, `12h` or `1d`.
///
/// # Errors
/// A sentence on the form that is expected.
pub fn seconds(text: &str) -> Result<u64, String> {
    text.parse::<Seconds>().map(|seconds| seconds.0).map_err(|error| error.to_string())
}
