//! Whatever parses as a compact JWS is spelled the one way its decoded parts can be spelled.
#![no_main]

use claimgate::{base64url, jws::CompactJws, limits::Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|token: &str| {
    if let Ok(jws) = CompactJws::parse(token, &Limits::DEFAULT) {
        let header = base64url::decode(jws.protected_segment()).expect("checked by parse");
        let again =
            [&header, &jws.unverified_payload(), &jws.signature()].map(|part| base64url::encode(part));
        assert_eq!(again.join("."), token);
        assert!(!jws.signature().is_empty());
    }
    assert_eq!(base64url::is_canonical(token.as_bytes()), base64url::decode(token.as_bytes()).is_ok());
});
