//! The whole `claimgate` command and server with RS256 by a device, in the place of the built-in one, and with client
//! assertions that the device signs. The device is simulated: it takes 20 ms for a signature, and is down while the file
//! exists that `CLAIMGATE_DEVICE_DOWN` names, for signing `CLAIMGATE_SIGNER_DOWN`. `CLAIMGATE_SIGNER_KEY` names the
//! device's key, in PEM.
//!
//! `examples/remote_device.rs` of the library has the connection to a device; here a timer stands for it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use claimgate::alg::{Algorithm, PreparedKey, Rsa, SignatureError, Unavailable, Verifying};
use claimgate::key::{KeyError, KeyMaterial, VerificationKey};
use claimgate::sign::{SignError, Signer, Signing, SigningKey};
use claimgate_server::Command;

struct DeviceRs256 {
    down: Option<PathBuf>,
}

impl Algorithm for DeviceRs256 {
    fn name(&self) -> &str {
        "RS256"
    }

    fn accepts(&self, key: &KeyMaterial) -> bool {
        Rsa::RS256.accepts(key)
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        Ok(Arc::new(DeviceKey { key: Rsa::RS256.prepare(key)?, down: self.down.clone() }))
    }
}

struct DeviceKey {
    key: Arc<dyn PreparedKey>,
    down: Option<PathBuf>,
}

impl DeviceKey {
    async fn ask(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match &self.down {
            Some(file) if file.exists() => Err(SignatureError::unavailable("the device does not answer")),
            _ => self.key.verify(signing_input, signature),
        }
    }
}

impl PreparedKey for DeviceKey {
    fn verify(&self, _: &[u8], _: &[u8]) -> Result<(), SignatureError> {
        Err(SignatureError::unavailable("the device can only be awaited"))
    }

    fn verify_async<'k>(&'k self, signing_input: &'k [u8], signature: &'k [u8]) -> Option<Verifying<'k>> {
        Some(Box::pin(self.ask(signing_input, signature)))
    }
}

#[derive(Debug)]
struct DeviceSigner {
    key: Option<SigningKey>,
    down: Option<PathBuf>,
}

impl DeviceSigner {
    async fn ask(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match (&self.down, &self.key) {
            (Some(file), _) if file.exists() => Err(Unavailable::new("the device does not answer").into()),
            (_, Some(key)) => key.signature(signing_input),
            (_, None) => Err(SignError::Signing),
        }
    }
}

impl Signer for DeviceSigner {
    fn algorithm(&self) -> &str {
        "ES256"
    }

    fn kid(&self) -> Option<&str> {
        Some("device")
    }

    fn signature(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(Unavailable::new("the device can only be awaited").into())
    }

    fn signature_async<'s>(&'s self, signing_input: &'s [u8]) -> Option<Signing<'s>> {
        Some(Box::pin(self.ask(signing_input)))
    }
}

fn main() -> ExitCode {
    let file = |name| std::env::var_os(name).map(PathBuf::from);
    let pem = file("CLAIMGATE_SIGNER_KEY").and_then(|file| std::fs::read_to_string(file).ok());
    let key = pem.and_then(|pem| SigningKey::from_pem(&pem, Some("ES256")).ok());
    let signer = DeviceSigner { key, down: file("CLAIMGATE_SIGNER_DOWN") };
    Command::new()
        .name("claimgate-device")
        .replace(Arc::new(DeviceRs256 { down: file("CLAIMGATE_DEVICE_DOWN") }))
        .register_signer("device", Arc::new(signer))
        .run()
}
