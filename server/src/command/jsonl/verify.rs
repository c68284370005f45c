//! `claimgate verify --jsonl`:
//! `{"token", "jwks" | "jwk" | "pem" | "secret_b64u", "algorithms", "danger_allow_weak_keys", "policy"}`.

use std::collections::HashMap;

use claimgate::alg::Registry;
use claimgate::claims::{AnyKind, Claims, Policy};
use claimgate::jws::{JwsVerifier, VerifiedJws};
use claimgate::key::{KeyError, KeySet};
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use claimgate::{Error, base64url, json};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::lines::LINE_LIMITS;
use super::policy::{policy, strings};
use super::{Answer, Answerer, Malformed, Members, object, reject_unknown};

/// Maximum number of prepared verifiers that a thread keeps; then all of them are dropped.
const MAX_VERIFIERS: usize = 256;

/// Prepared verifiers by the JSON text of a line's keys and algorithms.
type Verifiers = HashMap<String, Result<JwsVerifier, Error>>;

/// Answers lines with a verdict on each line's token.
pub(crate) struct VerifyAnswerer {
    registry: Registry,
    /// One per thread, so that no thread waits for another.
    verifiers: Box<[Mutex<Verifiers>]>,
}

impl VerifyAnswerer {
    /// Prepares for tokens of the registry's algorithms.
    pub(crate) fn new(registry: &Registry) -> Self {
        let threads = rayon::current_num_threads();
        Self { registry: registry.clone(), verifiers: (0..threads).map(|_| Mutex::default()).collect() }
    }

    fn prepare(&self, mut members: Members) -> Result<Prepared, Malformed> {
        let token = match members.remove("token") {
            Some(Value::String(token)) => token,
            _ => return Err(Malformed::new("input.token", "`token` must be a string")),
        };
        let policy = members.remove("policy").map(policy).transpose()?;
        let setup = Value::Object(members.clone()).to_string();
        let thread = rayon::current_thread_index().unwrap_or(0);
        let mut verifiers = self.verifiers[thread].lock();
        let jws = match verifiers.get(&setup) {
            Some(known) => known.clone(),
            None => {
                let built = verifier(&self.registry, members)?;
                if verifiers.len() >= MAX_VERIFIERS {
                    verifiers.clear();
                }
                verifiers.insert(setup.clone(), built.clone());
                built
            }
        };
        Ok(Prepared { setup, jws, question: Question { token, policy } })
    }
}

impl Answerer for VerifyAnswerer {
    fn answer(&self, questions: Vec<Members>) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = Vec::new();
        let mut groups: HashMap<String, (JwsVerifier, Vec<(usize, Question)>)> = HashMap::new();
        for (index, members) in questions.into_iter().enumerate() {
            answers.push(match self.prepare(members) {
                Ok(Prepared { setup, jws: Ok(jws), question }) => {
                    groups.entry(setup).or_insert_with(|| (jws, Vec::new())).1.push((index, question));
                    None
                }
                Ok(Prepared { jws: Err(error), .. }) => Some(Ok(refusal(&error))),
                Err(malformed) => Some(Err(malformed)),
            });
        }
        for (jws, questions) in groups.into_values() {
            let tokens: Vec<&str> = questions.iter().map(|(_, question)| question.token.as_str()).collect();
            for ((index, question), verified) in questions.iter().zip(jws.verify_batch(&tokens)) {
                answers[*index] = Some(Ok(verdict(question, verified.map_err(Error::from))));
            }
        }
        answers.into_iter().map(|answer| answer.expect("answered at once or in its group")).collect()
    }
}

/// A token, and the policy it must satisfy at a time.
struct Question {
    token: String,
    policy: Option<(Policy<AnyKind>, UnixTime)>,
}

/// A question with the verifier of its keys and algorithms.
struct Prepared {
    /// The JSON text of the keys and algorithms: equal texts share a verifier.
    setup: String,
    jws: Result<JwsVerifier, Error>,
    question: Question,
}

