//! One signature: a number occupies `L/8` vectors, eight limbs in each.

use crate::intrinsics::{
    __m512i, _mm_extract_epi64, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512,
    _mm512_castsi512_si128, _mm512_cmpeq_epu64_mask, _mm512_cmpgt_epu64_mask, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_mask_sub_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64,
};

use crate::limbs::{LIMB_BITS, MASK};
use crate::modulus::Modulus;
use crate::vector::{LANES, load, store};

/// Bits of a word above those of a limb.
const SPARE: usize = 64 - LIMB_BITS;

#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(crate) fn power<const L: usize, const V: usize>(s: &[u64; L], modulus: &Modulus<L>) -> [u64; L] {
    let mut power = *s;
    for _ in 0..16 {
        power = product::<L, V>(&power, &power, modulus);
    }
    product::<L, V>(s, &power, modulus)
}

/// Returns `b · a / 2^(52 · b.len()) mod n`, below `2n` if `b` and `a` are: Montgomery multiplication, a limb of
/// `b` at a time.
///
/// The next quotient digit depends on the lowest limb alone. The two lowest limbs are kept in scalar registers
/// beside the vectors, so that a vector's result is needed only two steps later. Products with `a` and with
/// `n` have separate accumulators, which halves the chain of additions.
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(crate) fn product<const L: usize, const V: usize>(
    b: &[u64],
    a: &[u64; L],
    modulus: &Modulus<L>,
) -> [u64; L] {
    let zero = _mm512_setzero_si512();
    let ([a0, a1, ..], [n0, n1, ..]) = (&a[..], &modulus.n[..]) else { unreachable!("eight limbs or more") };
    let (a, n) = (spread::<L, V>(a), spread::<L, V>(&modulus.n));
    let k0 = modulus.k0 << SPARE;
    let mut sum = [zero; V];
    let (mut digits, mut quotients) = (zero, zero);
    let (mut lowest, mut second) = (0_u64, 0_u64);
    for digit in b {
        let (low_a0, high_a0) = split(digit << SPARE, *a0);
        let (low_a1, high_a1) = split(digit << SPARE, *a1);
        lowest += low_a0;
        // Shifted to the top of the word, which reduces it modulo 2^52.
        let quotient = lowest.wrapping_mul(k0);
        let (_, high_n0) = split(quotient, *n0);
        let (low_n1, high_n1) = split(quotient, *n1);
        // `lowest` plus the low half of `quotient · n0` is the next multiple of 2^52.
        lowest = ((lowest + MASK) >> LIMB_BITS) + high_a0 + high_n0 + second + low_a1 + low_n1;

        // The upper halves of the step before and the lower halves of this one: the same limbs.
        let mut other = [zero; V];
        for index in 0..V {
            sum[index] = _mm512_madd52hi_epu64(sum[index], digits, a[index]);
            other[index] = _mm512_madd52hi_epu64(zero, quotients, n[index]);
        }
        digits = _mm512_set1_epi64(digit.cast_signed());
        quotients = _mm512_set1_epi64((quotient >> SPARE).cast_signed());
        for index in 0..V {
            sum[index] = _mm512_madd52lo_epu64(sum[index], digits, a[index]);
            other[index] = _mm512_madd52lo_epu64(other[index], quotients, n[index]);
        }
        for index in 0..V {
            sum[index] = _mm512_add_epi64(sum[index], other[index]);
        }
        // Down by one limb. The scalars hold the two lowest.
        for index in 0..V {
            let next = if index + 1 < V { sum[index + 1] } else { zero };
            sum[index] = _mm512_alignr_epi64::<1>(next, sum[index]);
        }
        let third = _mm_extract_epi64::<1>(_mm512_castsi512_si128(sum[0])).cast_unsigned();
        second = high_a1 + high_n1 + third;
    }
    for index in 0..V {
        sum[index] = _mm512_madd52hi_epu64(sum[index], digits, a[index]);
        sum[index] = _mm512_madd52hi_epu64(sum[index], quotients, n[index]);
    }
    let mut limbs = store(sum[0]);
    limbs[0] = lowest;
    limbs[1] = second;
    sum[0] = load(&limbs);
    normalise(sum)
}

/// Multiplies a limb at the top of its word by one at the bottom. Returns the low 52 bits, and the rest.
fn split(top: u64, bottom: u64) -> (u64, u64) {
    let product = u128::from(top) * u128::from(bottom);
    #[expect(clippy::cast_possible_truncation, reason = "the lower and the upper word")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    (low >> SPARE, high)
}

#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
fn spread<const L: usize, const V: usize>(limbs: &[u64; L]) -> [__m512i; V] {
    let (vectors, _) = limbs.as_chunks::<LANES>();
    std::array::from_fn(|index| load(&vectors[index]))
}

/// Carries what is above 52 bits in each limb into the next.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
fn normalise<const L: usize, const V: usize>(mut sum: [__m512i; V]) -> [u64; L] {
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    // Each limb carries up to 12 bits …
    let mut below = _mm512_setzero_si512();
    let mut over = 0_u128;
    let mut full = 0_u128;
    for (index, vector) in sum.iter_mut().enumerate() {
        let carries = _mm512_srli_epi64::<52>(*vector);
        let shifted = _mm512_alignr_epi64::<7>(carries, below);
        below = carries;
        *vector = _mm512_add_epi64(_mm512_and_si512(*vector, mask), shifted);
        over |= u128::from(_mm512_cmpgt_epu64_mask(*vector, mask)) << (index * LANES);
        full |= u128::from(_mm512_cmpeq_epu64_mask(*vector, mask)) << (index * LANES);
    }
    // … then at most one: through every full limb, as in one addition.
    let carried = ((over << 1) + full) ^ full;
    let mut limbs = [0; L];
    let (chunks, _) = limbs.as_chunks_mut::<LANES>();
    for (index, (vector, chunk)) in sum.iter().zip(chunks).enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "the eight bits of this vector")]
        let lanes = (carried >> (index * LANES)) as u8;
        // Adding one is subtracting 2^52 - 1, modulo 2^52.
        *chunk = store(_mm512_and_si512(_mm512_mask_sub_epi64(*vector, lanes, *vector, mask), mask));
    }
    limbs
}
