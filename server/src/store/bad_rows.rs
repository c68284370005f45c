//! Rows of the database that cannot be read: each is skipped, and what reads on is not affected.

use tracing::warn;

use crate::plural::count;

/// What to do about the row of a user that cannot be read.
pub const UNREADABLE: &str =
    "`claimgate user show NAME` shows what it holds, and `claimgate user remove NAME` removes the user";

/// The rows that one read has skipped.
#[derive(Default)]
pub(super) struct BadRows {
    count: usize,
    first: Option<String>,
}

impl BadRows {
    /// Returns the value of a row, or counts the row.
    pub(super) fn read<T, E: std::fmt::Display>(&mut self, row: Result<T, E>) -> Option<T> {
        row.inspect_err(|error| {
            self.count += 1;
            self.first.get_or_insert_with(|| error.to_string());
        })
        .ok()
    }

    /// Returns how many rows cannot be read, with the fault of the first; `None` if there are none.
    pub(super) fn describe(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!("{} cannot be read ({first})", count(self.count, "row")))
    }

    /// Logs how many rows of a table were skipped, if any.
    pub(super) fn report(&self, table: &str) {
        if let Some(error) = &self.first {
            let rows = self.count;
            warn!(
                table,
                rows, error, "rows of the database cannot be read and are skipped; run `claimgate doctor`"
            );
        }
    }
}
