//! Client authentication by a signed assertion (RFC 7523 §2.2).

use serde_json::{Map, json};
use zeroize::Zeroizing;

use super::client::{AuthMethod, Authentication, Client, Secret};
use super::{Random, random_token};
use crate::json::MemberFault;
use crate::sign::{self, SignError, Signer, SigningKey};
use crate::time::UnixTime;

/// Validity of a client assertion, in seconds.
const ASSERTION_LIFETIME: u64 = 60;

/// Returns the client's assertion for an audience, or its plain proof where the method is another.
///
/// # Errors
/// A [`SignError`]: there is no private key, or it cannot sign.
pub(super) fn authenticate(
    client: &Client,
    method: AuthMethod,
    audience: &str,
    now: UnixTime,
    random: Random<'_>,
) -> Result<Authentication, SignError> {
    let secret = client.secret.as_ref().map_or("", Secret::expose);
    let token = match (method, &client.key) {
        (AuthMethod::SecretJwt, _) => {
            let key = SigningKey::from_secret(secret.as_bytes(), "HS256")?;
            assertion(client, &key, audience, now, random)?
        }
        (AuthMethod::PrivateKeyJwt, Some(key)) => assertion(client, &**key, audience, now, random)?,
        (AuthMethod::PrivateKeyJwt, None) => {
            return Err(SignError::Member { member: "private key", fault: MemberFault::Absent });
        }
        _ => return Ok(client.plain_authentication(method)),
    };
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned();
    Ok(Authentication {
        basic: None,
        parameters: vec![
            ("client_id", Zeroizing::new(client.id.clone())),
            ("client_assertion_type", Zeroizing::new(kind)),
            ("client_assertion", Zeroizing::new(token)),
        ],
    })
}

fn assertion(
    client: &Client,
    key: &dyn Signer,
    audience: &str,
    now: UnixTime,
    random: Random<'_>,
) -> Result<String, SignError> {
    let claims = json!({
        "iss": client.id, "sub": client.id, "aud": audience, "jti": random_token(random),
        "iat": now.0, "exp": now.saturating_add(ASSERTION_LIFETIME).0,
    });
    sign::sign(key, &Map::new(), claims.to_string().as_bytes())
}
