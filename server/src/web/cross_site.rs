//! Protection against cross-site request forgery: a request that changes something must come from a
//! page of this site.
//!
//! Browsers name a request's origin in `Sec-Fetch-Site` and in `Origin`, and no page can forge either
//! header. A request without both comes from no browser of this decade; it has only the cookies that
//! its sender holds anyway. `SameSite=Lax` on the cookies is a second barrier.
//!
//! Three addresses take requests that other sites cause, and none of them relies on a cookie: back-channel logout, the
//! verification of tokens, and the callback of a provider that posts its response. The last one changes nothing: it
//! redirects to the callback with the response, sealed.

use axum::http::HeaderMap;

use super::problem::Problem;

/// Rejects a request that a page of another origin than `own` caused.
///
/// # Errors
/// [`Problem::CrossSite`].
pub(crate) fn check(headers: &HeaderMap, own: &str) -> Result<(), Problem> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (header("sec-fetch-site"), header("origin")) {
        (Some("same-origin" | "none"), _) => Ok(()),
        (Some(_), _) => Err(Problem::CrossSite),
        (None, Some(origin)) if origin == own => Ok(()),
        (None, Some(_)) => Err(Problem::CrossSite),
        (None, None) => Ok(()),
    }
}

/// Reports whether the answer to a request becomes a page: a script that sends a request may read what it is
/// answered, and names another mode.
pub(crate) fn is_for_page(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
}

/// Reports whether the answer to a request becomes a frame or an embedded object, not a page of its own.
pub(crate) fn is_in_frame(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_some_and(|destination| destination != "document")
}

/// Reports whether a navigation began on this site, or with the user (a bookmark, the address bar). On
/// a sibling host a link counts, an image or a frame does not. A prefetch never counts.
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
