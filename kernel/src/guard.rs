//! Safe entry points of the vector code: each requires that the CPU has the features.
#![expect(unsafe_code, reason = "calls guarded by a run-time check of the CPU")]
#![cfg_attr(emulated, expect(unused_unsafe, reason = "emulated instructions are safe to call"))]

use crate::modulus::{Lane, Modulus};
use crate::vector::LANES;
use crate::{batch, single};

/// Reports whether this CPU has the features that the vector code needs, and those that the compiler takes them
/// to imply.
#[cfg(not(emulated))]
pub(crate) fn is_available() -> bool {
    let implied = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    implied && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

#[cfg(emulated)]
pub(crate) fn is_available() -> bool {
    true
}

/// Returns `s^65537 / R^65536 mod n`, below `2n`, for `s < n`.
pub(crate) fn power<const L: usize, const E: usize>(s: &[u64; L], modulus: &Modulus<L>) -> [u64; L] {
    const { assert!(L == LANES * E) };
    assert!(is_available());
    // SAFETY: the CPU has the features, as was just asserted (std remembers the answer).
    unsafe { single::power::<L, E>(s, modulus) }
}

/// Returns `a · b / 2^(52·D) mod n`, below `2n`, for `a < n` and a `b` of `D` limbs.
pub(crate) fn product<const L: usize, const E: usize, const D: usize>(
    a: &[u64; L],
    b: &[u64; D],
    modulus: &Modulus<L>,
) -> [u64; L] {
    const { assert!(L == LANES * E) };
    assert!(is_available());
    // SAFETY: the CPU has the features, as was just asserted.
    unsafe { single::product::<L, E>(b, a, modulus) }
}

/// The arithmetic of eight signatures at once, for many batches: moduli are prepared once while they stay the
/// same.
pub(crate) struct Batch<'k, const L: usize, const Q: usize, const B: usize, const E: usize>(
    batch::Batch<'k, L, Q, B, E>,
);

impl<'k, const L: usize, const Q: usize, const B: usize, const E: usize> Batch<'k, L, Q, B, E> {
    /// Prepares moduli. A batch with other moduli prepares those first.
    pub(crate) fn new(moduli: [&'k Modulus<L>; LANES]) -> Self {
        const { assert!(L == 4 * Q && Q == 2 * E && (B == Q || B == E)) };
        assert!(is_available());
        // SAFETY: the CPU has the features, as was just asserted.
        Self(unsafe { batch::Batch::new(moduli) })
    }

    /// Returns, for each lane, whether `s^65537 mod n` meets the lane's target. Each `s` must be below its `n`.
    pub(crate) fn verify_powers(
        &mut self,
        s: &[[u64; L]; LANES],
        lanes: &[Lane<'k, L>; LANES],
    ) -> [bool; LANES] {
        // SAFETY: `new` asserted that the CPU has the features.
        unsafe { self.0.verify_powers(s, lanes) }
    }
}
