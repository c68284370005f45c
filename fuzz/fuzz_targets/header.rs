//! A header that is accepted has an `alg`, no `crit` but the one that changes nothing, and means the same when written out again.
#![no_main]

use claimgate::{jws::Header, limits::Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    if let Ok(header) = Header::parse(json, &Limits::DEFAULT) {
        assert!(header.as_object().get("alg").is_some_and(|alg| alg == header.algorithm()));
        if let Some(crit) = header.as_object().get("crit") {
            assert_eq!(crit, &serde_json::json!(["b64"]));
        }
        let again = serde_json::to_vec(header.as_object()).expect("a JSON object");
        assert_eq!(Header::parse(&again, &Limits::DEFAULT).as_ref(), Ok(&header));
    }
});
