//! Paths that headers name in place of a request's own (`X-Original-URL`), as applications read them.

use std::borrow::Cow;

use super::method_override::MOST_OVERRIDES;

/// Returns the paths, each with its query, that the values of headers name: each value as a whole and, as proxies join
/// repeated headers and applications take the first or the last of them, what stands between its commas. Addresses are
/// there without scheme and host. One more than [`MOST_OVERRIDES`] at most.
pub(super) fn targets<'v>(values: &[&'v str]) -> Vec<Cow<'v, str>> {
    let joined = values.iter().filter(|value| value.contains(','));
    let parts = joined.flat_map(|value| value.split(',')).map(|part| rooted(path_of(part.trim())));
    let mut found = Vec::new();
    for target in values.iter().map(|value| path_of(value)).chain(parts) {
        if found.len() <= MOST_OVERRIDES && !found.contains(&target) {
            found.push(target);
        }
    }
    found
}

/// Returns the path and the query of an address (RFC 3986 §3), or of a path.
fn path_of(address: &str) -> Cow<'_, str> {
    let is_scheme = |scheme: &str| {
        let is_of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_of_scheme)
    };
    match address.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            rooted(Cow::Borrowed(&rest[rest.find(['/', '?', '#']).unwrap_or(rest.len())..]))
        }
        _ => Cow::Borrowed(address),
    }
}

/// Returns a path from `/` on: a part of a value may be a comma's other side in one path (`/list?ids=1,2`), and is then
/// compared as a path of its own.
fn rooted(path: Cow<'_, str>) -> Cow<'_, str> {
    if path.starts_with('/') { path } else { Cow::Owned(format!("/{path}")) }
}
