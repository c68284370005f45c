//! RSASSA-PKCS1-v1_5 by whatever this CPU uses, beside ring: one by one and in batches of any length,
//! of one key or of several, for signatures that are right, spoiled, at the edges of the modulus, or
//! heavy with carries.
//!
//! The input is a byte for the hash and the keys, then five bytes for each signature: kind, message,
//! two numbers, key.
#![no_main]

use std::sync::{Arc, LazyLock};

use claimgate::alg::{Algorithm, BatchItem, PreparedKey, Rsa, SignatureError, Signed};
use claimgate::key::{KeyMaterial, VerificationKey};
use libfuzzer_sys::fuzz_target;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, RsaEncoding, RsaKeyPair, RsaParameters, UnparsedPublicKey};

const MESSAGES: usize = 16;
/// Two batches of eight, and some that are left over.
const MOST: usize = 19;

struct Hash {
    algorithm: Rsa,
    parameters: &'static RsaParameters,
    keys: Vec<Key>,
}

struct Key {
    modulus: Vec<u8>,
    public: Vec<u8>,
    prepared: Arc<dyn PreparedKey>,
    /// Messages with their right signatures.
    signed: Vec<(Vec<u8>, Vec<u8>)>,
}

static HASHES: LazyLock<[Hash; 3]> = LazyLock::new(|| {
    [
        Hash::new(Rsa::RS256, &signature::RSA_PKCS1_2048_8192_SHA256, &signature::RSA_PKCS1_SHA256),
        Hash::new(Rsa::RS384, &signature::RSA_PKCS1_2048_8192_SHA384, &signature::RSA_PKCS1_SHA384),
        Hash::new(Rsa::RS512, &signature::RSA_PKCS1_2048_8192_SHA512, &signature::RSA_PKCS1_SHA512),
    ]
});

impl Hash {
    fn new(algorithm: Rsa, parameters: &'static RsaParameters, encoding: &'static dyn RsaEncoding) -> Self {
        let keys = [
            &include_bytes!("../keys/rsa2048.pk8")[..],
            include_bytes!("../keys/rsa2048b.pk8"),
            include_bytes!("../keys/rsa3072.pk8"),
            include_bytes!("../keys/rsa4096.pk8"),
        ];
        let keys = keys.map(|der| Key::new(der, algorithm, encoding));
        Self { algorithm, parameters, keys: keys.into() }
    }
}

impl Key {
    fn new(der: &[u8], algorithm: Rsa, encoding: &'static dyn RsaEncoding) -> Self {
        let pair = RsaKeyPair::from_pkcs8(der).expect("a good key");
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let key = VerificationKey::new(KeyMaterial::Rsa { n: n.clone(), e });
        let prepared = algorithm.prepare(&key).expect("a good key");
        let sign = |number: usize| {
            let message = format!("header{number}.payload").into_bytes();
            let mut signature = vec![0; n.len()];
            pair.sign(encoding, &SystemRandom::new(), &message, &mut signature).expect("a good key");
            assert!(prepared.verify(&message, &signature).is_ok(), "a right signature is refused");
            (message, signature)
        };
        let signed = (0..MESSAGES).map(sign).collect();
        Key { signed, public: pair.public().as_ref().to_vec(), prepared, modulus: n }
    }
}

/// Big-endian addition of a small number that may be negative, as long as it stays within the length.
fn plus(number: &[u8], small: i16) -> Vec<u8> {
    let mut result = number.to_vec();
    let mut carry = small;
    for byte in result.iter_mut().rev() {
        let sum = i16::from(*byte) + carry;
        *byte = sum.rem_euclid(256) as u8;
        carry = sum.div_euclid(256);
    }
    result
}

fn minus(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut borrow = 0_i16;
    let mut result = left.to_vec();
    for (byte, other) in result.iter_mut().zip(right).rev() {
        let difference = i16::from(*byte) - i16::from(*other) - borrow;
        *byte = difference.rem_euclid(256) as u8;
        borrow = i16::from(difference < 0);
    }
    result
}

