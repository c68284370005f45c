//! Products of blocks of a few limbs, small enough to stay in registers.
//!
//! The loops have few and constant bounds, so that the compiler unrolls them; where they are split in
//! two, it is because one of twice the length would not be.

use std::arch::x86_64::{
    _mm512_add_epi64 as add, _mm512_madd52hi_epu64 as high, _mm512_madd52lo_epu64 as low, _mm512_set1_epi64,
    _mm512_setzero_si512 as zero, _mm512_srai_epi64 as shift_right,
};

use super::{Limbs, MASK};

/// Tells the columns of `a · b`, each with what `start` says it starts from. It is summed up by two chains
/// if one would wait for itself.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn product<const E: usize>(
    a: &[Limbs; E],
    b: &[Limbs; E],
    start: impl Fn(usize) -> Limbs,
    mut tell: impl FnMut(usize, Limbs),
) {
    for column in 0..E {
        let (mut lows, mut highs) = (start(column), zero());
        for i in 0..E {
            if i <= column {
                lows = low(lows, a[i], b[column - i]);
            }
            if i < column {
                if column < SHORT {
                    lows = high(lows, a[i], b[column - 1 - i]);
                } else {
                    highs = high(highs, a[i], b[column - 1 - i]);
                }
            }
        }
        tell(column, if column < SHORT { lows } else { add(lows, highs) });
    }
    upper(a, b, |column| start(E + column), |column, sum| tell(E + column, sum));
}

/// A column that is so far from its end needs no second chain.
const SHORT: usize = 3;

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn upper<const B: usize>(
    a: &[Limbs; B],
    b: &[Limbs; B],
    start: impl Fn(usize) -> Limbs,
    mut tell: impl FnMut(usize, Limbs),
) {
    for column in 0..B {
        let (mut lows, mut highs) = (start(column), zero());
        let is_short = column + SHORT >= B;
        for i in 0..B {
            if i > column {
                lows = low(lows, a[i], b[B + column - i]);
            }
            if i >= column {
                if is_short {
                    lows = high(lows, a[i], b[B - 1 + column - i]);
                } else {
                    highs = high(highs, a[i], b[B - 1 + column - i]);
                }
            }
        }
        tell(column, if is_short { lows } else { add(lows, highs) });
    }
}

/// `columns += a · b`
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_product<const B: usize>(columns: &mut [Limbs], a: &[Limbs; B], b: &[Limbs; B]) {
    let columns = &mut columns[..2 * B];
    product(a, b, |_| zero(), |column, sum| columns[column] = add(columns[column], sum));
}

/// The upper half of `a · b`: `columns += (a · b) div 2^(52·B)`, but for what the lower half carries.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_upper<const B: usize>(columns: &mut [Limbs], a: &[Limbs; B], b: &[Limbs; B]) {
    let columns = &mut columns[..B];
    upper(a, b, |_| zero(), |column, sum| columns[column] = add(columns[column], sum));
}

/// Montgomery's digits for the first `B` columns: `digits · n` added there would leave zeros. What
/// they carry is added to the next column: a column that is to end in 52 zeros carries its sum,
/// divided and rounded up, without waiting for the digit that makes it so.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn quotients<const B: usize>(
    columns: &mut [Limbs],
    n: &[Limbs; B],
    k0: Limbs,
    digits: &mut [Limbs; B],
) {
    let (first, rest) = columns.split_first_chunk_mut::<B>().expect("a block and more");
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    let (mut lows, mut highs) = (*first, [zero(); B]);
    let mut carry = zero();
    for column in 0..B {
        let sum = add(add(lows[column], carry), highs[column]);
        let digit = low(zero(), sum, k0);
        carry = shift_right::<52>(add(sum, mask));
        digits[column] = digit;
        for limb in 1..B {
            if column + limb < B {
                lows[column + limb] = low(lows[column + limb], digit, n[limb]);
                highs[column + limb] = high(highs[column + limb], digit, n[limb - 1]);
            }
        }
    }
    rest[0] = add(rest[0], carry);
}

/// `a²`: what is off the diagonal once, doubled, and the diagonal.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn square<const B: usize>(a: &[Limbs; B], mut tell: impl FnMut(usize, Limbs)) {
    for column in 0..B {
        tell(column, square_column(a, column));
    }
    for column in B..2 * B {
        tell(column, square_column(a, column));
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_column<const B: usize>(a: &[Limbs; B], column: usize) -> Limbs {
    let is_short = column < 2 * SHORT || column + 2 * SHORT >= 2 * B;
    let (mut lows, mut highs) = (zero(), zero());
    for i in 0..B {
        if 2 * i < column && column - i < B {
            lows = low(lows, a[i], a[column - i]);
        }
        if 2 * i + 1 < column && column - 1 - i < B {
            if is_short {
                lows = high(lows, a[i], a[column - 1 - i]);
            } else {
                highs = high(highs, a[i], a[column - 1 - i]);
            }
        }
    }
    let once = if is_short { lows } else { add(lows, highs) };
    let middle = a[column / 2];
    match column % 2 {
        0 => low(add(once, once), middle, middle),
        _ => high(add(once, once), middle, middle),
    }
}
