//! Carries: from columns, which may be negative and exceed 52 bits, to limbs.

use crate::intrinsics::{
    _mm512_add_epi64 as add, _mm512_and_si512 as and, _mm512_cmpeq_epi64_mask, _mm512_cmpneq_epi64_mask,
    _mm512_or_si512 as or, _mm512_set1_epi64, _mm512_setzero_si512 as zero, _mm512_srai_epi64 as shift_right,
};

use super::Vector;
use crate::limbs::MASK;

/// Carries columns into limbs of 52 bits. Returns the carry out of the top limb, which is negative if the number
/// is.
#[inline]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f,avx512ifma"))]
pub(super) fn normalise(columns: impl Iterator<Item = Vector>, limbs: &mut [Vector]) -> Vector {
    let mut carry = Carry::new();
    for (column, limb) in columns.zip(&mut *limbs) {
        *limb = carry.limb(column);
    }
    carry.finish(limbs)
}

/// A carry of columns into limbs. Each column first carries into the next independently. Only if a limb then
/// exceeds 52 bits, which is rare, do carries propagate through the limbs one by one.
pub(super) struct Carry {
    carry: Vector,
    all: Vector,
}

impl Carry {
    #[inline]
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
    pub(super) fn new() -> Self {
        Self { carry: zero(), all: zero() }
    }

    /// Returns the limb of the next column, up to a carry that `finish` may still propagate.
    #[inline]
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
    pub(super) fn limb(&mut self, column: Vector) -> Vector {
        debug_assert!(is_column(column), "a column has 62 bits and a sign");
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        let limb = add(and(column, mask), self.carry);
        self.carry = shift_right::<52>(column);
        self.all = or(self.all, limb);
        limb
    }

    /// Continues with limbs that `above` made separately; `first` is the lowest of them.
    #[inline]
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
    pub(super) fn join(self, first: &mut Vector, above: Self) -> Self {
        *first = add(*first, self.carry);
        Self { carry: above.carry, all: or(or(self.all, above.all), *first) }
    }

    /// Propagates the carries. Must be given all limbs. Returns the carry out of the top limb.
    #[inline]
    #[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
    pub(super) fn finish(self, limbs: &mut [Vector]) -> Vector {
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        if _mm512_cmpneq_epi64_mask(and(self.all, mask), self.all) == 0 {
            debug_assert!(are_limbs(limbs));
            return self.carry;
        }
        let carry = add(self.carry, propagate(limbs));
        debug_assert!(are_limbs(limbs));
        carry
    }
}

/// Reports whether each word is at least `-2^62` and below `2^62`.
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
pub(super) fn is_column(column: Vector) -> bool {
    let top = shift_right::<62>(column);
    (_mm512_cmpeq_epi64_mask(top, zero()) | _mm512_cmpeq_epi64_mask(top, _mm512_set1_epi64(-1))) == u8::MAX
}

/// Reports whether each word is below `2^52`.
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
pub(super) fn are_limbs(words: &[Vector]) -> bool {
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    words.iter().all(|word| _mm512_cmpneq_epi64_mask(and(*word, mask), *word) == 0)
}

#[cold]
#[cfg_attr(not(emulated), target_feature(enable = "avx512f"))]
fn propagate(limbs: &mut [Vector]) -> Vector {
    let mut carry = zero();
    for limb in limbs {
        let whole = add(*limb, carry);
        carry = shift_right::<52>(whole);
        *limb = and(whole, _mm512_set1_epi64(MASK.cast_signed()));
    }
    carry
}
