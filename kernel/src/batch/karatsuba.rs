//! Karatsuba multiplication of halves: by quarters, and of those by eighths, three products for four.
//!
//! With parts `a0, a1, b0, b1` the product is `a0·b0 · (1 + X) + a1·b1 · (X + X²) + (a0 - a1) · (b1 - b0) · X`,
//! where `X` is `2^(52 · limbs of a part)`. A negative difference is kept modulo `X`, with its sign aside; the
//! product of two differences is corrected for it.
//!
//! On an AMD Zen 4 a store occupies the vector units longer than a multiplication: sums stay in registers where
//! they can, and a column is written once for two sums.

use crate::intrinsics::{
    __mmask8, _mm512_add_epi64 as add, _mm512_cmplt_epi64_mask, _mm512_mask_add_epi64 as add_where,
    _mm512_mask_sub_epi64 as subtract_where, _mm512_set1_epi64, _mm512_setzero_si512 as zero,
    _mm512_sub_epi64 as subtract,
};

use super::carry::{Carry, normalise};
use super::{Vector, columns as block};

/// The order of a difference. The two factors of a product use opposite orders, so that the product of their
/// differences is added.
#[derive(Clone, Copy)]
pub(super) enum Order {
    LowMinusHigh,
    HighMinusLow,
}

/// A difference of two numbers of `N` limbs.
pub(super) struct Difference<const N: usize> {
    /// The difference modulo `2^(52·N)`.
    pub(super) limbs: [Vector; N],
    pub(super) is_negative: __mmask8,
}

impl<const N: usize> Difference<N> {
    #[inline]
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
    pub(super) fn of([low, high]: [&[Vector; N]; 2], order: Order) -> Self {
        let (from, less) = match order {
            Order::LowMinusHigh => (low, high),
            Order::HighMinusLow => (high, low),
        };
        let mut limbs = [zero(); N];
        let carry = normalise(from.iter().zip(less).map(|(a, b)| subtract(*a, *b)), &mut limbs);
        Self { limbs, is_negative: _mm512_cmplt_epi64_mask(carry, zero()) }
    }

    #[inline]
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
    pub(super) fn of_eighths<const Q: usize>(quarter: &[Vector; Q], order: Order) -> Self {
        Self::of(eighths(quarter), order)
    }
}

/// A quarter of a number as an operand: with the difference of its eighths.
#[derive(Clone, Copy)]
pub(super) struct Operand<'v, const Q: usize, const E: usize> {
    pub(super) limbs: &'v [Vector; Q],
    pub(super) difference: &'v Difference<E>,
}

/// The difference of two quarters as an operand, with its sign.
#[derive(Clone, Copy)]
pub(super) struct DifferenceOperand<'v, const Q: usize, const E: usize> {
    operand: Operand<'v, Q, E>,
    is_negative: __mmask8,
}

impl<'v, const Q: usize, const E: usize> DifferenceOperand<'v, Q, E> {
    #[inline]
    pub(super) fn of(difference: &'v Difference<Q>, of_eighths: &'v Difference<E>) -> Self {
        Self {
            operand: Operand { limbs: &difference.limbs, difference: of_eighths },
            is_negative: difference.is_negative,
        }
    }
}

/// The operands of half of a number: its quarters, and their difference.
#[derive(Clone, Copy)]
pub(super) struct HalfOperands<'v, const Q: usize, const E: usize> {
    pub(super) low: Operand<'v, Q, E>,
    pub(super) high: Operand<'v, Q, E>,
    pub(super) middle: DifferenceOperand<'v, Q, E>,
}

/// The differences of half of a number: of its quarters, and of their eighths.
pub(super) struct Differences<const Q: usize, const E: usize> {
    of_low: Difference<E>,
    of_high: Difference<E>,
    middle: Difference<Q>,
    of_middle: Difference<E>,
}

impl<const Q: usize, const E: usize> Differences<Q, E> {
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
    pub(super) fn of([low, high]: [&[Vector; Q]; 2], order: Order) -> Self {
        let middle = Difference::of([low, high], order);
        Self {
            of_low: Difference::of_eighths(low, order),
            of_high: Difference::of_eighths(high, order),
            of_middle: Difference::of_eighths(&middle.limbs, order),
            middle,
        }
    }

    /// Returns the operands of the half that the differences were made of.
    #[inline]
    pub(super) fn half<'v>(&'v self, [low, high]: [&'v [Vector; Q]; 2]) -> HalfOperands<'v, Q, E> {
        HalfOperands {
            low: Operand { limbs: low, difference: &self.of_low },
            high: Operand { limbs: high, difference: &self.of_high },
            middle: DifferenceOperand::of(&self.middle, &self.of_middle),
        }
    }
}

#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn differences<const Q: usize, const E: usize>(
    [a, b, c, d]: &[[Vector; Q]; 4],
    order: Order,
) -> [Differences<Q, E>; 2] {
    [Differences::of([a, b], order), Differences::of([c, d], order)]
}

/// Returns the operands of both halves of a number.
#[inline]
pub(super) fn halves<'v, const Q: usize, const E: usize>(
    [a, b, c, d]: &'v [[Vector; Q]; 4],
    [low, high]: &'v [Differences<Q, E>; 2],
) -> [HalfOperands<'v, Q, E>; 2] {
    [low.half([a, b]), high.half([c, d])]
}

#[inline]
fn eighths<const Q: usize, const E: usize>(quarter: &[Vector; Q]) -> [&[Vector; E]; 2] {
    let whole = "two eighths";
    [quarter.first_chunk().expect(whole), quarter.last_chunk().expect(whole)]
}

