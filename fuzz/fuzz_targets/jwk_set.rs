//! A key set never takes a verifier down, and each of its keys is either usable or reported.
#![no_main]

use claimgate::{alg::Registry, jws::JwsVerifier, key::KeySet, limits::Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let sets =
        [KeySet::from_jwks_with_secrets(text, &Limits::DEFAULT), KeySet::from_jwk(text, &Limits::DEFAULT)];
    let pem = std::str::from_utf8(text).ok().map(KeySet::from_pem);
    for set in sets.into_iter().chain(pem).flatten() {
        let registry = Registry::builtin();
        let names: Vec<&str> = registry.names().collect();
        let verifier =
            JwsVerifier::with_any_keys(&registry, &names, &set, Limits::DEFAULT).expect("known names");
        let report = verifier.key_report();
        assert_eq!(report.usable + report.skipped.len(), set.keys().len() + set.skipped().len());
    }
});
