//! Strict unpadded base64url (RFC 7515 §2, RFC 4648 §5).
//!
//! A byte string has exactly one encoding: padding, white space, the `+/` alphabet and non-zero
//! trailing bits are rejected, so that no two texts are the same token.
//!
//! ```
//! use claimgate::base64url;
//!
//! let text = base64url::encode(b"any bytes");
//! assert_eq!(base64url::decode(text.as_bytes()), Ok(b"any bytes".to_vec()));
//! assert_eq!(base64url::decode_secret(text.as_bytes()), Ok(b"any bytes".to_vec())); // in constant time
//! assert!(!base64url::is_canonical(b"QR"), "the last bits are not zero");
//! ```

use base64_simd::{Out, URL_SAFE_NO_PAD};
use base64ct::{Base64UrlUnpadded, Encoding};

/// The text is not the canonical unpadded base64url encoding of any byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical unpadded base64url")]
pub struct InvalidBase64Url;

/// Returns why a text is not canonical unpadded base64url, for the message about it.
pub(crate) fn fault(text: &[u8]) -> &'static str {
    let holds = |characters: &[u8]| text.iter().any(|byte| characters.contains(byte));
    let is_foreign = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"-_+/=".contains(byte));
    if holds(b" \t\r\n") {
        "it holds white space"
    } else if text.iter().any(is_foreign) {
        "it holds a character outside the alphabet"
    } else if holds(b"+/") {
        "`+` and `/` are base64; base64url has `-` and `_`"
    } else if holds(b"=") {
        "it is padded with `=`"
    } else if text.len() % 4 == 1 {
        "no text has this length; it may have been cut"
    } else {
        "its last character has bits that belong to no byte; it may have been cut"
    }
}

/// Decodes canonical unpadded base64url text, in a time that may depend on the text: for tokens.
///
/// # Errors
/// [`InvalidBase64Url`] for any character outside the alphabet (padding included), an impossible
/// length, or trailing bits that are not zero.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, InvalidBase64Url> {
    URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| InvalidBase64Url)
}

/// Decodes like [`decode`], in a time that depends only on the length of the text: for keys.
///
/// # Errors
/// [`InvalidBase64Url`] under the same conditions as [`decode`].
pub fn decode_secret(text: &[u8]) -> Result<Vec<u8>, InvalidBase64Url> {
    let text = std::str::from_utf8(text).map_err(|_| InvalidBase64Url)?;
    Base64UrlUnpadded::decode_vec(text).map_err(|_| InvalidBase64Url)
}

/// Decodes like [`decode`], into the beginning of a buffer that is long enough. Returns the decoded bytes.
pub(crate) fn decode_into<'b>(text: &[u8], buffer: &'b mut [u8]) -> Result<&'b mut [u8], InvalidBase64Url> {
    URL_SAFE_NO_PAD.decode(text, Out::from_slice(buffer)).map_err(|_| InvalidBase64Url)
}

/// Returns the number of bytes that a canonical text decodes to.
pub(crate) fn decoded_len(canonical: &[u8]) -> usize {
    canonical.len() / 4 * 3 + (canonical.len() % 4).saturating_sub(1)
}

/// Reports whether [`decode`] accepts the text, without decoding it.
#[must_use]
pub fn is_canonical(text: &[u8]) -> bool {
    URL_SAFE_NO_PAD.check(text).is_ok()
}

/// Encodes bytes as unpadded base64url text.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_in_every_place() {
        for length in (1..=70).step_by(if cfg!(miri) { 35 } else { 1 }) {
            for place in [0, length / 2, length - 1] {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'A'; length];
                    text[place] = byte;
                    let wanted = decode_secret(&text);
                    assert_eq!(decode(&text), wanted, "{text:?}");
                    assert_eq!(is_canonical(&text), wanted.is_ok(), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn each_byte_string_has_one_encoding() {
        for bytes in [&b""[..], b"\0", b"\xff\xff", b"abc", b"\xfb\xef\xbe"] {
            assert_eq!(decode(encode(bytes).as_bytes()), Ok(bytes.to_vec()));
            assert_eq!(decode_secret(encode(bytes).as_bytes()), Ok(bytes.to_vec()));
            assert_eq!(decoded_len(encode(bytes).as_bytes()), bytes.len());
            assert!(is_canonical(encode(bytes).as_bytes()));
        }
        // `AA` is the byte 0; `AB` sets bits that no byte has.
        for text in ["AB", "A", "AA==", "A A", "AA\n", "+/+/", "AAB", "é"] {
            assert_eq!(decode(text.as_bytes()), Err(InvalidBase64Url), "{text:?}");
            assert_eq!(decode_secret(text.as_bytes()), Err(InvalidBase64Url), "{text:?}");
            assert!(!is_canonical(text.as_bytes()), "{text:?}");
            assert!(!fault(text.as_bytes()).is_empty());
        }
    }
}
