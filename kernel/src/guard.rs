//! Safe entry points of the vector code: each requires that the CPU has the features.
#![expect(unsafe_code, reason = "calls guarded by a run-time check of the CPU")]

use crate::modulus::{Lane, Modulus};
use crate::vector::LANES;
use crate::{batch, single};

/// Whether this CPU has what the kernel needs, and what the compiler takes that to imply.
pub(crate) fn is_available() -> bool {
    let implied = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    implied && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// `s^65537 / R^65536 mod n`, below `2n`, for `s < n`. `L` is `8 · V`.
pub(crate) fn power<const L: usize, const V: usize>(s: &[u64; L], modulus: &Modulus<L>) -> [u64; L] {
    assert!(is_available() && L == V * LANES);
    // SAFETY: the CPU has the features, as was just asserted (std remembers the answer).
    unsafe { single::power::<L, V>(s, modulus) }
}

/// `a · b / 2^(52·D) mod n`, below `2n`, for `a < n` and a `b` of `D` limbs.
pub(crate) fn product<const L: usize, const V: usize, const D: usize>(
    a: &[u64; L],
    b: &[u64; D],
    modulus: &Modulus<L>,
) -> [u64; L] {
    assert!(is_available() && L == V * LANES);
    // SAFETY: as above.
    unsafe { single::product::<L, V>(b, a, modulus) }
}

/// Eight signatures at once, many times; what is the same each time is made ready once. A number of `L` limbs
/// is four of `Q`, each one block of `B` limbs or two, and two of `E`.
pub(crate) struct Eight<'k, const L: usize, const Q: usize, const B: usize, const E: usize>(
    batch::Eight<'k, L, Q, B, E>,
);

impl<'k, const L: usize, const Q: usize, const B: usize, const E: usize> Eight<'k, L, Q, B, E> {
    /// With moduli that will be asked for; if others are, they are made ready then.
    pub(crate) fn new(moduli: [&'k Modulus<L>; LANES]) -> Self {
        assert!(is_available() && L == 4 * Q && Q == 2 * E && Q.is_multiple_of(B));
        // SAFETY: as above.
        Self(unsafe { batch::Eight::new(moduli) })
    }

    /// Whether `s^65537 mod n`, for `s < n`, is what its lane says, of each of eight.
    pub(crate) fn are_powers(
        &mut self,
        s: &[[u64; L]; LANES],
        lanes: &[Lane<'k, L>; LANES],
    ) -> [bool; LANES] {
        // SAFETY: the CPU has the features, or there were no such value.
        unsafe { self.0.are_powers(s, lanes) }
    }
}