/// A stream of bytes out of two numbers.
fn noise(length: usize, a: u8, b: u8) -> Vec<u8> {
    let mut state = u64::from(a) << 8 | u64::from(b) | 1 << 16;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn signature(key: &Key, kind: u8, right: &[u8], a: u8, b: u8) -> Vec<u8> {
    let length = key.modulus.len();
    let small = i16::from(a.cast_signed());
    let mut zeros = vec![0; length];
    let bit = (usize::from(a) << 8 | usize::from(b)) % (length * 8);
    match kind % 16 {
        0..=2 => right.to_vec(),
        3 => {
            let mut spoiled = right.to_vec();
            spoiled[bit / 8] ^= 1 << (bit % 8);
            spoiled
        }
        4 => plus(&zeros, small.abs()),
        5 => plus(&key.modulus, small),
        6 => minus(&key.modulus, right),
        7 => {
            zeros[length - 1 - bit / 8] = 1 << (bit % 8);
            zeros
        }
        // 2^k − 1: every limb full, and no more.
        8 => {
            zeros[length - 1 - bit / 8..].fill(0xff);
            zeros[length - 1 - bit / 8] = (1_u16 << (bit % 8)).wrapping_sub(1) as u8;
            zeros
        }
        // Runs of ones and zeros at the width of a limb and beside it.
        9 => (0..length)
            .map(|at| if (at * 8 / (50 + usize::from(a % 5))) % 2 == usize::from(b % 2) { 0xff } else { 0 })
            .collect(),
        10 => minus(&key.modulus, &plus(&zeros, small.abs())),
        11 => noise(length, a, b),
        12 => noise(length, a, b)[..usize::from(a) * 2 % (length + 1)].to_vec(),
        13 => [&vec![0; usize::from(a % 3)][..], right, &vec![0; usize::from(b % 3)]].concat(),
        14 => right[usize::from(a) % right.len()..].to_vec(),
        _ => plus(right, small),
    }
}

struct Made<'k> {
    key: &'k Key,
    message: &'k [u8],
    signature: Vec<u8>,
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let hash = &HASHES[usize::from(*choice >> 3) % HASHES.len()];
    let several = choice & 4 != 0;
    let make = |chunk: &[u8]| {
        let key = &hash.keys[usize::from(if several { chunk[4] } else { *choice }) % 4];
        let (message, _) = &key.signed[usize::from(chunk[1]) % MESSAGES];
        // Half of the time the signature is another message's.
        let of = usize::from(if chunk[1] < 128 { chunk[1] } else { chunk[1] >> 3 }) % MESSAGES;
        Made { key, message, signature: signature(key, chunk[0], &key.signed[of].1, chunk[2], chunk[3]) }
    };
    let made: Vec<Made<'_>> = rest.chunks_exact(5).take(MOST).map(make).collect();
    let by_ring = |made: &Made<'_>| {
        let ring = UnparsedPublicKey::new(hash.parameters, &made.key.public);
        ring.verify(made.message, &made.signature).map_err(|_| SignatureError::Invalid)
    };
    let expected: Vec<_> = made.iter().map(by_ring).collect();
    for (made, expected) in made.iter().zip(&expected) {
        let verdict = made.key.prepared.verify(made.message, &made.signature);
        assert_eq!(&verdict, expected, "{:02x?}", made.signature);
    }
    let items: Vec<BatchItem<'_>> = made
        .iter()
        .map(|made| BatchItem {
            key: &*made.key.prepared,
            signed: Signed { signing_input: made.message, signature: &made.signature },
        })
        .collect();
    // Nothing may be left as it stood before: the opposite of what is right.
    let opposite = |right: &Result<(), _>| if right.is_ok() { Err(SignatureError::Invalid) } else { Ok(()) };
    let mut results: Vec<_> = expected.iter().map(opposite).collect();
    hash.algorithm.verify_batch(&items, &mut results);
    assert_eq!(results, expected);
});
