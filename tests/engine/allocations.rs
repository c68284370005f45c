//! What one verification allocates: the payload and the shared contents, which the caller keeps.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use claimgate::Verifier;
use claimgate::claims::{IdToken, Policy};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use serde_json::Value;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one counts and hands on")]
// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of the same method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// The good vector of an algorithm, with the verifier it is for.
fn vector(algorithm: &str) -> (String, Verifier<IdToken>, UnixTime) {
    let rows = include_str!("../../vectors/good.jsonl").lines();
    let row = rows
        .map(|line| serde_json::from_str::<Value>(line).expect("a vector"))
        .find(|row| row["row"] == "algorithm" && row["input"]["algorithms"][0] == algorithm)
        .expect("a vector of each algorithm");
    let input = &row["input"];
    let keys = match &input["secret_b64u"] {
        Value::String(secret) => {
            KeySet::from_secret(&claimgate::base64url::decode(secret.as_bytes()).expect("base64url"))
        }
        _ => KeySet::from_jwk(input["jwk"].to_string().as_bytes(), &Limits::DEFAULT).expect("a JWK"),
    };
    let rules = &input["policy"];
    let policy = Policy::id_token(
        rules["issuer"][0].as_str().expect("an issuer"),
        rules["audience"][0].as_str().expect("an audience"),
    );
    let verifier =
        Verifier::builder().algorithms([algorithm]).keys(keys).policy(policy).build().expect("built in");
    let token = input["token"].as_str().expect("a token").to_owned();
    (token, verifier, UnixTime(rules["now"].as_i64().expect("a time")))
}

/// Reports whether this CPU has the vector unit of the RSA kernel.
fn has_kernel() -> bool {
    #[cfg(target_arch = "x86_64")]
    let is_present = std::is_x86_feature_detected!("avx512ifma");
    #[cfg(not(target_arch = "x86_64"))]
    let is_present = false;
    is_present
}

#[test]
fn a_verification_allocates_what_the_caller_keeps() {
    // Those whose libraries allocate nothing themselves; ring allocates for RSA where the kernel
    // does not serve, and so do elliptic curves.
    for algorithm in ["HS256", "HS384", "HS512"] {
        let (token, verifier, now) = vector(algorithm);
        // The first one fills the header's route.
        drop(black_box(verifier.verify(&token, now)).expect("valid"));
        let allocations = count(|| drop(black_box(verifier.verify(black_box(&token), now))));
        assert_eq!(allocations, 2, "{algorithm}");
        let refused = count(|| drop(black_box(verifier.verify(black_box(&token[..token.len() - 4]), now))));
        assert_eq!(refused, 0, "{algorithm}, a signature too short");
    }
    if has_kernel() {
        let (token, verifier, now) = vector("RS256");
        drop(black_box(verifier.verify(&token, now)).expect("valid"));
        let allocations = count(|| drop(black_box(verifier.verify(black_box(&token), now))));
        assert_eq!(allocations, 2, "RS256 by the kernel");
    } else {
        eprintln!("not counted for RS256: this CPU has no AVX-512 IFMA");
    }
}
