//! The whole verifier: nothing but the one token that was signed is ever accepted, and a batch
//! says the same as one by one.
#![no_main]

use std::sync::LazyLock;

use claimgate::{
    Verifier,
    claims::{Jwt, Policy},
    key::KeySet,
    time::UnixTime,
};
use libfuzzer_sys::fuzz_target;

/// HS256 over `{"sub":"ada","exp":2000000000}` with the secret below.
const SIGNED: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjIwMDAwMDAwMDB9.MM_W3al6bkGxkQV1SVMyYIlBlZ7Y9lbzXYI4EBTd2nU";

static VERIFIER: LazyLock<Verifier<Jwt>> = LazyLock::new(|| {
    let secret = KeySet::from_secret(b"a secret of at least 32 bytes, for fuzzing");
    let verifier = Verifier::builder()
        .algorithms(["HS256"])
        .keys(secret)
        .policy(Policy::jwt())
        .build()
        .expect("a fixed set-up");
    assert!(verifier.verify(SIGNED, NOW).is_ok());
    verifier
});

const NOW: UnixTime = UnixTime(1_800_000_000);

fuzz_target!(|input: (&str, usize, char)| {
    let (token, at, character) = input;
    let mut mutated: Vec<char> = SIGNED.chars().collect();
    let at = at % mutated.len();
    mutated[at] = character;
    let mutated: String = mutated.into_iter().collect();
    let results = VERIFIER.verify_batch(&[token, &mutated, SIGNED], NOW);
    for (text, result) in [token, mutated.as_str(), SIGNED].into_iter().zip(results) {
        assert_eq!(result.is_ok(), text == SIGNED, "{text}");
        assert_eq!(result.map(|_| ()), VERIFIER.verify(text, NOW).map(|_| ()));
    }
});
