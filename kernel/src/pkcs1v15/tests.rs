//! The vector code beside plain arithmetic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::known_answers::pattern;
use super::*;
use crate::guard;

/// Makes numbers below `2^(52·L)` that are random, sparse, full of carries, or at the edges of `n`.
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

/// Makes an odd modulus of exactly so many bytes.
fn modulus<const L: usize>(bytes: usize) -> impl Strategy<Value = Reference<L>> {
    vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], bytes).prop_map(move |mut n| {
        n[0] |= 0x80;
        *n.last_mut().expect("many bytes") |= 1;
        Reference::new(limbs::limbs(&n), bytes * 8)
    })
}

/// Makes a target that the power of `s` meets, with any factor.
fn target<const L: usize>(plain: &Reference<L>, s: &[u64; L], factor: &[u64; L], hash: &[u8]) -> Target<L> {
    let product = plain.product(&plain.to_batch(&plain.power(s)), s);
    let less = plain.negated(&plain.product(factor, &limbs::limbs(hash)));
    Target { constant: plain.sum(&plain.constant(&product), &less), factor: *factor }
}

/// Compares single and batch powers with plain arithmetic. Each lane has its own modulus, factor and hash.
fn agrees<const L: usize, const Q: usize, const B: usize, const E: usize>(bytes: usize) {
    if !guard::is_available() {
        eprintln!("not run: this CPU has no AVX-512 IFMA");
        return;
    }
    let hash = vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..=64);
    let one = (modulus::<L>(bytes), hash)
        .prop_flat_map(|(plain, hash)| (number_for(plain.n), number_for(plain.n), Just(hash), Just(plain)));
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
        let mut batch = Batch::<L, Q, B, E>::new([&moduli[0]; LANES]);
        prop_assert_eq!(batch.verify_powers(&numbers, &std::array::from_fn(lane)), [true; LANES]);
        // The same in other lanes: the batch has prepared the moduli of the lanes before.
        let turned = |index: usize| (index + 1) % LANES;
        let numbers_turned = std::array::from_fn(|index| numbers[turned(index)]);
        let lanes_turned = std::array::from_fn(|index| lane(turned(index)));
        prop_assert_eq!(batch.verify_powers(&numbers_turned, &lanes_turned), [true; LANES]);
        prop_assert_eq!(batch.verify_powers(&numbers, &std::array::from_fn(lane)), [true; LANES]);
        // Each with the constant of another: accepted where that is the same.
        let next: [Target<L>; LANES] = std::array::from_fn(|lane| {
            let constant = limbs::reduced(&targets[(lane + 1) % LANES].constant, &moduli[lane].n);
            Target { constant, ..targets[lane].clone() }
        });
        let same = std::array::from_fn(|lane| next[lane].constant == targets[lane].constant);
        let of_next = |index: usize| Lane { target: &next[index], ..lane(index) };
        prop_assert_eq!(batch.verify_powers(&numbers, &std::array::from_fn(of_next)), same);
        for ((s, _, _, plain), modulus) in lanes.iter().zip(&moduli) {
            let expected = plain.montgomery(&plain.power(s), s);
            prop_assert_eq!(limbs::reduced(&guard::power::<L, E>(s, modulus), &plain.n), expected);
            let short: &[u64; 5] = s.first_chunk().expect("five limbs");
            let product = guard::product::<L, E, 5>(&expected, short, modulus);
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

/// Compares with moduli at the edges and with whole limbs of ones, which random bytes hardly ever make. All
/// lanes are alike, so that no other lane's carry causes the propagation.
fn agrees_at_the_edges<const L: usize, const Q: usize, const B: usize, const E: usize>(bytes: usize) {
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
        let plain = Reference::new(n, bytes * 8);
        let modulus = plain.modulus();
        let from_n = |by| limbs::subtract(&n, &one_at(by));
        let short = limbs::limbs(&vec![0xff; bytes - 1]);
        for s in [[0; L], one_at(0), one_at(1), from_n(0), from_n(1), short] {
            let target = target(&plain, &s, &[0; L], &[]);
            let lane = Lane { modulus: &modulus, target: &target, hash: limbs::limbs(&[]) };
            let mut batch = Batch::<L, Q, B, E>::new([&modulus; LANES]);
            assert_eq!(batch.verify_powers(&[s; LANES], &[lane; LANES]), [true; LANES], "{n:x?} {s:x?}");
            let power = limbs::reduced(&guard::power::<L, E>(&s, &modulus), &n);
            assert_eq!(power, plain.montgomery(&plain.power(&s), &s), "{n:x?} {s:x?}");
        }
    }
}

#[test]
fn powers_agree_with_plain_arithmetic() {
    macro_rules! call {
        ($($name:ident: $bits:literal, $limbs:literal, $block:literal;)+) => {
            $(agrees::<$limbs, { $limbs / 4 }, $block, { $limbs / 8 }>($bits / 8);)+
        };
    }
    with_sizes!(call);
}

#[test]
fn powers_agree_at_the_edges_of_the_modulus() {
    macro_rules! call {
        ($($name:ident: $bits:literal, $limbs:literal, $block:literal;)+) => {
            $(agrees_at_the_edges::<$limbs, { $limbs / 4 }, $block, { $limbs / 8 }>($bits / 8);)+
        };
    }
    with_sizes!(call);
}

/// A key that fails a known answer is not used.
#[test]
fn a_wrong_answer_switches_it_off() {
    if !guard::is_available() {
        eprintln!("not run: this CPU has no AVX-512 IFMA");
        return;
    }
    let mut n = pattern(b"modulus", 256);
    n[0] |= 0x80;
    n[255] |= 1;
    type Key2048 = SizedKey<40, 10, 10, 5>;
    let hash = Hash::Sha256;
    let key = Key2048::prepare(&n, hash).expect("a modulus like any other");
    let plain = Reference::new(limbs::limbs(&n), 2048);
    assert!(key.passes_known_answers(&plain));
    type Wrong = fn(&mut Key2048);
    let wrongs: [(&str, Wrong); 5] = [
        ("another encoded message", |key| key.message[7] ^= 1),
        ("another factor", |key| key.factor[0] ^= 1),
        ("another encoded message in a batch", |key| key.target.constant[7] ^= 1),
        ("another factor in a batch", |key| key.target.factor[0] ^= 1),
        ("another fold", |key| key.modulus.fold[20] ^= 1),
    ];
    for (what, change) in wrongs {
        let mut wrong = key.clone();
        change(&mut wrong);
        assert!(!wrong.passes_known_answers(&plain), "{what}");
    }
}
