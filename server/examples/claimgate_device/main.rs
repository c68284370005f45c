//! The whole `claimgate` command and server with RS256 by a device, in the place of the built-in one. The device is
//! simulated: it takes 20 ms for a signature, and is down while the file exists that `CLAIMGATE_DEVICE_DOWN` names.
//!
//! `examples/remote_device.rs` of the library has the connection to a device; here a timer stands for it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use claimgate::alg::{Algorithm, PreparedKey, Rsa, SignatureError, Verifying};
use claimgate::key::{KeyError, KeyMaterial, VerificationKey};
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

fn main() -> ExitCode {
    let down = std::env::var_os("CLAIMGATE_DEVICE_DOWN").map(PathBuf::from);
    Command::new().name("claimgate-device").replace(Arc::new(DeviceRs256 { down })).run()
}
