//! Reduction of a double-length product from both ends: a fold of its top half, Montgomery's reduction of
//! its low half.

use crate::intrinsics::{
    _mm512_add_epi64 as add, _mm512_madd52hi_epu64 as high, _mm512_madd52lo_epu64 as low, _mm512_set1_epi64,
    _mm512_setzero_si512 as zero, _mm512_srai_epi64 as shift_right,
};

use super::carry::{is_column, normalise};
use super::karatsuba::{self, Difference, DifferenceOperand, Differences, Operand, Order};
use super::{Vector, columns as block};
use crate::limbs::MASK;
use crate::modulus::{Modulus, fold_limb};
use crate::vector::{LANES, load, transpose};

/// The moduli of eight lanes, as operands.
pub(super) struct Moduli<'k, const L: usize, const Q: usize, const E: usize> {
    pub(super) of: [&'k Modulus<L>; LANES],
    k0: Vector,
    pub(super) n: [[Vector; Q]; 4],
    n_differences: [Differences<Q, E>; 2],
    fold: [[Vector; Q]; 4],
    fold_differences: [Differences<Q, E>; 2],
}

impl<'k, const L: usize, const Q: usize, const E: usize> Moduli<'k, L, Q, E> {
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
    pub(super) fn new(of: [&'k Modulus<L>; LANES]) -> Self {
        let (mut n, mut fold) = ([[zero(); Q]; 4], [[zero(); Q]; 4]);
        transpose(of.map(|modulus| &modulus.n), n.as_flattened_mut());
        transpose(of.map(|modulus| &modulus.fold), fold.as_flattened_mut());
        Self {
            k0: load(&of.map(|modulus| modulus.k0)),
            n_differences: karatsuba::differences(&n, Order::HighMinusLow),
            fold_differences: karatsuba::differences(&fold, Order::HighMinusLow),
            n,
            fold,
            of,
        }
    }
}

/// Writes `columns / R mod n` to the result, between `n - n/2^9` and `2n + n/2^8`, in limbs of 52 bits.
///
/// The order of calls is interleaved by hand, so that vector units have independent products while each
/// Montgomery digit waits for the one before. Without interleaving the schedule is:
///
/// ```text
/// top      = columns[fold_limb ..]                      carried into limbs
/// columns  = columns[.. fold_limb] + top · fold         two halves by two: three products each
/// for quarter in [0, 1]:
///     digits[quarter] = columns[quarter] · k0 mod 2^(52·Q)        limb by limb
///     columns += digits[quarter] · n[0] · 2^(52·Q·quarter)
/// columns += digits · n                                 without the products with n[0] added above
/// result   = columns[2 ..] + n                          carried into limbs
/// ```
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn reduce<const L: usize, const Q: usize, const B: usize, const E: usize>(
    columns: &mut [[Vector; Q]; 8],
    top: &mut [[Vector; Q]; 2],
    digits: &mut [[Vector; Q]; 2],
    moduli: &Moduli<'_, L, Q, E>,
    result: &mut [[Vector; Q]; 4],
) {
    let fold_limb = const { fold_limb(L) };
    normalise(columns.as_flattened()[fold_limb..].iter().copied(), top.as_flattened_mut());
    columns.as_flattened_mut()[fold_limb..6 * Q].fill(zero());
    let [low, high] = &*top;
    let [fold_low, fold_high] = karatsuba::halves(&moduli.fold, &moduli.fold_differences);
    let [n_low, n_high] = karatsuba::halves(&moduli.n, &moduli.n_differences);
    let order = Order::LowMinusHigh;
    let difference = Difference::of_eighths(low, order);
    let first = Operand { limbs: low, difference: &difference };
    karatsuba::add_product_twice(columns, first, fold_low.low);
    let difference = Difference::of_eighths(high, order);
    let second = Operand { limbs: high, difference: &difference };
    karatsuba::add_product_twice(&mut columns[1..], second, fold_low.high);
    let middle = Difference::of([low, high], order);
    let of_middle = Difference::of_eighths(&middle.limbs, order);
    let middle = DifferenceOperand::of(&middle, &of_middle);
    karatsuba::add_product_of_middles(&mut columns[1..], middle, fold_low.middle);
    // Each digit waits for the one before: independent products are passed along.
    let [low, high] = digits;
    add_digits::<Q, B>(columns, n_low.low.limbs, moduli.k0, low, |columns| {
        karatsuba::add_product_twice(&mut columns[2..], first, fold_high.low);
        karatsuba::add_product_twice(&mut columns[3..], second, fold_high.high);
    });
    let difference = Difference::of_eighths(low, order);
    let first = Operand { limbs: low, difference: &difference };
    karatsuba::add_product(&mut columns[1..], first, n_low.high);
    add_digits::<Q, B>(&mut columns[1..], n_low.low.limbs, moduli.k0, high, |columns| {
        karatsuba::add_product_of_middles(&mut columns[2..], middle, fold_high.middle);
    });
    let difference = Difference::of_eighths(high, order);
    let second = Operand { limbs: high, difference: &difference };
    karatsuba::add_product(&mut columns[2..], second, n_low.high);
    let [lowest, above @ ..] = result;
    let carry =
        karatsuba::add_product_and_carry_low(&mut columns[2..], first, n_high.low, &moduli.n[0], lowest);
    let middle = Difference::of([low, high], order);
    let of_middle = Difference::of_eighths(&middle.limbs, order);
    karatsuba::add_product_of_middles(
        &mut columns[3..],
        DifferenceOperand::of(&middle, &of_middle),
        n_high.middle,
    );
    let ([_, _, _, columns @ .., _, _], [_, n @ ..]) = (&*columns, &moduli.n);
    let carry = karatsuba::add_product_and_carry_high(columns, second, n_high.high, n, above, carry);
    carry.finish(result.as_flattened_mut());
}

/// Computes the Montgomery digits of a quarter of columns, and adds their product with a quarter of `n`. Runs
/// `independent` work after the first block of digits.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn add_digits<const Q: usize, const B: usize>(
    columns: &mut [[Vector; Q]],
    n: &[Vector; Q],
    k0: Vector,
    digits: &mut [Vector; Q],
    independent: impl Fn(&mut [[Vector; Q]]),
) {
    let n = n.as_chunks::<B>().0;
    for (row, digits) in digits.as_chunks_mut::<B>().0.iter_mut().enumerate() {
        quotients(&mut columns.as_flattened_mut()[row * B..], &n[0], k0, digits);
        if row == 0 {
            independent(columns);
        }
        let columns = &mut columns.as_flattened_mut()[row * B..];
        block::add_upper(&mut columns[B..], digits, &n[0]);
        for (index, n) in n.iter().enumerate().skip(1) {
            block::add_product(&mut columns[index * B..], digits, n);
        }
    }
}

/// Computes the Montgomery digits of the first `B` columns: `digits · n` added would clear their low 52 bits. Adds
/// their carry to the next column. A column that will end in 52 zeros carries its sum divided and rounded up:
/// this need not wait for its digit.
#[inline(never)]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn quotients<const B: usize>(
    columns: &mut [Vector],
    n: &[Vector; B],
    k0: Vector,
    digits: &mut [Vector; B],
) {
    let (first, rest) = columns.split_first_chunk_mut::<B>().expect("a block and more");
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    let (mut lows, mut highs) = (*first, [zero(); B]);
    let mut carry = zero();
    for column in 0..B {
        let sum = add(add(lows[column], carry), highs[column]);
        debug_assert!(is_column(sum), "a column has 62 bits and a sign");
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
