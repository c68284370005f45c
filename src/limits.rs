//! The limits of the engine, each with its reason.
//!
//! None of them tunes the speed. Each bounds the cost of an attacker's bytes before a signature has been
//! verified, or the cost of a claim path afterwards.

/// Limits on parsing, key selection, path evaluation and mapping.
///
/// Start from [`Limits::DEFAULT`] and change the limits that a deployment needs changed:
///
/// ```
/// use claimgate::limits::Limits;
/// let limits = Limits { token_bytes: 16 * 1024, ..Limits::DEFAULT };
/// assert_eq!(limits.keys_tried, Limits::DEFAULT.keys_tried);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest compact token, in bytes. Reverse proxies reject header lines over 8 to 64 KiB; a
    /// token in a form field or in a log may be larger. Checked first.
    pub token_bytes: usize,
    /// Longest protected header segment, in base64url characters. Real headers contain `alg`,
    /// `kid` and `typ` (about 100 bytes); an embedded `x5c` chain takes some kilobytes.
    pub header_bytes: usize,
    /// Most parsed headers of verified tokens that are cached per key set. A look-up compares them one
    /// by one.
    pub headers_cached: usize,
    /// Deepest nesting of arrays and objects in a header, claims set or JWK set. Bounds the stack.
    pub json_depth: usize,
    /// Most values (members and elements, at all depths together) in one JSON text. Bounds memory.
    pub json_items: usize,
    /// Most bytes of a JWK set. Real ones contain a dozen keys of 0.5 to 3 KiB.
    pub jwks_bytes: usize,
    /// Most keys in one set.
    pub keys_in_set: usize,
    /// Most keys tried for one token. Bounds the public-key operations for a token without `kid`.
    pub keys_tried: usize,
    /// Longest text of a claim path, in bytes.
    pub path_bytes: usize,
    /// Deepest nesting of a claim path's own expressions (brackets and parentheses).
    pub path_depth: usize,
    /// Most nodes that one path evaluation visits, nested filter queries included.
    pub path_nodes: usize,
    /// Most group values of one identity.
    pub groups: usize,
    /// Longest group value, in bytes.
    pub group_bytes: usize,
}

impl Limits {
    /// The limits used unless the caller sets others.
    pub const DEFAULT: Limits = Limits {
        token_bytes: 128 * 1024,
        header_bytes: 16 * 1024,
        headers_cached: 32,
        json_depth: 32,
        json_items: 20_000,
        jwks_bytes: 1024 * 1024,
        keys_in_set: 1_000,
        keys_tried: 8,
        path_bytes: 4_096,
        path_depth: 32,
        path_nodes: 100_000,
        groups: 5_000,
        group_bytes: 1_024,
    };

    /// Returns the larger of each limit.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            token_bytes: self.token_bytes.max(other.token_bytes),
            header_bytes: self.header_bytes.max(other.header_bytes),
            headers_cached: self.headers_cached.max(other.headers_cached),
            json_depth: self.json_depth.max(other.json_depth),
            json_items: self.json_items.max(other.json_items),
            jwks_bytes: self.jwks_bytes.max(other.jwks_bytes),
            keys_in_set: self.keys_in_set.max(other.keys_in_set),
            keys_tried: self.keys_tried.max(other.keys_tried),
            path_bytes: self.path_bytes.max(other.path_bytes),
            path_depth: self.path_depth.max(other.path_depth),
            path_nodes: self.path_nodes.max(other.path_nodes),
            groups: self.groups.max(other.groups),
            group_bytes: self.group_bytes.max(other.group_bytes),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
