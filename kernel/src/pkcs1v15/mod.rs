//! RSASSA-PKCS1-v1_5: the encoded message, keys, and the comparison with a power.
//!
//! The padding is never parsed. The one right encoded message is built (RFC 8017 §8.2.2) and compared
//! as a number. `guard::power` returns `s^e · R^-65536 mod n`, so the encoded message is scaled by
//! the same factor: its constant part once per key, its hash once per signature. A batch adds both parts
//! ([`Target`]) to its last product instead, and compares the residue.

mod known_answers;
#[cfg(test)]
mod tests;

use ring::digest::{self, digest};

use crate::guard::{self, Batch};
use crate::limbs::{self, LIMB_BITS};
use crate::modulus::{Lane, Modulus, Target};
use crate::reference::Reference;
use crate::vector::LANES;
use crate::{Hash, Item};

impl Hash {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        }
    }

    /// The DER of `DigestInfo` before the hash (RFC 8017 §9.2, note 1).
    fn prefix(self) -> &'static [u8] {
        match self {
            Hash::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
            Hash::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
            Hash::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        }
    }
}

macro_rules! define_key {
    ($($name:ident: $bits:literal, $limbs:literal, $block:literal;)+) => {
        /// A supported key, by the bits of its modulus.
        pub(crate) enum Key {
            $($name(Box<SizedKey<$limbs, { $limbs / 4 }, $block, { $limbs / 8 }>>)),+
        }

        /// As [`Key::is_supported`](crate::Key::is_supported).
        pub(crate) fn is_supported(n: &[u8], e: &[u8]) -> bool {
            let is_full = n.first().is_some_and(|first| first & 0x80 != 0);
            let is_odd = n.last().is_some_and(|last| last & 1 != 0);
            let is_sized = matches!(n.len() * 8, $($bits)|+);
            e == [1, 0, 1] && is_full && is_odd && is_sized && guard::is_available()
        }

        impl Key {
            /// Prepares a supported key. Returns `None` if it fails a known answer.
            pub(crate) fn prepare(n: &[u8], hash: Hash) -> Option<Key> {
                match n.len() * 8 {
                    $($bits => SizedKey::prepare(n, hash).map(Key::$name),)+
                    _ => None,
                }
            }

            /// As [`Key::verify`](crate::Key::verify).
            pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
                match self {
                    $(Key::$name(key) => key.verify(message, signature),)+
                }
            }
        }

        /// As [`verify_batch`](crate::verify_batch): the items of one size together.
        pub(crate) fn verify_batch(items: &[Item<'_>], verified: &mut [bool]) {
            $(
                let mut of_size = Vec::new();
                for (item, verified) in items.iter().zip(&mut *verified) {
                    if let Key::$name(key) = &item.key.0 {
                        of_size.push((&**key, *item, verified));
                    }
                }
                SizedKey::verify_all(&mut of_size);
            )+
        }
    };
}

with_sizes!(define_key);

/// Fewest signatures of an incomplete batch that cost less together than one by one.
const WORTHWHILE: usize = 5;

/// A key of `L` limbs: its modulus, and the encoded message in the forms to compare with. A quarter of a
/// number is `Q` limbs, a block of columns `B`, an eighth `E`.
#[derive(Clone)]
pub(crate) struct SizedKey<const L: usize, const Q: usize, const B: usize, const E: usize> {
    modulus: Modulus<L>,
    bytes: usize,
    hash: Hash,
    /// The encoded message with zeros for its hash, scaled like a single power.
    message: [u64; L],
    /// The factor that scales a hash likewise, after the division in the short product.
    factor: [u64; L],
    /// The encoded message in a batch.
    target: Target<L>,
}

impl<const L: usize, const Q: usize, const B: usize, const E: usize> SizedKey<L, Q, B, E> {
    fn prepare(n: &[u8], hash: Hash) -> Option<Box<Self>> {
        let bytes = n.len();
        let plain = Reference::new(limbs::limbs::<L>(n), bytes * 8);
        let one = limbs::limbs(&[1]);
        // R^-65535 of single powers, and of powers in a batch.
        let almost = plain.power(&one);
        let almost_for_batch = plain.to_batch(&almost);
        let factor = plain.montgomery(&almost, &one);
        let key = Self {
            message: plain.montgomery(&almost, &encoded(bytes, hash)),
            factor: limbs::shifted(&factor, digits(hash) * LIMB_BITS, &plain.n),
            target: Target {
                constant: plain.constant(&plain.product(&almost_for_batch, &encoded(bytes, hash))),
                factor: plain.negated(&almost_for_batch),
            },
            modulus: plain.modulus(),
            bytes,
            hash,
        };
        key.passes_known_answers(&plain).then(|| Box::new(key))
    }

