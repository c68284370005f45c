//! Algorithms from outside: in the place of built-in ones, unavailable, awaited.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use claimgate::alg::{
    Algorithm, PreparedKey, Registry, RegistryError, Rsa, SignatureError, Unavailable, Verifying,
};
use claimgate::claims::{Jwt, Policy};
use claimgate::jws::{BuildError, JwsVerifier};
use claimgate::key::{KeyError, KeyMaterial, KeySet, VerificationKey};
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use claimgate::verifier::Issuers;
use claimgate::{Verifier, base64url};
use serde_json::{Value, json};

/// An algorithm whose keys say what they answer: `valid`, `invalid` or `down`. Each counts its verifications.
struct Scripted {
    name: &'static str,
    /// Whether its keys can be awaited.
    is_remote: bool,
    verified: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(name: &'static str, is_remote: bool) -> Arc<Self> {
        Arc::new(Self { name, is_remote, verified: Arc::default() })
    }
}

impl Algorithm for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        let KeyMaterial::Other { members, .. } = key.material() else { return Err(KeyError::WrongFamily) };
        let answer = members.get("answer").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !["valid", "invalid", "down"].contains(&answer.as_str()) {
            return Err(KeyError::invalid(format!("it cannot answer {answer:?}")));
        }
        Ok(Arc::new(Answer { answer, is_remote: self.is_remote, verified: Arc::clone(&self.verified) }))
    }
}

struct Answer {
    answer: String,
    is_remote: bool,
    verified: Arc<AtomicUsize>,
}

impl Answer {
    fn answer(&self) -> Result<(), SignatureError> {
        self.verified.fetch_add(1, Ordering::Relaxed);
        match self.answer.as_str() {
            "valid" => Ok(()),
            "invalid" => Err(SignatureError::Invalid),
            _ => Err(SignatureError::unavailable("device 7 is down")),
        }
    }
}

impl PreparedKey for Answer {
    fn verify(&self, _: &[u8], _: &[u8]) -> Result<(), SignatureError> {
        self.answer()
    }

    fn verify_async<'k>(&'k self, _: &'k [u8], _: &'k [u8]) -> Option<Verifying<'k>> {
        self.is_remote.then(|| -> Verifying<'k> {
            Box::pin(async {
                tokio::task::yield_now().await;
                self.answer()
            })
        })
    }
}

/// Returns a set with a key for each answer, without a `kid`.
fn keys(answers: &[&str]) -> KeySet {
    let keys: Vec<_> = answers.iter().map(|answer| json!({"kty": "SCRIPT", "answer": answer})).collect();
    KeySet::from_jwks_with_secrets(json!({"keys": keys}).to_string().as_bytes(), &Limits::DEFAULT).unwrap()
}

