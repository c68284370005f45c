//! Sealed values for cookies: encrypted and authenticated.

use ring::aead::{self, Aad, CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use zeroize::Zeroizing;

use super::Random;
use crate::base64url;

/// Bytes of a sealing key.
pub const KEY_LEN: usize = 32;

/// A key that seals and opens values, each for one purpose.
///
/// ```
/// use claimgate::oidc::seal::{KEY_LEN, Sealer};
///
/// let sealer = Sealer::new(&[7; KEY_LEN]).expect("a key of the right length"); // random, in a program
/// let sealed = sealer.seal("greeting", "hello", &mut |bytes| bytes.fill(1)); // random, in a program
/// assert_eq!(sealer.open("greeting", &sealed).as_deref().map(String::as_str), Some("hello"));
/// assert!(sealer.open("another purpose", &sealed).is_none());
/// ```
pub struct Sealer(LessSafeKey);

crate::text::redacted_debug!(Sealer);

impl Sealer {
    /// Builds a sealer from a key. Returns `None` unless it has [`KEY_LEN`] bytes.
    #[must_use]
    pub fn new(key: &[u8]) -> Option<Self> {
        UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new).map(Self)
    }

    /// Seals a text under a random nonce of 96 bits, which does not repeat in far fewer than 2^32 values.
    ///
    /// # Panics
    /// If the text is longer than the cipher's limit of 256 GiB.
    #[must_use]
    pub fn seal(&self, purpose: &str, text: &str, random: Random<'_>) -> String {
        let mut nonce = [0; aead::NONCE_LEN];
        random(&mut nonce);
        let mut sealed = text.as_bytes().to_vec();
        let aad = Aad::from(purpose.as_bytes());
        self.0
            .seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .expect("a text is shorter than the cipher's limit");
        let mut whole = nonce.to_vec();
        whole.append(&mut sealed);
        base64url::encode(&whole)
    }

    /// Opens a value that was sealed for the same purpose; `None` for any other value.
    #[must_use]
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<Zeroizing<String>> {
        let whole = base64url::decode_secret(sealed.as_bytes()).ok()?;
        let (nonce, sealed) = whole.split_first_chunk::<{ aead::NONCE_LEN }>()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(purpose.as_bytes());
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        let text = self.0.open_in_place(nonce, aad, &mut sealed).ok()?;
        String::from_utf8(text.to_vec()).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // attack: state.made-up
    #[test]
    fn opens_what_was_sealed_for_the_same_purpose_alone() {
        let sealer = Sealer::new(&[7; KEY_LEN]).expect("a key");
        let sealed = sealer.seal("login", "text", &mut |nonce| nonce.fill(1));
        assert_eq!(sealer.open("login", &sealed).as_deref().map(String::as_str), Some("text"));
        assert!(sealer.open("logout", &sealed).is_none());
        assert_ne!(sealer.seal("login", "text", &mut |nonce| nonce.fill(2)), sealed);
        let other = Sealer::new(&[8; KEY_LEN]).expect("a key");
        assert!(other.open("login", &sealed).is_none());
        let mut bytes = base64url::decode_secret(sealed.as_bytes()).expect("base64url");
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert!(sealer.open("login", &base64url::encode(&bytes)).is_none(), "byte {index}");
            bytes[index] ^= 1;
        }
        assert!(sealer.open("login", "").is_none());
        assert!(Sealer::new(&[7; 31]).is_none());
    }
}
