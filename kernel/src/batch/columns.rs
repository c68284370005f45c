//! Products of blocks of a few limbs by columns (product scanning): small enough to stay in registers.
//!
//! The loops have small constant bounds, so that the compiler unrolls them. Some are split in two because
//! a loop of twice the length would not be unrolled.

use crate::intrinsics::{
    _mm512_add_epi64 as add, _mm512_madd52hi_epu64 as high, _mm512_madd52lo_epu64 as low,
    _mm512_setzero_si512 as zero,
};

use super::Vector;

/// Calls `emit` with each column of `a · b` in ascending order, added to the column's `start`. Long columns are
/// summed in two accumulators, so that no addition waits for the one before.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn product<const E: usize>(
    a: &[Vector; E],
    b: &[Vector; E],
    start: impl Fn(usize) -> Vector,
    mut emit: impl FnMut(usize, Vector),
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
        emit(column, if column < SHORT { lows } else { add(lows, highs) });
    }
    upper(a, b, |column| start(E + column), |column, sum| emit(E + column, sum));
}

/// Columns of at most so many products need no second accumulator.
const SHORT: usize = 3;

#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn upper<const B: usize>(
    a: &[Vector; B],
    b: &[Vector; B],
    start: impl Fn(usize) -> Vector,
    mut emit: impl FnMut(usize, Vector),
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
        emit(column, if is_short { lows } else { add(lows, highs) });
    }
}

/// Adds `a · b` to the columns.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn add_product<const B: usize>(columns: &mut [Vector], a: &[Vector; B], b: &[Vector; B]) {
    let columns = &mut columns[..2 * B];
    product(a, b, |_| zero(), |column, sum| columns[column] = add(columns[column], sum));
}

/// Adds the upper half of the columns of `a · b`, without the carry out of the lower half.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn add_upper<const B: usize>(columns: &mut [Vector], a: &[Vector; B], b: &[Vector; B]) {
    let columns = &mut columns[..B];
    upper(a, b, |_| zero(), |column, sum| columns[column] = add(columns[column], sum));
}

/// Calls `emit` with each column of `a²` in ascending order: products off the diagonal are summed once and
/// doubled.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn square<const B: usize>(a: &[Vector; B], mut emit: impl FnMut(usize, Vector)) {
    for column in 0..B {
        emit(column, square_column(a, column));
    }
    for column in B..2 * B {
        emit(column, square_column(a, column));
    }
}

#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn square_column<const B: usize>(a: &[Vector; B], column: usize) -> Vector {
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
