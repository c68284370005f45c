//! A header that is accepted has an `alg`, no `crit`, and means the same when written out again.
#![no_main]

use claimgate::{jws::Header, limits::Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    if let Ok(header) = Header::parse(json, &Limits::DEFAULT) {
        assert!(header.as_object().get("alg").is_some_and(|alg| alg == header.algorithm()));
        assert!(!header.as_object().contains_key("crit"));
        let again = serde_json::to_vec(header.as_object()).expect("a JSON object");
        assert_eq!(Header::parse(&again, &Limits::DEFAULT).as_ref(), Ok(&header));
    }
});
