//! Claims that may not be all that the provider says of a person.

use serde_json::Value;

use crate::limits::Limits;
use crate::path::ClaimPath;

/// The claims of a person, and whether they are all that the provider says.
#[derive(Clone, Copy)]
pub(super) struct Known<'c> {
    pub(super) claims: &'c Value,
    pub(super) is_whole: bool,
}

impl Known<'_> {
    /// Reports whether it is not known what a path selects: the claim is absent, and another document may have it.
    pub(super) fn lacks(self, path: &ClaimPath, limits: &Limits) -> bool {
        !self.is_whole && !path.is_decided_by(self.claims, limits)
    }
}
