//! `s^65537 mod n` with AVX-512 IFMA: of one signature at a time, or of eight, one per lane.
//!
//! Montgomery multiplication in radix 2^52. With `R = 2^(52·L)` and `4n < R`, factors below `2n`
//! give a product below `2n`, so nothing is subtracted until the end. The power is left with its
//! factor `R^-65536`: what it is compared with is given the same. Eight at once are reduced in
//! another way, with another `R`, and say only whether they are what they should be. Verification
//! works on public values alone: nothing here need take constant time.
//!
//! Why this may be trusted: a *reject* is confirmed by ring before it counts; to *accept* wrongly,
//! a wrong result would have to equal the one right encoded message, or of eight to differ from it by
//! exactly [`right`]; each key is tried against plain arithmetic when it is prepared; and `unsafe`
//! stands in this file alone, where memory is read and written by pointer and where the CPU was asked
//! beforehand.
#![expect(unsafe_code, reason = "loads, stores, and calls guarded by a run-time check of the CPU")]

mod eight;
mod one;

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_shuffle_i64x2 as shuffle, _mm512_storeu_si512,
    _mm512_unpackhi_epi64 as unpack_high, _mm512_unpacklo_epi64 as unpack_low,
};

use super::number::{LIMB_BITS, MASK};

/// Limbs in a vector, and signatures in a batch.
pub(super) const LANES: usize = 8;

/// Whether this CPU has what the kernel needs, and what the compiler takes that to imply.
pub(super) fn is_available() -> bool {
    let implied = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    implied && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// A modulus made ready.
#[derive(Clone, Debug)]
pub(super) struct Modulus<const L: usize> {
    pub(super) n: [u64; L],
    /// `-n⁻¹ mod 2^52`
    pub(super) k0: u64,
    /// `2^(52·fold_at(L)) mod n`
    pub(super) fold: [u64; L],
}

/// The bits of a modulus of so many limbs.
const fn bits(limbs: usize) -> usize {
    match limbs {
        40 => 2048,
        64 => 3072,
        80 => 4096,
        _ => panic!("there are keys of three sizes"),
    }
}

/// The limb from which on eight squares at once are folded: high enough that the part above has room in
/// half as many limbs, and low enough that the part below, divided by `2^(52·L/2)`, is far below `n`.
pub(super) const fn fold_at(limbs: usize) -> usize {
    limbs / 2 + (bits(limbs) - 16) / LIMB_BITS
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

/// What a power is to be, of eight at once: `constant + factor · hash` is `right · R - m / R^65535 mod n`,
/// where `m` is the power, and `R` is `2^(52·L/2)`. Added to the last product, before that is divided
/// by `R`, it leaves [`right`] where the power is `m`.
#[derive(Clone, Debug)]
pub(super) struct Target<const L: usize> {
    pub(super) constant: [u64; L],
    pub(super) factor: [u64; L],
}

/// What is left where a power is right: every other bit of a modulus' length, between a third and two
/// thirds of any. Not zero, so that what is lost or cleared on the way does not look right.
pub(super) const fn right<const L: usize>() -> [u64; L] {
    let mut right = [MASK / 3; L];
    let mut limb = bits(L) / LIMB_BITS;
    right[limb] &= (1 << (bits(L) % LIMB_BITS)) - 1;
    while limb + 1 < L {
        limb += 1;
        right[limb] = 0;
    }
    right
}

/// Limbs that a hash has room in: those of the longest, ten, and what makes up whole vectors.
pub(super) const HASH_LIMBS: usize = 16;

/// One of eight.
#[derive(Clone, Copy)]
pub(super) struct Lane<'k, const L: usize> {
    pub(super) modulus: &'k Modulus<L>,
    pub(super) target: &'k Target<L>,
    /// Up to ten limbs, and zeros.
    pub(super) hash: [u64; HASH_LIMBS],
}

/// Eight signatures at once, many times; what is the same each time is made ready once. A number of `L` limbs
/// is four of `Q`, each one block of `B` limbs or two, and two of `E`.
pub(super) struct Eight<'k, const L: usize, const Q: usize, const B: usize, const E: usize>(
    eight::Eight<'k, L, Q, B, E>,
);

impl<'k, const L: usize, const Q: usize, const B: usize, const E: usize> Eight<'k, L, Q, B, E> {
    /// With moduli that will be asked for; if others are, they are made ready then.
    pub(super) fn new(moduli: [&'k Modulus<L>; LANES]) -> Self {
        assert!(is_available() && L == 4 * Q && Q == 2 * E && Q.is_multiple_of(B));
        // SAFETY: as above.
        Self(unsafe { eight::Eight::new(moduli) })
    }

    /// Whether `s^65537 mod n`, for `s < n`, is what its lane says, of each of eight.
    pub(super) fn are_powers(
        &mut self,
        s: &[[u64; L]; LANES],
        lanes: &[Lane<'k, L>; LANES],
    ) -> [bool; LANES] {
        // SAFETY: the CPU has the features, or there were no such value.
        unsafe { self.0.are_powers(s, lanes) }
    }
}

/// Eight numbers, as vectors of one limb of each.
#[inline]
#[target_feature(enable = "avx512f")]
fn across<const L: usize>(numbers: [&[u64; L]; LANES], vectors: &mut [__m512i]) {
    for (index, vectors) in vectors.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        *vectors = transposed(numbers.map(|number| load(&number.as_chunks().0[index])));
    }
}

/// Rows for columns, of eight times eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let [a, b, c, d, e, f, g, h] = rows;
    // Of even columns, then of odd ones: two rows in each 128 bits.
    let even = four_transposed([unpack_low(a, b), unpack_low(c, d), unpack_low(e, f), unpack_low(g, h)]);
    let odd = four_transposed([unpack_high(a, b), unpack_high(c, d), unpack_high(e, f), unpack_high(g, h)]);
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// Rows for columns, of four times four parts of 128 bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_transposed([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (first, second) = (shuffle::<0x88>(a, b), shuffle::<0x88>(c, d));
    let (third, fourth) = (shuffle::<0xdd>(a, b), shuffle::<0xdd>(c, d));
    [
        shuffle::<0x88>(first, second),
        shuffle::<0x88>(third, fourth),
        shuffle::<0xdd>(first, second),
        shuffle::<0xdd>(third, fourth),
    ]
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
