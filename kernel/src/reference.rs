//! Plain arithmetic of one modulus: constants that are computed once per key, and the reference that the
//! vector code is compared with.

use crate::limbs::{self, LIMB_BITS};
use crate::modulus::{self, Modulus};

/// A modulus of `L` limbs. `R` is `2^(52·L)`, and `R'`, of a batch, is `2^(52·L/2)`.
#[derive(Clone, Debug)]
pub(crate) struct Reference<const L: usize> {
    pub(crate) n: [u64; L],
    k0: u64,
    bits: usize,
    /// `R² mod n`
    r2: [u64; L],
    /// `(R / R')^65535 · R mod n`
    batch_factor: [u64; L],
}

impl<const L: usize> Reference<L> {
    pub(crate) fn new(n: [u64; L], bits: usize) -> Self {
        let k0 = limbs::negated_inverse(n[0]);
        let of_two = |limbs| limbs::power_of_two(limbs * LIMB_BITS, &n, bits, k0);
        // In Montgomery form: one, and R / R'. Sixteen times squared and multiplied.
        let (one, quotient) = (of_two(L), of_two(2 * L - L / 2));
        let batch_factor = (0..16).fold(one, |power, _| {
            let square = limbs::montgomery(&power, &power, &n, k0);
            limbs::montgomery(&square, &quotient, &n, k0)
        });
        Self { n, k0, bits, r2: of_two(2 * L), batch_factor }
    }

    /// Returns the modulus with the constants of its reductions.
    pub(crate) fn modulus(&self) -> Modulus<L> {
        let fold = limbs::power_of_two(modulus::fold_limb(L) * LIMB_BITS, &self.n, self.bits, self.k0);
        Modulus { n: self.n, k0: self.k0, fold }
    }

    /// Returns `a · b / R mod n`.
    pub(crate) fn montgomery(&self, a: &[u64; L], b: &[u64; L]) -> [u64; L] {
        limbs::reduced(&limbs::montgomery(a, b, &self.n, self.k0), &self.n)
    }

    /// Returns `a · b mod n`.
    pub(crate) fn product(&self, a: &[u64; L], b: &[u64; L]) -> [u64; L] {
        self.times_r(&self.montgomery(a, b))
    }

    /// Returns `a · R mod n`.
    pub(crate) fn times_r(&self, a: &[u64; L]) -> [u64; L] {
        self.montgomery(a, &self.r2)
    }

    /// Returns `s^65536 / R^65535 mod n`.
    pub(crate) fn power(&self, s: &[u64; L]) -> [u64; L] {
        (0..16).fold(*s, |power, _| self.montgomery(&power, &power))
    }

    /// Returns the same power over `R'^65535`.
    pub(crate) fn to_batch(&self, power: &[u64; L]) -> [u64; L] {
        self.montgomery(power, &self.batch_factor)
    }

    /// Returns `-a mod n`, for `a < n`.
    pub(crate) fn negated(&self, a: &[u64; L]) -> [u64; L] {
        limbs::reduced(&limbs::subtract(&self.n, a), &self.n)
    }

    /// Returns `a + b mod n`, for both below `n`.
    pub(crate) fn sum(&self, a: &[u64; L], b: &[u64; L]) -> [u64; L] {
        limbs::reduced(&limbs::add(a, b), &self.n)
    }

    /// Returns the constant of a [`Target`](crate::modulus::Target) that `product` meets.
    pub(crate) fn constant(&self, product: &[u64; L]) -> [u64; L] {
        let mut r = [0; L];
        r[L / 2] = 1;
        self.sum(&self.negated(product), &self.product(&modulus::residue(), &r))
    }
}
