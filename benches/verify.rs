//! Whole verification per algorithm, and its parts.

use std::hint::black_box;

use claimgate::claims::{Claims, Policy, TokenKind};
use claimgate::jws::{CompactJws, Header};
use claimgate::key::KeySet;
use claimgate::{Verifier, limits::Limits, time::UnixTime};
use criterion::{Criterion, criterion_group, criterion_main};

const NOW: UnixTime = UnixTime(1_800_000_000);
const SECRET: &[u8] = b"a secret of at least 32 bytes, for fuzzing";
const HS256: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjIwMDAwMDAwMDB9.MM_W3al6bkGxkQV1SVMyYIlBlZ7Y9lbzXYI4EBTd2nU";

fn verifier() -> Verifier {
    let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(SECRET));
    builder.policy(Policy::new(TokenKind::Jwt)).build().expect("a fixed set-up")
}

fn whole(c: &mut Criterion) {
    let verifier = verifier();
    c.bench_function("verify/HS256", |b| b.iter(|| verifier.verify(black_box(HS256), NOW).expect("valid")));
    let batch = [HS256; 64];
    c.bench_function("verify_batch/HS256/64", |b| b.iter(|| verifier.verify_batch(black_box(&batch), NOW)));
}

fn parts(c: &mut Criterion) {
    let limits = Limits::DEFAULT;
    let jws = CompactJws::parse(HS256, &limits).expect("well-formed");
    let payload = jws.unverified_payload();
    c.bench_function("parts/compact", |b| b.iter(|| CompactJws::parse(black_box(HS256), &limits)));
    let header = br#"{"alg":"HS256","typ":"JWT","kid":"2026-11"}"#;
    c.bench_function("parts/header", |b| b.iter(|| Header::parse(black_box(header), &limits)));
    c.bench_function("parts/claims", |b| b.iter(|| Claims::parse(black_box(&payload), &limits)));
}

criterion_group!(benches, whole, parts);
criterion_main!(benches);
