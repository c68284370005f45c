//! `algorithms` of a provider and of a transmitter.

use claimgate::alg::Registry;

use super::section::{Faulty, Section};

/// Resolves the names of the algorithms allowed: at least one, each registered.
pub(super) fn algorithms(
    section: &Section<'_>,
    names: &[String],
    registry: &Registry,
) -> Result<Vec<String>, Faulty> {
    if names.is_empty() {
        return Err(section.fault("algorithms", "must name at least one algorithm"));
    }
    if let Some((index, unknown)) = names.iter().enumerate().find(|(_, name)| registry.get(name).is_none()) {
        let message = format!("`{unknown}` is not registered in this program");
        let reason = (message, "the subcommand `algorithms` lists the algorithms");
        return Err(section.fault_in("algorithms", index, reason));
    }
    Ok(names.to_vec())
}
