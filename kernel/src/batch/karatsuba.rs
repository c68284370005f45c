//! Products of halves of numbers, by quarters and eighths: three of these do for four (Karatsuba).
//!
//! With parts `a0, a1, b0, b1` a product is `a0·b0 · (1 + X) + a1·b1 · (X + X²) + (a0 - a1) · (b1 - b0) · X`,
//! where `X` is `2^52` to the limbs of a part. A difference is kept without the bits above its limbs; a
//! product of two has that put right.
//!
//! A store takes the multiplier as long as a product and more (on an AMD Zen 4): what can stay in
//! registers does, and a column is written once for two sums that belong there.

use std::arch::x86_64::{
    __mmask8, _mm512_add_epi64 as add, _mm512_cmplt_epi64_mask, _mm512_mask_add_epi64 as add_where,
    _mm512_mask_sub_epi64 as subtract_where, _mm512_set1_epi64, _mm512_setzero_si512 as zero,
    _mm512_sub_epi64 as subtract,
};

use super::carry::{Carry, normalise};
use super::{Limbs, columns as block};

/// Which part is taken off the other. The two factors of a product differ in this: a product of both
/// differences is then to be added.
#[derive(Clone, Copy)]
pub(super) enum Order {
    LowLessHigh,
    HighLessLow,
}

/// A difference of two numbers of `N` limbs.
pub(super) struct Difference<const N: usize> {
    /// Without the bits above: where it is negative, `2^(52·N)` more.
    pub(super) limbs: [Limbs; N],
    pub(super) is_negative: __mmask8,
}

impl<const N: usize> Difference<N> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn of([low, high]: [&[Limbs; N]; 2], order: Order) -> Self {
        let (from, less) = match order {
            Order::LowLessHigh => (low, high),
            Order::HighLessLow => (high, low),
        };
        let mut limbs = [zero(); N];
        let carry = normalise(from.iter().zip(less).map(|(a, b)| subtract(*a, *b)), &mut limbs);
        Self { limbs, is_negative: _mm512_cmplt_epi64_mask(carry, zero()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn of_eighths<const Q: usize>(quarter: &[Limbs; Q], order: Order) -> Self {
        Self::of(eighths(quarter), order)
    }
}

/// A quarter of a number, with the difference of its eighths.
#[derive(Clone, Copy)]
pub(super) struct Quarter<'v, const Q: usize, const E: usize> {
    pub(super) limbs: &'v [Limbs; Q],
    pub(super) of_eighths: &'v Difference<E>,
}

/// The difference of two quarters, as a quarter.
#[derive(Clone, Copy)]
pub(super) struct Middle<'v, const Q: usize, const E: usize> {
    quarter: Quarter<'v, Q, E>,
    is_negative: __mmask8,
}

impl<'v, const Q: usize, const E: usize> Middle<'v, Q, E> {
    #[inline]
    pub(super) fn of(difference: &'v Difference<Q>, of_eighths: &'v Difference<E>) -> Self {
        Self {
            quarter: Quarter { limbs: &difference.limbs, of_eighths },
            is_negative: difference.is_negative,
        }
    }
}

/// Half of a number.
#[derive(Clone, Copy)]
pub(super) struct Half<'v, const Q: usize, const E: usize> {
    pub(super) low: Quarter<'v, Q, E>,
    pub(super) high: Quarter<'v, Q, E>,
    pub(super) middle: Middle<'v, Q, E>,
}

/// What half of a number needs to be multiplied: differences of its quarters, and of their eighths.
pub(super) struct Split<const Q: usize, const E: usize> {
    of_low: Difference<E>,
    of_high: Difference<E>,
    middle: Difference<Q>,
    of_middle: Difference<E>,
}

impl<const Q: usize, const E: usize> Split<Q, E> {
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn of([low, high]: [&[Limbs; Q]; 2], order: Order) -> Self {
        let middle = Difference::of([low, high], order);
        Self {
            of_low: Difference::of_eighths(low, order),
            of_high: Difference::of_eighths(high, order),
            of_middle: Difference::of_eighths(&middle.limbs, order),
            middle,
        }
    }