    /// Reads a signature into `number`. Returns whether it is a number below the modulus, of the modulus'
    /// length (RFC 8017 §8.2.2, 1 and 2b).
    fn read(&self, signature: &[u8], number: &mut [u64; L]) -> bool {
        if signature.len() != self.bytes {
            return false;
        }
        limbs::read_limbs(signature, number);
        limbs::is_less(number, &self.modulus.n)
    }

    /// Returns the encoded message of a hash, scaled like a single power, below `3n`.
    fn expected(&self, hash: &[u8]) -> [u64; L] {
        let mut expected = match digits(self.hash) {
            5 => guard::product::<L, E, 5>(&self.factor, &limbs::limbs(hash), &self.modulus),
            8 => guard::product::<L, E, 8>(&self.factor, &limbs::limbs(hash), &self.modulus),
            _ => guard::product::<L, E, 10>(&self.factor, &limbs::limbs(hash), &self.modulus),
        };
        limbs::add_to(&mut expected, &self.message);
        debug_assert!(limbs::is_less(&limbs::reduced(&expected, &self.modulus.n), &self.modulus.n));
        expected
    }

    /// Returns the inputs of a lane for a message's hash.
    fn lane(&self, hash: &[u8]) -> Lane<'_, L> {
        Lane { modulus: &self.modulus, target: &self.target, hash: limbs::limbs(hash) }
    }

    fn hash(&self, message: &[u8]) -> digest::Digest {
        digest(self.hash.algorithm(), message)
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut number = [0; L];
        self.read(signature, &mut number) && {
            let mut power = guard::power::<L, E>(&number, &self.modulus);
            let mut expected = self.expected(self.hash(message).as_ref());
            limbs::reduce(&mut power, &self.modulus.n);
            limbs::reduce(&mut expected, &self.modulus.n);
            power == expected
        }
    }

    fn verify_all(items: &mut [(&Self, Item<'_>, &mut bool)]) {
        let left_over = items.len() % LANES;
        let few = if left_over < WORTHWHILE { left_over } else { 0 };
        let (many, few) = items.split_at_mut(items.len() - few);
        for (key, item, verified) in few {
            **verified = key.verify(item.message, item.signature);
        }
        let Some((first, ..)) = many.first() else { return };
        let mut batch = Batch::new([&first.modulus; LANES]);
        for items in many.chunks_mut(LANES) {
            // A spare lane repeats the last item.
            let lane = |lane: usize| lane.min(items.len() - 1);
            let keys: [&Self; LANES] = std::array::from_fn(|index| items[lane(index)].0);
            let signed = std::array::from_fn(|index| items[lane(index)].1);
            let verdicts = Self::verify_lanes(&mut batch, keys, signed);
            for ((.., verified), verdict) in items.iter_mut().zip(verdicts) {
                **verified = verdict;
            }
        }
    }

    fn verify_lanes<'k>(
        batch: &mut Batch<'k, L, Q, B, E>,
        keys: [&'k Self; LANES],
        items: [Item<'_>; LANES],
    ) -> [bool; LANES] {
        let mut numbers = [[0; L]; LANES];
        let usable: [bool; LANES] = std::array::from_fn(|lane| {
            let usable = keys[lane].read(items[lane].signature, &mut numbers[lane]);
            if !usable {
                // The lane's result is not used.
                numbers[lane].fill(0);
            }
            usable
        });
        let lanes =
            std::array::from_fn(|lane| keys[lane].lane(keys[lane].hash(items[lane].message).as_ref()));
        let equal = batch.verify_powers(&numbers, &lanes);
        std::array::from_fn(|lane| usable[lane] & equal[lane])
    }
}

/// Returns the number of limbs of a hash.
fn digits(hash: Hash) -> usize {
    (hash.algorithm().output_len() * 8).div_ceil(LIMB_BITS)
}

/// Returns the encoded message (RFC 8017 §9.2) with zeros in place of the hash.
fn encoded<const L: usize>(bytes: usize, hash: Hash) -> [u64; L] {
    let mut message = vec![0xff; bytes];
    let suffix = hash.prefix().len() + hash.algorithm().output_len();
    message[0] = 0;
    message[1] = 1;
    message[bytes - suffix - 1] = 0;
    message[bytes - suffix..][..hash.prefix().len()].copy_from_slice(hash.prefix());
    message[bytes - hash.algorithm().output_len()..].fill(0);
    limbs::limbs(&message)
}
