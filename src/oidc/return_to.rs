//! The address that a browser may be sent to after sign-in: on this site, or within the cookie's domain.

use url::Url;

/// Longest `return_to`, in bytes; it is kept in a cookie.
pub const MAX_RETURN_TO: usize = 2048;

/// Where a browser may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    /// Scheme, host and port of the relying party, as in the header `Origin`.
    pub origin: &'s str,
    /// The domain whose hosts share the session cookie; `None`: this site alone.
    pub cookie_domain: Option<&'s str>,
}

/// Returns the address to redirect to for a `return_to`: a path of this site, or a URL within
/// `cookie_domain`, if there is one. Returns `None` for anything else, and for an address that has more than
/// [`MAX_RETURN_TO`] bytes once it is percent-encoded.
///
/// ```
/// use claimgate::oidc::return_to::{Site, check};
///
/// let site = Site { origin: "https://crm.example.com", cookie_domain: None };
/// assert_eq!(check(&site, "/reports?year=2026").as_deref(), Some("/reports?year=2026"));
/// assert_eq!(check(&site, "//evil.example.com"), None);
/// ```
#[must_use]
pub fn check(site: &Site<'_>, text: &str) -> Option<String> {
    // Percent-encoded, a character takes up to three times its bytes.
    address(site, text).filter(|address| address.len() <= MAX_RETURN_TO)
}

fn address(site: &Site<'_>, text: &str) -> Option<String> {
    // Browsers drop tabs and newlines and take a backslash for a slash.
    if text.len() > MAX_RETURN_TO || text.chars().any(|c| c.is_control() || c == '\\' || c == ' ') {
        return None;
    }
    let base = Url::parse(site.origin).ok()?;
    if text.starts_with('/') {
        if text.starts_with("//") {
            return None;
        }
        let url = base.join(text).ok()?;
        return if url.origin() == base.origin() { path_of(&url) } else { None };
    }
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    if url.origin() == base.origin() && plain {
        return path_of(&url);
    }
    let domain = site.cookie_domain?;
    let host = url.host_str()?;
    let inside = host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    (inside && plain && url.scheme() == base.scheme()).then(|| url.into())
}

/// Returns path, query and fragment, unless they begin with `//`: after normalisation `/.//host` and
/// `https://own//host` become `//host`, which a browser takes for another host.
fn path_of(url: &Url) -> Option<String> {
    let path = &url[url::Position::BeforePath..];
    (!path.starts_with("//")).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALONE: Site<'_> = Site { origin: "https://sso.example.com", cookie_domain: None };
    const SHARED: Site<'_> = Site { cookie_domain: Some("example.com"), ..ALONE };

    #[test]
    fn what_is_kept_and_what_is_not() {
        for (text, kept) in [
            ("/", Some("/")),
            ("/a/../b?c#d", Some("/b?c#d")),
            ("/a//b", Some("/a//b")),
            ("https://sso.example.com/x", Some("/x")),
            ("https://sso.example.com", Some("/")),
            ("", None),
            ("a", None),
            ("//evil.example.com", None),
            ("/.//evil.example.com", None),
            ("/a/..//evil.example.com", None),
            ("/%2e%2E//evil.example.com", None),
            ("https://sso.example.com//evil.example.com", None),
            ("https://sso.example.com/.//evil.example.com", None),
            ("https://sso.example.com@evil.example.com/", None),
            ("https://sso.example.com.evil.example.com/", None),
            ("https://sso.example.com:444/", None),
            ("http://sso.example.com/", None),
            ("https://app.example.com/", None),
        ] {
            assert_eq!(check(&ALONE, text).as_deref(), kept, "{text}");
        }
        let app = Some("https://app.example.com/x?y".to_owned());
        assert_eq!(check(&SHARED, "https://app.example.com/x?y"), app);
        for text in ["https://example.com.evil/", "https://badexample.com/", "http://app.example.com/"] {
            assert_eq!(check(&SHARED, text), None, "{text}");
        }
    }

    // attack: redirect.long
    #[test]
    fn an_address_is_as_long_as_a_cookie_keeps_once_it_is_encoded() {
        for (letter, encoded) in [("a", 1), ("é", 6), ("\u{20ac}", 9), ("<", 3)] {
            let of_encoded = |bytes: usize| letter.repeat(bytes / encoded);
            let fitting = check(&ALONE, &format!("/{}", of_encoded(MAX_RETURN_TO - 1)));
            assert!(fitting.is_some_and(|kept| kept.len() > MAX_RETURN_TO - 10), "{letter}");
            assert_eq!(check(&ALONE, &format!("/{}", of_encoded(MAX_RETURN_TO + encoded))), None, "{letter}");
        }
        let app = |path: String| format!("https://app.example.com/{path}");
        assert_eq!(check(&SHARED, &app("é".repeat(1_000))), None);
        assert_eq!(check(&SHARED, &app("é".repeat(100))), Some(app("%C3%A9".repeat(100))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// A browser that follows an accepted address stays within the site or the cookie's domain.
        #[test]
        fn a_browser_never_leaves(
            text in r"(https://sso\.example\.com|https:|)(/|/|\.|\.\.|evil\.org|[\\@:?#\t]|%2e|%5c){0,7}",
        ) {
            let base = Url::parse("https://sso.example.com/callback/oidc?code=c").expect("a URL");
            if let Some(kept) = check(&ALONE, &text) {
                let url = base.join(&kept).expect("an address");
                prop_assert_eq!(url.origin(), base.origin(), "{:?} became {:?}", text, kept);
            }
            if let Some(kept) = check(&SHARED, &text) {
                let url = base.join(&kept).expect("an address");
                let host = url.host_str().expect("a host");
                prop_assert!(host == "example.com" || host.ends_with(".example.com"), "{text:?} → {kept:?}");
                prop_assert_eq!(url.scheme(), "https");
            }
        }
    }
}
