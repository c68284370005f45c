//! Every algorithm against every key that is not its own; the registry; algorithms from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use claimgate::alg::{
    Algorithm, BatchItem, PreparedKey, Registry, RegistryError, Rsa, SignatureError, Signed,
};
use claimgate::base64url;
use claimgate::jws::{BuildError, JwsVerifier};
use claimgate::key::{KeyError, KeyMaterial, KeySet, VerificationKey};
use claimgate::limits::Limits;
use serde_json::{Value, json};

struct Good {
    algorithm: String,
    token: String,
    jwk: Value,
}

/// One token of each built-in algorithm with a key that carries no `kid`, `use` or `alg`: only the
/// key's own nature may decide.
fn good() -> Vec<Good> {
    let rows =
        include_str!("../../vectors/good.jsonl").lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    rows.filter(|row| row["row"] == "algorithm")
        .map(|row| {
            let input = &row["input"];
            let mut jwk = match &input["secret_b64u"] {
                Value::String(secret) => json!({"kty": "oct", "k": secret}),
                _ => input["jwk"].clone(),
            };
            for member in ["kid", "use", "alg"] {
                jwk.as_object_mut().unwrap().remove(member);
            }
            Good {
                algorithm: input["algorithms"][0].as_str().unwrap().to_owned(),
                token: input["token"].as_str().unwrap().to_owned(),
                jwk,
            }
        })
        .collect()
}

fn set(jwk: &Value) -> KeySet {
    KeySet::from_jwk(jwk.to_string().as_bytes(), &Limits::DEFAULT).unwrap()
}

fn verifier(allowed: &[&str], keys: &KeySet) -> JwsVerifier {
    JwsVerifier::with_any_keys(&Registry::builtin(), allowed, keys, Limits::DEFAULT).unwrap()
}

fn code(verifier: &JwsVerifier, token: &str) -> &'static str {
    verifier.verify(token).map_or_else(|error| error.code(), |_| "valid")
}

// attack: confusion.other-families
#[test]
fn each_token_verifies_by_its_own_key_alone() {
    let good = good();
    let registry = Registry::builtin();
    let all: Vec<&str> = registry.names().collect();
    assert_eq!(good.len(), all.len(), "a token for each built-in algorithm");
    for token in &good {
        for other in &good {
            let verdict = code(&verifier(&all, &set(&other.jwk)), &token.token);
            let wanted: &[&str] = if token.jwk == other.jwk {
                &["valid"]
            } else if token.jwk["kty"] == other.jwk["kty"] && token.jwk["crv"] == other.jwk["crv"] {
                &["signature.invalid"]
            } else {
                &["key.none_fits"]
            };
            assert!(wanted.contains(&verdict), "{} by {}'s key: {verdict}", token.algorithm, other.algorithm);
        }
    }
}

// attack: allow-list.same-family, allow-list.other-family
#[test]
fn each_algorithm_is_allowed_by_its_own_name_alone() {
    let good = good();
    for token in &good {
        for other in &good {
            let verdict = code(&verifier(&[&other.algorithm], &set(&token.jwk)), &token.token);
            let wanted = if token.algorithm == other.algorithm { "valid" } else { "algorithm.not_allowed" };
            assert_eq!(verdict, wanted, "{} where {} is allowed", token.algorithm, other.algorithm);
        }
    }
}

// attack: confusion.other-families
#[test]
fn a_renamed_header_never_verifies() {
    let good = good();
    for token in &good {
        let (_, rest) = token.token.split_once('.').unwrap();
        for other in good.iter().filter(|other| other.algorithm != token.algorithm) {
            let header = base64url::encode(json!({"alg": other.algorithm}).to_string().as_bytes());
            let forged = format!("{header}.{rest}");
            let registry = Registry::builtin();
            let all: Vec<&str> = registry.names().collect();
            assert_ne!(code(&verifier(&all, &set(&token.jwk)), &forged), "valid");
        }
    }
}