    /// The half that this was made of.
    #[inline]
    pub(super) fn half<'v>(&'v self, [low, high]: [&'v [Limbs; Q]; 2]) -> Half<'v, Q, E> {
        Half {
            low: Quarter { limbs: low, of_eighths: &self.of_low },
            high: Quarter { limbs: high, of_eighths: &self.of_high },
            middle: Middle::of(&self.middle, &self.of_middle),
        }
    }
}

#[inline]
fn eighths<const Q: usize, const E: usize>(quarter: &[Limbs; Q]) -> [&[Limbs; E]; 2] {
    let whole = "two eighths";
    [quarter.first_chunk().expect(whole), quarter.last_chunk().expect(whole)]
}

/// `columns += a · b`, of halves.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_product_of_halves<const Q: usize, const E: usize>(
    columns: &mut [[Limbs; Q]],
    a: Half<'_, Q, E>,
    b: Half<'_, Q, E>,
) {
    add_product_twice(columns, a.low, b.low);
    add_product_twice(&mut columns[1..], a.high, b.high);
    add_product_of_middles(&mut columns[1..], a.middle, b.middle);
}

/// `columns += a · b`
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_product<const Q: usize, const E: usize>(
    columns: &mut [[Limbs; Q]],
    a: Quarter<'_, Q, E>,
    b: Quarter<'_, Q, E>,
) {
    let [first, second] = columns.first_chunk_mut().expect("two quarters");
    product(a, b, |i, sum| {
        let column = if i < Q { &mut first[i] } else { &mut second[i - Q] };
        *column = add(*column, sum);
    });
}

/// `columns += a · b`, there and a quarter above.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_product_twice<const Q: usize, const E: usize>(
    columns: &mut [[Limbs; Q]],
    a: Quarter<'_, Q, E>,
    b: Quarter<'_, Q, E>,
) {
    let [first, second, third] = columns.first_chunk_mut().expect("three quarters");
    product_twice(a, b, |i, sum| {
        let column = match i / Q {
            0 => &mut first[i],
            1 => &mut second[i - Q],
            _ => &mut third[i - 2 * Q],
        };
        *column = add(*column, sum);
    });
}

/// `columns += a · b`, of differences.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_product_of_middles<const Q: usize, const E: usize>(
    columns: &mut [[Limbs; Q]],
    a: Middle<'_, Q, E>,
    b: Middle<'_, Q, E>,
) {
    let [first, second, third] = columns.first_chunk_mut().expect("three quarters");
    product(a.quarter, b.quarter, |i, sum| {
        if i < Q {
            first[i] = add(first[i], sum);
        } else {
            let i = i - Q;
            let sum = subtract_where(sum, a.is_negative, sum, b.quarter.limbs[i]);
            let sum = subtract_where(sum, b.is_negative, sum, a.quarter.limbs[i]);
            second[i] = add(second[i], sum);
        }
    });
    third[0] = add_one_where(third[0], a.is_negative & b.is_negative);
}

/// `columns += a · b`, there and a quarter above. It is the last sum for the first quarter: what comes of
/// that, with `n` added, is carried on into limbs.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn finish_low<const Q: usize, const E: usize>(
    columns: &mut [[Limbs; Q]],
    a: Quarter<'_, Q, E>,
    b: Quarter<'_, Q, E>,
    n: &[Limbs; Q],
    limbs: &mut [Limbs; Q],
) -> Carry {
    let [first, second, third] = columns.first_chunk_mut().expect("three quarters");
    let mut carry = Carry::new();
    product_twice(a, b, |i, sum| match i / Q {
        0 => limbs[i] = carry.limb(add(add(first[i], n[i]), sum)),
        1 => second[i - Q] = add(second[i - Q], sum),
        _ => third[i - 2 * Q] = add(third[i - 2 * Q], sum),
    });
    carry
}

