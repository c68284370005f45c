//! RSASSA-PKCS1-v1_5 verification with AVX-512 IFMA, one signature or eight at a time.
#![doc = include_str!("../README.md")]

/// Calls a macro with the sizes of keys: bits of the modulus, limbs of 52 bits (a multiple of eight, with at
/// least two bits to spare), limbs of a block of columns (a quarter or an eighth of the limbs).
#[cfg(any(target_arch = "x86_64", emulated))]
macro_rules! with_sizes {
    ($macro:ident) => {
        $macro! {
            Bits2048: 2048, 40, 10;
            Bits3072: 3072, 64, 8;
            Bits4096: 4096, 80, 10;
        }
    };
}

// None imports one below it.
#[cfg(any(target_arch = "x86_64", emulated))]
mod limbs;
#[cfg(emulated)]
mod emulated;
#[cfg(any(target_arch = "x86_64", emulated))]
mod modulus;
#[cfg(any(target_arch = "x86_64", emulated))]
mod vector;
#[cfg(any(target_arch = "x86_64", emulated))]
mod single;
#[cfg(any(target_arch = "x86_64", emulated))]
mod batch;
#[cfg(any(target_arch = "x86_64", emulated))]
mod guard;
#[cfg(any(target_arch = "x86_64", emulated))]
mod reference;
#[cfg(any(target_arch = "x86_64", emulated))]
mod pkcs1v15;
#[cfg(not(any(target_arch = "x86_64", emulated)))]
mod unsupported;

#[cfg(emulated)]
use emulated as intrinsics;
#[cfg(any(target_arch = "x86_64", emulated))]
use pkcs1v15 as arithmetic;
#[cfg(all(target_arch = "x86_64", not(emulated)))]
use std::arch::x86_64 as intrinsics;
#[cfg(not(any(target_arch = "x86_64", emulated)))]
use unsupported as arithmetic;

/// The hash function of a signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// An RSA public key with the constants that its verifications need.
pub struct Key(arithmetic::Key);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// One signature to verify.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The signer's key.
    pub key: &'a Key,
    /// The signed message.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl Key {
    /// Reports whether the kernel verifies signatures of this key on this CPU. The modulus `n` and the
    /// exponent `e` are big-endian without leading zeros.
    #[must_use]
    pub fn is_supported(n: &[u8], e: &[u8]) -> bool {
        arithmetic::is_supported(n, e)
    }

    /// Prepares a key, and verifies known answers with it. Returns `None` if the key is not supported
    /// or an answer is wrong.
    #[must_use]
    pub fn prepare(n: &[u8], e: &[u8], hash: Hash) -> Option<Key> {
        if !Self::is_supported(n, e) {
            return None;
        }
        arithmetic::Key::prepare(n, hash).map(Key)
    }

    /// Returns whether the signature verifies. `false` is not final: the caller must confirm it by
    /// another implementation.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature)
    }
}

/// Verifies many signatures, eight at a time where the sizes of their keys allow. Writes to `verified`
/// what [`Key::verify`] returns for each item.
///
/// # Panics
/// If the slices differ in length.
pub fn verify_batch(items: &[Item<'_>], verified: &mut [bool]) {
    assert_eq!(items.len(), verified.len(), "one result for each item");
    arithmetic::verify_batch(items, verified);
}
