//! Tokens verified in batches: what arrives while one batch is verified is the next one, so that no token waits for
//! others to arrive, and under load the batches grow by themselves. With the RSA kernel, RS256 costs less in batches of
//! eight; `JwsVerifier::verify_batch` has the rules.
//!
//! ```sh
//! cargo run --example batches --features sign
//! ```

use std::error::Error;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::SystemTime;

use claimgate::Verifier;
use claimgate::claims::{AccessToken, Policy};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::sign::SigningKey;
use claimgate::verifier::ValidatedToken;
use serde_json::{Map, json};

/// Most tokens of a batch: a multiple of eight, few enough that the first one does not wait long for the last.
const BATCH: usize = 64;

type Verdict = Result<ValidatedToken<AccessToken>, claimgate::Error>;

/// A token, and where its verdict goes.
struct Question {
    token: String,
    answer: SyncSender<Verdict>,
}

/// Verifies until no one can ask any more. Returns the sizes of the batches.
fn work(verifier: &Verifier<AccessToken>, questions: &Receiver<Question>) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let Ok(first) = questions.recv() {
        let batch: Vec<Question> =
            std::iter::once(first).chain(questions.try_iter().take(BATCH - 1)).collect();
        let tokens: Vec<&str> = batch.iter().map(|question| question.token.as_str()).collect();
        // In the order of the tokens; one that is refused harms no other.
        let verdicts = verifier.verify_batch(&tokens, SystemTime::now());
        sizes.push(batch.len());
        for (question, verdict) in batch.iter().zip(verdicts) {
            // The asker may have gone away.
            let _ = question.answer.send(verdict);
        }
    }
    sizes
}

fn main() -> Result<(), Box<dyn Error>> {
    let key = SigningKey::from_pem(include_str!("rsa_private_key.pem"), Some("RS256"))?;
    let keys = KeySet::from_jwk(key.public_jwk()?.to_string().as_bytes(), &Limits::DEFAULT)?;
    let policy = Policy::access_token("https://idp.example.com", "crm");
    let verifier = Verifier::builder().algorithms(["RS256"]).keys(keys).policy(policy).build()?;

    let header = Map::from_iter([("typ".to_owned(), "at+jwt".into())]);
    let claims =
        json!({"iss": "https://idp.example.com", "aud": "crm", "sub": "ada", "exp": 4_000_000_000_u64});
    let good = key.sign(&header, claims.to_string().as_bytes())?;
    let forged = format!("{}AAAA", &good[..good.len() - 4]);

    let (ask, questions) = mpsc::sync_channel(1024);
    let (answer, verdicts) = mpsc::sync_channel(1024);
    for number in 0..200 {
        let token = if number % 10 == 9 { forged.clone() } else { good.clone() };
        ask.send(Question { token, answer: answer.clone() })?;
    }
    drop((ask, answer));
    let worker = thread::spawn(move || work(&verifier, &questions));
    let sizes = worker.join().map_err(|_| "the worker panicked")?;

    let verdicts: Vec<Verdict> = verdicts.iter().collect();
    let accepted = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
    assert_eq!((verdicts.len(), accepted), (200, 180));
    assert_eq!(sizes, [64, 64, 64, 8]);
    println!("{accepted} of {} accepted, in batches of {sizes:?}", verdicts.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_step_works() {
        super::main().expect("the example");
    }
}
