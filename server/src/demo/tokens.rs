//! The tokens of the development provider.

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::people::PEOPLE;
use super::state::{Code, random};
use crate::system;
use claimgate::base64url;
use claimgate::claims::BACKCHANNEL_LOGOUT_EVENT;
use claimgate::sign::{SignError, SigningKey};

/// Signs the ID token of a code.
pub(super) fn id_token(
    key: &SigningKey,
    issuer: &str,
    client_id: &str,
    code: &Code,
    access_token: &str,
) -> Result<String, SignError> {
    let now = system::now().0;
    let hash = digest(&SHA256, access_token.as_bytes());
    let mut claims = json!({
        "iss": issuer, "aud": client_id, "sub": code.sub, "sid": code.sid,
        "iat": now, "exp": now + 600, "auth_time": code.auth_time,
        "at_hash": base64url::encode(&hash.as_ref()[..16]),
    });
    if let Some(nonce) = &code.nonce {
        claims["nonce"] = nonce.as_str().into();
    }
    // With the claims of UserInfo, so that `claimgate explain` shows more for a pasted ID token.
    if let Some(person) = PEOPLE.iter().find(|person| person.sub == code.sub)
        && let (Value::Object(claims), Value::Object(more)) = (&mut claims, person.claims())
    {
        claims.extend(more);
    }
    key.sign(&Map::new(), claims.to_string().as_bytes())
}

/// Signs a logout token for a session (`sid`), a person (`sub`) or both.
pub(super) fn logout_token(
    key: &SigningKey,
    issuer: &str,
    client_id: &str,
    sid: Option<&str>,
    sub: Option<&str>,
) -> Result<String, SignError> {
    let now = system::now().0;
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

/// Returns the claims of a token that this provider signed, as indented JSON.
pub(super) fn claims_of(token: &str) -> String {
    let payload = token.split('.').nth(1).and_then(|payload| base64url::decode(payload.as_bytes()).ok());
    let claims: Option<Value> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    claims.map_or_else(String::new, |claims| format!("{claims:#}"))
}