/// The same where it is the last sum for all three quarters.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn finish_high<const Q: usize, const E: usize>(
    columns: &[[Limbs; Q]; 3],
    a: Quarter<'_, Q, E>,
    b: Quarter<'_, Q, E>,
    n: &[[Limbs; Q]; 3],
    limbs: &mut [[Limbs; Q]; 3],
    mut carry: Carry,
) -> Carry {
    // Columns come in three rows, each without a gap.
    let (mut above, mut highest) = (Carry::new(), Carry::new());
    product_twice(a, b, |i, sum| {
        let (quarter, i) = (i / Q, i % Q);
        let column = add(add(columns[quarter][i], n[quarter][i]), sum);
        limbs[quarter][i] = match quarter {
            1 if i >= E => above.limb(column),
            2 if i >= E => highest.limb(column),
            2 => above.limb(column),
            _ => carry.limb(column),
        };
    });
    let [_, second, third] = limbs;
    carry.join(&mut second[E], above).join(&mut third[E], highest)
}

/// Tells the columns of `a · (1 + X) · b`, where `X` is a quarter. They come in ascending order but for those
/// from one and a half quarters to two, which come before the half below them, and those of the last
/// half, before both.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn product_twice<const Q: usize, const E: usize>(
    a: Quarter<'_, Q, E>,
    b: Quarter<'_, Q, E>,
    mut tell: impl FnMut(usize, Limbs),
) {
    let (mut lowest, mut highest) = ([zero(); E], [zero(); E]);
    product(a, b, |i, sum| match i / E {
        0 => {
            lowest[i] = sum;
            tell(i, sum);
        }
        3 => {
            highest[i - 3 * E] = sum;
            tell(Q + i, sum);
        }
        1 => {
            tell(i, sum);
            tell(Q + i, add(sum, highest[i - E]));
        }
        _ => {
            tell(i, add(sum, lowest[i - 2 * E]));
            tell(Q + i, sum);
        }
    });
}

/// Tells the columns of `a · b`: the first eighth, the last, then the others, each as soon as it is known,
/// so that there is something to do while products are waited for.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn product<const Q: usize, const E: usize>(
    a: Quarter<'_, Q, E>,
    b: Quarter<'_, Q, E>,
    mut tell: impl FnMut(usize, Limbs),
) {
    let ([a0, a1], [b0, b1]) = (eighths::<Q, E>(a.limbs), eighths::<Q, E>(b.limbs));
    let (a, b) = (a.of_eighths, b.of_eighths);
    let mut first = [[zero(); E]; 2];
    block::product(
        a0,
        b0,
        |_| zero(),
        |i, sum| {
            first[i / E][i % E] = sum;
            if i < E {
                tell(i, sum);
            }
        },
    );
    let [lowest, both] = first;
    let mut middle = [[zero(); E]; 2];
    let start = |i: usize| if i < E { both[i] } else { zero() };
    block::product(a1, b1, start, |i, sum| {
        if i < E {
            middle[0][i] = add(lowest[i], sum);
            middle[1][i] = sum;
        } else {
            middle[1][i - E] = add(middle[1][i - E], sum);
            // Where both differences are negative, too much is taken off below.
            let sum = if i == E { add_one_where(sum, a.is_negative & b.is_negative) } else { sum };
            tell(2 * E + i, sum);
        }
    });
    // Where one of both is negative, the other one is added once too often.
    for (sum, (a_limb, b_limb)) in middle[1].iter_mut().zip(a.limbs.iter().zip(&b.limbs)) {
        *sum = subtract_where(*sum, a.is_negative, *sum, *b_limb);
        *sum = subtract_where(*sum, b.is_negative, *sum, *a_limb);
    }
    block::product(&a.limbs, &b.limbs, |i| middle[i / E][i % E], |i, sum| tell(E + i, sum));
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_one_where(column: Limbs, lanes: __mmask8) -> Limbs {
    add_where(column, lanes, column, _mm512_set1_epi64(1))
}
