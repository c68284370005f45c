//! Fingerprints: fixed-size stand-ins for secrets and long values in indexes, logs and the store.

use ring::digest::{Context, SHA256};

/// The first 128 bits of a SHA-256. It identifies a value without revealing it.
///
/// ```
/// use claimgate::oidc::fingerprint::Fingerprint;
///
/// let whole = Fingerprint::of("https://idp.example.com");
/// assert_eq!(Fingerprint::of_parts(&[b"https://", b"idp.example.com"]), whole);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Returns the fingerprint of a value.
    #[must_use]
    pub fn of(value: &str) -> Self {
        Self::of_parts(&[value.as_bytes()])
    }

    /// Returns the fingerprint of the concatenation of `parts`. The caller keeps parts apart, for example
    /// by a length prefix.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        parts.iter().for_each(|part| context.update(part));
        let hash = context.finish();
        Self(std::array::from_fn(|index| hash.as_ref()[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn a_fingerprint_is_half_a_sha_256() {
        // FIPS 180-2, appendix B.1.
        let expected =
            [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23];
        assert_eq!(Fingerprint::of("abc").0, expected);
        assert_eq!(Fingerprint::of_parts(&[b"a", b"", b"bc"]).0, expected);
    }
}
