//! What `Claims` accepts, serde_json reads the same way, and the registered claims are typed.
#![no_main]

use claimgate::{claims::Claims, limits::Limits};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|json: &[u8]| {
    if let Ok(claims) = Claims::parse(json, &Limits::DEFAULT) {
        let reference: Value = serde_json::from_slice(json).expect("serde_json accepts what we accept");
        assert_eq!(claims.as_value(), &reference);
        assert_eq!(claims.get("sub").is_some(), claims.subject().is_some());
        assert_eq!(claims.get("aud").is_some(), claims.audience().next().is_some());
        assert_eq!(claims.get("exp").is_some(), claims.expires_at().is_some());
    }
});
