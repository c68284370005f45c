//! `refresh_interval` of a provider: how often its sessions ask it again.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::raw;
use super::section::{Faulty, Section};

/// The shortest and the longest time between two refreshes of a session.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 60 * 60);

/// The scope for which providers issue refresh tokens (Core §11).
const OFFLINE_ACCESS: &str = "offline_access";

/// The parameter for which Google issues them, in place of the scope.
const ACCESS_TYPE: (&str, &str) = ("access_type", "offline");

/// Resolves the setting. Says what providers mostly need beside it.
pub(super) fn resolve(section: &Section<'_>, raw: &raw::Provider) -> Result<Option<Duration>, Faulty> {
    let setting = "refresh_interval";
    let Some(interval) = raw.refresh_interval.as_ref().map(|interval| Duration::from_secs(interval.0)) else {
        return Ok(None);
    };
    if !INTERVALS.contains(&interval) {
        return Err(section.fault(setting, "must be from 60 seconds to 24 hours, such as \"15m\""));
    }
    let has_scope = raw.scopes.iter().any(|scope| scope == OFFLINE_ACCESS);
    let has_parameter =
        raw.authorization_parameters.get(ACCESS_TYPE.0).is_some_and(|value| value == ACCESS_TYPE.1);
    if !has_scope && !has_parameter {
        section.note(
            setting,
            "most providers issue refresh tokens for the scope `offline_access` alone, some with `prompt = \"consent\"`, and \
             Google for `authorization_parameters = { access_type = \"offline\" }`; sessions without one are not refreshed",
        );
    }
    Ok(Some(interval))
}
