//! The client: its identifier, its secret and its authentication at the token endpoint (OpenID
//! Connect Core §9).

use serde_json::{Map, json};
use zeroize::Zeroizing;

use super::{Random, random_token};
use crate::json::MemberFault;
use crate::sign::{SignError, SigningKey};
use crate::time::UnixTime;

/// Validity of a client assertion, in seconds.
const ASSERTION_LIFETIME: u64 = 60;

/// How the client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// HTTP Basic with identifier and secret (RFC 6749 §2.3.1).
    SecretBasic,
    /// Identifier and secret in the body.
    SecretPost,
    /// A JWT signed with the secret (RFC 7523).
    SecretJwt,
    /// A JWT signed with a private key (RFC 7523).
    PrivateKeyJwt,
    /// A public client: PKCE alone.
    None,
}

impl AuthMethod {
    /// Every method, with its registered name.
    pub const ALL: [(&'static str, AuthMethod); 5] = [
        ("client_secret_basic", AuthMethod::SecretBasic),
        ("client_secret_post", AuthMethod::SecretPost),
        ("client_secret_jwt", AuthMethod::SecretJwt),
        ("private_key_jwt", AuthMethod::PrivateKeyJwt),
        ("none", AuthMethod::None),
    ];

    /// Returns the method with a registered name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, method)| method)
    }
}

/// A client, as registered at the provider.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; never printed.
    pub secret: Option<Secret>,
    /// The key for `private_key_jwt`.
    pub key: Option<std::sync::Arc<SigningKey>>,
    /// The method, if the configuration names one.
    pub method: Option<AuthMethod>,
}

/// A secret text: wiped from memory when dropped, not printable.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// Returns the secret, for sending or comparing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The client's proof in a token request: HTTP Basic credentials or form parameters.
pub(crate) struct Authentication {
    /// The credentials of HTTP Basic, base64.
    pub(crate) basic: Option<Zeroizing<String>>,
    pub(crate) parameters: Vec<(&'static str, Zeroizing<String>)>,
}

impl Authentication {
    /// Returns the client assertion, if there is one.
    pub(crate) fn assertion(&self) -> Option<&str> {
        let assertion = self.parameters.iter().find(|(name, _)| *name == "client_assertion");
        assertion.map(|(_, assertion)| assertion.as_str())
    }
}

impl Client {
    /// Returns the authentication method: the configured one, else the first that the client has a
    /// credential for and the provider lists; `client_secret_basic` if it lists none (Discovery §3).
    #[must_use]
    pub fn method(&self, supported: &[String]) -> AuthMethod {
        if let Some(method) = self.method {
            return method;
        }
        if self.key.is_some() {
            return AuthMethod::PrivateKeyJwt;
        }
        if self.secret.is_none() {
            return AuthMethod::None;
        }
        let lists = |name: &str| supported.iter().any(|method| method == name);
        if supported.is_empty() || lists("client_secret_basic") {
            AuthMethod::SecretBasic
        } else if lists("client_secret_post") {
            AuthMethod::SecretPost
        } else if lists("client_secret_jwt") {
            AuthMethod::SecretJwt
        } else {
            AuthMethod::SecretBasic
        }
    }

    pub(crate) fn authenticate(
        &self,
        method: AuthMethod,
        audience: &str,
        now: UnixTime,
        random: Random<'_>,
    ) -> Result<Authentication, SignError> {
        let secret = self.secret.as_ref().map_or("", Secret::expose);
        let id = || ("client_id", Zeroizing::new(self.id.clone()));
        let assertion = |key: &SigningKey, random: Random<'_>| -> Result<Authentication, SignError> {
            let claims = json!({
                "iss": self.id, "sub": self.id, "aud": audience, "jti": random_token(random),
                "iat": now.0, "exp": now.saturating_add(ASSERTION_LIFETIME).0,
            });
            let token = key.sign(&Map::new(), claims.to_string().as_bytes())?;
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned();
            Ok(Authentication {
                basic: None,
                parameters: vec![
                    id(),
                    ("client_assertion_type", Zeroizing::new(kind)),
                    ("client_assertion", Zeroizing::new(token)),
                ],
            })
        };
        match method {
            AuthMethod::SecretBasic => {
                // RFC 6749 §2.3.1: both are form-encoded before they are joined.
                let encode = |text: &str| -> String {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let joined = Zeroizing::new(format!("{}:{}", encode(&self.id), encode(secret)));
                let basic = <base64ct::Base64 as base64ct::Encoding>::encode_string(joined.as_bytes());
                Ok(Authentication { basic: Some(Zeroizing::new(basic)), parameters: Vec::new() })
            }
            AuthMethod::SecretPost => Ok(Authentication {
                basic: None,
                parameters: vec![id(), ("client_secret", Zeroizing::new(secret.to_owned()))],
            }),
            AuthMethod::SecretJwt => assertion(&SigningKey::from_secret(secret.as_bytes(), "HS256")?, random),
            AuthMethod::PrivateKeyJwt => match &self.key {
                Some(key) => assertion(key, random),
                None => Err(SignError::Member { member: "private key", fault: MemberFault::Absent }),
            },
            AuthMethod::None => Ok(Authentication { basic: None, parameters: vec![id()] }),
        }
    }
}
