//! Eight signatures at once: each has a lane, and a number is `L` vectors of one limb of each lane. `README.md` has
//! the layout and the reduction as pictures, and every bound.
//!
//! Sums of products are kept by column in redundant representation, 64 bits with a sign: at `L` = 80 a column
//! sums fewer than 2^10 halves of products, each below 2^52.
//!
//! A number of `L` limbs is two halves, four quarters of `Q` limbs, eight eighths of `E` limbs, for three levels of
//! Karatsuba multiplication. Reducing from both ends keeps every partial product of Karatsuba shape: the top
//! of a square is folded (multiplied by `2^(52·F) mod n`), its low half is removed by Montgomery reduction. So
//! `R` is `2^(52·L/2)` here.
//!
//! Columns may be negative, and so may a reduced number: `n` is added to each result, which is then above
//! `n - n/2^9` and below `2n + n/2^8`: the parts below and above the fold contribute little, and Montgomery's
//! digits add less than `n`.
//!
//! The target is added to the last product before its reduction. A right power leaves a number congruent to
//! [`residue`]; of those only `n + residue` is within the bounds.

mod carry;
mod columns;
mod karatsuba;
mod montgomery;
mod square;

use crate::intrinsics::{
    __m512i, _mm512_add_epi64 as add, _mm512_cmpeq_epi64_mask, _mm512_cmplt_epi64_mask, _mm512_set1_epi64,
    _mm512_setzero_si512 as zero, _mm512_slli_epi64 as shift_left, _mm512_sub_epi64 as subtract,
};

use self::carry::normalise;
use self::karatsuba::Order;
use self::montgomery::{Moduli, reduce};
use self::square::{Scratch, square};
use crate::modulus::{HASH_LIMBS, Lane, Modulus, residue};
use crate::vector::{LANES, transpose};

/// One limb of each lane's number.
type Vector = __m512i;

/// Prepared moduli and scratch memory, for many batches.
pub(super) struct Batch<'k, const L: usize, const Q: usize, const B: usize, const E: usize> {
    moduli: Moduli<'k, L, Q, E>,
    base: [[Vector; Q]; 4],
    power: [[Vector; Q]; 4],
    columns: [[Vector; Q]; 8],
    top: [[Vector; Q]; 2],
    digits: [[Vector; Q]; 2],
    scratch: Scratch<Q>,
}

impl<'k, const L: usize, const Q: usize, const B: usize, const E: usize> Batch<'k, L, Q, B, E> {
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
    pub(super) fn new(moduli: [&'k Modulus<L>; LANES]) -> Self {
        Self {
            moduli: Moduli::new(moduli),
            base: [[zero(); Q]; 4],
            power: [[zero(); Q]; 4],
            columns: [[zero(); Q]; 8],
            top: [[zero(); Q]; 2],
            digits: [[zero(); Q]; 2],
            scratch: Scratch::new(),
        }
    }

    /// Returns, for each lane, whether `s^65537 mod n` meets the lane's target.
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
    pub(super) fn verify_powers(
        &mut self,
        s: &[[u64; L]; LANES],
        lanes: &[Lane<'k, L>; LANES],
    ) -> [bool; LANES] {
        if !lanes.iter().zip(self.moduli.of).all(|(lane, modulus)| std::ptr::eq(lane.modulus, modulus)) {
            self.moduli = Moduli::new(lanes.each_ref().map(|lane| lane.modulus));
        }
        let Self { moduli, base, power, columns, top, digits, scratch } = self;
        transpose(s.each_ref(), power.as_flattened_mut());
        let pairs = power.as_flattened().iter().zip(moduli.n.as_flattened());
        normalise(pairs.map(|(limb, n)| add(*limb, *n)), base.as_flattened_mut());
        *power = *base;
        for _ in 0..16 {
            square::<Q, B>(power, columns, scratch);
            reduce::<L, Q, B, E>(columns, top, digits, moduli, power);
            debug_assert!(is_reduced(power.as_flattened(), moduli.n.as_flattened()));
        }
        write_target::<L, Q, E>(columns, lanes);
        let of_base = karatsuba::differences::<Q, E>(base, Order::LowMinusHigh);
        let of_power = karatsuba::differences::<Q, E>(power, Order::HighMinusLow);
        for (i, a) in karatsuba::halves(base, &of_base).into_iter().enumerate() {
            for (j, b) in karatsuba::halves(power, &of_power).into_iter().enumerate() {
                karatsuba::add_product_of_halves(&mut columns[(i + j) * 2..], a, b);
            }
        }
        reduce::<L, Q, B, E>(columns, top, digits, moduli, power);
        debug_assert!(is_reduced(power.as_flattened(), moduli.n.as_flattened()));
        let residue = const { residue::<L>() };
        let wanted = moduli.n.as_flattened().iter().zip(&residue);
        let wanted = wanted.map(|(n, limb)| add(*n, _mm512_set1_epi64(limb.cast_signed())));
        normalise(wanted, base.as_flattened_mut());
        let equal = equal(power.as_flattened(), base.as_flattened());
        std::array::from_fn(|lane| equal >> lane & 1 == 1)
    }
}

/// Writes `constant + factor · hash` of each lane's target to the columns.
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn write_target<const L: usize, const Q: usize, const E: usize>(
    columns: &mut [[Vector; Q]; 8],
    lanes: &[Lane<'_, L>; LANES],
) {
    let (low, high) = columns.split_at_mut(4);
    transpose(lanes.each_ref().map(|lane| &lane.target.constant), low.as_flattened_mut());
    high.as_flattened_mut().fill(zero());
    let (mut factor, mut hash) = ([[zero(); Q]; 4], [zero(); HASH_LIMBS]);
    transpose(lanes.each_ref().map(|lane| &lane.target.factor), factor.as_flattened_mut());
    transpose(lanes.each_ref().map(|lane| &lane.hash), &mut hash);
    let columns = columns.as_flattened_mut();
    for (i, hash) in hash.as_chunks::<E>().0.iter().enumerate() {
        // Zero in the upper limbs of a short hash.
        if hash.iter().all(|limb| _mm512_cmpeq_epi64_mask(*limb, zero()) == u8::MAX) {
            continue;
        }
        for (j, factor) in factor.as_flattened().as_chunks::<E>().0.iter().enumerate() {
            columns::add_product(&mut columns[(i + j) * E..], hash, factor);
        }
    }
}

/// Reports whether each lane's number is above `n - n/2^9` and below `2n + n/2^8`.
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
fn is_reduced(number: &[Vector], n: &[Vector]) -> bool {
    // 512·number - 511·n, and 513·n - 256·number: neither is negative.
    let above =
        number.iter().zip(n).map(|(a, n)| add(subtract(shift_left::<9>(*a), shift_left::<9>(*n)), *n));
    let below =
        number.iter().zip(n).map(|(a, n)| subtract(add(shift_left::<9>(*n), *n), shift_left::<8>(*a)));
    let mut limbs = vec![zero(); n.len()];
    let carries = [normalise(above, &mut limbs), normalise(below, &mut limbs)];
    carries.iter().all(|carry| _mm512_cmplt_epi64_mask(*carry, zero()) == 0)
}

/// Returns the lanes in which two numbers are equal, a bit for each.
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
fn equal(a: &[Vector], b: &[Vector]) -> u8 {
    a.iter().zip(b).fold(u8::MAX, |equal, (a, b)| equal & _mm512_cmpeq_epi64_mask(*a, *b))
}
