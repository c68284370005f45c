//! RSASSA-PKCS1-v1_5 verification on the AVX-512 kernel, for moduli of 2048, 3072 and 4096 bits and
//! the exponent 65537.
//!
//! The padding is never parsed: the one right encoded message is built (RFC 8017 §8.2.2) and
//! compared as a number. The kernel leaves its power with a factor, `R^-65536`; the encoded message
//! is given the same: its constant part once per key, its hash, a short number, each time. Eight at
//! once are told both parts, less the power, and say whether that is right ([`Target`]).

use ring::digest::{self, digest};

use crate::guard::{self, Eight};
use crate::limbs::{self, LIMB_BITS};
use crate::modulus::{Lane, Modulus, Target};
use crate::reference::Plain;
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

/// A key that the kernel serves, by the size of its modulus.
pub(crate) enum Key {
    Bits2048(Box<Key2048>),
    Bits3072(Box<Key3072>),
    Bits4096(Box<Key4096>),
}

type Key2048 = SizedKey<40, 5, 10, 10, 5>;
type Key3072 = SizedKey<64, 8, 16, 8, 8>;
type Key4096 = SizedKey<80, 10, 20, 10, 10>;

/// Reports whether there is arithmetic for keys like this one on this CPU.
pub(crate) fn is_supported(n: &[u8], e: &[u8]) -> bool {
    let is_full = n.first().is_some_and(|first| first & 0x80 != 0);
    let is_odd = n.last().is_some_and(|last| last & 1 != 0);
    e == [1, 0, 1] && is_full && is_odd && matches!(n.len(), 256 | 384 | 512) && guard::is_available()
}

impl Key {
    /// Prepares a supported key. Returns `None` if it gives a wrong answer.
    pub(crate) fn prepare(n: &[u8], hash: Hash) -> Option<Key> {
        match n.len() {
            256 => SizedKey::prepare(n, hash).map(Key::Bits2048),
            384 => SizedKey::prepare(n, hash).map(Key::Bits3072),
            512 => SizedKey::prepare(n, hash).map(Key::Bits4096),
            _ => None,
        }
    }

    /// As [`Key::verify`](crate::Key::verify).
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::Bits2048(key) => key.verify(message, signature),
            Key::Bits3072(key) => key.verify(message, signature),
            Key::Bits4096(key) => key.verify(message, signature),
        }
    }
}

/// Fewer than this many cost less one by one.
const WORTHWHILE: usize = 5;

