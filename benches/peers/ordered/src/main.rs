//! josekit and biscuit, in a process of their own: both turn on serde_json's `preserve_order`, which
//! in one build would give every other contender slower maps.
//!
//! Reads lines, answers each with one line: a setup (JSON) → the names of its contenders; `accepts
//! NAME TOKEN` → `true` or `false`; `time NAME START COUNT` → nanoseconds.

use std::hint::black_box;
use std::io::{BufRead, Write};

use biscuit::jwa::SignatureAlgorithm;
use biscuit::jwk::{AlgorithmParameters, JWK};
use biscuit::jws::Secret;
use biscuit::{ClaimPresenceOptions, Empty, Presence, Validation, ValidationOptions};
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsVerifier};
use josekit::jwt::{self, JwtPayloadValidator};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Setup {
    algorithm: String,
    /// Of an asymmetric key.
    jwk: Value,
    secret: String,
    issuer: String,
    client: String,
    tokens: Vec<String>,
}

type Contender = (&'static str, Box<dyn FnMut(&str) -> bool>);

fn main() {
    let (mut tokens, mut contenders) = (Vec::new(), Vec::<Contender>::new());
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        let find = |contenders: &[Contender], name: &str| {
            contenders.iter().position(|(known, _)| *known == name).expect("one of those that were named")
        };
        let answer = match words.as_slice() {
            ["accepts", name, token] => {
                let index = find(&contenders, name);
                contenders[index].1(token).to_string()
            }
            ["time", name, start, count] => {
                let index = find(&contenders, name);
                let (start, count): (usize, usize) =
                    (start.parse().expect("a number"), count.parse().expect("a number"));
                time(&tokens, start, count, &mut *contenders[index].1).to_string()
            }
            _ => {
                let setup: Setup = serde_json::from_str(&line).expect("a setup");
                contenders = [josekit(&setup), biscuit(&setup)].into_iter().flatten().collect();
                tokens = setup.tokens;
                let names: Vec<_> = contenders.iter().map(|(name, _)| *name).collect();
                names.join(" ")
            }
        };
        println!("{answer}");
        std::io::stdout().flush().expect("the other side listens");
    }
}

fn time(tokens: &[String], start: usize, count: usize, accepts: &mut dyn FnMut(&str) -> bool) -> i64 {
    let begin = cpu_time();
    for token in tokens.iter().cycle().skip(start).take(count) {
        assert!(accepts(black_box(token)));
    }
    cpu_time() - begin
}

/// The CPU time of this thread, in nanoseconds.
fn cpu_time() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn josekit(setup: &Setup) -> Option<Contender> {
    let jwk = || Jwk::from_bytes(setup.jwk.to_string()).expect("a JWK");
    let verifier: Box<dyn JwsVerifier> = match setup.algorithm.as_str() {
        "RS256" => Box::new(jws::RS256.verifier_from_jwk(&jwk()).expect("a key")),
        "HS256" => Box::new(jws::HS256.verifier_from_bytes(&setup.secret).expect("a key")),
        "ES256" => Box::new(jws::ES256.verifier_from_jwk(&jwk()).expect("a key")),
        "EdDSA" => Box::new(jws::EdDSA.verifier_from_jwk(&jwk()).expect("a key")),
        _ => return None,
    };
    let mut validator = JwtPayloadValidator::new();
    validator.set_issuer(&setup.issuer);
    validator.set_audience(&setup.client);
    Some((
        "josekit",
        Box::new(move |token| {
            let Ok((payload, _)) = jwt::decode_with_verifier(token, &*verifier) else { return false };
            validator.validate(black_box(&payload)).is_ok()
        }),
    ))
}

/// biscuit knows no EdDSA.
fn biscuit(setup: &Setup) -> Option<Contender> {
    let algorithm = match setup.algorithm.as_str() {
        "RS256" => SignatureAlgorithm::RS256,
        "HS256" => SignatureAlgorithm::HS256,
        "ES256" => SignatureAlgorithm::ES256,
        _ => return None,
    };
    let secret = if algorithm == SignatureAlgorithm::HS256 {
        Secret::bytes_from_str(&setup.secret)
    } else {
        let jwk: JWK<Empty> = serde_json::from_value(setup.jwk.clone()).expect("a JWK");
        match jwk.algorithm {
            AlgorithmParameters::RSA(key) => key.jws_public_key_secret(),
            AlgorithmParameters::EllipticCurve(key) => key.jws_public_key_secret(),
            _ => return None,
        }
    };
    let options = ValidationOptions {
        issuer: Validation::Validate(setup.issuer.clone()),
        audience: Validation::Validate(setup.client.clone()),
        claim_presence_options: ClaimPresenceOptions {
            issuer: Presence::Required,
            audience: Presence::Required,
            expiry: Presence::Required,
            ..ClaimPresenceOptions::default()
        },
        ..ValidationOptions::default()
    };
    Some((
        "biscuit",
        Box::new(move |token| {
            let encoded = biscuit::JWT::<Value, Empty>::new_encoded(token);
            let Ok(decoded) = encoded.into_decoded(&secret, algorithm) else { return false };
            black_box(&decoded).validate(options.clone()).is_ok()
        }),
    ))
}