#[test]
fn a_batch_says_what_one_by_one_says() {
    let good = good();
    let all: Vec<&str> = good.iter().map(|token| token.algorithm.as_str()).collect();
    let jwks = json!({"keys": good.iter().map(|token| &token.jwk).collect::<Vec<_>>()});
    let keys = KeySet::from_jwks_with_secrets(jwks.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let verifier = verifier(&all, &keys);
    let mut tokens: Vec<String> = Vec::new();
    for token in &good {
        tokens.extend([token.token.clone(), token.token[1..].to_owned(), format!("{}AAAA", token.token)]);
    }
    tokens.extend(["".to_owned(), "a.b.c".to_owned(), "..".to_owned()]);
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let batch = verifier.verify_batch(&tokens);
    assert_eq!(batch.len(), tokens.len());
    for (token, verdict) in tokens.iter().zip(&batch) {
        let alone = verifier.verify(token);
        assert_eq!(
            alone.as_ref().map(|jws| jws.payload()).map_err(|error| error.code()),
            verdict.as_ref().map(|jws| jws.payload()).map_err(|error| error.code())
        );
    }
    assert!(batch.iter().filter(|verdict| verdict.is_ok()).count() >= good.len());
    assert!(verifier.verify_batch(&[]).is_empty());
}

/// A toy: the signature is the key's bytes and the input's length. Its `verify_batch` is its own.
#[derive(Clone)]
struct Toy(&'static str);

impl Algorithm for Toy {
    fn name(&self) -> &str {
        self.0
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        match key.material() {
            KeyMaterial::Other { kty, members } if kty == "TOY" => {
                let word = members.get("word").and_then(Value::as_str).ok_or(KeyError::Weak)?;
                Ok(Arc::new(ToyKey(word.to_owned())))
            }
            _ => Err(KeyError::WrongFamily),
        }
    }

    fn verify_batch(&self, items: &[BatchItem<'_>], results: &mut [Result<(), SignatureError>]) {
        for index in (0..items.len()).rev() {
            assert!((items[index].key as &dyn Any).is::<ToyKey>());
            results[index] = items[index].verify();
        }
    }
}

struct ToyKey(String);

impl PreparedKey for ToyKey {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let wanted = format!("{}{}", self.0, signing_input.len());
        if signature == wanted.as_bytes() { Ok(()) } else { Err(SignatureError::Invalid) }
    }
}

#[test]
fn an_algorithm_from_outside_serves_like_a_built_in_one() {
    let registry = Registry::builder().builtin().register(Arc::new(Toy("TOY1"))).build().unwrap();
    assert_eq!(registry.names().last(), Some("TOY1"));
    let keys = set(&json!({"kty": "TOY", "word": "swordfish", "d": "private"}));
    let verifier = JwsVerifier::new(&registry, ["TOY1", "RS256"], &keys, Limits::DEFAULT).unwrap();
    assert_eq!(verifier.key_report().usable, 1);
    let input = format!("{}.{}", base64url::encode(br#"{"alg":"TOY1"}"#), base64url::encode(b"{}"));
    let signed =
        |word: &str| format!("{input}.{}", base64url::encode(format!("{word}{}", input.len()).as_bytes()));
    assert_eq!(verifier.verify(&signed("swordfish")).unwrap().payload(), b"{}");
    assert_eq!(code(&verifier, &signed("tuna")), "signature.invalid");
    let (good, bad) = (signed("swordfish"), signed("tuna"));
    let batch = verifier.verify_batch(&[&bad, &good, &bad, &good]);
    assert_eq!(batch.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false, true]);

    // Not allowed, though registered; not registered at all; given a key it refuses.
    let only = JwsVerifier::with_any_keys(&registry, ["RS256"], &keys, Limits::DEFAULT).unwrap();
    assert_eq!(code(&only, &good), "algorithm.not_allowed");
    let unknown = JwsVerifier::new(&Registry::builtin(), ["TOY1"], &keys, Limits::DEFAULT).unwrap_err();
    assert_eq!(unknown, BuildError::UnknownAlgorithm { name: "TOY1".to_owned() });
    let wordless = set(&json!({"kty": "TOY"}));
    let verifier = JwsVerifier::with_any_keys(&registry, ["TOY1"], &wordless, Limits::DEFAULT).unwrap();
    assert_eq!(code(&verifier, &good), "key.weak");
    assert_eq!(verifier.key_report().usable, 0);
}

/// Records the keys it is asked to prepare.
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Algorithm for Recorder {
    fn name(&self) -> &str {
        "X1"
    }

    fn accepts(&self, key: &KeyMaterial) -> bool {
        key.kty() == "oct"
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        self.0.lock().unwrap().push(key.kid().unwrap().to_owned());
        Ok(Arc::new(ToyKey(String::new())))
    }
}

// Regression: `prepare` was called for keys of another use or algorithm, and the result dropped.
#[test]
fn an_algorithm_prepares_permitted_keys_of_its_family_alone() {
    let prepared = Arc::default();
    let registry = Registry::builder().register(Arc::new(Recorder(Arc::clone(&prepared)))).build().unwrap();
    let keys = json!({"keys": [
        {"kid": "other use", "kty": "oct", "k": "AAAA", "use": "enc", "alg": "HS256"},
        {"kid": "other operation", "kty": "oct", "k": "AAAA", "key_ops": ["sign"]},
        {"kid": "other algorithm", "kty": "oct", "k": "AAAA", "alg": "HS256"},
        {"kid": "other family", "kty": "TOY", "alg": "HS256"},
        {"kid": "its own", "kty": "oct", "k": "AAAA", "alg": "X1", "use": "sig"},
        {"kid": "free", "kty": "oct", "k": "AAAA"},
    ]});
    let keys = KeySet::from_jwks_with_secrets(keys.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let report = JwsVerifier::new(&registry, ["X1"], &keys, Limits::DEFAULT).unwrap().key_report();
    assert_eq!(*prepared.lock().unwrap(), ["its own", "free"]);
    assert_eq!(report.usable, 2);
    let reasons: Vec<_> = report.skipped.into_iter().map(|key| key.reason).collect();
    let wanted = [KeyError::WrongUse, KeyError::WrongUse, KeyError::WrongAlgorithm, KeyError::WrongFamily];
    assert_eq!(reasons, wanted);
}

// attack: none.registering
#[test]
fn some_names_cannot_be_registered() {
    let refusal = |name| Registry::builder().builtin().register(Arc::new(Toy(name))).build().unwrap_err();
    for none in ["none", "None", "NONE", "nOnE"] {
        assert_eq!(refusal(none), RegistryError::None);
    }
    assert_eq!(refusal("RS256"), RegistryError::Duplicate { name: "RS256".to_owned() });
    for name in ["", " ", "RS 256", "RS256\n", "R\u{405}256", "\0"] {
        assert_eq!(refusal(name), RegistryError::Name, "{name:?}");
    }
    // The first refusal is the one that is told; names differ by case.
    let builder = Registry::builder()
        .register(Arc::new(Toy("none")))
        .register(Arc::new(Toy("")))
        .register(Arc::new(Toy("A")));
    assert_eq!(builder.build().unwrap_err(), RegistryError::None);
    assert!(Registry::builder().register(Arc::new(Toy("A"))).register(Arc::new(Toy("a"))).build().is_ok());
    assert_eq!(RegistryError::None.code(), "registry.none");
}

// attack: none.registering
#[test]
fn a_verifier_without_an_algorithm_cannot_be_built() {
    let nothing: [&str; 0] = [];
    let refusal = JwsVerifier::new(&Registry::builtin(), nothing, &KeySet::default(), Limits::DEFAULT);
    assert_eq!(refusal.unwrap_err(), BuildError::NoAlgorithm);
    for name in ["none", "rs256", "RS256 ", ""] {
        let refusal = JwsVerifier::new(&Registry::builtin(), [name], &KeySet::default(), Limits::DEFAULT);
        assert_eq!(refusal.unwrap_err().code(), "build.unknown_algorithm");
    }
}

/// Every RSA backend says the same of every RSA vector, and of it by a neighbour's signature.
#[test]
fn rsa_backends_agree() {
    let rows = include_str!("../../vectors/good.jsonl")
        .lines()
        .chain(include_str!("../../vectors/attacks.jsonl").lines());
    let mut seen = 0;
    for row in rows.map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let input = &row["input"];
        let Some(token) = input["token"].as_str() else { continue };
        let Ok(keys) = KeySet::from_jwk(input["jwk"].to_string().as_bytes(), &Limits::DEFAULT) else {
            continue;
        };
        if !matches!(keys.keys()[0].material(), KeyMaterial::Rsa { .. }) {
            continue;
        }
        let names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
        let of = |registry: &Registry| {
            JwsVerifier::with_any_keys(registry, names, &keys, Limits::DEFAULT).unwrap()
        };
        let (builtin, by_ring) = (of(&Registry::builtin()), of(&Registry::builtin().by_ring()));
        assert_eq!(code(&builtin, token), code(&by_ring, token), "{}", input["id"]);
        let batch: Vec<_> =
            builtin.verify_batch(&[token; 9]).into_iter().map(|verdict| verdict.is_ok()).collect();
        assert_eq!(batch, [code(&by_ring, token) == "valid"; 9], "{}", input["id"]);
        #[cfg(feature = "aws-lc")]
        {
            let rsa = [Rsa::RS256, Rsa::RS384, Rsa::RS512, Rsa::PS256, Rsa::PS384, Rsa::PS512];
            let registry = rsa
                .into_iter()
                .fold(Registry::builder(), |builder, rsa| builder.register(Arc::new(rsa.by_aws_lc())));
            assert_eq!(
                code(&of(&registry.build().unwrap()), token),
                code(&by_ring, token),
                "{}",
                input["id"]
            );
        }
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
}

/// The kernel, which a key has from its first right signature on, says what ring says of every
/// RS256/384/512 vector, alone and in batches with right ones.
#[test]
fn the_kernel_agrees_with_ring() {
    let mut seen = 0;
    for algorithm in [Rsa::RS256, Rsa::RS384, Rsa::RS512] {
        let right = right_ones(algorithm);
        for (prepared, input, signature) in right.values() {
            prepared.verify(input, signature).unwrap();
        }
        for (id, key, token) in rsa_vectors() {
            let (Some((prepared, right_input, right_signature)), Some((input, signature))) =
                (right.get(&modulus(&key)), parts(&token))
            else {
                continue;
            };
            let Ok(by_ring) = algorithm.by_ring().prepare(&key) else { continue };
            if by_ring.verify(right_input, right_signature).is_err() {
                // The same modulus with another exponent.
                continue;
            }
            let wanted = by_ring.verify(input, &signature);
            assert_eq!(prepared.verify(input, &signature), wanted, "{id}");
            let item = |signing_input, signature| BatchItem {
                key: &**prepared,
                signed: Signed { signing_input, signature },
            };
            let mut items = [item(right_input, right_signature); 12];
            for place in [1, 4, 7, 11] {
                items[place] = item(input, &signature);
            }
            let mut results = [const { Err(SignatureError::Invalid) }; 12];
            algorithm.verify_batch(&items, &mut results);
            for (place, result) in results.into_iter().enumerate() {
                let wanted = if [1, 4, 7, 11].contains(&place) { wanted.clone() } else { Ok(()) };
                assert_eq!(result, wanted, "{id}, {place}");
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

/// A key that gets its kernel in the middle of a batch takes nobody else's verdict.
#[test]
fn a_kernel_made_ready_within_a_batch() {
    let right = right_ones(Rsa::RS256);
    let keys: Vec<_> = right.values().take(2).collect();
    let [(fresh, fresh_input, fresh_signature), (ready, input, signature)] = keys[..] else {
        panic!("two keys are wanted");
    };
    ready.verify(input, signature).unwrap();
    let other = b"another message".to_vec();
    let item = |key: &'static str| match key {
        "fresh, right" => (fresh, fresh_input, fresh_signature, Ok(())),
        "fresh, wrong" => (fresh, &other, fresh_signature, Err(SignatureError::Invalid)),
        "ready, right" => (ready, input, signature, Ok(())),
        _ => (ready, &other, signature, Err(SignatureError::Invalid)),
    };
    let items = [
        "fresh, wrong",
        "fresh, right",
        "fresh, wrong",
        "ready, right",
        "fresh, wrong",
        "ready, wrong",
        "ready, right",
        "fresh, right",
        "ready, wrong",
        "fresh, wrong",
        "ready, right",
    ];
    for round in 1..=2 {
        let batch = items.map(|what| {
            let (key, signing_input, signature, _) = item(what);
            BatchItem { key: &**key, signed: Signed { signing_input, signature } }
        });
        let mut results = [const { Err(SignatureError::Invalid) }; 11];
        Rsa::RS256.verify_batch(&batch, &mut results);
        for (place, (what, result)) in items.iter().zip(results).enumerate() {
            assert_eq!(result, item(what).3, "{what}, {place}, round {round}");
        }
    }
}

/// What was signed, and the signature.
fn parts(token: &str) -> Option<(&[u8], Vec<u8>)> {
    let (input, signature) = token.rsplit_once('.')?;
    Some((input.as_bytes(), base64url::decode(signature.as_bytes()).ok()?))
}

fn modulus(key: &VerificationKey) -> Vec<u8> {
    match key.material() {
        KeyMaterial::Rsa { n, .. } => n.clone(),
        _ => Vec::new(),
    }
}

/// The vectors with an RSA key: name, key, token.
fn rsa_vectors() -> impl Iterator<Item = (String, VerificationKey, String)> {
    let rows = include_str!("../../vectors/good.jsonl")
        .lines()
        .chain(include_str!("../../vectors/attacks.jsonl").lines());
    rows.filter_map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let input = &row["input"];
        let keys = KeySet::from_jwk(input["jwk"].to_string().as_bytes(), &Limits::DEFAULT).ok()?;
        let key = keys.keys().first()?.clone();
        let is_rsa = matches!(key.material(), KeyMaterial::Rsa { .. });
        is_rsa.then_some((input["id"].to_string(), key, input["token"].as_str()?.to_owned()))
    })
}

/// By modulus, a key with a message and its right signature by an algorithm.
type RightOnes = BTreeMap<Vec<u8>, (Arc<dyn PreparedKey>, Vec<u8>, Vec<u8>)>;

fn right_ones(algorithm: Rsa) -> RightOnes {
    rsa_vectors()
        .filter_map(|(_, key, token)| {
            let (input, signature) = parts(&token)?;
            algorithm.by_ring().prepare(&key).ok()?.verify(input, &signature).ok()?;
            Some((modulus(&key), (algorithm.prepare(&key).ok()?, input.to_vec(), signature)))
        })
        .collect()
}