/// Adds `a · b` to the columns.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn add_product_of_halves<const Q: usize, const E: usize>(
    columns: &mut [[Vector; Q]],
    a: HalfOperands<'_, Q, E>,
    b: HalfOperands<'_, Q, E>,
) {
    add_product_twice(columns, a.low, b.low);
    add_product_twice(&mut columns[1..], a.high, b.high);
    add_product_of_middles(&mut columns[1..], a.middle, b.middle);
}

/// Adds `a · b` to the columns.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn add_product<const Q: usize, const E: usize>(
    columns: &mut [[Vector; Q]],
    a: Operand<'_, Q, E>,
    b: Operand<'_, Q, E>,
) {
    let [first, second] = columns.first_chunk_mut().expect("two quarters");
    product(a, b, |i, sum| {
        let column = if i < Q { &mut first[i] } else { &mut second[i - Q] };
        *column = add(*column, sum);
    });
}

/// Adds `a · b · (1 + X)` to the columns, `X` a quarter.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn add_product_twice<const Q: usize, const E: usize>(
    columns: &mut [[Vector; Q]],
    a: Operand<'_, Q, E>,
    b: Operand<'_, Q, E>,
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

/// Adds `a · b` to the columns, corrected for the signs.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn add_product_of_middles<const Q: usize, const E: usize>(
    columns: &mut [[Vector; Q]],
    a: DifferenceOperand<'_, Q, E>,
    b: DifferenceOperand<'_, Q, E>,
) {
    let [first, second, third] = columns.first_chunk_mut().expect("three quarters");
    product(a.operand, b.operand, |i, sum| {
        if i < Q {
            first[i] = add(first[i], sum);
        } else {
            let i = i - Q;
            let sum = subtract_where(sum, a.is_negative, sum, b.operand.limbs[i]);
            let sum = subtract_where(sum, b.is_negative, sum, a.operand.limbs[i]);
            second[i] = add(second[i], sum);
        }
    });
    third[0] = add_one_where(third[0], a.is_negative & b.is_negative);
}

/// Adds `a · b · (1 + X)` to the columns, `X` a quarter. The first quarter is complete then: with `n` added it is
/// carried into limbs. Returns the carry.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn add_product_and_carry_low<const Q: usize, const E: usize>(
    columns: &mut [[Vector; Q]],
    a: Operand<'_, Q, E>,
    b: Operand<'_, Q, E>,
    n: &[Vector; Q],
    limbs: &mut [Vector; Q],
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

/// As [`add_product_and_carry_low`], where all three quarters are complete then.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn add_product_and_carry_high<const Q: usize, const E: usize>(
    columns: &[[Vector; Q]; 3],
    a: Operand<'_, Q, E>,
    b: Operand<'_, Q, E>,
    n: &[[Vector; Q]; 3],
    limbs: &mut [[Vector; Q]; 3],
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

/// Calls `emit` with each column of `a · b · (1 + X)`, `X` a quarter. Each of the three quarters is emitted in
/// ascending order, except that the upper eighths of the second and third come before their lower eighths.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn product_twice<const Q: usize, const E: usize>(
    a: Operand<'_, Q, E>,
    b: Operand<'_, Q, E>,
    mut emit: impl FnMut(usize, Vector),
) {
    let (mut lowest, mut highest) = ([zero(); E], [zero(); E]);
    product(a, b, |i, sum| match i / E {
        0 => {
            lowest[i] = sum;
            emit(i, sum);
        }
        3 => {
            highest[i - 3 * E] = sum;
            emit(Q + i, sum);
        }
        1 => {
            emit(i, sum);
            emit(Q + i, add(sum, highest[i - E]));
        }
        _ => {
            emit(i, add(sum, lowest[i - 2 * E]));
            emit(Q + i, sum);
        }
    });
}

/// Calls `emit` with each column of `a · b`, as soon as it is complete: the first eighth, the last, then the two
/// between. The independent additions fill the latency of the products.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn product<const Q: usize, const E: usize>(
    a: Operand<'_, Q, E>,
    b: Operand<'_, Q, E>,
    mut emit: impl FnMut(usize, Vector),
) {
    let ([a0, a1], [b0, b1]) = (eighths::<Q, E>(a.limbs), eighths::<Q, E>(b.limbs));
    let (a, b) = (a.difference, b.difference);
    let mut first = [[zero(); E]; 2];
    block::product(
        a0,
        b0,
        |_| zero(),
        |i, sum| {
            first[i / E][i % E] = sum;
            if i < E {
                emit(i, sum);
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
            // If both differences are negative, the corrections below subtract one too much.
            let sum = if i == E { add_one_where(sum, a.is_negative & b.is_negative) } else { sum };
            emit(2 * E + i, sum);
        }
    });
    // If one difference is negative, the other was added once too often.
    for (sum, (a_limb, b_limb)) in middle[1].iter_mut().zip(a.limbs.iter().zip(&b.limbs)) {
        *sum = subtract_where(*sum, a.is_negative, *sum, *b_limb);
        *sum = subtract_where(*sum, b.is_negative, *sum, *a_limb);
    }
    block::product(&a.limbs, &b.limbs, |i| middle[i / E][i % E], |i, sum| emit(E + i, sum));
}

#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
fn add_one_where(column: Vector, lanes: __mmask8) -> Vector {
    add_where(column, lanes, column, _mm512_set1_epi64(1))
}
