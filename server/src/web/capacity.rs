//! What a server can hold at most: open files, and memory on account of strangers.

use super::admission::{BODY_BYTES, MAX_HEAD, OTHER_REQUESTS, PROVIDER_BYTES};
use super::buffers::{BUFFER_BYTES, BUFFER_BYTES_BY_PROVIDERS, BUFFER_BYTES_BY_PROXIES};
use super::connection_places;
use super::password::{HASH_BYTES, HASHERS};

/// Most bytes that a connection takes beside its counted buffers, over HTTP/2 with answers that wait.
const CONNECTION_BYTES: usize = 64 * 1024;
/// Bytes of a server without requests.
const OWN_BYTES: usize = 20 * 1024 * 1024;

/// Files that a server with as many connections as it accepts has open.
pub(crate) const MOST_FILES: usize = connection_places::MAX_FILES;

/// Returns the most connections of a server that may have so many files open.
pub(crate) fn most_connections(open_files: usize) -> usize {
    connection_places::most(open_files)
}

/// Returns the most bytes that clients without a session can make such a server hold
/// (`docs/assurance/denial-of-service.md`).
pub(crate) fn most_memory(open_files: usize) -> usize {
    most_connections(open_files) * CONNECTION_BYTES
        + BUFFER_BYTES
        + BUFFER_BYTES_BY_PROXIES
        + BUFFER_BYTES_BY_PROVIDERS
        + BODY_BYTES
        + PROVIDER_BYTES
        + OTHER_REQUESTS * MAX_HEAD
        + HASHERS * HASH_BYTES
        + OWN_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_document() {
        const MIB: usize = 1024 * 1024;
        for (open_files, sum) in [(MOST_FILES, 1484), (1_000_000, 1484), (4_352, 716)] {
            assert_eq!((most_memory(open_files) - OWN_BYTES) / MIB, sum, "{open_files}");
        }
    }
}
