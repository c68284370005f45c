//! Headers by which applications take a request for another one: for another method, another path, or a part of its path.

use super::method_override::plain;

/// What a header says in place of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverrideHeader {
    /// Another method (`X-HTTP-Method-Override`).
    Method,
    /// Another path, or an address (`X-Original-URL`).
    Path,
    /// A part of the path that is not the application's, and is removed (`X-Script-Name`).
    Prefix,
}

const METHODS: [&str; 6] = [
    "method-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-verb-override",
    "x-method-override",
    "x-original-method",
];
const PATHS: [&str; 8] = [
    "x-envoy-original-path",
    "x-forwarded-path",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-waws-unencoded-url",
];
const PREFIXES: [&str; 3] = ["path-info", "script-name", "x-script-name"];

impl OverrideHeader {
    /// Returns what a header with this name says, as CGI, WSGI and PHP read the name: whatever its case, all characters but
    /// letters and digits are one. `None` for a header that overrides nothing.
    ///
    /// ```
    /// use claimgate::access::OverrideHeader;
    ///
    /// assert_eq!(OverrideHeader::of("X_Original_URL"), Some(OverrideHeader::Path));
    /// assert_eq!(OverrideHeader::of("x-http-method-override"), Some(OverrideHeader::Method));
    /// assert_eq!(OverrideHeader::of("accept"), None);
    /// ```
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let is_one_of = |names: &[&str]| {
            names.iter().any(|own| own.len() == name.len() && name.chars().map(plain).eq(own.chars()))
        };
        [(Self::Method, &METHODS[..]), (Self::Path, &PATHS), (Self::Prefix, &PREFIXES)]
            .into_iter()
            .find_map(|(what, names)| is_one_of(names).then_some(what))
    }
}
