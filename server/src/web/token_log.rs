//! Tokens in the debug log: header and claims, never the signature.

use tracing::debug;

use super::request_log;
use claimgate::claims::Claims;
use claimgate::jws::{CompactJws, Header};
use claimgate::limits::Limits;

/// Logs an accepted token.
pub(crate) fn accepted(what: &str, header: &Header, claims: &Claims) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let header = serde_json::to_string(header.as_object()).unwrap_or_default();
        debug!(what, header, claims = %claims.as_value(), "token");
    }
}

/// Logs a refused token, under the reference of the request. Its header and claims are unverified, but often
/// show the reason.
pub(crate) fn refused(what: &str, token: &str, code: &'static str) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let reference = request_log::reference();
    let limits = Limits::DEFAULT;
    let Ok(jws) = CompactJws::parse(token, &limits) else {
        debug!(what, reason = code, reference, "refused; not in the form of a token");
        return;
    };
    let header = jws.header(&limits).ok().and_then(|header| serde_json::to_string(header.as_object()).ok());
    let claims = Claims::parse(&jws.unverified_payload(), &limits).ok();
    let claims = claims.map(|claims| claims.as_value().to_string());
    debug!(
        what,
        reason = code,
        reference,
        unverified_header = header,
        unverified_claims = claims,
        "refused token"
    );
}
