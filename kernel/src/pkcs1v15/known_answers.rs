//! Known answers: each key verifies some with the vector code before it is used, against plain arithmetic.

use ring::digest::{self, digest};

use super::{SizedKey, encoded};
use crate::guard::{self, Batch};
use crate::limbs::{self, LIMB_BITS};
use crate::modulus::{Lane, Target};
use crate::reference::Reference;
use crate::vector::LANES;

impl<const L: usize, const Q: usize, const B: usize, const E: usize> SizedKey<L, Q, B, E> {
    /// Compares powers and encoded messages with plain arithmetic: edges, numbers that carry everywhere,
    /// numbers without a pattern.
    pub(super) fn passes_known_answers(&self, plain: &Reference<L>) -> bool {
        let n = &plain.n;
        let small = |value: u64| limbs::limbs::<L>(&value.to_be_bytes());
        let half: [u64; L] = std::array::from_fn(|index| {
            (n[index] >> 1) | n.get(index + 1).map_or(0, |above| (above & 1) << (LIMB_BITS - 1))
        });
        // One byte shorter than the modulus, so below it.
        let mixed = |seed: &[u8]| limbs::limbs::<L>(&pattern(seed, self.bytes - 1));
        let numbers: [[u64; L]; LANES] = [
            small(0),
            small(2),
            limbs::subtract(n, &small(1)),
            half,
            limbs::limbs(&vec![0xff; self.bytes - 1]),
            mixed(b"one"),
            mixed(b"two"),
            mixed(b"three"),
        ];
        let powers = numbers.each_ref().map(|s| plain.power(s));
        let alone = numbers.iter().zip(&powers).all(|(s, power)| {
            let power = plain.montgomery(power, s);
            limbs::reduced(&guard::power::<L, E>(s, &self.modulus), n) == power
        });
        let length = self.hash.algorithm().output_len();
        let hashes = [vec![0; length], vec![0xff; length], pattern(b"hash", length)];
        let almost = plain.power(&small(1));
        let messages = hashes.iter().all(|hash| {
            let message = limbs::add(&encoded(self.bytes, self.hash), &limbs::limbs(hash));
            let expected = limbs::reduced(&self.expected(hash), n);
            expected == plain.montgomery(&almost, &message) && self.has_target(plain, &expected, hash)
        });
        alone && messages && self.batch_passes_known_answers(plain, &numbers, &powers, &hashes[2])
    }

    /// Reports whether the batch target of a hash means the same power as the single comparison.
    fn has_target(&self, plain: &Reference<L>, expected: &[u64; L], hash: &[u8]) -> bool {
        let Target { constant, factor } = &self.target;
        let target = plain.sum(constant, &plain.product(factor, &limbs::limbs(hash)));
        // The single comparison has one factor 1/R more.
        target == plain.constant(&plain.times_r(&plain.to_batch(expected)))
    }

    /// Reports whether a batch accepts the powers by plain arithmetic, and none of the numbers beside them.
    fn batch_passes_known_answers(
        &self,
        plain: &Reference<L>,
        numbers: &[[u64; L]; LANES],
        powers: &[[u64; L]; LANES],
        hash: &[u8],
    ) -> bool {
        let factor = self.target.factor;
        // The constants compensate what the hash adds.
        let less = plain.negated(&plain.product(&factor, &limbs::limbs(hash)));
        let answers = |by: u64| {
            let targets: [Target<L>; LANES] = std::array::from_fn(|lane| {
                let product = plain.product(&plain.to_batch(&powers[lane]), &numbers[lane]);
                let constant = plain.sum(&plain.constant(&product), &less);
                Target { constant: limbs::add(&constant, &limbs::limbs(&by.to_be_bytes())), factor }
            });
            let lanes = targets.each_ref().map(|target| Lane { target, ..self.lane(hash) });
            Batch::<L, Q, B, E>::new([&self.modulus; LANES]).verify_powers(numbers, &lanes)
        };
        answers(0) == [true; LANES] && answers(1) == [false; LANES]
    }
}

/// Returns bytes without a pattern, the same each time.
pub(super) fn pattern(seed: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(digest(&digest::SHA512, &[seed, &bytes].concat()).as_ref());
    }
    bytes.truncate(length);
    bytes
}
