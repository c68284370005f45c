//! An algorithm with a key type (`kty`) of its own and with batch verification, by the library alone:
//! HMAC-SHA256 by a device that holds the secrets, such as a hardware security module. A key names a
//! slot of the device. A batch costs one call of the device.
//!
//! `cargo run --example custom_algorithm`

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use claimgate::alg::{Algorithm, BatchItem, PreparedKey, Registry, SignatureError};
use claimgate::claims::Policy;
use claimgate::json::MemberFault;
use claimgate::key::{KeyError, KeyMaterial, VerificationKey};
use subtle::ConstantTimeEq;

/// The `alg` value: a name outside RFC 7518 must not collide with another (RFC 7515 §4.1.1).
const ALGORITHM: &str = "acme.example/HS256";
/// The `kty` value.
const KEY_TYPE: &str = "acme.example/slot";

/// The algorithm, with the device that computes it.
struct DeviceHmac {
    device: Arc<Device>,
}

impl Algorithm for DeviceHmac {
    fn name(&self) -> &str {
        ALGORITHM
    }

    fn prepare(&self, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
        let KeyMaterial::Other { kty, members } = key.material() else {
            return Err(KeyError::WrongFamily);
        };
        if kty != KEY_TYPE {
            return Err(KeyError::WrongFamily);
        }
        let slot = members.get("slot").and_then(serde_json::Value::as_u64);
        let slot = slot.ok_or(KeyError::Member { member: "slot", fault: MemberFault::Absent })?;
        if !self.device.secrets.contains_key(&slot) {
            return Err(KeyError::invalid("the device has no secret in this slot"));
        }
        Ok(Arc::new(Slot { device: Arc::clone(&self.device), slot }))
    }

    fn verify_batch(&self, items: &[BatchItem<'_>], results: &mut [Result<(), SignatureError>]) {
        let key = |item: &BatchItem<'_>| (item.key as &dyn Any).downcast_ref::<Slot>().map(|key| key.slot);
        let requests: Option<Vec<_>> =
            items.iter().map(|item| Some((key(item)?, item.signed.signing_input))).collect();
        let macs = self.device.hmac(&requests.expect("this algorithm prepared the keys"));
        for ((item, mac), result) in items.iter().zip(macs).zip(results) {
            *result = compare(&mac, item.signed.signature);
        }
    }
}

/// A slot that exists.
struct Slot {
    device: Arc<Device>,
    slot: u64,
}

impl PreparedKey for Slot {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let macs = self.device.hmac(&[(self.slot, signing_input)]);
        compare(&macs[0], signature)
    }
}

fn compare(mac: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    if bool::from(mac.ct_eq(signature)) { Ok(()) } else { Err(SignatureError::Invalid) }
}

/// The device, simulated.
struct Device {
    secrets: HashMap<u64, ring::hmac::Key>,
    calls: AtomicUsize,
}

impl Device {
    /// Computes MACs by the secrets of slots that exist.
    fn hmac(&self, requests: &[(u64, &[u8])]) -> Vec<Vec<u8>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        requests
            .iter()
            .map(|(slot, input)| ring::hmac::sign(&self.secrets[slot], input).as_ref().to_vec())
            .collect()
    }

    fn simulated() -> Arc<Self> {
        let secret = |byte: u8| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[byte; 32]);
        Arc::new(Self {
            secrets: HashMap::from([(1, secret(1)), (2, secret(2))]),
            calls: AtomicUsize::new(0),
        })
    }

    /// Signs a token by the secret of a slot.
    fn token(&self, slot: u64, claims: &str) -> String {
        use claimgate::base64url::encode;
        let header = format!(r#"{{"alg":"{ALGORITHM}"}}"#);
        let input = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let mac = self.hmac(&[(slot, input.as_bytes())]).concat();
        format!("{input}.{}", encode(&mac))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::simulated();
    let token = device.token(1, r#"{"iss":"https://issuer.example","sub":"ada","exp":2000000000}"#);
    let jwk = format!(r#"{{"kty":"{KEY_TYPE}","slot":1}}"#);

    let registry = Registry::builder().builtin().register(Arc::new(DeviceHmac { device })).build()?;
    let verifier = claimgate::Verifier::builder()
        .registry(registry)
        .algorithms([ALGORITHM])
        .keys(claimgate::key::KeySet::from_jwk(jwk.as_bytes(), &claimgate::limits::Limits::DEFAULT)?)
        .policy(Policy::jwt().issuer("https://issuer.example"))
        .build()?;
    let token = verifier.verify(&token, claimgate::time::UnixTime(1_800_000_000))?;
    println!("verified {} for {:?}", token.header().algorithm(), token.claims().subject());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use claimgate::jws::JwsVerifier;
    use claimgate::key::KeySet;
    use claimgate::limits::Limits;

    fn verifier(device: &Arc<Device>, jwk: &str) -> JwsVerifier {
        let device = Arc::clone(device);
        let registry = Registry::builder().builtin().register(Arc::new(DeviceHmac { device })).build();
        let keys = KeySet::from_jwk(jwk.as_bytes(), &Limits::DEFAULT).expect("a JWK");
        JwsVerifier::with_any_keys(&registry.expect("a new name"), [ALGORITHM], &keys, Limits::DEFAULT)
            .expect("a registered name")
    }

    #[test]
    fn the_example_runs() {
        main().expect("the token verifies");
    }

    #[test]
    fn no_wrong_key_verifies() {
        let device = Device::simulated();
        let token = device.token(1, "{}");
        for (jwk, code) in [
            (r#"{"kty":"acme.example/slot","slot":1}"#, "valid"),
            (r#"{"kty":"acme.example/slot","slot":2}"#, "signature.invalid"),
            (r#"{"kty":"acme.example/slot","slot":3}"#, "key.invalid"),
            (r#"{"kty":"acme.example/slot","slot":"1"}"#, "key.member"),
            (r#"{"kty":"acme.example/slot"}"#, "key.member"),
            (r#"{"kty":"other","slot":1}"#, "key.none_fits"),
            (r#"{"kty":"oct","k":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}"#, "key.none_fits"),
        ] {
            let verdict = verifier(&device, jwk).verify(&token);
            assert_eq!(verdict.map_or_else(|error| error.code(), |_| "valid"), code, "{jwk}");
        }
    }

    #[test]
    fn a_batch_is_one_call_with_the_verdicts_of_single_tokens() {
        let device = Device::simulated();
        let (good, bad) = (device.token(1, "{}"), device.token(2, "{}"));
        let verifier = verifier(&device, r#"{"kty":"acme.example/slot","slot":1}"#);
        let before = device.calls.load(Ordering::Relaxed);
        let batch = verifier.verify_batch(&[&good, &bad, &good, "a.b.c"]);
        assert_eq!(device.calls.load(Ordering::Relaxed), before + 1);
        assert_eq!(batch.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false]);
        assert!(verifier.verify(&good).is_ok() && verifier.verify(&bad).is_err());
    }
}
