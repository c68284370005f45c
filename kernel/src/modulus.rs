//! A prepared modulus, and the inputs of a batch.

use crate::limbs::{LIMB_BITS, MASK};

/// A modulus with the constants of its reductions.
#[derive(Clone, Debug)]
pub(crate) struct Modulus<const L: usize> {
    pub(crate) n: [u64; L],
    /// `-n⁻¹ mod 2^52`
    pub(crate) k0: u64,
    /// `2^(52·fold_limb(L)) mod n`: the multiplier of the part that is folded.
    pub(crate) fold: [u64; L],
}

macro_rules! define_bits {
    ($($name:ident: $bits:literal, $limbs:literal, $block:literal;)+) => {
        /// Returns the bits of a modulus of so many limbs.
        const fn bits(limbs: usize) -> usize {
            match limbs {
                $($limbs => $bits,)+
                _ => panic!("no key size has so many limbs"),
            }
        }
    };
}

with_sizes!(define_bits);

/// Returns the lowest limb of the part that a batch folds. The part above must fit into `L/2` limbs; the
/// part below, divided by `2^(52·L/2)`, must be far below `n`.
pub(crate) const fn fold_limb(limbs: usize) -> usize {
    limbs / 2 + (bits(limbs) - 16) / LIMB_BITS
}

/// The power that a lane of a batch must have: `constant + factor · hash` is `residue · R - m / R^65535 mod n`,
/// where `m` is the encoded message and `R` is `2^(52·L/2)`. Added to the last product before its
/// division by `R`, it leaves [`residue`] if the power is `m`.
#[derive(Clone, Debug)]
pub(crate) struct Target<const L: usize> {
    pub(crate) constant: [u64; L],
    pub(crate) factor: [u64; L],
}

/// Returns the residue that a correct signature leaves: every other bit of the modulus' length, between a
/// third and two thirds of any modulus. It is not zero, so that a zeroed buffer never verifies.
pub(crate) const fn residue<const L: usize>() -> [u64; L] {
    let mut residue = [MASK / 3; L];
    let mut limb = bits(L) / LIMB_BITS;
    residue[limb] &= (1 << (bits(L) % LIMB_BITS)) - 1;
    while limb + 1 < L {
        limb += 1;
        residue[limb] = 0;
    }
    residue
}

/// The number of limbs reserved for a hash: ten for the longest, rounded up to whole vectors.
pub(crate) const HASH_LIMBS: usize = 16;

/// The inputs of one lane.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'k, const L: usize> {
    pub(crate) modulus: &'k Modulus<L>,
    pub(crate) target: &'k Target<L>,
    /// Up to ten limbs, and zeros.
    pub(crate) hash: [u64; HASH_LIMBS],
}