/// As [`verify_batch`](crate::verify_batch): the items of one size together.
pub(crate) fn verify_batch(items: &[Item<'_>], verified: &mut [bool]) {
    let (mut of_2048, mut of_3072, mut of_4096) = (Vec::new(), Vec::new(), Vec::new());
    for (item, verified) in items.iter().zip(verified) {
        match &item.key.0 {
            Key::Bits2048(key) => of_2048.push((&**key, *item, verified)),
            Key::Bits3072(key) => of_3072.push((&**key, *item, verified)),
            Key::Bits4096(key) => of_4096.push((&**key, *item, verified)),
        }
    }
    SizedKey::verify_all(&mut of_2048);
    SizedKey::verify_all(&mut of_3072);
    SizedKey::verify_all(&mut of_4096);
}

/// A modulus of `L` limbs in `V` vectors, and what is compared with; the parts of eight are those of
/// [`Eight`].
#[derive(Clone)]
pub(crate) struct SizedKey<const L: usize, const V: usize, const Q: usize, const B: usize, const E: usize> {
    modulus: Modulus<L>,
    bytes: usize,
    hash: Hash,
    /// The encoded message with zeros for its hash, with the factor of a power alone.
    message: [u64; L],
    /// What gives a hash the same factor, beside that of the short product that applies it.
    factor: [u64; L],
    /// The encoded message as a target of eight.
    target: Target<L>,
}

impl<const L: usize, const V: usize, const Q: usize, const B: usize, const E: usize> SizedKey<L, V, Q, B, E> {
    fn prepare(n: &[u8], hash: Hash) -> Option<Box<Self>> {
        let bytes = n.len();
        let plain = Plain::new(limbs::limbs::<L>(n), bytes * 8);
        let one = limbs::limbs(&[1]);
        // The factors of powers, but for one product: R^-65535, and that of eight.
        let almost = plain.power(&one);
        let almost_of_eight = plain.of_eight(&almost);
        let factor = plain.montgomery(&almost, &one);
        let key = Self {
            message: plain.montgomery(&almost, &encoded(bytes, hash)),
            factor: limbs::shifted(&factor, digits(hash) * LIMB_BITS, &plain.n),
            target: Target {
                constant: plain.constant(&plain.product(&almost_of_eight, &encoded(bytes, hash))),
                factor: plain.negated(&almost_of_eight),
            },
            modulus: plain.modulus(),
            bytes,
            hash,
        };
        key.answers_rightly(&plain).then(|| Box::new(key))
    }

    /// Reads a signature as a number below the modulus (RFC 8017 §8.2.2, 1 and 2b); whether it is one.
    fn read(&self, signature: &[u8], number: &mut [u64; L]) -> bool {
        if signature.len() != self.bytes {
            return false;
        }
        limbs::read_limbs(signature, number);
        limbs::is_less(number, &self.modulus.n)
    }

    /// The encoded message of a hash, with the factor of a power alone, below `3n`.
    fn expected(&self, hash: &[u8]) -> [u64; L] {
        let mut expected = match digits(self.hash) {
            5 => guard::product::<L, V, 5>(&self.factor, &limbs::limbs(hash), &self.modulus),
            8 => guard::product::<L, V, 8>(&self.factor, &limbs::limbs(hash), &self.modulus),
            _ => guard::product::<L, V, 10>(&self.factor, &limbs::limbs(hash), &self.modulus),
        };
        limbs::add_to(&mut expected, &self.message);
        expected
    }

    /// What a lane is held against.
    fn lane(&self, hash: &[u8]) -> Lane<'_, L> {
        Lane { modulus: &self.modulus, target: &self.target, hash: limbs::limbs(hash) }
    }

    fn hash(&self, message: &[u8]) -> digest::Digest {
        digest(self.hash.algorithm(), message)
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut number = [0; L];
        self.read(signature, &mut number) && {
            let mut power = guard::power::<L, V>(&number, &self.modulus);
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
        let mut eight = Eight::new([&first.modulus; LANES]);
        for items in many.chunks_mut(LANES) {
            // A lane that is left over repeats the last one.
            let lane = |lane: usize| lane.min(items.len() - 1);
            let keys: [&Self; LANES] = std::array::from_fn(|index| items[lane(index)].0);
            let signed = std::array::from_fn(|index| items[lane(index)].1);
            let verdicts = Self::verify_eight(&mut eight, keys, signed);
            for ((.., verified), verdict) in items.iter_mut().zip(verdicts) {
                **verified = verdict;
            }
        }
    }

    fn verify_eight<'k>(
        eight: &mut Eight<'k, L, Q, B, E>,
        keys: [&'k Self; LANES],
        items: [Item<'_>; LANES],
    ) -> [bool; LANES] {
        let mut numbers = [[0; L]; LANES];
        let usable: [bool; LANES] = std::array::from_fn(|lane| {
            let usable = keys[lane].read(items[lane].signature, &mut numbers[lane]);
            if !usable {
                // A lane that computes 0 and is not looked at.
                numbers[lane].fill(0);
            }
            usable
        });
        let lanes =
            std::array::from_fn(|lane| keys[lane].lane(keys[lane].hash(items[lane].message).as_ref()));
        let equal = eight.are_powers(&numbers, &lanes);
        std::array::from_fn(|lane| usable[lane] & equal[lane])
    }

    /// Known answers by plain arithmetic: the edges, numbers that carry everywhere, some without a
    /// pattern; and encoded messages.
    fn answers_rightly(&self, plain: &Plain<L>) -> bool {
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
            limbs::reduced(&guard::power::<L, V>(s, &self.modulus), n) == power
        });
        let length = self.hash.algorithm().output_len();
        let hashes = [vec![0; length], vec![0xff; length], pattern(b"hash", length)];
        let almost = plain.power(&small(1));
        let messages = hashes.iter().all(|hash| {
            let message = limbs::add(&encoded(self.bytes, self.hash), &limbs::limbs(hash));
            let expected = limbs::reduced(&self.expected(hash), n);
            expected == plain.montgomery(&almost, &message) && self.has_target(plain, &expected, hash)
        });
        alone && messages && self.eight_answer_rightly(plain, &numbers, &powers, &hashes[2])
    }

    /// Whether the target of a hash is that of what a power alone is compared with.
    fn has_target(&self, plain: &Plain<L>, expected: &[u64; L], hash: &[u8]) -> bool {
        let Target { constant, factor } = &self.target;
        let target = plain.sum(constant, &plain.product(factor, &limbs::limbs(hash)));
        // What is expected of a power alone has one R more to be rid of.
        target == plain.constant(&plain.times_r(&plain.of_eight(expected)))
    }

    /// Whether eight accept, at once, what plain arithmetic says of each, and none of them its neighbour.
    fn eight_answer_rightly(
        &self,
        plain: &Plain<L>,
        numbers: &[[u64; L]; LANES],
        powers: &[[u64; L]; LANES],
        hash: &[u8],
    ) -> bool {
        let factor = self.target.factor;
        // What the hash adds is taken off the constant beforehand.
        let less = plain.negated(&plain.product(&factor, &limbs::limbs(hash)));
        let answers = |by: u64| {
            let targets: [Target<L>; LANES] = std::array::from_fn(|lane| {
                let product = plain.product(&plain.of_eight(&powers[lane]), &numbers[lane]);
                let constant = plain.sum(&plain.constant(&product), &less);
                Target { constant: limbs::add(&constant, &limbs::limbs(&by.to_be_bytes())), factor }
            });
            let lanes = targets.each_ref().map(|target| Lane { target, ..self.lane(hash) });
            Eight::<L, Q, B, E>::new([&self.modulus; LANES]).are_powers(numbers, &lanes)
        };
        answers(0) == [true; LANES] && answers(1) == [false; LANES]
    }
}

