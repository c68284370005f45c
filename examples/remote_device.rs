//! RS256 by a device that is slow and sometimes down, such as a hardware security module that holds the only trusted
//! copy of the keys, in the place of the built-in RS256. Verifications wait for the device without blocking a thread,
//! and a token that arrives while the device is down is no forgery: its verification is unavailable, and a service
//! answers 503.
//!
//! `cargo run --example remote_device`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use claimgate::Verifier;
use claimgate::alg::{Algorithm, PreparedKey, Registry, Rsa, SignatureError, Verifying};
use claimgate::claims::{IdToken, Policy};
use claimgate::key::{KeyError, KeyMaterial, KeySet, VerificationKey};
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The longest that a verification waits for the device.
const PATIENCE: Duration = Duration::from_secs(2);

/// One question to the device.
struct Question {
    key: Arc<dyn PreparedKey>,
    signing_input: Vec<u8>,
    signature: Vec<u8>,
    answer: oneshot::Sender<Result<(), SignatureError>>,
}

/// The connection to the device.
#[derive(Clone)]
struct Device {
    questions: mpsc::Sender<Question>,
    is_down: Arc<AtomicBool>,
}

impl Device {
    /// Starts the simulated device, which takes `delay` for each signature, one at a time.
    fn start(delay: Duration) -> Self {
        let (questions, mut received) = mpsc::channel::<Question>(64);
        let is_down = Arc::new(AtomicBool::new(false));
        let broken = Arc::clone(&is_down);
        tokio::spawn(async move {
            while let Some(Question { key, signing_input, signature, answer }) = received.recv().await {
                tokio::time::sleep(delay).await;
                if !broken.load(Ordering::Relaxed) {
                    // The request may have been given up meanwhile.
                    let _ = answer.send(key.verify(&signing_input, &signature));
                }
            }
        });
        Self { questions, is_down }
    }

    async fn ask(
        &self,
        key: &Arc<dyn PreparedKey>,
        signing_input: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let (answer, answered) = oneshot::channel();
        let (signing_input, signature) = (signing_input.to_vec(), signature.to_vec());
        let question = Question { key: Arc::clone(key), signing_input, signature, answer };
        // A full queue is an overloaded device: no more tokens wait for it.
        self.questions.try_send(question).map_err(|error| SignatureError::unavailable(error.to_string()))?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Err(SignatureError::unavailable("the device has dropped the question")),
            Err(late) => Err(SignatureError::unavailable(late)),
        }
    }
}

/// RS256 by the device.
struct DeviceRs256(Device);

impl Algorithm for DeviceRs256 {
    fn name(&self) -> &str {
        "RS256"
    }

    fn accepts(&self, key: &KeyMaterial) -> bool {
        Rsa::RS256.accepts(key)
    }

    /// Checks the key. The device is not asked: it may be down when keys are loaded.
    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        Ok(Arc::new(DeviceKey { device: self.0.clone(), key: Rsa::RS256.prepare(key)? }))
    }
}

/// A key in the device.
struct DeviceKey {
    device: Device,
    key: Arc<dyn PreparedKey>,
}

impl PreparedKey for DeviceKey {
    /// The device can only be awaited.
    fn verify(&self, _: &[u8], _: &[u8]) -> Result<(), SignatureError> {
        Err(SignatureError::unavailable("signatures of the device are verified by `verify_async`"))
    }

    fn verify_async<'k>(&'k self, signing_input: &'k [u8], signature: &'k [u8]) -> Option<Verifying<'k>> {
        Some(Box::pin(self.device.ask(&self.key, signing_input, signature)))
    }
}

fn verifier(device: &Device) -> Result<Verifier<IdToken>, Box<dyn std::error::Error>> {
    let registry = Registry::builder().builtin().replace(Arc::new(DeviceRs256(device.clone()))).build()?;
    let jwks = include_bytes!("../vectors/demo/jwks.json");
    Ok(Verifier::builder()
        .registry(registry)
        .algorithms(["RS256"])
        .keys(KeySet::from_jwks(jwks, &Limits::DEFAULT)?)
        .policy(Policy::id_token("https://idp.example.com/realms/acme", "crm"))
        .build()?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::start(Duration::from_millis(50));
    let verifier = verifier(&device)?;
    let token = include_str!("../vectors/demo/token.txt").trim();
    let now = UnixTime(1_795_500_000);

    let accepted = verifier.verify_async(token, now).await?;
    println!("accepted: {}", accepted.subject());

    device.is_down.store(true, Ordering::Relaxed);
    let error = verifier.verify_async(token, now).await.err().ok_or("the device is down")?;
    let status = if error.unavailable().is_some() { 503 } else { 401 };
    println!("while the device is down: {status}, {error} [{}]", error.code());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_795_500_000);

    fn token() -> &'static str {
        include_str!("../vectors/demo/token.txt").trim()
    }

    /// Returns the token with another subject: a forgery.
    fn forged() -> String {
        let (rest, signature) = token().rsplit_once('.').expect("three segments");
        let (header, _) = rest.split_once('.').expect("three segments");
        format!("{header}.{}.{signature}", claimgate::base64url::encode(br#"{"sub":"eve"}"#))
    }

    async fn code(verifier: &Verifier<IdToken>, token: &str) -> &'static str {
        verifier.verify_async(token, NOW).await.map_or_else(|error| error.code(), |_| "valid")
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_is_down_is_no_forgery() {
        let device = Device::start(Duration::from_millis(50));
        let verifier = verifier(&device).expect("a verifier");
        assert_eq!(code(&verifier, token()).await, "valid");
        assert_eq!(code(&verifier, &forged()).await, "signature.invalid");
        device.is_down.store(true, Ordering::Relaxed);
        assert_eq!(code(&verifier, token()).await, "signature.unavailable");
        assert_eq!(code(&verifier, &forged()).await, "signature.unavailable");
        device.is_down.store(false, Ordering::Relaxed);
        assert_eq!(code(&verifier, token()).await, "valid");
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_wait_side_by_side_on_one_thread() {
        let device = Device::start(Duration::from_millis(100));
        let verifier = verifier(&device).expect("a verifier");
        let began = tokio::time::Instant::now();
        let forged = forged();
        let tick = tokio::time::sleep(Duration::from_millis(10));
        let (one, two, ()) = tokio::join!(code(&verifier, token()), code(&verifier, &forged), async {
            tick.await;
            assert_eq!(began.elapsed(), Duration::from_millis(10), "the thread is free meanwhile");
        });
        assert_eq!((one, two), ("valid", "signature.invalid"));
        assert_eq!(began.elapsed(), Duration::from_millis(200), "the device takes one after the other");
    }

    #[tokio::test]
    async fn a_device_that_can_only_be_awaited_is_unavailable_otherwise() {
        let device = Device::start(Duration::ZERO);
        let verifier = verifier(&device).expect("a verifier");
        let error = verifier.verify(token(), NOW).expect_err("it must be awaited");
        assert_eq!(error.code(), "signature.unavailable");
        let batch = verifier.verify_batch(&[token()], NOW);
        assert_eq!(batch[0].as_ref().map_err(claimgate::Error::code).err(), Some("signature.unavailable"));
    }

    #[test]
    fn the_example_runs() {
        main().expect("the device answers");
    }
}
