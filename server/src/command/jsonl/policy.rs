//! A line's `policy`.

use std::fmt::Display;
use std::time::Duration;

use claimgate::claims::{AnyKind, ClaimDemand, ClaimSpec, Policy, TokenKind};
use claimgate::time::UnixTime;
use serde::Deserialize;
use serde_json::Value;

use super::Malformed;
use crate::system;

/// Reads `policy`, and the time to verify at.
pub(super) fn policy(value: Value) -> Result<(Policy<AnyKind>, UnixTime), Malformed> {
    let wrong_type =
        |name: &str| Malformed::new("input.policy", format!("`policy.{name}` has the wrong type or value"));
    let Value::Object(members) = value else {
        return Err(Malformed::new("input.policy", "`policy` must be an object"));
    };
    let kind = match members.get("kind") {
        None => TokenKind::Jwt,
        Some(kind) => TokenKind::deserialize(kind)
            .map_err(|error| Malformed::new("input.policy", format!("`policy.kind`: {error}")))?,
    };
    let (mut policy, mut now) = (Policy::of_kind(kind), None);
    for (name, value) in members {
        let seconds = || value.as_u64().map(Duration::from_secs).ok_or_else(|| wrong_type(&name));
        let list = || strings(value.clone()).ok_or_else(|| wrong_type(&name));
        let names = || one_or_many(&value).ok_or_else(|| wrong_type(&name)).map(Vec::into_iter);
        policy = match name.as_str() {
            "kind" => policy,
            "issuer" => names()?.fold(policy, Policy::issuer_alias),
            "audience" => names()?.fold(policy, Policy::audience),
            "any_audience" => match value.as_bool().ok_or_else(|| wrong_type(&name))? {
                true => policy.any_audience(),
                false => policy,
            },
            "untyped_access_tokens" => match value.as_bool().ok_or_else(|| wrong_type(&name))? {
                true => policy.allow_untyped(),
                false => policy,
            },
            "trusted_audiences" => list()?.into_iter().fold(policy, Policy::trusted_audience),
            "authorized_parties" => list()?.into_iter().fold(policy, Policy::trusted_party),
            "subject" => names()?.fold(policy, Policy::subject),
            "jti" => names()?.fold(policy, Policy::token_id),
            "nonce" => names()?.fold(policy, Policy::nonce),
            "typ" => names()?.fold(policy, Policy::typ),
            "leeway" => policy.leeway(seconds()?),
            "danger_leeway" => policy.danger_leeway(seconds()?),
            "max_token_age" => policy.max_token_age(seconds()?),
            "max_age" => {
                let reason = "`policy.max_age` is spelled `policy.max_token_age`";
                return Err(Malformed::new("input.member", reason));
            }
            "claim" => demands(value)?.iter().fold(policy, ClaimDemand::apply),
            "require" => policy.require_only(list()?),
            "now" => {
                now = Some(time(&value).ok_or_else(|| wrong_type(&name))?);
                policy
            }
            "ignore" => list()?.iter().try_fold(policy, |policy, claim| match claim.as_str() {
                "exp" => Ok(policy.danger_ignore_expiry()),
                "nbf" => Ok(policy.danger_ignore_not_before()),
                "iat" => Ok(policy.danger_ignore_issued_at()),
                _ => Err(wrong_type("ignore")),
            })?,
            _ => return Err(Malformed::new("input.member", format!("unknown member `policy.{name}`"))),
        };
    }
    policy.check().map_err(|error| Malformed::new("input.policy", error.to_string()))?;
    Ok((policy, now.unwrap_or_else(system::now)))
}

/// Reads demands on values of claims: one, or a list.
fn demands(value: Value) -> Result<Vec<ClaimDemand>, Malformed> {
    let is_list = value.is_array();
    let values = if let Value::Array(values) = value { values } else { vec![value] };
    let demand = |(index, value)| {
        let place = if is_list { format!("policy.claim[{index}]") } else { "policy.claim".to_owned() };
        let malformed = |reason: &dyn Display| Malformed::new("input.policy", format!("`{place}`: {reason}"));
        let spec: ClaimSpec = serde_json::from_value(value).map_err(|error| malformed(&error))?;
        spec.compile().map_err(|fault| malformed(&fault))
    };
    values.into_iter().enumerate().map(demand).collect()
}

/// Returns a time in seconds, with its fraction left out: the greatest whole number that is not greater.
fn time(value: &Value) -> Option<UnixTime> {
    /// The greatest number up to which a double holds every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let fraction = || value.as_f64().map(f64::floor).filter(|seconds| seconds.abs() <= EXACT);
    // The cast is exact: all values in the range fit in an i64.
    value.as_i64().or_else(|| fraction().map(|seconds| seconds as i64)).map(UnixTime)
}

/// Returns the strings of an array of strings.
pub(super) fn strings(value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else { return None };
    values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Returns the strings of a string or of a non-empty array of strings.
fn one_or_many(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        list => strings(list.clone()).filter(|list| !list.is_empty()),
    }
}
