//! Client authentication by a signed assertion (RFC 7523 §2.2).

use serde_json::json;
use zeroize::Zeroizing;

use super::client::{AuthMethod, Authentication, Client, Secret};
use super::{Random, random_token};
use crate::json::MemberFault;
use crate::sign::{SignError, SigningKey, Unsigned};
use crate::time::UnixTime;

/// Validity of a client assertion, in seconds.
const ASSERTION_LIFETIME: u64 = 60;

/// The client's proof, or what its signer has still to sign.
pub(super) enum Proof<'c> {
    Complete(Authentication),
    Unsigned(&'c Client, Unsigned<'c>),
}

impl<'c> Proof<'c> {
    /// Makes the client's proof for an audience. The assertion of a client secret is signed at once.
    ///
    /// # Errors
    /// A [`SignError`]: there is no private key, or the secret cannot sign.
    pub(super) fn new(
        client: &'c Client,
        method: AuthMethod,
        audience: &str,
        now: UnixTime,
        random: Random<'_>,
    ) -> Result<Self, SignError> {
        Ok(match (method, &client.key) {
            (AuthMethod::SecretJwt, _) => {
                let secret = client.secret.as_ref().map_or("", Secret::expose);
                let key = SigningKey::from_secret(secret.as_bytes(), "HS256")?;
                let claims = claims(client, audience, now, random);
                Proof::Complete(authentication(client, Unsigned::new(&key, &claims).sign()?))
            }
            (AuthMethod::PrivateKeyJwt, Some(key)) => {
                Proof::Unsigned(client, Unsigned::new(&**key, &claims(client, audience, now, random)))
            }
            (AuthMethod::PrivateKeyJwt, None) => {
                return Err(SignError::Member { member: "private key", fault: MemberFault::Absent });
            }
            _ => Proof::Complete(client.plain_authentication(method)),
        })
    }

    /// Returns the complete proof; it takes as long as the client's signer does.
    pub(super) fn sign(self) -> Result<Authentication, SignError> {
        match self {
            Proof::Complete(complete) => Ok(complete),
            Proof::Unsigned(client, assertion) => Ok(authentication(client, assertion.sign()?)),
        }
    }

    /// Returns the complete proof; the client's signer is awaited.
    pub(super) async fn sign_async(self) -> Result<Authentication, SignError> {
        match self {
            Proof::Complete(complete) => Ok(complete),
            Proof::Unsigned(client, assertion) => Ok(authentication(client, assertion.sign_async().await?)),
        }
    }
}

fn claims(client: &Client, audience: &str, now: UnixTime, random: Random<'_>) -> Vec<u8> {
    let claims = json!({
        "iss": client.id, "sub": client.id, "aud": audience, "jti": random_token(random),
        "iat": now.0, "exp": now.saturating_add(ASSERTION_LIFETIME).0,
    });
    claims.to_string().into_bytes()
}

fn authentication(client: &Client, assertion: String) -> Authentication {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned();
    Authentication {
        basic: None,
        parameters: vec![
            ("client_id", Zeroizing::new(client.id.clone())),
            ("client_assertion_type", Zeroizing::new(kind)),
            ("client_assertion", Zeroizing::new(assertion)),
        ],
    }
}
