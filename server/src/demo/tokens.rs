//! The development provider's tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::people::PEOPLE;
use super::state::{Code, random};
use claimgate::base64url;
use claimgate::claims::BACKCHANNEL_LOGOUT_EVENT;
use claimgate::sign::{SignError, SigningKey};

pub(super) fn now() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

pub(super) fn id_token(
    key: &SigningKey,
    issuer: &str,
    client_id: &str,
    code: &Code,
    access_token: &str,
) -> Result<String, SignError> {
    let now = now();
    let hash = digest(&SHA256, access_token.as_bytes());
    let mut claims = json!({
        "iss": issuer, "aud": client_id, "sub": code.sub, "sid": code.sid,
        "iat": now, "exp": now + 600, "auth_time": code.auth_time,
        "at_hash": base64url::encode(&hash.as_ref()[..16]),
    });
    if let Some(nonce) = &code.nonce {
        claims["nonce"] = nonce.as_str().into();
    }
    // The claims are in the ID token too, so that a pasted one has something to explain.
    if let Some(person) = PEOPLE.iter().find(|person| person.sub == code.sub)
        && let (Value::Object(claims), Value::Object(more)) = (&mut claims, person.claims())
    {
        claims.extend(more);
    }
    key.sign(&Map::new(), claims.to_string().as_bytes())
}

pub(super) fn logout_token(
    key: &SigningKey,
    issuer: &str,
    client_id: &str,
    sid: Option<&str>,
    sub: Option<&str>,
) -> Result<String, SignError> {
    let now = now();
    let mut claims = json!({
        "iss": issuer, "aud": client_id, "iat": now, "exp": now + 120, "jti": random(),
        "events": { BACKCHANNEL_LOGOUT_EVENT: {} },
    });
    for (name, value) in [("sid", sid), ("sub", sub)] {
        if let Some(value) = value {
            claims[name] = value.into();
        }
    }
    let header: Map<String, Value> = [("typ".to_owned(), "logout+jwt".into())].into_iter().collect();
    key.sign(&header, claims.to_string().as_bytes())
}

/// The claims of a token of our own, for people to read.
pub(super) fn claims_of(token: &str) -> String {
    let payload = token.split('.').nth(1).and_then(|payload| base64url::decode(payload.as_bytes()).ok());
    let claims: Option<Value> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    claims.map_or_else(String::new, |claims| format!("{claims:#}"))
}
