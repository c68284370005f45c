//! The AVX-512 instructions of the kernel in plain Rust, under the names of `std::arch::x86_64`: for tests on CPUs
//! without them, on other targets and under Miri. Built with `--cfg emulated` only.
#![expect(non_camel_case_types, reason = "the names of std::arch")]
#![expect(unsafe_code, reason = "loads and stores by pointer, as the instructions")]

use std::array::from_fn;

use crate::limbs::{LIMB_BITS, MASK};

#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct __m512i([u64; 8]);

pub(crate) struct __m128i([u64; 2]);

pub(crate) type __mmask8 = u8;

/// Applies an operation to each pair of words.
fn map(a: __m512i, b: __m512i, operation: impl Fn(u64, u64) -> u64) -> __m512i {
    __m512i(from_fn(|lane| operation(a.0[lane], b.0[lane])))
}

/// Returns a bit for each pair of words.
fn mask(a: __m512i, b: __m512i, relation: impl Fn(u64, u64) -> bool) -> __mmask8 {
    (0..8).fold(0, |mask, lane| mask | u8::from(relation(a.0[lane], b.0[lane])) << lane)
}

/// # Safety
/// 64 bytes must be readable.
pub(crate) unsafe fn _mm512_loadu_si512(from: *const __m512i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { from.read_unaligned() }
}

/// # Safety
/// 64 bytes must be writable.
pub(crate) unsafe fn _mm512_storeu_si512(to: *mut __m512i, vector: __m512i) {
    // SAFETY: the caller's promise.
    unsafe { to.write_unaligned(vector) }
}

pub(crate) fn _mm512_set1_epi64(word: i64) -> __m512i {
    __m512i([word.cast_unsigned(); 8])
}

pub(crate) fn _mm512_setzero_si512() -> __m512i {
    __m512i([0; 8])
}

pub(crate) fn _mm512_add_epi64(a: __m512i, b: __m512i) -> __m512i {
    map(a, b, u64::wrapping_add)
}

pub(crate) fn _mm512_sub_epi64(a: __m512i, b: __m512i) -> __m512i {
    map(a, b, u64::wrapping_sub)
}

pub(crate) fn _mm512_and_si512(a: __m512i, b: __m512i) -> __m512i {
    map(a, b, |a, b| a & b)
}

pub(crate) fn _mm512_or_si512(a: __m512i, b: __m512i) -> __m512i {
    map(a, b, |a, b| a | b)
}

pub(crate) fn _mm512_slli_epi64<const BITS: u32>(a: __m512i) -> __m512i {
    map(a, a, |a, _| a << BITS)
}

pub(crate) fn _mm512_srli_epi64<const BITS: u32>(a: __m512i) -> __m512i {
    map(a, a, |a, _| a >> BITS)
}

pub(crate) fn _mm512_srai_epi64<const BITS: u32>(a: __m512i) -> __m512i {
    map(a, a, |a, _| (a.cast_signed() >> BITS).cast_unsigned())
}

pub(crate) fn _mm512_madd52lo_epu64(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    map(sum, map(a, b, |a, b| (a & MASK).wrapping_mul(b & MASK) & MASK), u64::wrapping_add)
}

pub(crate) fn _mm512_madd52hi_epu64(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    #[expect(clippy::cast_possible_truncation, reason = "52 bits of a product of 104")]
    let high = |a: u64, b: u64| (u128::from(a & MASK) * u128::from(b & MASK) >> LIMB_BITS) as u64;
    map(sum, map(a, b, high), u64::wrapping_add)
}

pub(crate) fn _mm512_mask_add_epi64(rest: __m512i, lanes: __mmask8, a: __m512i, b: __m512i) -> __m512i {
    let sum = _mm512_add_epi64(a, b);
    __m512i(from_fn(|lane| if lanes >> lane & 1 == 1 { sum.0[lane] } else { rest.0[lane] }))
}

pub(crate) fn _mm512_mask_sub_epi64(rest: __m512i, lanes: __mmask8, a: __m512i, b: __m512i) -> __m512i {
    let difference = _mm512_sub_epi64(a, b);
    __m512i(from_fn(|lane| if lanes >> lane & 1 == 1 { difference.0[lane] } else { rest.0[lane] }))
}

pub(crate) fn _mm512_cmpeq_epi64_mask(a: __m512i, b: __m512i) -> __mmask8 {
    mask(a, b, |a, b| a == b)
}

pub(crate) fn _mm512_cmpneq_epi64_mask(a: __m512i, b: __m512i) -> __mmask8 {
    mask(a, b, |a, b| a != b)
}

pub(crate) fn _mm512_cmplt_epi64_mask(a: __m512i, b: __m512i) -> __mmask8 {
    mask(a, b, |a, b| a.cast_signed() < b.cast_signed())
}

pub(crate) fn _mm512_cmpeq_epu64_mask(a: __m512i, b: __m512i) -> __mmask8 {
    mask(a, b, |a, b| a == b)
}

pub(crate) fn _mm512_cmpgt_epu64_mask(a: __m512i, b: __m512i) -> __mmask8 {
    mask(a, b, |a, b| a > b)
}

/// The words of `low`, then of `high`, from the given one on.
pub(crate) fn _mm512_alignr_epi64<const FIRST: usize>(high: __m512i, low: __m512i) -> __m512i {
    __m512i(from_fn(|lane| if lane + FIRST < 8 { low.0[lane + FIRST] } else { high.0[lane + FIRST - 8] }))
}

pub(crate) fn _mm512_unpacklo_epi64(a: __m512i, b: __m512i) -> __m512i {
    __m512i(from_fn(|lane| if lane % 2 == 0 { a.0[lane] } else { b.0[lane - 1] }))
}

pub(crate) fn _mm512_unpackhi_epi64(a: __m512i, b: __m512i) -> __m512i {
    __m512i(from_fn(|lane| if lane % 2 == 0 { a.0[lane + 1] } else { b.0[lane] }))
}

/// Parts of 128 bits: two of `a`, two of `b`, chosen by two bits each.
pub(crate) fn _mm512_shuffle_i64x2<const CHOICE: usize>(a: __m512i, b: __m512i) -> __m512i {
    __m512i(from_fn(|lane| {
        let part = CHOICE >> (lane / 2 * 2) & 3;
        if lane < 4 { a.0[part * 2 + lane % 2] } else { b.0[part * 2 + lane % 2] }
    }))
}

pub(crate) fn _mm512_castsi512_si128(a: __m512i) -> __m128i {
    __m128i([a.0[0], a.0[1]])
}

pub(crate) fn _mm_extract_epi64<const WORD: usize>(a: __m128i) -> i64 {
    a.0[WORD].cast_signed()
}
