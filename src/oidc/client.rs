//! The client: its identifier, its secret and its authentication at the token endpoint (OpenID
//! Connect Core §9).

use zeroize::Zeroizing;

#[cfg(feature = "client-assertion")]
use crate::sign::Signer;

/// How the client authenticates at the token endpoint.
///
/// ```
/// use claimgate::oidc::client::{AuthMethod, Client, Secret};
///
/// let mut client = Client::new("crm").with_secret(Secret::new("a long secret".to_owned()));
/// client.method = AuthMethod::from_name("client_secret_post");
/// assert_eq!(client.method(&[]), AuthMethod::SecretPost);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// HTTP Basic with identifier and secret (RFC 6749 §2.3.1).
    SecretBasic,
    /// Identifier and secret in the body.
    SecretPost,
    /// A JWT signed with the secret (RFC 7523).
    #[cfg(feature = "client-assertion")]
    SecretJwt,
    /// A JWT signed with a private key (RFC 7523).
    #[cfg(feature = "client-assertion")]
    PrivateKeyJwt,
    /// A public client: PKCE alone.
    None,
}

impl AuthMethod {
    /// Every method, with its registered name.
    pub const ALL: &[(&'static str, AuthMethod)] = &[
        ("client_secret_basic", AuthMethod::SecretBasic),
        ("client_secret_post", AuthMethod::SecretPost),
        #[cfg(feature = "client-assertion")]
        ("client_secret_jwt", AuthMethod::SecretJwt),
        #[cfg(feature = "client-assertion")]
        ("private_key_jwt", AuthMethod::PrivateKeyJwt),
        ("none", AuthMethod::None),
    ];

    /// Returns the method with a registered name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }
}

/// A client, as registered at the provider.
///
/// ```
/// use claimgate::oidc::client::{AuthMethod, Client, Secret};
///
/// let client = Client::new("crm").with_secret(Secret::new("a long secret".to_owned()));
/// let supported = ["client_secret_post".to_owned()];
/// assert_eq!(client.method(&supported), AuthMethod::SecretPost);
/// assert!(!format!("{client:?}").contains("long"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; never printed.
    pub secret: Option<Secret>,
    /// The key for `private_key_jwt`: a [`SigningKey`](crate::sign::SigningKey), or the caller's own [`Signer`].
    #[cfg(feature = "client-assertion")]
    pub key: Option<std::sync::Arc<dyn Signer>>,
    /// The method, if the configuration names one.
    pub method: Option<AuthMethod>,
}

/// A secret text: wiped from memory when dropped, not printable.
///
/// ```
/// use claimgate::oidc::client::Secret;
///
/// let secret = Secret::new("a long secret".to_owned());
/// assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("a long secret", "Secret(…)"));
/// ```
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

/// Returns an identifier or a secret as HTTP Basic has it (RFC 6749 §2.3.1, appendix B), with `%20` in place of `+` for a
/// space: form decoders read both, and providers that decode percent-encoding alone read this one.
fn form_encoded(text: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}

/// Reports whether form encoding leaves a byte as it is.
fn is_kept_by_forms(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"*-._".contains(&byte)
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
    /// Makes a public client, which has neither secret nor key.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: None,
            #[cfg(feature = "client-assertion")]
            key: None,
            method: None,
        }
    }

    /// Sets the client's secret.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Returns the authentication method: the configured one, else the first that the client has a
    /// credential for and the provider lists; `client_secret_basic` if it lists none (Discovery §3).
    #[must_use]
    pub fn method(&self, supported: &[String]) -> AuthMethod {
        if let Some(method) = self.method {
            return method;
        }
        #[cfg(feature = "client-assertion")]
        if self.key.is_some() {
            return AuthMethod::PrivateKeyJwt;
        }
        if self.secret.is_none() {
            return AuthMethod::None;
        }
        let lists = |name: &str| supported.iter().any(|method| method == name);
        if supported.is_empty() || lists("client_secret_basic") {
            return AuthMethod::SecretBasic;
        }
        if lists("client_secret_post") {
            return AuthMethod::SecretPost;
        }
        #[cfg(feature = "client-assertion")]
        if lists("client_secret_jwt") {
            return AuthMethod::SecretJwt;
        }
        AuthMethod::SecretBasic
    }

    /// Reports whether HTTP Basic encodes characters of the identifier or the secret (RFC 6749 §2.3.1): providers that do not
    /// decode them refuse the client.
    ///
    /// ```
    /// use claimgate::oidc::client::{Client, Secret};
    ///
    /// let client = |secret: &str| Client::new("crm").with_secret(Secret::new(secret.to_owned()));
    /// assert!(client("c2VjcmV0+/==").is_encoded_by_basic());
    /// assert!(!client("0123456789abcdef").is_encoded_by_basic());
    /// ```
    #[must_use]
    pub fn is_encoded_by_basic(&self) -> bool {
        let is_encoded = |text: &str| !text.bytes().all(is_kept_by_forms);
        is_encoded(&self.id) || self.secret.as_ref().is_some_and(|secret| is_encoded(secret.expose()))
    }

    /// Returns the proof of a method that sends the identifier, with the secret as it is or without one.
    pub(crate) fn plain_authentication(&self, method: AuthMethod) -> Authentication {
        let secret = self.secret.as_ref().map_or("", Secret::expose);
        let id = ("client_id", Zeroizing::new(self.id.clone()));
        match method {
            AuthMethod::SecretBasic => {
                let joined = Zeroizing::new(format!("{}:{}", form_encoded(&self.id), form_encoded(secret)));
                let basic = <base64ct::Base64 as base64ct::Encoding>::encode_string(joined.as_bytes());
                Authentication { basic: Some(Zeroizing::new(basic)), parameters: Vec::new() }
            }
            AuthMethod::SecretPost => Authentication {
                basic: None,
                parameters: vec![id, ("client_secret", Zeroizing::new(secret.to_owned()))],
            },
            _ => Authentication { basic: None, parameters: vec![id] },
        }
    }
}
