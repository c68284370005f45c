//! `refresh_interval` of a provider: how often its sessions ask it again; and which of its errors end them.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::raw;
use super::section::{Faulty, Section};

/// How sessions follow a provider.
#[derive(Clone, Debug, Default)]
pub struct SessionRefresh {
    /// The longest time between two refreshes of a session; none: sessions do not follow the provider.
    pub interval: Option<Duration>,
    /// Errors of the token endpoint that end a session at its refresh, beside `invalid_grant`.
    pub end_errors: Vec<String>,
    /// Whether UserInfo has each claim that ID tokens have: what it lacks at a refresh does not exist.
    pub userinfo_is_complete: bool,
}

/// The shortest and the longest time between two refreshes of a session.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 60 * 60);

/// The scope for which providers issue refresh tokens (Core §11).
const OFFLINE_ACCESS: &str = "offline_access";

/// The parameter for which Google issues them, in place of the scope.
const ACCESS_TYPE: (&str, &str) = ("access_type", "offline");

/// Resolves the settings.
pub(super) fn resolve(section: &Section<'_>, raw: &raw::Provider) -> Result<SessionRefresh, Faulty> {
    let (interval, end_errors) = (interval(section, raw), end_errors(section, &raw.refresh_end_errors));
    Ok(SessionRefresh {
        interval: interval?,
        end_errors: end_errors?,
        userinfo_is_complete: raw.userinfo_is_complete,
    })
}

/// Resolves the interval. Says what providers mostly need beside it.
fn interval(section: &Section<'_>, raw: &raw::Provider) -> Result<Option<Duration>, Faulty> {
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

/// Errors that say something of the client or the provider, and nothing of the person (RFC 6749 §5.2, §4.1.2.1): a wrong
/// secret or an outage would sign everyone out.
const OF_NO_PERSON: [&str; 7] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "slow_down",
];

/// Checks the errors that end a session at its refresh beside `invalid_grant`.
fn end_errors(section: &Section<'_>, errors: &[String]) -> Result<Vec<String>, Faulty> {
    let setting = "refresh_end_errors";
    for (index, error) in errors.iter().enumerate() {
        if OF_NO_PERSON.contains(&error.as_str()) {
            let reason = format!(
                "`{error}` says nothing of the person: a wrong setting or an outage would end every session of the provider"
            );
            return Err(section.fault_in(setting, index, (reason, "remove it")));
        }
        let is_code =
            !error.is_empty() && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_code {
            let reason = format!("`{error}` is no error of a token endpoint");
            let remedy = "write one as the log shows it, such as \"invalid_request\"";
            return Err(section.fault_in(setting, index, (reason, remedy)));
        }
    }
    Ok(errors.to_vec())
}
