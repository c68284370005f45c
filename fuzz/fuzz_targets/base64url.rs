//! base64url by RFC 4648's table, written out bit by bit, says the same as the crate: what decodes,
//! to what, and that each byte string has one spelling.
#![no_main]

use claimgate::base64url;
use libfuzzer_sys::fuzz_target;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn reference(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for character in text {
        let value = ALPHABET.iter().position(|known| known == character)?;
        held = held << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (bits < 6 && held == 0).then_some(bytes)
}

fuzz_target!(|text: &[u8]| {
    let expected = reference(text);
    assert_eq!(base64url::decode(text).ok(), expected);
    assert_eq!(base64url::decode_secret(text).ok(), expected);
    assert_eq!(base64url::is_canonical(text), expected.is_some());
    if let Some(bytes) = expected {
        assert_eq!(base64url::encode(&bytes).as_bytes(), text);
    }
    assert_eq!(base64url::decode(base64url::encode(text).as_bytes()).as_deref(), Ok(text));
});
