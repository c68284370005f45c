//! Strict unpadded base64url (RFC 7515 §2, RFC 4648 §5).
//!
//! One byte string has exactly one encoding: padding, white space, the `+/` alphabet and non-zero
//! trailing bits are all refused, so that a token cannot be respelled without changing its bytes.

use base64ct::{Base64UrlUnpadded, Encoding};

/// The text is not the canonical unpadded base64url encoding of any byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical unpadded base64url")]
pub struct InvalidBase64Url;

/// Decodes canonical unpadded base64url text.
///
/// # Errors
/// [`InvalidBase64Url`] for any character outside the alphabet (padding included), an impossible
/// length, or trailing bits that are not zero.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, InvalidBase64Url> {
    let text = std::str::from_utf8(text).map_err(|_| InvalidBase64Url)?;
    Base64UrlUnpadded::decode_vec(text).map_err(|_| InvalidBase64Url)
}

/// Whether [`decode`] would take the text, without decoding it.
#[must_use]
pub fn is_canonical(text: &[u8]) -> bool {
    let Some(last) = text.last() else {
        return true;
    };
    // The last character of a partial group carries 4 or 2 bits that no byte uses.
    let unused_bits = match text.len() % 4 {
        0 => 0,
        2 => 0b1111,
        3 => 0b11,
        _ => return false,
    };
    text.iter().all(|byte| value(*byte).is_some())
        && value(*last).is_some_and(|value| value & unused_bits == 0)
}

/// A character's value in the base64url alphabet (RFC 4648 §5, table 2).
fn value(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
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
    fn each_byte_string_has_one_encoding() {
        for bytes in [&b""[..], b"\0", b"\xff\xff", b"abc", b"\xfb\xef\xbe"] {
            assert_eq!(decode(encode(bytes).as_bytes()), Ok(bytes.to_vec()));
            assert!(is_canonical(encode(bytes).as_bytes()));
        }
        // `AA` is the byte 0; `AB` sets bits that no byte holds.
        for text in ["AB", "A", "AA==", "A A", "AA\n", "+/+/", "AAB", "é"] {
            assert_eq!(decode(text.as_bytes()), Err(InvalidBase64Url), "{text:?}");
            assert!(!is_canonical(text.as_bytes()), "{text:?}");
        }
    }
}
