//! Tokens in the log: header and claims at debug, never the signature; of a refused token the one fact that it
//! was refused for, with the refusal.

use std::cell::LazyCell;

use serde_json::{Map, Value};
use tracing::debug;

use super::request_log;
use claimgate::Error;
use claimgate::claims::{Claims, ClaimsError};
use claimgate::json;
use claimgate::jws::{CompactJws, Header};
use claimgate::limits::Limits;
use claimgate::path::ClaimPath;

/// Logs an accepted token.
pub(crate) fn accepted(what: &str, header: &Header, claims: &Claims) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let header = serde_json::to_string(header.as_object()).unwrap_or_default();
        debug!(what, header, claims = %claims.as_value(), "token");
    }
}

/// Notes for the line of the refusal what was found in a refused token, and logs the token at debug under the
/// same reference. Its header and claims are unverified, but often show the reason.
pub(crate) fn refused(what: &str, token: &str, code: &'static str, error: Option<&Error>) {
    let limits = Limits::DEFAULT;
    let Ok(jws) = CompactJws::parse(token, &limits) else {
        let reference = request_log::reference();
        debug!(what, reason = code, reference, "refused; not in the form of a token");
        return;
    };
    let header = jws.header(&limits).ok();
    // As JSON: claims of a wrong type are among the reasons. Parsed where a line needs them only: strangers send
    // as many tokens with a wrong signature as they like.
    let claims =
        LazyCell::new(|| json::parse_object(&jws.unverified_payload(), &limits).ok().map(Value::Object));
    if let Some(found) = found(header.as_ref(), || claims.as_ref(), code, error) {
        request_log::note_found(&found);
    }
    if tracing::enabled!(tracing::Level::DEBUG) {
        let reference = request_log::reference();
        let header = header.and_then(|header| serde_json::to_string(header.as_object()).ok());
        let claims = claims.as_ref().map(Value::to_string);
        debug!(
            what,
            reason = code,
            reference,
            unverified_header = header,
            unverified_claims = claims,
            "refused token"
        );
    }
}

/// Returns what was found in a token that was refused with an error, as the log has it: for the one who gave the token.
/// Unverified.
pub(crate) fn found_in(token: &str, error: &Error) -> Option<String> {
    let limits = Limits::DEFAULT;
    let jws = CompactJws::parse(token, &limits).ok()?;
    let claims =
        LazyCell::new(|| json::parse_object(&jws.unverified_payload(), &limits).ok().map(Value::Object));
    found(jws.header(&limits).ok().as_ref(), || claims.as_ref(), error.code(), Some(error))
}

/// Returns the member that a token was refused for, with its value; of a missing claim the names that there
/// are, and the setting that does without it. Unverified.
fn found<'c>(
    header: Option<&Header>,
    claims: impl FnOnce() -> Option<&'c Value>,
    code: &'static str,
    error: Option<&Error>,
) -> Option<String> {
    let of = |name: &str, value: Option<&Value>| {
        value.map_or_else(|| format!("no {name}"), |value| format!("{name}: {value}"))
    };
    let in_claims = |claims: Option<&Value>, name: &str| claims.map(|claims| of(name, claims.get(name)));
    let in_header = |name| header.map(|header| of(name, header.as_object().get(name)));
    match (code, error) {
        ("algorithm.not_allowed", _) => in_header("alg"),
        ("key.unknown_kid", _) => in_header("kid"),
        ("claims.typ", _) => in_header("typ"),
        ("claims.issuer", _) => in_claims(claims(), "iss"),
        ("claims.tenant", _) => in_claims(claims(), "tid"),
        ("claims.audience" | "claims.audience_untrusted", _) => in_claims(claims(), "aud"),
        ("claims.azp", _) => in_claims(claims(), "azp"),
        (_, Some(Error::Claims(ClaimsError::Missing { claim }))) => {
            let help = if claim == "exp" { "; for logout tokens see danger_logout_without_exp" } else { "" };
            claims().map(|claims| format!("the claims {}{help}", names(claims)))
        }
        (_, Some(Error::Claims(ClaimsError::WrongType { claim, .. } | ClaimsError::Empty { claim }))) => {
            in_claims(claims(), claim)
        }
        (_, Some(Error::Claims(error))) => demanded(claims()?, error),
        _ => None,
    }
}

/// Returns what the claims have where they do not meet a demand on values: those that its path selects, or the names
/// that there are.
pub(crate) fn demanded(claims: &Value, error: &ClaimsError) -> Option<String> {
    match error {
        ClaimsError::Missing { .. } => Some(format!("the claims {}", names(claims))),
        ClaimsError::Value { claim, .. } => {
            let path = ClaimPath::parse(claim).ok()?;
            let values = path.select(claims, &Limits::DEFAULT).ok()?;
            let values: Vec<_> = values.into_iter().map(Value::to_string).collect();
            Some(format!("{claim}: {}", values.join(", ")))
        }
        _ => None,
    }
}

/// Returns the names of the members of a claims set.
pub(crate) fn names(claims: &Value) -> String {
    let members = claims.as_object().into_iter().flat_map(Map::keys);
    members.map(String::as_str).collect::<Vec<_>>().join(", ")
}