fn token(algorithm: &str, claims: &Value) -> String {
    let header = base64url::encode(json!({"alg": algorithm}).to_string().as_bytes());
    format!("{header}.{}.AAAA", base64url::encode(claims.to_string().as_bytes()))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn built_in_algorithms_are_replaced_and_left_out() {
    let device = Scripted::new("RS256", false);
    let builder = || Registry::builder().builtin();
    let registry = builder().replace(Arc::clone(&device) as _).without("HS256").build().unwrap();
    let names: Vec<_> = registry.names().collect();
    let others: Vec<_> =
        Registry::builtin().names().filter(|name| *name != "HS256").map(str::to_owned).collect();
    assert_eq!(names, others, "the order is that of the built-in ones");
    // `by_ring` exchanges built-in algorithms alone.
    for registry in [registry.clone(), registry.by_ring()] {
        let verifier = JwsVerifier::new(&registry, ["RS256"], &keys(&["valid"]), Limits::DEFAULT).unwrap();
        assert!(verifier.verify(&token("RS256", &json!({}))).is_ok());
    }
    assert_eq!(device.verified.load(Ordering::Relaxed), 2);
    let refusal = JwsVerifier::with_any_keys(&registry, ["HS256"], &KeySet::default(), Limits::DEFAULT);
    assert_eq!(refusal.unwrap_err(), BuildError::UnknownAlgorithm { name: "HS256".to_owned() });

    let unknown = |name: &str| Err(RegistryError::NotRegistered { name: name.to_owned() });
    let result = |builder: claimgate::alg::RegistryBuilder| builder.build().map(drop);
    assert_eq!(result(builder().replace(Scripted::new("X1", false))), unknown("X1"));
    assert_eq!(result(builder().without("X1")), unknown("X1"));
    assert_eq!(result(Registry::builder().replace(Arc::new(Rsa::RS256))), unknown("RS256"));
    assert_eq!(result(builder().without("X1").register(Arc::new(Rsa::RS256))), unknown("X1"), "the first");
    assert_eq!(unknown("X1").unwrap_err().code(), "registry.not_registered");
}

#[test]
fn algorithms_are_registered_from_a_list() {
    let plugins: Vec<Arc<dyn Algorithm>> = vec![Scripted::new("X1", false), Scripted::new("X2", true)];
    let registry = plugins.into_iter().fold(Registry::builder(), |builder, plugin| builder.register(plugin));
    assert_eq!(registry.build().unwrap().names().collect::<Vec<_>>(), ["X1", "X2"]);
}

#[test]
fn an_unavailable_key_is_no_forgery() {
    for (answers, keys_tried, wanted) in [
        (&["valid"][..], 8, "valid"),
        (&["invalid"], 8, "signature.invalid"),
        (&["down"], 8, "signature.unavailable"),
        (&["invalid", "down"], 8, "signature.unavailable"),
        (&["down", "invalid"], 8, "signature.unavailable"),
        (&["down", "valid"], 8, "valid"),
        (&["invalid", "down"], 1, "key.too_many_candidates"),
        (&["down", "valid"], 1, "signature.unavailable"),
    ] {
        for is_remote in [false, true] {
            let registry = Registry::builder().register(Scripted::new("X1", is_remote)).build().unwrap();
            let limits = Limits { keys_tried, ..Limits::DEFAULT };
            let verifier = JwsVerifier::new(&registry, ["X1"], &keys(answers), limits).unwrap();
            let token = token("X1", &json!({}));
            let batch = verifier.verify_batch(&[&token, &token]).swap_remove(1);
            for result in [verifier.verify(&token), block_on(verifier.verify_async(&token)), batch] {
                let unavailable = result.as_ref().err().and_then(|error| error.unavailable().cloned());
                assert_eq!(result.map_or_else(|error| error.code(), |_| "valid"), wanted, "{answers:?}");
                let reason =
                    (wanted == "signature.unavailable").then(|| Unavailable::new("device 7 is down"));
                assert_eq!(unavailable, reason, "{answers:?}");
            }
        }
    }
}

#[test]
fn a_reason_of_the_moment_is_in_the_key_report() {
    let registry = Registry::builder().register(Scripted::new("X1", false)).build().unwrap();
    let report = JwsVerifier::new(&registry, ["X1"], &keys(&["perhaps"]), Limits::DEFAULT).unwrap_err();
    assert!(report.to_string().contains("it cannot answer \"perhaps\""), "{report}");
}

fn remote_verifier(name: &'static str, issuer: &str, answer: &str) -> (Verifier<Jwt>, Arc<AtomicUsize>) {
    let algorithm = Scripted::new(name, true);
    let verified = Arc::clone(&algorithm.verified);
    let verifier = Verifier::builder()
        .registry(Registry::builder().register(algorithm).build().unwrap())
        .algorithms([name])
        .keys(keys(&[answer]))
        .policy(Policy::jwt().issuer(issuer))
        .build();
    (verifier.unwrap(), verified)
}

const NOW: UnixTime = UnixTime(1_800_000_000);

#[test]
fn an_awaited_token_is_cached_and_its_policy_applied() {
    let (verifier, verified) = remote_verifier("X1", "https://a.example", "valid");
    let verifier = verifier.with_cache(1 << 20);
    let good = token("X1", &json!({"iss": "https://a.example", "exp": NOW.0 + 10}));
    for now in [NOW, NOW] {
        assert!(block_on(verifier.verify_async(&good, now)).is_ok());
    }
    assert_eq!(verified.load(Ordering::Relaxed), 1, "the second is from the cache");
    let code = |token: &str, now| block_on(verifier.verify_async(token, now)).unwrap_err().code();
    assert_eq!(code(&good, UnixTime(NOW.0 + 100)), "claims.expired");
    assert_eq!(
        code(&token("X1", &json!({"iss": "https://b.example", "exp": NOW.0 + 10})), NOW),
        "claims.issuer"
    );
    assert_eq!(code("a.b.c", NOW), "jws.base64url");
}

#[test]
fn issuers_await_the_keys_of_their_own() {
    let issuers = Issuers::new([
        remote_verifier("X1", "https://a.example", "valid").0,
        remote_verifier("X1", "https://b.example", "down").0,
    ]);
    let issuers = issuers.unwrap();
    let of = |issuer: &str| token("X1", &json!({"iss": issuer, "exp": NOW.0 + 10}));
    assert!(block_on(issuers.verify_async(&of("https://a.example"), NOW)).is_ok());
    let error = block_on(issuers.verify_async(&of("https://b.example"), NOW)).unwrap_err();
    assert_eq!((error.code(), error.unavailable().is_some()), ("signature.unavailable", true));
    let error = block_on(issuers.verify_async(&of("https://c.example"), NOW)).unwrap_err();
    assert_eq!((error.code(), error.unavailable()), ("claims.issuer", None));
}

/// The future is ready at once where no key waits: no runtime is needed.
#[test]
fn the_built_in_algorithms_never_wait() {
    let verifier = Verifier::builder()
        .algorithms(["RS256"])
        .keys(
            KeySet::from_jwks_with_secrets(include_bytes!("../../vectors/demo/jwks.json"), &Limits::DEFAULT)
                .unwrap(),
        )
        .policy(Policy::id_token("https://idp.example.com/realms/acme", "crm"))
        .build()
        .unwrap();
    let token = include_str!("../../vectors/demo/token.txt").trim();
    let future = std::pin::pin!(verifier.verify_async(token, UnixTime(1_795_500_000)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(future.poll(&mut context), std::task::Poll::Ready(Ok(_))));
}
