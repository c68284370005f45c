//! Our verifier beside jsonwebtoken and beside ring alone: what we accept, both accept; what we refuse
//! for its signature, ring refuses.
//!
//! The input is which key signs, what is done to the token afterwards, two numbers for that, then
//! header, newline, payload.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use claimgate::claims::{Jwt, Policy};
use claimgate::key::{KeyMaterial, KeySet, VerificationKey};
use claimgate::time::UnixTime;
use claimgate::{Verifier, base64url};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use libfuzzer_sys::fuzz_target;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, UnparsedPublicKey};
use ring::{hmac, signature::VerificationAlgorithm};
use serde_json::Value;

const ISSUER: &str = "https://idp.example.com";
const AUDIENCE: &str = "crm";
const SECRET: &[u8] = b"a secret of at least 32 bytes, for fuzzing";
/// The P-256 generator: the public key of the private key 1.
const P256_G: [u8; 65] = [
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f,
    0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
    0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

enum Signer {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

struct Side {
    name: &'static str,
    signer: Signer,
    ours: Verifier<Jwt>,
    theirs: (DecodingKey, Validation),
}

impl Side {
    fn new(name: &'static str, signer: Signer) -> Self {
        let (key, decoding, algorithm) = match &signer {
            Signer::Hmac(_) => {
                (VerificationKey::from_secret(SECRET), DecodingKey::from_secret(SECRET), Algorithm::HS256)
            }
            Signer::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                let decoding = DecodingKey::from_rsa_raw_components(&n, &e);
                (VerificationKey::new(KeyMaterial::Rsa { n, e }), decoding, Algorithm::RS256)
            }
            Signer::Ecdsa(_) => {
                let (x, y) = (P256_G[1..33].to_vec(), P256_G[33..].to_vec());
                let key = VerificationKey::new(KeyMaterial::Ec { curve: "P-256".to_owned(), x, y });
                (key, DecodingKey::from_ec_der(&P256_G), Algorithm::ES256)
            }
            Signer::EdDsa(pair) => {
                let x = pair.public_key().as_ref().to_vec();
                let decoding = DecodingKey::from_ed_der(&x);
                let key = VerificationKey::new(KeyMaterial::Okp { curve: "Ed25519".to_owned(), x });
                (key, decoding, Algorithm::EdDSA)
            }
        };
        let policy = Policy::jwt().issuer(ISSUER).audience(AUDIENCE).leeway(Duration::from_secs(50));
        let ours = Verifier::builder().algorithms([name]).keys(KeySet::new([key])).policy(policy).build();
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_nbf = true;
        // Ten seconds beyond ours: the two do not read the clock at one moment.
        validation.leeway = 60;
        let side = Self { name, signer, ours: ours.expect("a fixed set-up"), theirs: (decoding, validation) };
        side.prove();
        side
    }

    /// All three accept a plain token, so that agreeing means something.
    fn prove(&self) {
        let header = format!(r#"{{"alg":"{}"}}"#, self.name);
        let claims = format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","exp":4000000000}}"#);
        let input = [header, claims].map(|text| base64url::encode(text.as_bytes())).join(".");
        let signature = self.sign(input.as_bytes());
        let token = format!("{input}.{}", base64url::encode(&signature));
        let (decoding, validation) = &self.theirs;
        assert!(self.ours.verify(&token, UnixTime(1_700_000_000)).is_ok());
        assert!(self.ring_accepts(input.as_bytes(), &signature));
        assert!(jsonwebtoken::decode::<Value>(&token, decoding, validation).is_ok());
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .expect("a good key");
                signature
            }
            Signer::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), message).expect("a good key").as_ref().to_vec()
            }
            Signer::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    fn ring_accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        let check = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.signer {
            Signer::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Signer::Rsa(pair) => check(&signature::RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref()),
            Signer::Ecdsa(_) => check(&signature::ECDSA_P256_SHA256_FIXED, &P256_G),
            Signer::EdDsa(pair) => check(&signature::ED25519, pair.public_key().as_ref()),
        }
    }
}

static SIDES: LazyLock<[Side; 4]> = LazyLock::new(|| {
    let mut one = [0; 32];
    one[31] = 1;
    let ecdsa = EcdsaKeyPair::from_private_key_and_public_key(
        &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &one,
        &P256_G,
        &SystemRandom::new(),
    );
    let rsa = RsaKeyPair::from_pkcs8(include_bytes!("../keys/rsa2048.pk8"));
    [
        Side::new("HS256", Signer::Hmac(hmac::Key::new(hmac::HMAC_SHA256, SECRET))),
        Side::new("RS256", Signer::Rsa(rsa.expect("a good key"))),
        Side::new("ES256", Signer::Ecdsa(ecdsa.expect("a good key"))),
        Side::new("EdDSA", Signer::EdDsa(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes"))),
    ]
});

/// The token after its mutation; none is the first and the most frequent.
fn token(side: &Side, mutation: u8, a: usize, b: usize, header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let mut signature = side.sign(input.as_bytes());
    let length = signature.len();
    let mut flipped = input.clone().into_bytes();
    match mutation % 16 {
        0 => signature[a % length] ^= 1 << (b % 8),
        1 => signature.truncate(a % (length + 1)),
        2 => signature.extend(vec![b as u8; a % 4]),
        3 => signature.rotate_left(length / 2),
        4 => signature.fill(b as u8),
        5 => signature = SIDES[a % SIDES.len()].sign(input.as_bytes()),
        6 => signature = side.sign(&input.as_bytes()[..a % input.len()]),
        // A public key in the place of a secret.
        7 => {
            signature =
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &P256_G), input.as_bytes()).as_ref().to_vec()
        }
        8 => {
            let at = a % flipped.len();
            flipped[at] = b"Ag_.=\n"[b % 6];
        }
        _ => return format!("{input}.{}", base64url::encode(&signature)),
    }
    format!("{}.{}", String::from_utf8(flipped).expect("ASCII"), base64url::encode(&signature))
}

fuzz_target!(|data: &[u8]| {
    let [key, mutation, a, b, text @ ..] = data else { return };
    let Some(at) = text.iter().position(|byte| *byte == b'\n') else { return };
    let side = &SIDES[usize::from(*key) % 4];
    let token =
        token(side, mutation.wrapping_sub(1), usize::from(*a), usize::from(*b), &text[..at], &text[at + 1..]);
    let now = UnixTime(jsonwebtoken::get_current_timestamp().cast_signed());
    let ours = side.ours.verify(&token, now);
    let parts = token.rsplit_once('.').expect("made with dots");
    let ring =
        || side.ring_accepts(parts.0.as_bytes(), &base64url::decode(parts.1.as_bytes()).expect("made here"));
    match ours {
        Ok(accepted) => {
            assert!(ring(), "ring alone refuses {token}");
            assert_eq!(accepted.header().algorithm(), side.name);
            let (decoding, validation) = &side.theirs;
            match jsonwebtoken::decode::<Value>(&token, decoding, validation) {
                Ok(theirs) => assert_eq!(&theirs.claims, accepted.claims().as_value()),
                // It types header members that we, as RFC 7515 §4 has it for what is not understood, ignore.
                Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => {}
                Err(error) => panic!("jsonwebtoken refuses {token}: {error}"),
            }
        }
        Err(error) if error.code() == "signature.invalid" => assert!(!ring(), "ring accepts {token}"),
        Err(_) => {}
    }
});
