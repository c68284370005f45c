//! Eight signatures: each has a lane, and a number is `L` vectors of one limb.
//!
//! Sums of products are kept by column, unnormalised, in 64 bits with a sign: at `L` = 80 a column
//! holds fewer than 2^10 halves of products, each below 2^52.
//!
//! A number of `L` limbs is two halves, four quarters of `Q` limbs, eight eighths of `E`, so that three
//! products do for four, three times over (Karatsuba). It is reduced from both ends, since only then are
//! there products to do so with: the top half of a square is folded, times `2^(52·F) mod n`; its low half is
//! taken off as Montgomery does. So `R` is `2^(52·L/2)` here.
//!
//! Columns may be negative, and so may the number that is left of a small one: `n` is added to each
//! result. It is above `n - n/2^9` then, and below `2n + n/2^8`: the part below the fold and the part above
//! it are small, and Montgomery's digits add less than `n`.
//!
//! The target is added to the last product before that is reduced. Of the numbers that are left where
//! the power is right, [`right`] and whole moduli more, only `n + right` is within those bounds.

mod carry;
mod columns;
mod karatsuba;
mod square;

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64 as add, _mm512_cmpeq_epi64_mask, _mm512_set1_epi64,
    _mm512_setzero_si512 as zero,
};

use self::carry::normalise;
use self::karatsuba::{Difference, Half, Middle, Order, Quarter, Split};
use self::square::{Room, square};
use crate::limbs::MASK;
use crate::modulus::{HASH_LIMBS, Lane, Modulus, fold_at, right};
use crate::vector::{LANES, across, load};

/// Eight limbs, each of another number.
type Limbs = __m512i;

/// Moduli, and room for what is done with them: made once for many times eight.
pub(super) struct Eight<'k, const L: usize, const Q: usize, const B: usize, const E: usize> {
    moduli: Moduli<'k, L, Q, E>,
    base: [[Limbs; Q]; 4],
    power: [[Limbs; Q]; 4],
    columns: [[Limbs; Q]; 8],
    top: [[Limbs; Q]; 2],
    digits: [[Limbs; Q]; 2],
    room: Room<Q>,
}

/// The moduli in the form in which they are multiplied with.
struct Moduli<'k, const L: usize, const Q: usize, const E: usize> {
    of: [&'k Modulus<L>; LANES],
    k0: Limbs,
    n: [[Limbs; Q]; 4],
    n_splits: [Split<Q, E>; 2],
    fold: [[Limbs; Q]; 4],
    fold_splits: [Split<Q, E>; 2],
}

