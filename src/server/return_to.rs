//! Where a browser may be sent after sign-in: nowhere that a stranger could choose.

use url::Url;

use crate::config::Server;

/// The longest address kept, in bytes; it travels in a cookie.
const MAX_BYTES: usize = 2048;

/// The address to go to for a `return_to`: a path of this site, or an address within the cookie's
/// domain where there is one. None for anything else.
pub(crate) fn check(server: &Server, text: &str) -> Option<String> {
    // Browsers drop tabs and newlines and take a backslash for a slash.
    if text.len() > MAX_BYTES || text.chars().any(|c| c.is_control() || c == '\\' || c == ' ') {
        return None;
    }
    if text.starts_with('/') {
        if text.starts_with("//") {
            return None;
        }
        let base = Url::parse(&server.public_url.origin).ok()?;
        let url = base.join(text).ok()?;
        return if url.origin() == base.origin() { path_of(&url) } else { None };
    }
    let url = Url::parse(text).ok()?;
    if url.origin().ascii_serialization() == server.public_url.origin
        && url.username().is_empty()
        && url.password().is_none()
    {
        return path_of(&url);
    }
    let domain = server.cookie_domain.as_deref()?;
    let host = url.host_str()?;
    let inside = host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    let scheme = if server.public_url.https { "https" } else { "http" };
    let plain = url.username().is_empty() && url.password().is_none();
    (inside && plain && url.scheme() == scheme).then(|| url.into())
}

/// Path, query and fragment. With the dots taken out, `/.//host` and `https://own//host` become
/// `//host`, which a browser takes for another host's address.
fn path_of(url: &Url) -> Option<String> {
    let path = &url[url::Position::BeforePath..];
    (!path.starts_with("//")).then(|| path.to_owned())
}
