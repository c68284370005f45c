//! A prepared modulus, and the inputs of a batch.

use crate::limbs::{LIMB_BITS, MASK};

/// A modulus made ready.
#[derive(Clone, Debug)]
pub(crate) struct Modulus<const L: usize> {
    pub(crate) n: [u64; L],
    /// `-n⁻¹ mod 2^52`
    pub(crate) k0: u64,
    /// `2^(52·fold_at(L)) mod n`
    pub(crate) fold: [u64; L],
}

/// The bits of a modulus of so many limbs.
const fn bits(limbs: usize) -> usize {
    match limbs {
        40 => 2048,
        64 => 3072,
        80 => 4096,
        _ => panic!("there are keys of three sizes"),
    }
}

/// The limb from which on eight squares at once are folded: high enough that the part above has room in
/// half as many limbs, and low enough that the part below, divided by `2^(52·L/2)`, is far below `n`.
pub(crate) const fn fold_at(limbs: usize) -> usize {
    limbs / 2 + (bits(limbs) - 16) / LIMB_BITS
}

/// What a power is to be, of eight at once: `constant + factor · hash` is `right · R - m / R^65535 mod n`,
/// where `m` is the power, and `R` is `2^(52·L/2)`. Added to the last product, before that is divided
/// by `R`, it leaves [`right`] where the power is `m`.
#[derive(Clone, Debug)]
pub(crate) struct Target<const L: usize> {
    pub(crate) constant: [u64; L],
    pub(crate) factor: [u64; L],
}

/// What is left where a power is right: every other bit of a modulus' length, between a third and two
/// thirds of any. Not zero, so that what is lost or cleared on the way does not look right.
pub(crate) const fn right<const L: usize>() -> [u64; L] {
    let mut right = [MASK / 3; L];
    let mut limb = bits(L) / LIMB_BITS;
    right[limb] &= (1 << (bits(L) % LIMB_BITS)) - 1;
    while limb + 1 < L {
        limb += 1;
        right[limb] = 0;
    }
    right
}

/// Limbs that a hash has room in: those of the longest, ten, and what makes up whole vectors.
pub(crate) const HASH_LIMBS: usize = 16;

/// One of eight.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'k, const L: usize> {
    pub(crate) modulus: &'k Modulus<L>,
    pub(crate) target: &'k Target<L>,
    /// Up to ten limbs, and zeros.
    pub(crate) hash: [u64; HASH_LIMBS],
}
