//! Karatsuba squaring: three squares of halves, each of three squares of quarters.
//!
//! With parts `a0, a1` the square is `a0² · (1 + X) + a1² · (X + X²) - (a0 - a1)² · X`, where `X` is
//! `2^(52 · limbs of a part)`.

use crate::intrinsics::{
    _mm512_add_epi64 as add, _mm512_cmplt_epi64_mask, _mm512_mask_add_epi64 as add_where,
    _mm512_mask_sub_epi64 as subtract_where, _mm512_set1_epi64, _mm512_setzero_si512 as zero,
    _mm512_sub_epi64 as subtract,
};

use super::carry::normalise;
use super::karatsuba::{Difference, Order};
use super::{Vector, columns as block};

/// Intermediate results of a square.
pub(super) struct Scratch<const Q: usize> {
    difference: [[Vector; Q]; 2],
    of_difference: [[Vector; Q]; 4],
}

impl<const Q: usize> Scratch<Q> {
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
    pub(super) fn new() -> Self {
        Self { difference: [[zero(); Q]; 2], of_difference: [[zero(); Q]; 4] }
    }
}

/// Writes `a²` to the columns.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn square<const Q: usize, const B: usize>(
    a: &[[Vector; Q]; 4],
    columns: &mut [[Vector; Q]; 8],
    Scratch { difference, of_difference }: &mut Scratch<Q>,
) {
    let ([low @ .., _, _], [_, _, high @ ..]) = (a, a);
    let (lower, upper) = columns.split_at_mut(4);
    let whole = "two halves";
    let (lower, upper) = (lower.first_chunk_mut().expect(whole), upper.first_chunk_mut().expect(whole));
    square_half::<Q, B>(low, lower);
    let pairs = low.as_flattened().iter().zip(high.as_flattened());
    let carry = normalise(pairs.map(|(a, b)| subtract(*a, *b)), difference.as_flattened_mut());
    let is_negative = _mm512_cmplt_epi64_mask(carry, zero());
    square_half::<Q, B>(high, upper);
    square_half::<Q, B>(difference, of_difference);
    for quarter in 0..2 {
        for i in 0..Q {
            let both = add(lower[2 + quarter][i], upper[quarter][i]);
            lower[2 + quarter][i] = subtract(add(lower[quarter][i], both), of_difference[quarter][i]);
            let column = subtract(add(both, upper[2 + quarter][i]), of_difference[2 + quarter][i]);
            // A negative difference was squared as if it were 2^(52·2·Q) greater.
            let limb = difference[quarter][i];
            upper[quarter][i] = add_where(column, is_negative, column, add(limb, limb));
        }
    }
    upper[2][0] = add(upper[2][0], carry);
}

/// Writes `a²` to the columns.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn square_half<const Q: usize, const B: usize>(
    [low, high]: &[[Vector; Q]; 2],
    [first, second, third, fourth]: &mut [[Vector; Q]; 4],
) {
    let (mut middle, mut both, mut taken) = ([zero(); Q], [zero(); Q], [zero(); Q]);
    square_of_quarter::<Q, B>(low, |i, sum| {
        if i < Q {
            first[i] = sum;
            middle[i] = sum;
        } else {
            both[i - Q] = sum;
        }
    });
    let difference = Difference::of([low, high], Order::LowMinusHigh);
    square_of_quarter::<Q, B>(&difference.limbs, |i, sum| {
        if i < Q {
            middle[i] = subtract(middle[i], sum);
        } else {
            let limb = difference.limbs[i - Q];
            taken[i - Q] = subtract_where(sum, difference.is_negative, sum, add(limb, limb));
        }
    });
    square_of_quarter::<Q, B>(high, |i, sum| {
        if i < Q {
            let both = add(both[i], sum);
            taken[i] = subtract(both, taken[i]);
            second[i] = add(middle[i], both);
        } else {
            third[i - Q] = add(taken[i - Q], sum);
            fourth[i - Q] = sum;
        }
    });
    // The last part of that excess.
    fourth[0] = subtract_where(fourth[0], difference.is_negative, fourth[0], _mm512_set1_epi64(1));
}

/// Calls `emit` with each column of the square of `Q` limbs: one block, or two.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn square_of_quarter<const Q: usize, const B: usize>(a: &[Vector; Q], mut emit: impl FnMut(usize, Vector)) {
    match a.as_chunks::<B>().0 {
        [low, high] => {
            let mut cross = [[zero(); B]; 2];
            let cross = cross.as_flattened_mut();
            block::product(low, high, |_| zero(), |i, sum| cross[i] = add(sum, sum));
            block::square(low, |i, sum| emit(i, if i < B { sum } else { add(sum, cross[i - B]) }));
            block::square(high, |i, sum| {
                emit(2 * B + i, if i < B { add(sum, cross[B + i]) } else { sum });
            });
        }
        [all] => block::square(all, emit),
        _ => unreachable!("one block or two"),
    }
}
