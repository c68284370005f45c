//! From columns, which may hold more than 52 bits and be negative, to limbs.

use std::arch::x86_64::{
    _mm512_add_epi64 as add, _mm512_and_si512 as and, _mm512_cmpneq_epi64_mask, _mm512_or_si512 as or,
    _mm512_set1_epi64, _mm512_setzero_si512 as zero, _mm512_srai_epi64 as shift_right,
};

use super::{Limbs, MASK};

/// Carries from column to column, so that limbs of 52 bits are left; what is carried beyond them.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn normalise(columns: impl Iterator<Item = Limbs>, limbs: &mut [Limbs]) -> Limbs {
    let mut carry = Carry::new();
    for (column, limb) in columns.zip(&mut *limbs) {
        *limb = carry.limb(column);
    }
    carry.finish(limbs)
}

/// Each column carries into the next by itself, all at once; only if that fills one of them again, as
/// chance hardly ever does, they are gone through one after the other.
pub(super) struct Carry {
    carry: Limbs,
    all: Limbs,
}

impl Carry {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new() -> Self {
        Self { carry: zero(), all: zero() }
    }

    /// The limb of the next column, but for what the limb before may still carry.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn limb(&mut self, column: Limbs) -> Limbs {
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        let limb = add(and(column, mask), self.carry);
        self.carry = shift_right::<52>(column);
        self.all = or(self.all, limb);
        limb
    }

    /// Carries on into limbs that were made apart, the first of which is given.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn join(self, first: &mut Limbs, above: Self) -> Self {
        *first = add(*first, self.carry);
        Self { carry: above.carry, all: or(or(self.all, above.all), *first) }
    }

    /// To be told of all limbs; what is carried beyond them.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn finish(self, limbs: &mut [Limbs]) -> Limbs {
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        if _mm512_cmpneq_epi64_mask(and(self.all, mask), self.all) == 0 {
            return self.carry;
        }
        add(self.carry, carry_on(limbs))
    }
}

#[cold]
#[target_feature(enable = "avx512f")]
fn carry_on(limbs: &mut [Limbs]) -> Limbs {
    let mut carry = zero();
    for limb in limbs {
        let whole = add(*limb, carry);
        carry = shift_right::<52>(whole);
        *limb = and(whole, _mm512_set1_epi64(MASK.cast_signed()));
    }
    carry
}
