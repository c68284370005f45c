//! `s^65537 / R^65536 mod n` with AVX-512 IFMA: one signature at a time, or eight, one per lane.
//!
//! Montgomery multiplication in radix 2^52. With `R = 2^(52·L)` and `4n < R`, factors below `2n`
//! give a product below `2n`, so nothing is subtracted until the end. The power is left with its
//! factor `R^-65536`: what it is compared with is given the same. Verification works on public
//! values alone: nothing here need take constant time.
//!
//! Why this may be trusted: a *reject* is confirmed by ring before it counts; to *accept* wrongly,
//! a wrong result would have to equal the one right encoded message; each key is tried against
//! plain arithmetic when it is prepared; and `unsafe` stands in this file alone, where memory is
//! read and written by pointer and where the CPU was asked beforehand.
#![expect(unsafe_code, reason = "loads, stores, and calls guarded by a run-time check of the CPU")]

mod eight;
mod one;

use std::arch::x86_64::{__m512i, _mm512_loadu_si512, _mm512_storeu_si512};

/// Limbs in a vector, and signatures in a batch.
pub(super) const LANES: usize = 8;

/// Whether this CPU has what the kernel needs.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// A modulus made ready.
#[derive(Clone, Debug)]
pub(super) struct Modulus<const L: usize> {
    pub(super) n: [u64; L],
    /// `-n⁻¹ mod 2^52`
    pub(super) k0: u64,
}

/// `s^65537 / R^65536 mod n`, below `2n`, for `s < n`. `L` is `8 · V`.
pub(super) fn power<const L: usize, const V: usize>(s: &[u64; L], modulus: &Modulus<L>) -> [u64; L] {
    assert!(is_available() && L == V * LANES);
    // SAFETY: the CPU has the features, as was just asserted (std remembers the answer).
    unsafe { one::power::<L, V>(s, modulus) }
}

/// `a · b / 2^(52·D) mod n`, below `2n`, for `a < n` and a `b` of `D` limbs.
pub(super) fn product<const L: usize, const V: usize, const D: usize>(
    a: &[u64; L],
    b: &[u64; D],
    modulus: &Modulus<L>,
) -> [u64; L] {
    assert!(is_available() && L == V * LANES);
    // SAFETY: as above.
    unsafe { one::product::<L, V>(b, a, modulus) }
}

/// As [`power`], of eight, each with a modulus of its own.
pub(super) fn power_of_eight<const L: usize>(
    s: &[[u64; L]; LANES],
    moduli: [&Modulus<L>; LANES],
) -> [[u64; L]; LANES] {
    assert!(is_available() && L.is_multiple_of(LANES));
    // SAFETY: as above.
    unsafe { eight::power(s, moduli) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(limbs: &[u64; LANES]) -> __m512i {
    // SAFETY: eight limbs are 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(limbs.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(vector: __m512i) -> [u64; LANES] {
    let mut limbs = [0; LANES];
    // SAFETY: eight limbs are 64 bytes, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(limbs.as_mut_ptr().cast(), vector) }
    limbs
}
