//! Keys and tokens, made anew for every run.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use claimgate::sign::SigningKey;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

pub const ISSUER: &str = "https://idp.example.com/realms/acme";
pub const CLIENT: &str = "crm";
/// Of HS256: no secret at all.
pub const SECRET: &str = "made for the benchmark: over 32 bytes of text";

/// The two kinds that are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Id,
    Logout,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Id => "ID token",
            Kind::Logout => "logout token",
        }
    }

    fn typ(self) -> &'static str {
        match self {
            Kind::Id => "JWT",
            Kind::Logout => "logout+jwt",
        }
    }
}

/// What a caller of a typed API takes from an ID token.
#[derive(Deserialize)]
#[allow(dead_code)]
pub struct IdClaims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    iat: i64,
    jti: String,
    sid: String,
    preferred_username: String,
    email: String,
    groups: Vec<String>,
}

/// What a caller of a typed API takes from a logout token.
#[derive(Deserialize)]
#[allow(dead_code)]
pub struct LogoutClaims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    iat: i64,
    jti: String,
    sid: String,
    events: std::collections::BTreeMap<String, IgnoredAny>,
}

/// A key, tokens of one kind that differ, and bad ones.
pub struct Tokens {
    pub algorithm: &'static str,
    pub rsa_bits: usize,
    pub kind: Kind,
    /// The public key; null for HS256.
    pub jwk: Value,
    pub good: Rc<Vec<String>>,
    /// A signature of something else.
    pub forged: String,
    /// Well signed, but expired, and for somebody else.
    pub unacceptable: [String; 2],
}

impl Tokens {
    pub fn title(&self) -> String {
        let bits = if self.rsa_bits > 0 { format!(" {}", self.rsa_bits) } else { String::new() };
        format!("{}{bits}, {}", self.algorithm, self.kind.name())
    }

    /// The length of a token, in bytes.
    pub fn bytes(&self) -> usize {
        self.good[0].len()
    }
}

/// A new key of an algorithm.
pub fn key(algorithm: &'static str, rsa_bits: usize) -> SigningKey {
    let key = match algorithm {
        "HS256" => SigningKey::from_secret(SECRET.as_bytes(), algorithm),
        _ => SigningKey::generate(algorithm, rsa_bits),
    };
    key.expect("a key").with_kid("2026-11")
}

/// `count` tokens of a kind.
pub fn tokens(
    algorithm: &'static str,
    rsa_bits: usize,
    key: &SigningKey,
    kind: Kind,
    count: usize,
) -> Tokens {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let sign = |claims: Value| {
        let header = Map::from_iter([("typ".to_owned(), kind.typ().into())]);
        key.sign(&header, claims.to_string().as_bytes()).expect("the key signs")
    };
    let good: Vec<String> = (0..count).map(|index| sign(claims(kind, index, now))).collect();
    let (input, _) = good[0].rsplit_once('.').expect("a signature");
    let (_, signature) = good[1].rsplit_once('.').expect("a signature");
    let forged = format!("{input}.{signature}");
    let (mut expired, mut foreign) = (claims(kind, 0, now), claims(kind, 0, now));
    expired["exp"] = (now - 24 * 3600).into();
    foreign["aud"] = "wiki".into();
    let jwk = key.public_jwk().unwrap_or(Value::Null);
    let unacceptable = [sign(expired), sign(foreign)];
    Tokens { algorithm, rsa_bits, kind, jwk, good: Rc::new(good), forged, unacceptable }
}

/// Claims as a provider makes them; about 660 bytes for an ID token, 280 for a logout token.
pub fn claims(kind: Kind, index: usize, now: u64) -> Value {
    let id = format!("5f0e2b0c-6c1f-4a53-9f0f-{index:012x}");
    match kind {
        Kind::Id => json!({
            "exp": now + 24 * 3600, "iat": now - 10, "auth_time": now - 20, "jti": id, "iss": ISSUER, "aud": CLIENT,
            "sub": "f:7d1c:248289761001", "typ": "ID", "azp": CLIENT, "sid": id, "acr": "1", "email_verified": true,
            "given_name": "Ada", "family_name": "Lovelace", "locale": "en-GB",
            "preferred_username": format!("ada{index}"), "name": "Ada Lovelace", "email": "ada.lovelace@example.com",
            "realm_access": {"roles": ["offline_access", "uma_authorization", "staff"]},
            "resource_access": {"crm": {"roles": ["admin", "user", "audit"]}, "wiki": {"roles": ["reader"]}},
            "groups": ["/crm/sales", "/crm/support", "/wiki/readers", "/everybody"],
        }),
        Kind::Logout => json!({
            "iss": ISSUER, "aud": CLIENT, "iat": now - 1, "exp": now + 24 * 3600, "jti": id, "sid": id,
            "sub": "f:7d1c:24828976",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }),
    }
}
