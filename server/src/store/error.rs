//! The errors of the store that arise here.

use claimgate::oidc::records::StoreError;

/// Returns an error of SQLite as one of the store.
pub(super) fn store_error(error: &rusqlite::Error) -> StoreError {
    StoreError { reason: error.to_string() }
}

/// Returns the error for work whose answer was dropped: it panicked, or the transaction or the writing thread
/// failed before its turn.
pub(crate) fn work_lost() -> StoreError {
    StoreError { reason: "the store could not do the work".to_owned() }
}