impl<'k, const L: usize, const Q: usize, const E: usize> Moduli<'k, L, Q, E> {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(of: [&'k Modulus<L>; LANES]) -> Self {
        let (mut n, mut fold) = ([[zero(); Q]; 4], [[zero(); Q]; 4]);
        across(of.map(|modulus| &modulus.n), n.as_flattened_mut());
        across(of.map(|modulus| &modulus.fold), fold.as_flattened_mut());
        Self {
            k0: load(&of.map(|modulus| modulus.k0)),
            n_splits: splits(&n, Order::HighLessLow),
            fold_splits: splits(&fold, Order::HighLessLow),
            n,
            fold,
            of,
        }
    }
}

impl<'k, const L: usize, const Q: usize, const B: usize, const E: usize> Eight<'k, L, Q, B, E> {
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn new(moduli: [&'k Modulus<L>; LANES]) -> Self {
        Self {
            moduli: Moduli::new(moduli),
            base: [[zero(); Q]; 4],
            power: [[zero(); Q]; 4],
            columns: [[zero(); Q]; 8],
            top: [[zero(); Q]; 2],
            digits: [[zero(); Q]; 2],
            room: Room::new(),
        }
    }

    /// Whether `s^65537 mod n` is what its lane says, of each of eight.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn are_powers(
        &mut self,
        s: &[[u64; L]; LANES],
        lanes: &[Lane<'k, L>; LANES],
    ) -> [bool; LANES] {
        if !lanes.iter().zip(self.moduli.of).all(|(lane, modulus)| std::ptr::eq(lane.modulus, modulus)) {
            self.moduli = Moduli::new(lanes.each_ref().map(|lane| lane.modulus));
        }
        let Self { moduli, base, power, columns, top, digits, room } = self;
        across(s.each_ref(), power.as_flattened_mut());
        let pairs = power.as_flattened().iter().zip(moduli.n.as_flattened());
        normalise(pairs.map(|(limb, n)| add(*limb, *n)), base.as_flattened_mut());
        *power = *base;
        for _ in 0..16 {
            square::<Q, B>(power, columns, room);
            reduce::<L, Q, B, E>(columns, top, digits, moduli, power);
        }
        write_target::<L, Q, E>(columns, lanes);
        let of_base = splits::<Q, E>(base, Order::LowLessHigh);
        let of_power = splits::<Q, E>(power, Order::HighLessLow);
        for (i, a) in halves(base, &of_base).into_iter().enumerate() {
            for (j, b) in halves(power, &of_power).into_iter().enumerate() {
                karatsuba::add_product_of_halves(&mut columns[(i + j) * 2..], a, b);
            }
        }
        reduce::<L, Q, B, E>(columns, top, digits, moduli, power);
        let right = const { right::<L>() };
        let wanted = moduli.n.as_flattened().iter().zip(&right);
        let wanted = wanted.map(|(n, limb)| add(*n, _mm512_set1_epi64(limb.cast_signed())));
        normalise(wanted, base.as_flattened_mut());
        let equal = equal(power.as_flattened(), base.as_flattened());
        std::array::from_fn(|lane| equal >> lane & 1 == 1)
    }
}

/// `columns = constant + factor · hash`, of each lane's target.
#[target_feature(enable = "avx512f,avx512ifma")]
fn write_target<const L: usize, const Q: usize, const E: usize>(
    columns: &mut [[Limbs; Q]; 8],
    lanes: &[Lane<'_, L>; LANES],
) {
    let (low, high) = columns.split_at_mut(4);
    across(lanes.each_ref().map(|lane| &lane.target.constant), low.as_flattened_mut());
    high.as_flattened_mut().fill(zero());
    let (mut factor, mut hash) = ([[zero(); Q]; 4], [zero(); HASH_LIMBS]);
    across(lanes.each_ref().map(|lane| &lane.target.factor), factor.as_flattened_mut());
    across(lanes.each_ref().map(|lane| &lane.hash), &mut hash);
    let columns = columns.as_flattened_mut();
    for (i, hash) in hash.as_chunks::<E>().0.iter().enumerate() {
        // Of the shortest hash the upper limbs are zero, and zero is what they add.
        if hash.iter().all(|limb| _mm512_cmpeq_epi64_mask(*limb, zero()) == u8::MAX) {
            continue;
        }
        for (j, factor) in factor.as_flattened().as_chunks::<E>().0.iter().enumerate() {
            columns::add_product(&mut columns[(i + j) * E..], hash, factor);
        }
    }
}

/// The lanes in which two numbers are the same, a bit for each.
#[target_feature(enable = "avx512f")]
fn equal(a: &[Limbs], b: &[Limbs]) -> u8 {
    a.iter().zip(b).fold(u8::MAX, |equal, (a, b)| equal & _mm512_cmpeq_epi64_mask(*a, *b))
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn splits<const Q: usize, const E: usize>([a, b, c, d]: &[[Limbs; Q]; 4], order: Order) -> [Split<Q, E>; 2] {
    [Split::of([a, b], order), Split::of([c, d], order)]
}

/// Both halves of a number.
#[inline]
fn halves<'v, const Q: usize, const E: usize>(
    [a, b, c, d]: &'v [[Limbs; Q]; 4],
    [low, high]: &'v [Split<Q, E>; 2],
) -> [Half<'v, Q, E>; 2] {
    [low.half([a, b]), high.half([c, d])]
}

/// `result = columns / R mod n`, near or above `n`; limbs of 52 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce<const L: usize, const Q: usize, const B: usize, const E: usize>(
    columns: &mut [[Limbs; Q]; 8],
    top: &mut [[Limbs; Q]; 2],
    digits: &mut [[Limbs; Q]; 2],
    moduli: &Moduli<'_, L, Q, E>,
    result: &mut [[Limbs; Q]; 4],
) {
    let fold_at = const { fold_at(L) };
    normalise(columns.as_flattened()[fold_at..].iter().copied(), top.as_flattened_mut());
    columns.as_flattened_mut()[fold_at..6 * Q].fill(zero());
    let [low, high] = &*top;
    let [fold_low, fold_high] = halves(&moduli.fold, &moduli.fold_splits);
    let [n_low, n_high] = halves(&moduli.n, &moduli.n_splits);
    let order = Order::LowLessHigh;
    let of_eighths = Difference::of_eighths(low, order);
    let first = Quarter { limbs: low, of_eighths: &of_eighths };
    karatsuba::add_product_twice(columns, first, fold_low.low);
    let of_eighths = Difference::of_eighths(high, order);
    let second = Quarter { limbs: high, of_eighths: &of_eighths };
    karatsuba::add_product_twice(&mut columns[1..], second, fold_low.high);
    let middle = Difference::of([low, high], order);
    let of_middle = Difference::of_eighths(&middle.limbs, order);
    let middle = Middle::of(&middle, &of_middle);
    karatsuba::add_product_of_middles(&mut columns[1..], middle, fold_low.middle);
    // Each digit waits for the one before: something else to do meanwhile comes next.
    let [low, high] = digits;
    add_digits::<Q, B>(columns, n_low.low.limbs, moduli.k0, low, |columns| {
        karatsuba::add_product_twice(&mut columns[2..], first, fold_high.low);
        karatsuba::add_product_twice(&mut columns[3..], second, fold_high.high);
    });
    let of_eighths = Difference::of_eighths(low, order);
    let first = Quarter { limbs: low, of_eighths: &of_eighths };
    karatsuba::add_product(&mut columns[1..], first, n_low.high);
    add_digits::<Q, B>(&mut columns[1..], n_low.low.limbs, moduli.k0, high, |columns| {
        karatsuba::add_product_of_middles(&mut columns[2..], middle, fold_high.middle);
    });
    let of_eighths = Difference::of_eighths(high, order);
    let second = Quarter { limbs: high, of_eighths: &of_eighths };
    karatsuba::add_product(&mut columns[2..], second, n_low.high);
    let [lowest, above @ ..] = result;
    let carry = karatsuba::finish_low(&mut columns[2..], first, n_high.low, &moduli.n[0], lowest);
    let middle = Difference::of([low, high], order);
    let of_middle = Difference::of_eighths(&middle.limbs, order);
    karatsuba::add_product_of_middles(&mut columns[3..], Middle::of(&middle, &of_middle), n_high.middle);
    let ([_, _, _, columns @ .., _, _], [_, n @ ..]) = (&*columns, &moduli.n);
    let carry = karatsuba::finish_high(columns, second, n_high.high, n, above, carry);
    carry.finish(result.as_flattened_mut());
}

/// Montgomery's digits for a quarter of columns, and their product with a quarter of `n` added. Each digit
/// waits for the one before: there is something else to do meanwhile.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_digits<const Q: usize, const B: usize>(
    columns: &mut [[Limbs; Q]],
    n: &[Limbs; Q],
    k0: Limbs,
    digits: &mut [Limbs; Q],
    meanwhile: impl Fn(&mut [[Limbs; Q]]),
) {
    let n = n.as_chunks::<B>().0;
    for (row, digits) in digits.as_chunks_mut::<B>().0.iter_mut().enumerate() {
        columns::quotients(&mut columns.as_flattened_mut()[row * B..], &n[0], k0, digits);
        if row == 0 {
            meanwhile(columns);
        }
        let columns = &mut columns.as_flattened_mut()[row * B..];
        columns::add_upper(&mut columns[B..], digits, &n[0]);
        for (index, n) in n.iter().enumerate().skip(1) {
            columns::add_product(&mut columns[index * B..], digits, n);
        }
    }
}
