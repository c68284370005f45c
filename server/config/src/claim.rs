//! `[[provider.claim]]` and `[[provider.verify.claim]]`: demands on the values of claims.

use claimgate::claims::{ClaimDemand, ClaimFault, ClaimSpec};

use super::error::Reason;
use super::section::{Faulty, Section};

/// Returns what is wrong with a demand.
pub(super) fn reason_of(fault: ClaimFault) -> Reason {
    Reason { message: fault.reason, remedy: fault.remedy.map(str::to_owned) }
}

/// Resolves the list `claim` of a table. Every fault in it is recorded.
pub(super) fn resolve(section: &Section<'_>, specs: &[ClaimSpec]) -> Result<Vec<ClaimDemand>, Faulty> {
    let compile = |(index, spec): (usize, &ClaimSpec)| {
        let table = section.source.section(section.path.name("claim").index(index));
        table.note_literal_name(&table.path.name("path"), &spec.path);
        spec.compile().map_err(|fault| table.fault(fault.setting, reason_of(fault)))
    };
    let demands: Vec<_> = specs.iter().enumerate().map(compile).collect();
    let demands = demands.into_iter().collect::<Result<Vec<_>, _>>()?;
    let names = |name| demands.iter().position(|demand| demand.path().member() == Some(name));
    if let (Some(index), None) = (names("email"), names("email_verified")) {
        let table = section.source.section(section.path.name("claim").index(index));
        let message = "at some providers people write any address into their profile";
        table.note(
            "path",
            (message, "demand `email_verified` too, unless the provider verifies every address"),
        );
    }
    Ok(demands)
}
