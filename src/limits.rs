//! Every bound of the engine, in one place, each with its reason.
//!
//! Nothing here is a tuning knob for speed: each limit caps what a stranger's bytes can cost
//! before a signature has been checked, or what a careless path can cost after.

/// The bounds that parsing, key selection, path evaluation and mapping keep to.
///
/// Start from [`Limits::DEFAULT`] and change what a deployment needs:
///
/// ```
/// use claimgate::limits::Limits;
/// let limits = Limits { token_bytes: 16 * 1024, ..Limits::DEFAULT };
/// assert_eq!(limits.keys_tried, Limits::DEFAULT.keys_tried);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest compact token, in bytes. Reverse proxies stop header lines at 8 to 64 KiB; a token
    /// that travels as a form field or in a log may be larger. Checked before anything else.
    pub token_bytes: usize,
    /// Longest protected header segment, in base64url characters. Real headers hold an `alg`, a
    /// `kid` and a `typ` (about 100 bytes); an embedded `x5c` chain reaches some kilobytes.
    pub header_bytes: usize,
    /// Most header segments whose parse and keys are remembered per key set, each of a token that
    /// verified: they are compared one by one.
    pub headers_cached: usize,
    /// Deepest nesting of arrays and objects in a header, claims set or JWK set. Bounds the stack.
    pub json_depth: usize,
    /// Most values (members and elements, at all depths together) in one JSON text. Bounds memory.
    pub json_items: usize,
    /// Most bytes of a JWK set. Real ones hold a dozen keys of 0.5 to 3 KiB.
    pub jwks_bytes: usize,
    /// Most keys in one set.
    pub keys_in_set: usize,
    /// Most keys tried for one token: bounds the public-key operations a token without `kid` costs.
    pub keys_tried: usize,
    /// Longest text of a claim path, in bytes.
    pub path_bytes: usize,
    /// Deepest nesting of a claim path's own expressions (brackets and parentheses).
    pub path_depth: usize,
    /// Most nodes one path evaluation may visit, nested filter queries included.
    pub path_nodes: usize,
    /// Most group values one identity may carry into the mapping.
    pub groups: usize,
    /// Longest group value considered, in bytes.
    pub group_bytes: usize,
}

impl Limits {
    /// The limits used where none are given.
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
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