/// How many limbs a hash takes.
fn digits(hash: Hash) -> usize {
    (hash.algorithm().output_len() * 8).div_ceil(LIMB_BITS)
}

/// The encoded message (RFC 8017 §9.2) with zeros where the hash goes.
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

/// Bytes without a pattern, the same each time.
fn pattern(seed: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(digest(&digest::SHA512, &[seed, &bytes].concat()).as_ref());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Numbers below `2^(52·L)` that are random, sparse, full of carries, or at the edges of `n`.
    fn number_for<const L: usize>(n: [u64; L]) -> impl Strategy<Value = [u64; L]> {
        let limb = prop_oneof![Just(0), Just(limbs::MASK), Just(1), 0..=limbs::MASK];
        let offset = (any::<bool>(), 0_u64..3).prop_map(move |(above, by)| {
            let by = limbs::limbs::<L>(&by.to_be_bytes());
            limbs::reduced(&if above { limbs::add(&n, &by) } else { limbs::subtract(&n, &by) }, &n)
        });
        let power = (0..L * LIMB_BITS).prop_map(|bit| {
            let mut number = [0; L];
            number[bit / LIMB_BITS] = 1 << (bit % LIMB_BITS);
            number
        });
        let any = vec(limb, L).prop_map(|limbs| <[u64; L]>::try_from(limbs).expect("L limbs"));
        prop_oneof![4 => any, 1 => power, 1 => offset].prop_map(move |s| {
            let mut s = s;
            // Below 2^(bits of n), so that a subtraction brings it below n.
            let top = n.iter().rposition(|limb| *limb != 0).expect("a modulus");
            s[top] &= n[top].next_power_of_two() - 1;
            s[top + 1..].fill(0);
            limbs::reduced(&s, &n)
        })
    }

    /// An odd modulus of exactly so many bytes.
    fn modulus<const L: usize>(bytes: usize) -> impl Strategy<Value = Plain<L>> {
        vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], bytes).prop_map(move |mut n| {
            n[0] |= 0x80;
            *n.last_mut().expect("many bytes") |= 1;
            Plain::new(limbs::limbs(&n), bytes * 8)
        })
    }

    /// What accepts the power of `s`, whatever the factor.
    fn target<const L: usize>(plain: &Plain<L>, s: &[u64; L], factor: &[u64; L], hash: &[u8]) -> Target<L> {
        let product = plain.product(&plain.of_eight(&plain.power(s)), s);
        let less = plain.negated(&plain.product(factor, &limbs::limbs(hash)));
        Target { constant: plain.sum(&plain.constant(&product), &less), factor: *factor }
    }

    /// One and eight, each of the eight with a modulus, a factor and a hash of its own, against plain
    /// arithmetic.
    fn agrees<const L: usize, const V: usize, const Q: usize, const B: usize, const E: usize>(bytes: usize) {
        if !guard::is_available() {
            eprintln!("not run: this CPU has no AVX-512 IFMA");
            return;
        }
        let hash = vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..=64);
        let one = (modulus::<L>(bytes), hash).prop_flat_map(|(plain, hash)| {
            (number_for(plain.n), number_for(plain.n), Just(hash), Just(plain))
        });
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
        let result = runner.run(&vec(one, LANES), |lanes| {
            let moduli: [Modulus<L>; LANES] = std::array::from_fn(|lane| lanes[lane].3.modulus());
            let numbers: [[u64; L]; LANES] = std::array::from_fn(|lane| lanes[lane].0);
            let targets: [Target<L>; LANES] = std::array::from_fn(|lane| {
                let (s, factor, hash, plain) = &lanes[lane];
                target(plain, s, factor, hash)
            });
            let lane = |lane: usize| Lane {
                modulus: &moduli[lane],
                target: &targets[lane],
                hash: limbs::limbs(&lanes[lane].2),
            };
            let mut eight = Eight::<L, Q, B, E>::new([&moduli[0]; LANES]);
            prop_assert_eq!(eight.are_powers(&numbers, &std::array::from_fn(lane)), [true; LANES]);
            // The same in other lanes, whose moduli it had made ready for the ones before.
            let turned = |index: usize| (index + 1) % LANES;
            let numbers_turned = std::array::from_fn(|index| numbers[turned(index)]);
            let lanes_turned = std::array::from_fn(|index| lane(turned(index)));
            prop_assert_eq!(eight.are_powers(&numbers_turned, &lanes_turned), [true; LANES]);
            prop_assert_eq!(eight.are_powers(&numbers, &std::array::from_fn(lane)), [true; LANES]);
            // Each with the constant of another: accepted where that is the same.
            let next: [Target<L>; LANES] = std::array::from_fn(|lane| {
                let constant = limbs::reduced(&targets[(lane + 1) % LANES].constant, &moduli[lane].n);
                Target { constant, ..targets[lane].clone() }
            });
            let same = std::array::from_fn(|lane| next[lane].constant == targets[lane].constant);
            let of_next = |index: usize| Lane { target: &next[index], ..lane(index) };
            prop_assert_eq!(eight.are_powers(&numbers, &std::array::from_fn(of_next)), same);
            for ((s, _, _, plain), modulus) in lanes.iter().zip(&moduli) {
                let expected = plain.montgomery(&plain.power(s), s);
                prop_assert_eq!(limbs::reduced(&guard::power::<L, V>(s, modulus), &plain.n), expected);
                let short: &[u64; 5] = s.first_chunk().expect("five limbs");
                let product = guard::product::<L, V, 5>(&expected, short, modulus);
                let mut long = [0; L];
                long[L - 5..].copy_from_slice(short);
                // b·2^(52·(L-5)) / R = b / 2^(52·5)
                let wanted = plain.montgomery(&expected, &long);
                prop_assert_eq!(limbs::reduced(&product, &plain.n), wanted);
            }
            Ok(())
        });
        if let Err(failure) = result {
            panic!("{failure}");
        }
    }

    /// Moduli at the edges, with whole limbs of ones, which random bytes hardly ever make; all lanes alike,
    /// so that no other lane's carries are a reason to look again.
    fn agrees_at_the_edges<const L: usize, const V: usize, const Q: usize, const B: usize, const E: usize>(
        bytes: usize,
    ) {
        if !guard::is_available() {
            eprintln!("not run: this CPU has no AVX-512 IFMA");
            return;
        }
        let ones: [u64; L] = limbs::limbs(&vec![0xff; bytes]);
        let one_at = |bit: usize| {
            let mut number = [0; L];
            number[bit / LIMB_BITS] = 1 << (bit % LIMB_BITS);
            number
        };
        let moduli = [
            ones,
            limbs::subtract(&ones, &one_at(1)),
            limbs::subtract(&ones, &one_at(bytes * 4)),
            limbs::add(&one_at(bytes * 8 - 1), &one_at(0)),
        ];
        for n in moduli {
            let plain = Plain::new(n, bytes * 8);
            let modulus = plain.modulus();
            let from_n = |by| limbs::subtract(&n, &one_at(by));
            let short = limbs::limbs(&vec![0xff; bytes - 1]);
            for s in [[0; L], one_at(0), one_at(1), from_n(0), from_n(1), short] {
                let target = target(&plain, &s, &[0; L], &[]);
                let lane = Lane { modulus: &modulus, target: &target, hash: limbs::limbs(&[]) };
                let mut eight = Eight::<L, Q, B, E>::new([&modulus; LANES]);
                assert_eq!(eight.are_powers(&[s; LANES], &[lane; LANES]), [true; LANES], "{n:x?} {s:x?}");
                let power = limbs::reduced(&guard::power::<L, V>(&s, &modulus), &n);
                assert_eq!(power, plain.montgomery(&plain.power(&s), &s), "{n:x?} {s:x?}");
            }
        }
    }

    #[test]
    fn of_2048_bits() {
        agrees_at_the_edges::<40, 5, 10, 10, 5>(256);
        agrees::<40, 5, 10, 10, 5>(256);
    }

    #[test]
    fn of_3072_bits() {
        agrees_at_the_edges::<64, 8, 16, 8, 8>(384);
        agrees::<64, 8, 16, 8, 8>(384);
    }

    #[test]
    fn of_4096_bits() {
        agrees_at_the_edges::<80, 10, 20, 10, 10>(512);
        agrees::<80, 10, 20, 10, 10>(512);
    }

    /// A key whose answers do not come out right has no kernel.
    #[test]
    fn a_wrong_answer_switches_it_off() {
        if !guard::is_available() {
            eprintln!("not run: this CPU has no AVX-512 IFMA");
            return;
        }
        let mut n = pattern(b"modulus", 256);
        n[0] |= 0x80;
        n[255] |= 1;
        let hash = Hash::Sha256;
        let key = Key2048::prepare(&n, hash).expect("a modulus like any other");
        let plain = Plain::new(limbs::limbs(&n), 2048);
        assert!(key.answers_rightly(&plain));
        type Wrong = fn(&mut Key2048);
        let wrongs: [(&str, Wrong); 5] = [
            ("another encoded message", |key| key.message[7] ^= 1),
            ("another factor", |key| key.factor[0] ^= 1),
            ("another encoded message of eight", |key| key.target.constant[7] ^= 1),
            ("another factor of eight", |key| key.target.factor[0] ^= 1),
            ("another fold", |key| key.modulus.fold[20] ^= 1),
        ];
        for (what, change) in wrongs {
            let mut wrong = key.clone();
            change(&mut wrong);
            assert!(!wrong.answers_rightly(&plain), "{what}");
        }
    }
}