fn verdict(question: &Question, verified: Result<VerifiedJws, Error>) -> Members {
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => return refusal(&error),
    };
    let header = verified.header();
    let Some((policy, now)) = &question.policy else {
        let claims = json::parse_object(verified.payload(), &Limits::DEFAULT).ok();
        let mut body = object(json!({"valid": true, "header": header.as_object(), "claims": claims}));
        if claims.is_none() {
            body.insert("payload_b64u".to_owned(), base64url::encode(verified.payload()).into());
        }
        return body;
    };
    let claims = Claims::parse(verified.payload(), &Limits::DEFAULT);
    match claims.and_then(|claims| policy.validate(header, &claims, *now).map(|()| claims)) {
        Ok(claims) => {
            object(json!({"valid": true, "header": header.as_object(), "claims": claims.as_value()}))
        }
        Err(error) => refusal(&error.into()),
    }
}

fn refusal(error: &Error) -> Members {
    object(json!({"valid": false, "code": error.code(), "message": error.to_string()}))
}

/// Builds the verifier of a line's keys and algorithms.
fn verifier(registry: &Registry, mut members: Members) -> Result<Result<JwsVerifier, Error>, Malformed> {
    let algorithms = match members.remove("algorithms") {
        Some(value) => strings(value)
            .ok_or_else(|| Malformed::new("input.algorithms", "`algorithms` must be a list of strings"))?,
        None => return Err(Malformed::new("input.algorithms", "`algorithms` is missing")),
    };
    if members.contains_key("allow_weak_keys") {
        let reason = "`allow_weak_keys` is spelled `danger_allow_weak_keys`";
        return Err(Malformed::new("input.member", reason));
    }
    let weak = match members.remove("danger_allow_weak_keys") {
        None => false,
        Some(Value::Bool(weak)) => weak,
        Some(_) => {
            let reason = "`danger_allow_weak_keys` must be true or false";
            return Err(Malformed::new("input.allow_weak_keys", reason));
        }
    };
    let keys = keys(&mut members)?;
    reject_unknown(&members)?;
    Ok(match keys {
        Ok(keys) => {
            let keys = if weak { keys.danger_allow_weak_keys() } else { keys };
            Ok(JwsVerifier::with_any_keys(registry, &algorithms, &keys, Limits::DEFAULT)
                .map_err(|error| Malformed::new("input.algorithms", error.to_string()))?)
        }
        Err(error) => Err(error.into()),
    })
}

type Keys = Result<KeySet, KeyError>;

fn keys(members: &mut Members) -> Result<Keys, Malformed> {
    let wrong_type = |name| Malformed::new("input.key", format!("`{name}` has the wrong type"));
    let mut found = Vec::new();
    for name in ["jwks", "jwk", "pem", "secret_b64u"] {
        let Some(value) = members.remove(name) else { continue };
        found.push(match (name, value) {
            ("jwks", set @ Value::Object(_)) => {
                KeySet::from_jwks_with_secrets(set.to_string().as_bytes(), &LINE_LIMITS)
            }
            ("jwk", key @ Value::Object(_)) => KeySet::from_jwk(key.to_string().as_bytes(), &LINE_LIMITS),
            ("pem", Value::String(text)) => KeySet::from_pem(&text),
            ("secret_b64u", Value::String(text)) => {
                let secret = base64url::decode_secret(text.as_bytes())
                    .map_err(|error| Malformed::new("input.key", format!("`secret_b64u`: {error}")))?;
                Ok(KeySet::from_secret(&secret))
            }
            _ => return Err(wrong_type(name)),
        });
    }
    match (found.pop(), found.is_empty()) {
        (Some(keys), true) => Ok(keys),
        _ => Err(Malformed::new("input.key", "give exactly one of `jwks`, `jwk`, `pem` and `secret_b64u`")),
    }
}
