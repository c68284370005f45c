//! Vectors of eight words: loads, stores, transposition.
#![expect(unsafe_code, reason = "loads and stores by pointer")]

use crate::intrinsics::{
    __m512i, _mm512_loadu_si512, _mm512_shuffle_i64x2 as shuffle, _mm512_storeu_si512,
    _mm512_unpackhi_epi64 as unpack_high, _mm512_unpacklo_epi64 as unpack_low,
};

/// The number of limbs in a vector, and of signatures in a batch.
pub(crate) const LANES: usize = 8;

/// Writes eight numbers as vectors of one limb of each.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
pub(crate) fn transpose<const L: usize>(numbers: [&[u64; L]; LANES], vectors: &mut [__m512i]) {
    for (index, vectors) in vectors.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        *vectors = transpose_8x8(numbers.map(|number| load(&number.as_chunks().0[index])));
    }
}

/// Transposes eight by eight words.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
fn transpose_8x8(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let [a, b, c, d, e, f, g, h] = rows;
    // Even columns, then odd ones: two rows in each 128 bits.
    let even = transpose_4x4([unpack_low(a, b), unpack_low(c, d), unpack_low(e, f), unpack_low(g, h)]);
    let odd = transpose_4x4([unpack_high(a, b), unpack_high(c, d), unpack_high(e, f), unpack_high(g, h)]);
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// Transposes four by four parts of 128 bits.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
fn transpose_4x4([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
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
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
pub(crate) fn load(limbs: &[u64; LANES]) -> __m512i {
    // SAFETY: eight limbs are 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(limbs.as_ptr().cast()) }
}

#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
pub(crate) fn store(vector: __m512i) -> [u64; LANES] {
    let mut limbs = [0; LANES];
    // SAFETY: eight limbs are 64 bytes, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(limbs.as_mut_ptr().cast(), vector) }
    limbs
}
