//! Cross-site request forgery: what changes something must come from our own pages.
//!
//! Browsers say where a request comes from, in `Sec-Fetch-Site` and in `Origin`, and no page can
//! forge either. A request that bears neither comes from no browser of this decade; it has no
//! cookies but those its sender holds anyway. `SameSite=Lax` stands behind.

use axum::http::HeaderMap;

use super::respond::Problem;
use crate::config::PublicUrl;

/// Refuses what a page of another origin caused.
pub(crate) fn refuse(headers: &HeaderMap, own: &PublicUrl) -> Result<(), Problem> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (header("sec-fetch-site"), header("origin")) {
        (Some("same-origin" | "none"), _) => Ok(()),
        (Some(_), _) => Err(Problem::CrossSite),
        (None, Some(origin)) if origin == own.origin => Ok(()),
        (None, Some(_)) => Err(Problem::CrossSite),
        (None, None) => Ok(()),
    }
}

/// Whether a navigation was begun on this site, or by the person directly. Of a neighbouring host a
/// link counts, an image or a frame does not; what a browser fetches because the person may go there
/// next never does.
pub(crate) fn is_own_navigation(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key("sec-purpose") || headers.contains_key("purpose") {
        return false;
    }
    match header("sec-fetch-site") {
        Some("same-origin" | "none") => true,
        Some("same-site") => header("sec-fetch-dest") == Some("document"),
        _ => false,
    }
}
