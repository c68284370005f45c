//! Paths that headers name in place of a request's own (`X-Original-URL`), as applications read them.

use std::borrow::Cow;

use super::method_override::MOST_OVERRIDES;

/// Returns the paths, each with its query, that the values of headers name: each value as a whole and, as proxies join
/// repeated headers and applications take the first or the last of them, what stands between its commas. Addresses are
/// there without scheme and host. One more than [`MOST_OVERRIDES`] at most.
pub(super) fn targets<'v>(values: &[&'v str]) -> Vec<Cow<'v, str>> {
    let joined = values.iter().filter(|value| value.contains(','));
    let parts = joined.flat_map(|value| value.split(',')).map(|part| rooted(path_of(part.trim())));
    let whole = values.iter().map(|value| Cow::Borrowed(path_of(value)));
    whole.chain(parts).take(MOST_OVERRIDES + 1).collect()
}

/// Returns the path and the query of an address, or of a path.
fn path_of(address: &str) -> &str {
    match address.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => address,
    }
}

/// Returns a path from `/` on: a part of a value may be a comma's other side in one path (`/list?ids=1,2`), and is then
/// compared as a path of its own.
fn rooted(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) }
}
