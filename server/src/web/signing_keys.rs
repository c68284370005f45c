//! The keys that sign assertions, and when each of them signs and is published.
//!
//! A key is published a day before it signs, so that applications and the other servers of a database know it by then. It
//! signs for 30 days, and stays published for an hour after its successor has begun to sign: by then the last
//! assertion that it signed has been over for long.

use std::time::Duration;

use claimgate::base64url;
use claimgate::time::UnixTime;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// How long a key signs.
const SIGNS_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long before it signs a key is published.
const PUBLISHED_BEFORE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a key stays published after another one has begun to sign.
pub(super) const PUBLISHED_AFTER: Duration = Duration::from_secs(60 * 60);

/// The keys, in the order in which they sign.
#[derive(Default)]
pub(super) struct SigningKeys(Vec<SigningKey>);

struct SigningKey {
    signs_from: UnixTime,
    /// The private key (PKCS#8).
    private: Zeroizing<Vec<u8>>,
    pair: EcdsaKeyPair,
    kid: String,
}

/// A key as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    signs_from: i64,
    private: Zeroizing<String>,
}

impl SigningKeys {
    /// Reads keys; `None` for a text that [`to_text`](Self::to_text) did not write.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let kept: Vec<Kept> = serde_json::from_str(text).ok()?;
        let read = |kept: &Kept| {
            let private = base64url::decode_secret(kept.private.as_bytes()).ok()?;
            SigningKey::new(UnixTime(kept.signs_from), Zeroizing::new(private))
        };
        kept.iter().map(read).collect::<Option<_>>().map(Self)
    }

    /// Writes the keys, private parts included.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let kept = self.0.iter().map(|key| Kept {
            signs_from: key.signs_from.0,
            private: Zeroizing::new(base64url::encode(&key.private)),
        });
        let kept: Vec<Kept> = kept.collect();
        Zeroizing::new(serde_json::to_string(&kept).expect("numbers and texts are JSON"))
    }

    /// Makes the key that is due at a time, and forgets those that are over. Returns whether one was made or forgotten.
    pub(super) fn advance(&mut self, now: UnixTime) -> bool {
        let before = self.0.len();
        // Made while the clock was wrong.
        self.0.retain(|key| key.signs_from <= now.saturating_add(SIGNS_FOR.as_secs()));
        let is_over = |next: &SigningKey| next.signs_from.saturating_add(PUBLISHED_AFTER.as_secs()) <= now;
        while self.0.get(1).is_some_and(is_over) {
            self.0.remove(0);
        }
        let forgotten = before - self.0.len();
        let next = match self.0.last() {
            None => Some(now),
            Some(last) => {
                let ends = last.signs_from.saturating_add(SIGNS_FOR.as_secs());
                let earliest = now.saturating_add(PUBLISHED_BEFORE.as_secs());
                (ends <= earliest).then_some(ends.max(earliest))
            }
        };
        self.0.extend(next.map(SigningKey::generate));
        forgotten > 0 || next.is_some()
    }

    /// Signs claims into a token of a media type, by the key of a time.
    ///
    /// # Panics
    /// If there are no keys: [`advance`](Self::advance) makes the first.
    pub(super) fn sign(&self, typ: &str, claims: &impl Serialize, now: UnixTime) -> String {
        let key = self.0.iter().rev().find(|key| key.signs_from <= now).or(self.0.first());
        let key = key.expect("the keys were advanced");
        let header = json!({"alg": "ES256", "kid": key.kid, "typ": typ}).to_string();
        let claims = serde_json::to_vec(claims).expect("numbers and texts are JSON");
        let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(&claims));
        let signature = key.pair.sign(&SystemRandom::new(), input.as_bytes());
        let signature = signature.expect("the operating system gives randomness");
        format!("{input}.{}", base64url::encode(signature.as_ref()))
    }

    /// Returns the public keys as a JWK set (RFC 7517 §5).
    pub(super) fn published(&self) -> Value {
        let published = |key: &SigningKey| {
            let [x, y] = key.coordinates();
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": key.kid, "use": "sig", "alg": "ES256"})
        };
        json!({"keys": self.0.iter().map(published).collect::<Vec<_>>()})
    }
}

impl SigningKey {
    fn generate(signs_from: UnixTime) -> Self {
        let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let private = private.expect("the operating system gives randomness");
        let key = Self::new(signs_from, Zeroizing::new(private.as_ref().to_vec()));
        key.expect("a key that was made can be read")
    }

