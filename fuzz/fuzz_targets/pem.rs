//! Every block of a PEM text is a key or is reported, no private key becomes one, and reading is
//! the same the second time.
#![no_main]

use claimgate::alg::Registry;
use claimgate::jws::JwsVerifier;
use claimgate::key::{KeyMaterial, KeySet};
use claimgate::limits::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let set = KeySet::from_pem(text);
    assert_eq!(format!("{set:?}"), format!("{:?}", KeySet::from_pem(text)));
    let Ok(set) = set else { return };
    assert_eq!(set.keys().len() + set.skipped().len(), text.matches("-----BEGIN ").count());
    for key in set.keys() {
        match key.material() {
            KeyMaterial::Rsa { .. } => {}
            KeyMaterial::Ec { curve, x, y } => assert_eq!(x.len(), y.len(), "{curve}"),
            KeyMaterial::Okp { curve, .. } => assert_eq!(curve, "Ed25519"),
            KeyMaterial::Spki { oid, .. } => assert!(!oid.is_empty()),
            other => panic!("a PEM block became {}", other.kty()),
        }
    }
    let registry = Registry::builtin();
    let names: Vec<&str> = registry.names().collect();
    let verifier = JwsVerifier::with_any_keys(&registry, &names, &set, Limits::DEFAULT).expect("known names");
    let report = verifier.key_report();
    assert_eq!(report.usable + report.skipped.len(), set.keys().len() + set.skipped().len());
});
