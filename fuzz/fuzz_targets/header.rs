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
        let again = Header::parse(&again, &Limits::DEFAULT).expect("the same members");
        // Fractions may move by their last digit from one writing to the next; nothing else may.
        let said = |header: &Header| {
            let names: Vec<String> = header.as_object().keys().cloned().collect();
            let [kid, typ] = [header.kid(), header.typ()].map(|text| text.map(str::to_owned));
            (header.algorithm().to_owned(), kid, typ, names)
        };
        assert_eq!(said(&again), said(&header));
    }
});