    fn new(signs_from: UnixTime, private: Zeroizing<Vec<u8>>) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &SystemRandom::new())
            .ok()?;
        let mut key = Self { signs_from, private, pair, kid: String::new() };
        let [x, y] = key.coordinates();
        // Its thumbprint (RFC 7638 §3).
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        key.kid = base64url::encode(digest::digest(&digest::SHA256, members.as_bytes()).as_ref());
        Some(key)
    }

    /// Returns the coordinates of the public point, in base64url.
    fn coordinates(&self) -> [String; 2] {
        // 0x04, x, y (SEC 1 §2.3.3).
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        [x, y].map(base64url::encode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use claimgate::Verifier;
    use claimgate::claims::{Jwt, Policy};
    use claimgate::key::KeySet;
    use claimgate::limits::Limits;

    const DAY: u64 = 24 * 60 * 60;
    const HOUR: u64 = 60 * 60;
    const START: UnixTime = UnixTime(1_800_000_000);

    fn at(seconds: u64) -> UnixTime {
        START.saturating_add(seconds)
    }

    fn kids(keys: &SigningKeys) -> Vec<String> {
        keys.0.iter().map(|key| key.kid.clone()).collect()
    }

    fn signed_by(keys: &SigningKeys, now: UnixTime) -> String {
        let token = keys.sign("test+jwt", &json!({"sub": "7"}), now);
        let header = base64url::decode(token.split('.').next().expect("a header").as_bytes());
        let header: Value = serde_json::from_slice(&header.expect("base64url")).expect("JSON");
        header["kid"].as_str().expect("a kid").to_owned()
    }

    #[test]
    fn a_key_is_published_a_day_before_it_signs_and_an_hour_after() {
        let mut keys = SigningKeys::default();
        assert!(keys.advance(START));
        let first = kids(&keys);
        assert_eq!(first.len(), 1);
        assert_eq!(signed_by(&keys, START), first[0]);
        assert!(!keys.advance(at(29 * DAY - 1)));
        assert!(keys.advance(at(29 * DAY)));
        let both = kids(&keys);
        assert_eq!((both.len(), &both[0]), (2, &first[0]));
        for (seconds, signer) in [(29 * DAY, 0), (30 * DAY - 1, 0), (30 * DAY, 1), (30 * DAY + HOUR, 1)] {
            assert_eq!(signed_by(&keys, at(seconds)), both[signer], "{seconds}");
        }
        assert!(!keys.advance(at(30 * DAY + HOUR - 1)));
        assert!(keys.advance(at(30 * DAY + HOUR)));
        assert_eq!(kids(&keys), both[1..]);
        // For years, one second at a time where something happens.
        let mut published = kids(&keys);
        for day in 31..1_000 {
            keys.advance(at(day * DAY));
            let signer = signed_by(&keys, at(day * DAY));
            // What signs now was published at least a day ago.
            assert!(published.contains(&signer), "{day}");
            published = kids(&keys);
            assert!(published.len() <= 2, "{day}");
        }
    }

    #[test]
    fn a_server_that_slept_goes_on_with_its_key_until_the_next_is_known() {
        let mut keys = SigningKeys::default();
        keys.advance(START);
        let first = kids(&keys);
        assert!(keys.advance(at(100 * DAY)));
        assert_eq!(signed_by(&keys, at(100 * DAY)), first[0]);
        assert_eq!(signed_by(&keys, at(101 * DAY)), kids(&keys)[1]);
    }

    #[test]
    fn a_wrong_clock_leaves_no_key_that_signs_in_years() {
        let mut keys = SigningKeys::default();
        keys.advance(at(50 * 365 * DAY));
        let far = kids(&keys);
        assert!(keys.advance(START));
        assert_ne!(kids(&keys), far);
        // A clock that goes back a little makes none anew.
        let present = kids(&keys);
        assert!(!keys.advance(UnixTime(START.0 - 100)));
        assert_eq!(signed_by(&keys, UnixTime(START.0 - 100)), present[0]);
    }

    #[test]
    fn what_is_kept_signs_as_before_and_what_is_published_verifies() {
        let mut keys = SigningKeys::default();
        keys.advance(START);
        let keys = SigningKeys::parse(&keys.to_text()).expect("its own text");
        let token = keys.sign("test+jwt", &json!({"sub": "7", "exp": START.0 + 60}), START);
        let published = keys.published().to_string();
        assert!(!published.contains("\"d\""), "{published}");
        let set = KeySet::from_jwks(published.as_bytes(), &Limits::DEFAULT).expect("a JWK set");
        let verifier = Verifier::builder()
            .algorithms(["ES256"])
            .any_keys(set)
            .policy(Policy::<Jwt>::jwt().typ("test+jwt"))
            .build()
            .expect("a verifier");
        assert_eq!(verifier.verify(&token, START).expect("valid").claims().subject(), Some("7"));
        for text in ["", "{}", "[{}]", r#"[{"signs_from": 1, "private": "AAAA"}]"#] {
            assert!(SigningKeys::parse(text).is_none(), "{text}");
        }
    }
}
